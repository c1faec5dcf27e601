// Time as everything here measures it.
#ifndef PWL_SRC_RUNTIME_CLOCK_H_
#define PWL_SRC_RUNTIME_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace pwl {

inline int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
}

// Nanoseconds of a clock; 0 where there is none.
inline int64_t ClockNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return Nanoseconds(now);
}

// Nanoseconds of CLOCK_MONOTONIC, the same clock in every process of a device.
inline int64_t NowNs() { return ClockNs(CLOCK_MONOTONIC); }

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_CLOCK_H_
