// Whatever text is given: a plan that holds together, or kInvalidPlan with a reason.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "harness/measurement_plan.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

bool IsBelowRoot(const std::string& path) {
  return path.compare(0, 6, "/root/") == 0 && (path + "/").find("/../") == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto result = pwl::harness::ParseMeasurementPlan(
      std::string_view(reinterpret_cast<const char*>(data), size), "/root");
  if (!result.ok()) {
    Require(result.status().code() == pwl::Code::kInvalidPlan);
    Require(!result.status().message().empty());
    return 0;
  }
  Require(IsBelowRoot(result->bundle));
  for (const pwl::harness::Arm& arm : result->arms) {
    Require(!arm.programs.empty() && result->FindArm(arm.name) == &arm);
    for (const pwl::Artifact& program : arm.programs) Require(IsBelowRoot("/root/" + program.path));
  }
  if (result->golden) Require(IsBelowRoot(result->golden->inputs));
  if (result->evaluation) {
    Require(result->evaluation->mean.size() == result->evaluation->channels);
    for (const float std : result->evaluation->std) Require(std > 0);
  }
  return 0;
}
