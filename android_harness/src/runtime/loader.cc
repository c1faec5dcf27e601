// The loading side of a ProgressiveModel: one thread, made when it is first needed.

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/clock.h"
#include "runtime/freed_memory.h"
#include "runtime/guard.h"
#include "runtime/joined_thread.h"
#include "runtime/progressive_core.h"

namespace pwl {
namespace {

// Makes this thread one that never takes a processor from another one by waking up, as it does when
// the first answer ends; its share of them stays the same. Systems that refuse do without.
void WakeUpWithoutPreempting() {
  const sched_param none{};
  (void)sched_setscheduler(0, SCHED_BATCH, &none);
}

}  // namespace

Status ProgressiveModel::Core::EnsureThread() {
  const std::lock_guard<std::mutex> lock(thread_mutex_);
  if (loader_.joinable()) return {};
  try {
    loader_ = std::thread([core = shared_from_this()] { core->LoadUntilClosed(); });
  } catch (...) {
    return ThrownStatus("no thread for loading");
  }
  (void)pthread_setname_np(loader_.native_handle(), "pwl-loader");
  return {};
}

void ProgressiveModel::Core::LoadUntilClosed() noexcept {
  WakeUpWithoutPreempting();
  Lock lock(mutex_);
  loader_id_ = std::this_thread::get_id();
  while (!stopping_) {
    if (loading_ && active_->index == goal_ && !active_->broken) {
      Finish(&lock, requests_, Status());
    } else if (loading_ && AwaitsFirstAnswer()) {
      changed_.wait_until(lock, begin_at_);
    } else if (loading_) {
      const uint64_t generation = generation_;
      const size_t next = NextStage();
      stepping_ = true;
      const Status thrown = Guarded("loading failed", [&] {
        Step(&lock, next);
        return Status();
      });
      if (!lock.owns_lock()) lock.lock();
      if (!WantsAhead()) DropAhead(&lock);
      stepping_ = false;
      if (!thrown.ok() && !Outdated(generation)) Fail(&lock, next, thrown);
    } else if (ahead_ != nullptr) {
      DropAhead(&lock);  // loading was cancelled while an answer was waited for
    } else if (!retired_.empty()) {
      DestroyRetired(&lock, /*wait=*/true);
    } else if (unsaved_) {
      SaveVerified(&lock);  // loading was cancelled
    } else {
      changed_.wait(lock);
    }
  }
}

// Only going up can wait: who goes back wants memory.
bool ProgressiveModel::Core::AwaitsFirstAnswer() const {
  return !answered_ && goal_ > active_->index && std::chrono::steady_clock::now() < begin_at_;
}

// Going up leads through every stage, going back straight to the end. A stage whose program failed
// is loaded anew before it goes up.
size_t ProgressiveModel::Core::NextStage() const {
  if (goal_ < active_->index) return goal_;
  return active_->broken ? active_->index : active_->index + 1;
}

void ProgressiveModel::Core::Step(Lock* lock, size_t next) {
  if (next > active_->index && !MayLoad(lock, next)) return;
  const uint64_t generation = generation_;
  const size_t goal = goal_;
  std::shared_ptr<Stage> before = active_;
  retired_.reserve(retired_.size() + 1);
  lock->unlock();

  StageLoad load;
  Result<std::shared_ptr<Stage>> made = Make(next, before, goal, &load);
  if (made.ok() && next > before->index) {
    if (Status status = WarmUp(**made, *before, generation, &load); !status.ok()) made = status;
  }
  const int64_t begin = NowNs();
  lock->lock();
  unsaved_ = true;
  const bool wanted = next < before->index ? goal_ <= next : goal_ >= next;
  if (Outdated(generation) || active_ != before || !wanted) {
    lock->unlock();
    before.reset();
    made = Status();
    lock->lock();
    return;
  }
  if (!made.ok()) {
    before.reset();
    return Fail(lock, next, made.status());
  }
  active_ = std::move(*made);
  load.commit_ns = NowNs() - begin;
  retired_.push_back(std::move(before));
  DestroyRetired(lock, /*wait=*/false);
  lock->unlock();
  Tell([&](Observer* observer) { observer->StageActive(load); });
  lock->lock();
}

// Asks the app. Nothing is held meanwhile: neither the lock nor programs that were replaced.
bool ProgressiveModel::Core::MayLoad(Lock* lock, size_t next) {
  if (!options_.may_load) return true;
  const uint64_t generation = generation_;
  const uint64_t requests = requests_;
  DestroyRetired(lock, /*wait=*/true);
  if (Outdated(generation)) return false;
  asking_ = true;
  lock->unlock();
  bool may = false;
  const Status asked = Guarded("may_load failed", [&] {
    may = options_.may_load(next);
    return Status();
  });
  lock->lock();
  asking_ = false;
  if (Outdated(generation)) return false;
  if (!asked.ok()) {
    Fail(lock, next, asked);
    return false;
  }
  if (!may) {
    Finish(lock, requests, Status());
    return false;
  }
  return goal_ >= next && active_->index + 1 == next;
}

// Loads a stage, unless that was begun ahead, while another thread loads the one after it, and
// while the files of the one after what is being loaded are being read. Nothing is loaded ahead
// where each stage is asked for.
Result<std::shared_ptr<Stage>> ProgressiveModel::Core::Make(size_t next,
                                                            const std::shared_ptr<Stage>& before,
                                                            size_t goal, StageLoad* load) {
  const bool up = next > before->index;
  std::unique_ptr<AheadLoad> begun = std::move(ahead_);
  if (begun != nullptr && begun->stage() != next) begun.reset();
  if (up && next < goal && loaders_ > 1 && !options_.may_load) {
    ahead_ = AheadLoad::Begin(&factory_, next + 1);
  }
  std::vector<ProgramSource> sources;
  const size_t last = next + (up ? 1 : 0) + (ahead_ != nullptr ? 1 : 0);
  // Nothing was being prepared yet while the first one of them could have been read.
  for (size_t stage = up ? std::max(looked_ahead_, next) : next; stage <= last; ++stage) {
    for (ProgramSource& source : factory_.SourcesToRead(stage)) {
      sources.push_back(std::move(source));
    }
  }
  looked_ahead_ = up ? last + 1 : 0;
  if (!up) warm_up_pays_ = true;
  // By a thread of its own: submitting the reads takes as long as preparing a small block. Without
  // one, the files are read when they are loaded.
  JoinedThread reading;
  if (!sources.empty()) {
    (void)reading.Begin([sources = std::move(sources)] {
      for (const ProgramSource& source : sources) Prefetch(source);
    });
  }
  const int64_t begin = NowNs();
  PreparedUnits prepared;
  if (begun != nullptr) prepared = begun->Take();
  auto made = factory_.Make(next, before.get(), std::move(prepared), load);
  load->begin_ns = begin;
  return made;
}

// Whether what is being loaded ahead is what is loaded next. Called with mutex_ held.
bool ProgressiveModel::Core::WantsAhead() const {
  return ahead_ != nullptr && loading_ && !stopping_ && !active_->broken &&
         ahead_->stage() == active_->index + 1 && ahead_->stage() <= goal_;
}

void ProgressiveModel::Core::DropAhead(Lock* lock) {
  if (ahead_ == nullptr) return;
  lock->unlock();
  ahead_.reset();
  lock->lock();
}

void ProgressiveModel::Core::Fail(Lock* lock, size_t stage, const Status& failure) {
  const uint64_t requests = requests_;
  looked_ahead_ = 0;
  lock->unlock();
  Tell([&](Observer* observer) { observer->StageFailed(stage, failure); });
  lock->lock();
  Finish(lock, requests, failure);
}

// Ends loading, unless more was asked for since `requests` was read.
void ProgressiveModel::Core::Finish(Lock* lock, uint64_t requests, const Status& outcome) {
  const uint64_t generation = generation_;
  DropAhead(lock);
  DestroyRetired(lock, /*wait=*/true);
  SaveVerified(lock);
  if (Outdated(generation) || requests != requests_ || !loading_) return;
  loading_ = false;
  failure_ = CopyOf(outcome);
  ended_.notify_all();
}

void ProgressiveModel::Core::SaveVerified(Lock* lock) {
  unsaved_ = false;
  if (options_.verified == nullptr) return;
  lock->unlock();
  (void)options_.verified->Save();  // otherwise they are hashed again after the next start
  lock->lock();
}

// Destroys the stages that no inference runs on any more, and with them the programs that no other
// stage uses. With `wait`, waits for the inference that still does.
void ProgressiveModel::Core::DestroyRetired(Lock* lock, bool wait) {
  for (size_t at = 0; at < retired_.size();) {
    const Stage* const stage = retired_[at].get();
    if (wait) served_.wait(*lock, [&] { return serving_ != stage; });
    if (serving_ == stage) {
      ++at;
      continue;
    }
    // Its place stays taken until it is gone.
    std::shared_ptr<Stage> unused = std::move(retired_[at]);
    // Who goes back does so for memory's sake.
    const bool gives_back = bundle_.plan.favor == Favor::kMemory || unused->index > active_->index;
    lock->unlock();
    unused.reset();
    if (gives_back) GiveBackFreedMemory();
    lock->lock();
    retired_.erase(retired_.begin() + static_cast<ptrdiff_t>(at));
  }
}

}  // namespace pwl
