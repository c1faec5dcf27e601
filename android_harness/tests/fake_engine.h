// An engine whose programs are arithmetic: it shows what the runtime does without a model.
#ifndef PWL_TESTS_FAKE_ENGINE_H_
#define PWL_TESTS_FAKE_ENGINE_H_

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pwl/engine.h"
#include "runtime/clock.h"

namespace pwl {

// Counts what is alive, and can hold back the loading of a file until it is let go.
class FakeEngine : public Engine {
 public:
  FakeEngine() { destroyed_by_.reserve(1 << 16); }

  // Adds a constant to a single float: the one that the file's name ends with, "unit-100" -> 100.
  class FakeProgram : public Program {
   public:
    FakeProgram(FakeEngine* engine, std::string path, float added)
        : engine_(engine), path_(std::move(path)), added_(added) {
      ++engine_->alive_;
    }
    ~FakeProgram() override {
      --engine_->alive_;
      const std::lock_guard<std::mutex> lock(engine_->mutex_);
      engine_->destroyed_by_.push_back(std::this_thread::get_id());
      output_ = -1;  // a reader of the result of a destroyed program would see it
    }
    size_t floats_in() const override { return 1; }
    size_t floats_out() const override { return 1; }
    Result<Floats> Run(Floats input) override {
      engine_->Enter(path_);
      if (failed_) engine_->called_after_failure_ = true;
      if (engine_->fail_run_ || engine_->Fails(path_)) {
        failed_ = true;
        if (engine_->throws_) throw std::logic_error("told to throw");
        return Status(Code::kRuntime, "told to fail");
      }
      if (running_.exchange(true)) engine_->overlapped_ = true;
      output_ = input.data[0] + added_;
      running_ = false;
      return Floats{&output_, 1};
    }

   private:
    FakeEngine* const engine_;
    const std::string path_;
    const float added_;
    bool failed_ = false;
    float output_ = 0;
    std::atomic<bool> running_{false};
  };

  Result<std::unique_ptr<Program>> Load(const ProgramSource& source, const ProgramSpec&,
                                        LoadTimes* times) override {
    const std::string& path = source.path();
    {
      std::unique_lock<std::mutex> lock(mutex_);
      ++loads_;
      changed_.wait(lock, [&] { return held_ != path; });
      if (refused_.count(path) > 0) {
        if (throws_) throw std::bad_alloc();
        return Status(Code::kDamaged, "told to refuse");
      }
    }
    times->prepare_ns += 1;
    const float added = std::stof(path.substr(path.rfind('-') + 1));
    return std::unique_ptr<Program>(std::make_unique<FakeProgram>(this, path, added));
  }
  std::string WeightsFile(const std::string& sha256) const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    considered_.insert(sha256);
    return "";
  }
  std::string Name() const override { return "fake"; }
  std::string Version() const override { return "1.0.0"; }

  void Refuse(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    refused_.insert(path);
  }
  void Accept(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    refused_.erase(path);
  }
  // Has every inference of that unit fail, until it is called with an empty path.
  void FailRunsOf(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    failing_ = path;
  }
  // Has whatever is refused or fails throw instead of giving a status.
  void Throw() { throws_ = true; }
  // Holds inferences of a unit back until LetGo; WaitForHeldRun waits until one has
  // arrived there.
  void HoldRunsOf(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_run_ = path;
  }
  void WaitForHeldRun() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return run_is_held_; });
  }
  void Hold(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_ = path;
  }
  void LetGo() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_.clear();
      held_run_.clear();
    }
    changed_.notify_all();
  }
  void FailRuns(bool fail) { fail_run_ = fail; }
  // Has every inference of that unit compute for so long.
  void ComputeIn(const std::string& path, std::chrono::nanoseconds time) {
    const std::lock_guard<std::mutex> lock(mutex_);
    computing_ = path;
    compute_for_ = time;
  }
  // Files of the units that have run since, in order.
  void RecordRuns() { recording_ = true; }
  std::vector<std::string> runs() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return runs_;
  }

  bool called_after_failure() const { return called_after_failure_; }
  int alive() const { return alive_; }
  int loads() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return loads_;
  }
  bool overlapped() const { return overlapped_; }
  // Whether it was asked what of a program is worth reading ahead.
  bool Considered(const std::string& sha256) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return considered_.count(sha256) > 0;
  }
  bool DestroyedBy(std::thread::id id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::find(destroyed_by_.begin(), destroyed_by_.end(), id) != destroyed_by_.end();
  }

 private:
  void Enter(const std::string& path) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (recording_) runs_.push_back(path);
    if (computing_ == path) Compute(compute_for_);
    if (held_run_ != path) return;
    run_is_held_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return held_run_ != path; });
    run_is_held_ = false;
  }
  // Keeps a processor busy for so long of this thread's own time.
  static void Compute(std::chrono::nanoseconds time) {
    const int64_t end = ClockNs(CLOCK_THREAD_CPUTIME_ID) + time.count();
    while (ClockNs(CLOCK_THREAD_CPUTIME_ID) < end) continue;
  }
  bool Fails(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return failing_ == path;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string held_;
  std::string held_run_;
  std::string failing_;
  std::string computing_;
  std::chrono::nanoseconds compute_for_{0};
  std::vector<std::string> runs_;
  std::atomic<bool> recording_{false};
  bool run_is_held_ = false;
  std::atomic<bool> throws_{false};
  std::atomic<bool> called_after_failure_{false};
  std::set<std::string> refused_;
  mutable std::set<std::string> considered_;
  std::vector<std::thread::id> destroyed_by_;  // has room, because destructors must not allocate
  int loads_ = 0;
  std::atomic<int> alive_{0};
  std::atomic<bool> fail_run_{false};
  std::atomic<bool> overlapped_{false};
};

}  // namespace pwl

#endif  // PWL_TESTS_FAKE_ENGINE_H_
