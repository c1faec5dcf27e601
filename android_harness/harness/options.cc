#include "harness/options.h"

#include <charconv>
#include <string_view>

#include "harness/affinity.h"

namespace pwl::harness {
namespace {

constexpr int kMost = 1000000;

bool ParseCount(std::string_view word, int* count) {
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, *count);
  return error == std::errc() && rest == end && *count >= 0 && *count <= kMost;
}

}  // namespace

Result<Options> ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) return Status(Code::kUsage, std::string(name) + " needs a value");
    const std::string_view value = argv[i + 1];
    bool good = true;
    if (name == "--task") {
      options.task = value;
    } else if (name == "--plan") {
      options.plan = value;
    } else if (name == "--nonce") {
      options.nonce = value;
    } else if (name == "--arm") {
      options.arm = value;
    } else if (name == "--state") {
      options.state = value;
      good = value == "cold" || value == "warm" || value == "cold-cached";
    } else if (name == "--inferences") {
      good = ParseCount(value, &options.inferences);
    } else if (name == "--library") {
      options.library = value;
    } else if (name == "--weight-cache") {
      options.cache.folder = value;
    } else if (name == "--runtime") {
      options.cache.runtime = value;
    } else if (name == "--hold") {
      good = ParseCount(value, &options.hold);
    } else if (name == "--fps") {
      good = ParseCount(value, &options.fps);
    } else if (name == "--cores") {
      good = ParseCores(value, &options.cores);
    } else if (name == "--drop-caches") {
      options.drop_caches = value == "property";
      good = options.drop_caches || value == "eviction";
    } else {
      return Status(Code::kUsage, "unknown option " + std::string(name));
    }
    if (!good) {
      return Status(Code::kUsage, std::string(name) + " cannot be " + std::string(value));
    }
  }
  if (options.task.empty() || options.nonce.empty()) {
    return Status(Code::kUsage, "--task and --nonce are needed");
  }
  if (options.plan.empty()) return Status(Code::kUsage, "--plan is needed");
  if (options.cache.enabled() && options.cache.runtime.empty()) {
    return Status(Code::kUsage, "--weight-cache needs --runtime, which its files are named after");
  }
  if (options.state == "cold-cached" && !options.cache.enabled()) {
    return Status(Code::kUsage, "--state cold-cached needs --weight-cache");
  }
  return options;
}

Result<std::unique_ptr<Engine>> MakeEngineFor(const LoadingPlan& plan, const Options& options) {
  return MakeEngine(plan.backend, {plan.threads, options.library, options.cache,
                                   plan.minimum_runtime, plan.favor});
}

}  // namespace pwl::harness
