#include "runtime/progressive_core.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/guard.h"

namespace pwl {

ProgressiveModel::Core::Core(Bundle bundle, Engine* engine, ProgressiveOptions options,
                             Observer* observer)
    : bundle_(std::move(bundle)),
      options_(std::move(options)),
      observer_(observer),
      factory_(&bundle_, engine, Checks(options_.verify, options_.verified)),
      loaders_(LoadersFor(bundle_.plan)) {}

Status ProgressiveModel::Core::LoadFirst(StageLoad* load) {
  // All files are being read while the first one is being prepared.
  for (const ProgramSource& source : factory_.SourcesToRead(0)) Prefetch(source);
  Result<std::shared_ptr<Stage>> stage = factory_.Make(0, nullptr, {}, load);
  if (!stage.ok()) return stage.status();
  active_ = std::move(*stage);
  return {};
}

void ProgressiveModel::Core::Close() noexcept {
  bool asking = false;
  {
    Lock lock(mutex_);
    stopping_ = true;
    loading_ = false;
    changed_.notify_all();
    ended_.notify_all();
    served_.notify_all();
    ended_.wait(lock, [&] { return inferring_ == 0; });
    asking = asking_;
  }
  {
    const std::lock_guard<std::mutex> lock(thread_mutex_);
    if (loader_.joinable()) {
      // Nobody can end a `may_load` that blocks. When it returns, its thread sees that it is over.
      if (asking || loader_.get_id() == std::this_thread::get_id()) {
        loader_.detach();
      } else {
        loader_.join();
      }
    }
  }
  std::shared_ptr<Stage> last;
  std::vector<std::shared_ptr<Stage>> retired;
  Lock lock(mutex_);
  last.swap(active_);
  retired.swap(retired_);
  if (unsaved_) SaveVerified(&lock);
}

Status ProgressiveModel::Core::Begin(size_t stage, Direction direction) {
  if (stage >= stages()) {
    return {Code::kUsage, "there is no stage " + std::to_string(stage) + ": the model has " +
                              std::to_string(stages())};
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t now = active_->index;
    goal_ = direction == Direction::kUp ? std::max(stage, now) : std::min(stage, now);
    ++requests_;
    if (!loading_) {
      failure_ = Status();
      // The loading thread may still hold what was replaced or cancelled: it ends loading then.
      const bool there = goal_ == now && !active_->broken;
      if (there && retired_.empty() && (!stepping_ || asking_)) return {};
      loading_ = true;
      begin_at_ = std::chrono::steady_clock::now() +
                  std::clamp<std::chrono::nanoseconds>(options_.wait_for_first_answer,
                                                       std::chrono::nanoseconds(0), kForever);
    }
  }
  const Status status = EnsureThread();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!status.ok()) {
    loading_ = false;
    failure_ = status;
    ended_.notify_all();
  }
  changed_.notify_all();
  return status;
}

void ProgressiveModel::Core::Cancel() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!loading_) return;
  ++generation_;
  loading_ = false;
  failure_ = Status(Code::kCancelled, "cancelled");
  ended_.notify_all();
  changed_.notify_all();
}

Status ProgressiveModel::Core::Wait(std::chrono::nanoseconds at_most) {
  Lock lock(mutex_);
  const std::thread::id self = std::this_thread::get_id();
  if (self == loader_id_ || self == teller_) {
    return {Code::kUsage, "an observer cannot wait for what it is called by"};
  }
  if (!ended_.wait_for(lock, at_most, [&] { return !loading_; })) {
    return {Code::kTimedOut, "loading goes on at stage " + std::to_string(active_->index)};
  }
  return failure_;
}

size_t ProgressiveModel::Core::active_stage() const noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  return active_->index;
}

void ProgressiveModel::Core::Tell(const Event& event) noexcept {
  if (observer_ == nullptr) return;
  const std::lock_guard<std::recursive_mutex> turn(observer_mutex_);
  const std::thread::id before = teller_.exchange(std::this_thread::get_id());
  (void)Guarded("the observer failed", [&] {
    event(observer_);
    return Status();
  });
  teller_ = before;
}

}  // namespace pwl
