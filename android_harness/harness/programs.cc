#include "harness/programs.h"

#include "harness/process.h"

namespace pwl::harness {

Result<std::vector<Artifact>> ProgramsOf(const Options& options, const Plan& plan) {
  if (options.task == "progress") return plan.artifacts;
  std::vector<Artifact> programs;
  if (options.arm == "pwl") {
    for (const size_t unit : plan.stages[0]) programs.push_back(plan.artifacts[unit]);
  } else if (const Control* control = plan.FindControl(options.arm)) {
    programs.push_back(control->artifact);
  } else {
    return Status(Code::kUsage, "the plan has no control called " + options.arm);
  }
  return programs;
}

std::vector<std::string> CachesOf(const Options& options, const std::vector<Artifact>& programs) {
  std::vector<std::string> files;
  if (!options.cache.enabled()) return files;
  for (const Artifact& program : programs) files.push_back(options.cache.FileOf(program.sha256));
  return files;
}

int64_t CacheBytes(const Options& options, const Plan& plan) {
  const Result<std::vector<Artifact>> programs = ProgramsOf(options, plan);
  return programs.ok() ? SizeOf(CachesOf(options, *programs)) : 0;
}

}  // namespace pwl::harness
