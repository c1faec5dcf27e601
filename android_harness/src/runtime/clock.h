// Time as everything here measures it.
#ifndef PWL_SRC_RUNTIME_CLOCK_H_
#define PWL_SRC_RUNTIME_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace pwl {

// Nanoseconds of CLOCK_MONOTONIC, the same clock in every process of a device.
inline int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_CLOCK_H_
