// The program files that a measured start reads.
#ifndef PWL_HARNESS_PROGRAMS_H_
#define PWL_HARNESS_PROGRAMS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "harness/options.h"
#include "pwl/plan.h"
#include "pwl/status.h"

namespace pwl::harness {

// All of them for `progress`, or those before an arm's first answer for `ttfi`.
Result<std::vector<Artifact>> ProgramsOf(const Options& options, const Plan& plan);

// Where the weight caches of programs lie.
std::vector<std::string> CachesOf(const Options& options, const std::vector<Artifact>& programs);

// What the weight caches of a measured start take on disk; 0 without them.
int64_t CacheBytes(const Options& options, const Plan& plan);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_PROGRAMS_H_
