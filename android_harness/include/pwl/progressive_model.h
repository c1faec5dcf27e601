// ProgressiveModel: answers at once with the student, and becomes the teacher block by block.
//
//   auto model = ProgressiveModel::Start(plan, engine, options, observer);   // loads stage 0
//   model->LoadInBackground();                                                // the later stages
//   auto stage = model->Infer(input, &logits);                                // any time, any
//   stage
//
// A stage becomes active only when all of its programs are loaded and checked. The change happens
// between two inferences: an inference runs from beginning to end on one stage. When a program is
// missing, damaged or unfit, the stage that serves goes on serving and the observer is told why.
// Programs that the new stage does not use are destroyed, never by a thread that infers.
#ifndef PWL_PROGRESSIVE_MODEL_H_
#define PWL_PROGRESSIVE_MODEL_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pwl/engine.h"
#include "pwl/plan.h"
#include "pwl/status.h"

namespace pwl {

// What it took to make a stage ready. Times are NowNs().
struct StageLoad {
  size_t stage = 0;
  int64_t begin_ns = 0;   // loading began
  int64_t ready_ns = 0;   // all of its programs were loaded
  int64_t commit_ns = 0;  // how long the change of the active stage took
  LoadTimes times;        // summed over its new programs
  uint64_t bytes = 0;     // size of its new programs
};

// Told what happens in the background. Called on the loading thread, one call at a time.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void StageActive(const StageLoad& load) = 0;
  virtual void StageFailed(size_t stage, const Status& reason) = 0;
};

struct ProgressiveOptions {
  Verify verify = Verify::kSha256;
  // Asked on the loading thread before a stage is loaded; may block, for instance until the app is
  // idle. False ends the loading at the stage before.
  std::function<bool(size_t stage)> may_load;
};

class ProgressiveModel {
 public:
  // Loads stage 0 on the calling thread. `engine` must outlive the model, and so must `observer`
  // unless it is null. `load`, unless null, is told what the loading took.
  static Result<std::unique_ptr<ProgressiveModel>> Start(Plan plan, Engine* engine,
                                                         ProgressiveOptions options,
                                                         Observer* observer, StageLoad* load);

  // Waits for the program that is being loaded right now; nothing is active afterwards.
  ~ProgressiveModel();

  ProgressiveModel(const ProgressiveModel&) = delete;
  ProgressiveModel& operator=(const ProgressiveModel&) = delete;

  // Begins to load the stages after the active one on one background thread; does nothing while it
  // runs. May be called again after a failure, to go on from where loading stopped.
  void LoadInBackground();

  // Blocks until the background thread has ended. The result is the reason if it failed.
  Status WaitForLoading();

  // Runs one inference on the stage that is active when it begins, and gives that stage. `logits`
  // becomes as long as the model has classes; a vector that is used again costs no allocation.
  // Safe from several threads, which then take turns.
  Result<size_t> Infer(Floats input, std::vector<float>* logits);

  // The stage that the next inference would run on.
  size_t active_stage() const;
  size_t stages() const { return plan_.stages.size(); }

 private:
  struct Stage {
    size_t index = 0;
    std::vector<std::shared_ptr<Program>> chain;
  };

  ProgressiveModel(Plan plan, Engine* engine, ProgressiveOptions options, Observer* observer);

  // The files of a stage that are worth reading ahead: those that storage still has to deliver.
  std::vector<std::string> FilesToRead(size_t index) const;
  Result<std::shared_ptr<Stage>> LoadStage(size_t index, const Stage* before, StageLoad* load);
  void LoadLaterStages();
  void Activate(std::shared_ptr<Stage> next, StageLoad* load);
  void DestroyRetired(bool wait);

  const Plan plan_;
  Engine* const engine_;
  const ProgressiveOptions options_;
  Observer* const observer_;

  std::mutex infer_mutex_;  // held for a whole inference

  mutable std::mutex mutex_;        // guards what follows; held for nanoseconds only
  std::condition_variable served_;  // an inference ended while something was retired
  std::shared_ptr<Stage> active_;
  const Stage* serving_ = nullptr;  // what an inference runs on right now
  bool stopping_ = false;
  bool loading_ = false;
  Status failure_;

  std::vector<std::shared_ptr<Stage>> retired_;  // touched by the loading thread only
  std::thread loader_;
};

}  // namespace pwl

#endif  // PWL_PROGRESSIVE_MODEL_H_
