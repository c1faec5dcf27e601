// info: what this build is, and what the device lets it see.

#include <sched.h>
#include <unistd.h>

#include "harness/json_line.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"
#include "pwl/version.h"

namespace pwl::harness {
namespace {

#if defined(__aarch64__)
constexpr char kAbi[] = "arm64-v8a";
#elif defined(__x86_64__)
constexpr char kAbi[] = "x86_64";
#else
#error "an ABI that nobody has tried"
#endif

}  // namespace

Status RunInfo(const Options& options, const Bundle& bundle) {
  const Result<std::unique_ptr<Engine>> engine = MakeEngineFor(bundle.plan, options);
  if (!engine.ok()) return engine.status();
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const int known = sched_getaffinity(0, sizeof allowed, &allowed);
  JsonLine("info")
      .Add("harness", PWL_VERSION)
      .Add("engine", (*engine)->Name())
      .Add("abi", kAbi)
      .Add("compiler", __VERSION__)
      .Add("page_bytes", static_cast<int64_t>(sysconf(_SC_PAGESIZE)))
      .Add("cores_online", static_cast<int64_t>(sysconf(_SC_NPROCESSORS_ONLN)))
      .Add("cores_allowed", known == 0 ? CPU_COUNT(&allowed) : -1)
      .Print();
  return {};
}

}  // namespace pwl::harness
