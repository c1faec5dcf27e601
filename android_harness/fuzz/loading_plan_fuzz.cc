// Whatever text is given: a plan that holds together, or kInvalidPlan with a reason.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "pwl/bundle.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

bool IsInside(const std::string& path) {
  return !path.empty() && path[0] != '/' && ("/" + path + "/").find("/../") == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto result =
      pwl::ParseLoadingPlan(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!result.ok()) {
    Require(result.status().code() == pwl::Code::kInvalidPlan);
    Require(!result.status().message().empty());
    return 0;
  }
  const pwl::LoadingPlan& plan = *result;
  Require(!plan.backend.empty() && !plan.stages.empty());
  Require(plan.threads >= 1 && plan.threads <= 64);
  for (const pwl::Artifact& artifact : plan.artifacts) Require(IsInside(artifact.path));
  for (const auto& stage : plan.stages) {
    size_t flow = plan.floats_in;
    for (const size_t unit : stage) {
      Require(unit < plan.artifacts.size());
      Require(plan.artifacts[unit].floats_in == flow);
      flow = plan.artifacts[unit].floats_out;
    }
    Require(flow == plan.classes);
  }
  return 0;
}
