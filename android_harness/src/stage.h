// Stage: the programs of one stage, in execution order.
#ifndef PWL_SRC_STAGE_H_
#define PWL_SRC_STAGE_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pwl/engine.h"
#include "pwl/loading.h"
#include "pwl/plan.h"
#include "pwl/progressive_model.h"
#include "pwl/status.h"

namespace pwl {

// A program in memory. One that failed once is never called again: engines may crash then.
struct LoadedUnit {
  LoadedUnit(size_t index, std::shared_ptr<Program> loaded)
      : artifact(index), program(std::move(loaded)) {}

  const size_t artifact;  // index into Plan::artifacts
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

// Makes stages out of files, and out of what is in memory already. Safe for use from several
// threads at a time.
class StageFactory {
 public:
  // All that is pointed to must outlive the factory.
  StageFactory(const Plan* plan, Engine* engine, Checks checks)
      : plan_(plan), engine_(engine), checks_(checks) {}

  // Loads the programs of a stage, but for those that `before` has, unless null. A unit that occurs
  // twice in a stage is loaded twice: a program must not read the output that it is writing.
  Result<std::shared_ptr<Stage>> Make(size_t index, const Stage* before, StageLoad* load) const;

  // What is left of a stage for another one to use: the programs that `index` needs, too, and that
  // have not failed.
  std::shared_ptr<Stage> RestFor(size_t index, const Stage& stage) const;

  // The files of a stage that are worth reading ahead: those that storage still has to deliver.
  // None for a stage that does not exist.
  std::vector<std::string> FilesToRead(size_t index) const;

 private:
  const Plan* const plan_;
  Engine* const engine_;
  const Checks checks_;
};

}  // namespace pwl

#endif  // PWL_SRC_STAGE_H_
