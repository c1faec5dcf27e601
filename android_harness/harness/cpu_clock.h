// The processors' time that this process has used, all its threads together.
#ifndef PWL_HARNESS_CPU_CLOCK_H_
#define PWL_HARNESS_CPU_CLOCK_H_

#include <time.h>

#include <cstdint>

#include "runtime/clock.h"

namespace pwl::harness {

// Nanoseconds since the process began; exec does not set them back.
inline int64_t CpuNs() { return ClockNs(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace pwl::harness

#endif  // PWL_HARNESS_CPU_CLOCK_H_
