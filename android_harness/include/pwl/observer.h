// Observer: what an app is told about the stages of a ProgressiveModel.
#ifndef PWL_OBSERVER_H_
#define PWL_OBSERVER_H_

#include <cstddef>
#include <cstdint>

#include "pwl/engine.h"
#include "pwl/status.h"

namespace pwl {

// What it took to make a stage ready. Times are nanoseconds of CLOCK_MONOTONIC.
struct StageLoad {
  size_t stage = 0;
  int64_t begin_ns = 0;   // loading began
  int64_t ready_ns = 0;   // all of its programs were loaded, and warmed up where that is done
  int64_t warm_ns = 0;    // of that, how long its new programs were warmed up
  int64_t commit_ns = 0;  // how long the change of the active stage took
  // When a second thread began to load its programs, while the stage before was being made, and
  // for how long it did, which may be until after begin_ns. 0: it did not.
  int64_t ahead_begin_ns = 0;
  int64_t ahead_ns = 0;
  LoadTimes times;     // summed over its new programs, on whichever thread
  uint64_t bytes = 0;  // size of its new programs
};

// Told what happens to the stages, one call at a time: by the loading thread, or by an inferring
// thread after an inference failed, which goes on when it returns. It may call the model, but not
// wait for it or destroy it. What it throws is swallowed.
class Observer {
 public:
  virtual ~Observer() = default;
  // The stage serves from the next inference on. After a failure it is an earlier one.
  virtual void StageActive(const StageLoad& load) = 0;
  // The stage could not be loaded, or failed while it served.
  virtual void StageFailed(size_t stage, const Status& reason) = 0;
};

}  // namespace pwl

#endif  // PWL_OBSERVER_H_
