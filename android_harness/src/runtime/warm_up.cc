// Runs programs once before they serve: what a first inference takes beside computing is spent on
// the loading thread, while the app asks for nothing.
#include "runtime/warm_up.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include "runtime/clock.h"
#include "runtime/guard.h"
#include "runtime/padded_floats.h"
#include "runtime/progressive_core.h"

namespace pwl {
namespace {

// An app that lets so much time pass between two inferences does not wait for the next one.
constexpr int64_t kPauseNs = 1'000'000;

bool Has(const Stage& stage, const std::shared_ptr<LoadedUnit>& unit) {
  return std::find(stage.chain.begin(), stage.chain.end(), unit) != stage.chain.end();
}

}  // namespace

RunCost CostSoFar() {
  RunCost cost;
  cost.cpu_ns = ClockNs(CLOCK_THREAD_CPUTIME_ID);
  rusage usage{};
  if (getrusage(RUSAGE_THREAD, &usage) == 0) {
    cost.touched = (int64_t{usage.ru_minflt} + usage.ru_majflt) * sysconf(_SC_PAGESIZE);
  }
  return cost;
}

// Runs what `stage` has and `before` has not. Each program reads what the new one before it wrote,
// or zeros; the first one of the chain as an app's input, which engines may copy. Where there is no
// memory for zeros, the rest stays as it is.
Status ProgressiveModel::Core::WarmUp(const Stage& stage, const Stage& before, uint64_t generation,
                                      StageLoad* load) {
  // What new programs touch would come on top of what old ones still hold.
  if (!options_.warm_up || bundle_.plan.favor == Favor::kMemory) return {};
  const int64_t begin = NowNs();
  PaddedFloats zeros;
  Floats flow;
  for (const std::shared_ptr<LoadedUnit>& unit : stage.chain) {
    if (Has(before, unit)) {
      flow = {};
      continue;
    }
    if (!warm_up_pays_ || !AwaitPause(stage.index, generation)) break;
    if (flow.data == nullptr) {
      if (!zeros.Allocate(unit->program->floats_in())) break;
      flow = zeros.view();
    }
    flow.padded = unit != stage.chain.front();
    const RunCost earlier = CostSoFar();
    const Result<Floats> output = RunUnit(*unit, flow);
    if (!output.ok()) {
      unit->failed = true;
      return output.status();
    }
    flow = *output;
    const RunCost now = CostSoFar();
    warm_up_pays_ = WarmUpPays({now.cpu_ns - earlier.cpu_ns, now.touched - earlier.touched});
    load->ready_ns = NowNs();
    load->warm_ns = load->ready_ns - begin;
  }
  return {};
}

// Waits for an inference that runs, or for the pause after one to be one. False for an app that
// asks without pause, and when the stage is not wanted any more.
bool ProgressiveModel::Core::AwaitPause(size_t stage, uint64_t generation) {
  Lock lock(mutex_);
  while (!Outdated(generation) && goal_ >= stage) {
    if (pause_ns_ >= kPauseNs) {
      if (serving_ == nullptr) return true;
      served_.wait(lock);
      continue;
    }
    if (serving_ != nullptr) return false;
    const int64_t served = served_ns_;
    const int64_t left = served + kPauseNs - NowNs();
    if (left <= 0) return true;
    served_.wait_for(lock, std::chrono::nanoseconds(left));
    if (served_ns_ != served) return false;
  }
  return false;
}

}  // namespace pwl
