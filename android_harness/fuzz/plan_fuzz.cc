// Whatever text is given: a plan that holds together, or kInvalidPlan with a reason.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "pwl/plan.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

bool IsBelowRoot(const std::string& path) {
  return path.compare(0, 6, "/root/") == 0 && path.find("/../") == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto result =
      pwl::ParsePlan(std::string_view(reinterpret_cast<const char*>(data), size), "/root");
  if (!result.ok()) {
    Require(result.status().code() == pwl::Code::kInvalidPlan);
    Require(!result.status().message().empty());
    return 0;
  }
  const pwl::Plan& plan = *result;
  Require(!plan.backend.empty() && !plan.stages.empty());
  Require(plan.threads >= 1 && plan.threads <= 64);
  for (const pwl::Artifact& artifact : plan.artifacts) Require(IsBelowRoot(artifact.path));
  for (const auto& stage : plan.stages) {
    size_t flow = plan.floats_in;
    for (const size_t unit : stage) {
      Require(unit < plan.artifacts.size());
      Require(plan.artifacts[unit].floats_in == flow);
      flow = plan.artifacts[unit].floats_out;
    }
    Require(flow == plan.classes);
  }
  for (const pwl::Control& control : plan.controls) {
    Require(control.stage < plan.stages.size() && IsBelowRoot(control.artifact.path));
    Require(plan.FindControl(control.artifact.id) == &control);
  }
  if (plan.golden) Require(plan.golden->outputs.size() == plan.stages.size());
  if (plan.evaluation) {
    Require(plan.evaluation->mean.size() == plan.evaluation->channels);
    for (const float std : plan.evaluation->std) Require(std > 0);
  }
  return 0;
}
