// Stage: the programs of one stage, in execution order.
#ifndef PWL_SRC_RUNTIME_STAGE_H_
#define PWL_SRC_RUNTIME_STAGE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pwl/bundle.h"
#include "pwl/engine.h"
#include "pwl/progressive_model.h"
#include "pwl/status.h"
#include "runtime/loading.h"

namespace pwl {

// A program in memory. One that failed once is never called again: engines may crash then.
struct LoadedUnit {
  LoadedUnit(size_t index, std::shared_ptr<Program> loaded)
      : artifact(index), program(std::move(loaded)) {}

  const size_t artifact;  // index into LoadingPlan::artifacts
  const std::shared_ptr<Program> program;
  std::atomic<bool> failed{false};
};

struct Stage {
  size_t index = 0;
  std::vector<std::shared_ptr<LoadedUnit>> chain;
  // It cannot serve: one of its programs failed, or some are missing. `chain` then holds what
  // another stage may still use.
  bool broken = false;
};

// Programs that were loaded before their stage's turn, and what that took.
struct PreparedUnits {
  std::vector<std::shared_ptr<LoadedUnit>> units;
  LoadTimes times;
  uint64_t bytes = 0;
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
};

// kUsage for a plan without stages, or with one that is empty or names artifacts that there are
// not: plans may be made without ParseLoadingPlan, which has looked.
Status RequireWholeStages(const LoadingPlan& plan);

// Makes stages out of files, and out of what is in memory already. Safe for use from several
// threads at a time.
class StageFactory {
 public:
  // All that is pointed to must outlive the factory.
  StageFactory(const Bundle* bundle, Engine* engine, Checks checks)
      : plan_(&bundle->plan), files_(bundle->files.get()), engine_(engine), checks_(checks) {}

  // Loads the programs of a stage, but for those that `before` has, unless null, and those that are
  // `prepared`. A unit that occurs twice in a stage is loaded twice: a program must not read the
  // output that it is writing.
  Result<std::shared_ptr<Stage>> Make(size_t index, const Stage* before, PreparedUnits prepared,
                                      StageLoad* load) const;

  // Loads the programs that a stage has and the one before it has not, until they are `unwanted`.
  // Those that cannot be loaded are left out. Throws std::bad_alloc at most.
  void Prepare(size_t index, const std::atomic<bool>& unwanted, PreparedUnits* prepared) const;

  // What is left of a stage for another one to use: the programs that `index` needs, too, and that
  // have not failed.
  std::shared_ptr<Stage> RestFor(size_t index, const Stage& stage) const;

  // What is worth reading ahead of a stage: what storage still has to deliver. Nothing for a stage
  // that does not exist, or of a file that is not there.
  std::vector<ProgramSource> SourcesToRead(size_t index) const;

 private:
  Result<std::shared_ptr<LoadedUnit>> Load(size_t artifact, LoadTimes* times) const;

  const LoadingPlan* const plan_;
  const BundleFiles* const files_;
  Engine* const engine_;
  const Checks checks_;
};

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_STAGE_H_
