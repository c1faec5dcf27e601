// The processors' time that this process has used, all its threads together.
#ifndef PWL_HARNESS_CPU_CLOCK_H_
#define PWL_HARNESS_CPU_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace pwl::harness {

// Nanoseconds since the process began; exec does not set them back.
inline int64_t CpuNs() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return int64_t{used.tv_sec} * 1000000000 + used.tv_nsec;
}

}  // namespace pwl::harness

#endif  // PWL_HARNESS_CPU_CLOCK_H_
