// The program files that a measured start reads, and programs of a control arm in memory.
#ifndef PWL_HARNESS_PROGRAMS_H_
#define PWL_HARNESS_PROGRAMS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/measurement_plan.h"
#include "harness/options.h"
#include "pwl/bundle.h"
#include "pwl/engine.h"
#include "pwl/status.h"

namespace pwl::harness {

// An artifact and the folder that its path begins in.
struct PlacedProgram {
  Artifact artifact;
  std::string folder;

  std::string path() const { return folder + "/" + artifact.path; }
};

// All of them for `progress`, or those before an arm's first answer for `ttfi`.
Result<std::vector<PlacedProgram>> ProgramsOf(const Options& options, const MeasurementPlan& plan,
                                              const LoadingPlan& loading);

// Where the weight caches of programs lie.
std::vector<std::string> CachesOf(const Options& options,
                                  const std::vector<PlacedProgram>& programs);

// What the weight caches of a measured start take on disk; 0 without them.
int64_t CacheBytes(const Options& options, const MeasurementPlan& plan, const LoadingPlan& loading);

// The programs of an arm, or of a stage, in execution order.
using Chain = std::vector<std::shared_ptr<Program>>;

// Loads the programs of an arm: one after the other; of a parallel one the largest first, by a
// thread for each, but no more threads than there are processors for this process. Of what fails,
// the first in execution order is told. `times` grows by those of the thread that ended last.
Result<Chain> LoadArm(const MeasurementPlan& plan, const Arm& arm, Engine* engine,
                      LoadTimes* times);

// The same by at most `threads` threads, this one among them.
Result<Chain> LoadInParallel(const MeasurementPlan& plan, const Arm& arm, size_t threads,
                             Engine* engine, LoadTimes* times);

// Runs a chain once. The result belongs to the last program.
Result<Floats> RunChain(const Chain& chain, Floats input);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_PROGRAMS_H_
