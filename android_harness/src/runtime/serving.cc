// The inferring side of a ProgressiveModel.

#include <string>
#include <utility>

#include "runtime/clock.h"
#include "runtime/guard.h"
#include "runtime/progressive_core.h"

namespace pwl {

// The active stage, for as long as an inference runs on it: its programs stay in memory.
class ProgressiveModel::Core::Serving {
 public:
  explicit Serving(Core* core) : core_(core) {
    const std::lock_guard<std::mutex> lock(core_->mutex_);
    stage_ = core_->active_;
    broken_ = stage_->broken;
    core_->serving_ = stage_.get();
    core_->pause_ns_ = core_->served_ns_ == 0 ? 0 : NowNs() - core_->served_ns_;
  }
  ~Serving() {
    {
      const std::lock_guard<std::mutex> lock(core_->mutex_);
      core_->serving_ = nullptr;
      core_->served_ns_ = NowNs();
      // While this stage is retired, the loading thread keeps it until it sees serving_ change, so
      // that letting go of it here never destroys a program.
      stage_.reset();
    }
    core_->served_.notify_all();
  }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  Stage* stage() const { return stage_.get(); }
  bool broken() const { return broken_; }

 private:
  Core* const core_;
  std::shared_ptr<Stage> stage_;
  bool broken_ = false;
};

Result<size_t> ProgressiveModel::Core::Infer(Floats input, std::vector<float>* logits) {
  if (Status status = RequireFloats(input, bundle_.plan.floats_in); !status.ok()) return status;
  if (logits == nullptr) return Status(Code::kUsage, "there is no room for logits");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return Status(Code::kUsage, "the model is being destroyed");
    ++inferring_;
  }
  std::vector<Event> events;
  const Result<size_t> answer = Guarded("inference failed", [&] {
    const std::lock_guard<std::mutex> turn(infer_mutex_);
    return Serve(input, logits, &events);
  });
  for (const Event& event : events) Tell(event);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!answered_) {
    answered_ = true;
    changed_.notify_all();
  }
  if (--inferring_ == 0 && stopping_) ended_.notify_all();
  return answer;
}

Result<size_t> ProgressiveModel::Core::Serve(Floats input, std::vector<float>* logits,
                                             std::vector<Event>* events) {
  while (true) {
    size_t index = 0;
    Status failure;
    bool broken = false;
    {
      const Serving serving(this);
      index = serving.stage()->index;
      broken = serving.broken();
      if (!broken) {
        LoadedUnit* failed = nullptr;
        failure = Run(*serving.stage(), input, logits, &failed);
        if (failure.ok()) return index;
        Break(serving.stage(), failed, failure);
      }
    }
    if (!broken) {
      events->push_back(
          [index, failure](Observer* observer) { observer->StageFailed(index, failure); });
      // Nothing is before the first stage: the caller is told now, and the next one finds it loaded
      // anew.
      if (index == 0) return failure;
    }
    if (Status status = Recover(events); !status.ok()) return status;
  }
}

// Runs a chain, and on failure says which unit failed.
Status ProgressiveModel::Core::Run(const Stage& stage, Floats input, std::vector<float>* logits,
                                   LoadedUnit** failed) {
  Floats flow = input;
  for (const std::shared_ptr<LoadedUnit>& unit : stage.chain) {
    const Result<Floats> output = RunUnit(*unit, flow);
    if (!output.ok()) {
      *failed = unit.get();
      return output.status();
    }
    flow = *output;
  }
  // Copied while the stage is held: its programs may be destroyed as soon as it is let go.
  logits->assign(flow.data, flow.data + flow.size);
  return {};
}

// Runs a program; messages begin with its artifact's id.
Result<Floats> ProgressiveModel::Core::RunUnit(const LoadedUnit& unit, Floats input) const {
  Result<Floats> output = Guarded("the engine failed", [&] { return unit.program->Run(input); });
  if (output.ok()) return output;
  return Status(output.status().code(),
                bundle_.plan.artifacts[unit.artifact].id + ": " + output.status().message());
}

void ProgressiveModel::Core::Break(Stage* stage, LoadedUnit* unit, const Status& failure) {
  const std::lock_guard<std::mutex> lock(mutex_);
  unit->failed = true;
  // Another stage may have become active while this inference ran, and may have the unit, too.
  for (Stage* const changed : {stage, active_.get()}) {
    for (const auto& used : changed->chain) changed->broken |= used->failed;
  }
  // A stage that is being loaded may have been given the unit that failed.
  ++generation_;
  loading_ = false;
  failure_ = CopyOf(failure);
  ended_.notify_all();
}

// Brings an earlier stage back into service, the nearest one that can be loaded. What is needed no
// more is destroyed first: memory may be what was short.
Status ProgressiveModel::Core::Recover(std::vector<Event>* events) {
  std::shared_ptr<Stage> broken;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    broken = active_;
    if (!broken->broken) return {};
  }
  Status reason;
  for (size_t index = broken->index > 0 ? broken->index - 1 : 0;; --index) {
    std::shared_ptr<Stage> rest = factory_.RestFor(index, *broken);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (active_ != broken) return {};  // the loading thread was faster
      active_ = rest;
    }
    broken = std::move(rest);
    StageLoad load;
    Result<std::shared_ptr<Stage>> stage = factory_.Make(index, broken.get(), {}, &load);
    if (stage.ok()) {
      const int64_t begin = NowNs();
      const std::lock_guard<std::mutex> lock(mutex_);
      if (active_ == broken) active_ = std::move(*stage);
      load.commit_ns = NowNs() - begin;
      events->push_back([load](Observer* observer) { observer->StageActive(load); });
      return {};
    }
    reason = stage.status();
    if (index == 0) break;
  }
  return {reason.code(), "no stage can serve: " + reason.message()};
}

}  // namespace pwl
