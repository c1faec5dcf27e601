// The state of a ProgressiveModel, and the two sides that change it: inferring threads and the
// loading thread.
#ifndef PWL_SRC_RUNTIME_PROGRESSIVE_CORE_H_
#define PWL_SRC_RUNTIME_PROGRESSIVE_CORE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pwl/progressive_model.h"
#include "runtime/ahead_load.h"
#include "runtime/stage.h"

namespace pwl {

// Longer than any process lives, and short enough to be added to the time of day.
constexpr std::chrono::hours kForever{24 * 365};

class ProgressiveModel::Core : public std::enable_shared_from_this<ProgressiveModel::Core> {
 public:
  enum class Direction { kUp, kDown };

  Core(Bundle bundle, Engine* engine, ProgressiveOptions options, Observer* observer);

  Status LoadFirst(StageLoad* load);
  void Close() noexcept;
  Status Begin(size_t stage, Direction direction);
  void Cancel();
  Status Wait(std::chrono::nanoseconds at_most);
  Result<size_t> Infer(Floats input, std::vector<float>* logits);
  size_t active_stage() const noexcept;
  size_t stages() const noexcept { return bundle_.plan.stages.size(); }

 private:
  using Lock = std::unique_lock<std::mutex>;
  using Event = std::function<void(Observer*)>;
  class Serving;

  // Inferring threads (serving.cc). All are called with infer_mutex_ held.
  Result<size_t> Serve(Floats input, std::vector<float>* logits, std::vector<Event>* events);
  Status Run(const Stage& stage, Floats input, std::vector<float>* logits, LoadedUnit** failed);
  Result<Floats> RunUnit(const LoadedUnit& unit, Floats input) const;
  void Break(Stage* stage, LoadedUnit* unit, const Status& failure);
  Status Recover(std::vector<Event>* events);

  // The loading thread (loader.cc). `lock` holds mutex_ on entry and on return.
  Status EnsureThread();
  void LoadUntilClosed() noexcept;
  bool AwaitsFirstAnswer() const;
  size_t NextStage() const;
  void Step(Lock* lock, size_t next);
  bool MayLoad(Lock* lock, size_t next);
  Result<std::shared_ptr<Stage>> Make(size_t next, const std::shared_ptr<Stage>& before,
                                      size_t goal, StageLoad* load);
  bool WantsAhead() const;
  void DropAhead(Lock* lock);
  void Fail(Lock* lock, size_t stage, const Status& failure);
  void Finish(Lock* lock, uint64_t requests, const Status& outcome);
  void SaveVerified(Lock* lock);
  void DestroyRetired(Lock* lock, bool wait);
  bool Outdated(uint64_t generation) const { return stopping_ || generation != generation_; }

  // Warming up, on the loading thread, without any lock (warm_up.cc).
  Status WarmUp(const Stage& stage, const Stage& before, uint64_t generation, StageLoad* load);
  bool AwaitPause(size_t stage, uint64_t generation);

  // Calls the observer, if there is one, without any other lock.
  void Tell(const Event& event) noexcept;

  const Bundle bundle_;
  const ProgressiveOptions options_;
  Observer* const observer_;
  const StageFactory factory_;
  const int loaders_;  // threads that load at a time

  std::mutex infer_mutex_;               // held for a whole inference
  std::mutex thread_mutex_;              // guards loader_
  std::recursive_mutex observer_mutex_;  // held while the observer is called, which may infer
  std::atomic<std::thread::id> teller_{};
  std::thread loader_;

  mutable std::mutex mutex_;         // guards what follows; held for nanoseconds only
  std::condition_variable changed_;  // the loading thread has something to do, or may do it
  std::condition_variable ended_;    // nothing is being loaded any more, or no inference runs
  std::condition_variable served_;   // an inference ended
  std::shared_ptr<Stage> active_;
  const Stage* serving_ = nullptr;  // what an inference runs on right now
  std::vector<std::shared_ptr<Stage>> retired_;
  int64_t served_ns_ = 0;  // when the last inference ended
  int64_t pause_ns_ = 0;   // between the last two inferences, or the last two attempts
  int inferring_ = 0;      // threads inside of Infer
  bool answered_ = false;  // an inference has ended, whichever way
  std::chrono::steady_clock::time_point begin_at_;  // loading waits no longer for that
  size_t goal_ = 0;                                 // where loading ends
  bool loading_ = false;
  bool stepping_ = false;  // the loading thread loads a stage, or asks whether it may
  bool asking_ = false;    // the loading thread is inside of may_load
  bool stopping_ = false;
  bool unsaved_ = true;      // files may have been verified since that was saved
  uint64_t requests_ = 0;    // how often something was asked for
  uint64_t generation_ = 0;  // how often what is being loaded became unwanted
  Status failure_;
  std::thread::id loader_id_;

  // Of the loading thread alone:
  size_t looked_ahead_ = 0;           // the first stage whose files may have to be read
  bool warm_up_pays_ = true;          // the programs that were warmed up so far touched much memory
  std::unique_ptr<AheadLoad> ahead_;  // the stage after the active one, between two steps
};

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_PROGRESSIVE_CORE_H_
