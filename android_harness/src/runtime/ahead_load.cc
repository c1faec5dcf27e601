#include "runtime/ahead_load.h"

#include <pthread.h>
#include <sched.h>

#include <new>
#include <utility>

#include "runtime/guard.h"

namespace pwl {
namespace {

// One for inferences, two for loading, and one for the rest of the app.
constexpr int kEnoughProcessors = 4;

// Those that this process may run on; 0 where the kernel does not say.
int Processors() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
}

}  // namespace

int LoadersFor(const LoadingPlan& plan) {
  if (plan.favor == Favor::kMemory) return 1;
  if (plan.loaders != LoadingPlan::kAutoLoaders) return plan.loaders;
  return Processors() >= kEnoughProcessors ? 2 : 1;
}

std::unique_ptr<AheadLoad> AheadLoad::Begin(const StageFactory* factory, size_t stage) noexcept {
  std::unique_ptr<AheadLoad> load(new (std::nothrow) AheadLoad(stage));
  const auto prepare = [factory, load = load.get()] {
    (void)pthread_setname_np(pthread_self(), "pwl-ahead");
    (void)Guarded("loading ahead failed", [&] {
      factory->Prepare(load->stage_, load->unwanted_, &load->prepared_);
      return Status();
    });
  };
  return load != nullptr && load->thread_.Begin(prepare) ? std::move(load) : nullptr;
}

PreparedUnits AheadLoad::Take() {
  thread_.Join();
  return std::move(prepared_);
}

}  // namespace pwl
