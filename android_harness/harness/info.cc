// info: what this build is, and what the device lets it see.

#include <unistd.h>

#include "harness/affinity.h"
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
  JsonLine("info")
      .Add("harness", PWL_VERSION)
      .Add("engine", (*engine)->Name())
      .Add("abi", kAbi)
      .Add("compiler", __VERSION__)
      .Add("page_bytes", static_cast<int64_t>(sysconf(_SC_PAGESIZE)))
      .Add("cores_online", static_cast<int64_t>(sysconf(_SC_NPROCESSORS_ONLN)))
      .Add("cores", CoresAllowed())
      .Print();
  return {};
}

}  // namespace pwl::harness
