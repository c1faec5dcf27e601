#include "harness/programs.h"

#include <utility>

#include "harness/process.h"
#include "runtime/loading.h"

namespace pwl::harness {

Result<std::vector<PlacedProgram>> ProgramsOf(const Options& options, const MeasurementPlan& plan,
                                              const LoadingPlan& loading) {
  std::vector<PlacedProgram> programs;
  if (options.task == "progress") {
    for (const Artifact& artifact : loading.artifacts) programs.push_back({artifact, plan.bundle});
  } else if (options.arm == "pwl") {
    for (const size_t unit : loading.stages[0]) {
      programs.push_back({loading.artifacts[unit], plan.bundle});
    }
  } else if (const Arm* const arm = plan.FindArm(options.arm)) {
    for (const Artifact& program : arm->programs) programs.push_back({program, plan.folder});
  } else {
    return Status(Code::kUsage, "the plan has no arm called " + options.arm);
  }
  return programs;
}

std::vector<std::string> CachesOf(const Options& options,
                                  const std::vector<PlacedProgram>& programs) {
  std::vector<std::string> files;
  if (!options.cache.enabled()) return files;
  for (const PlacedProgram& program : programs) {
    files.push_back(options.cache.FileOf(program.artifact.sha256));
  }
  return files;
}

int64_t CacheBytes(const Options& options, const MeasurementPlan& plan,
                   const LoadingPlan& loading) {
  const Result<std::vector<PlacedProgram>> programs = ProgramsOf(options, plan, loading);
  return programs.ok() ? SizeOf(CachesOf(options, *programs)) : 0;
}

Result<Chain> LoadArm(const MeasurementPlan& plan, const Arm& arm, Engine* engine,
                      LoadTimes* times) {
  const FolderFiles files(plan.folder);
  Chain chain;
  for (const Artifact& artifact : arm.programs) {
    auto program = LoadArtifact(files, artifact, plan.verify, engine, times);
    if (!program.ok()) return program.status();
    chain.push_back(std::move(*program));
  }
  return chain;
}

Result<Floats> RunChain(const Chain& chain, Floats input) {
  for (const std::shared_ptr<Program>& program : chain) {
    Result<Floats> output = program->Run(input);
    if (!output.ok()) return output;
    input = *output;
  }
  return input;
}

}  // namespace pwl::harness
