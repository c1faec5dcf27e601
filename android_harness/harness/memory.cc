// memory: what the memory of an arm is made of, step by step, in a process of its own in which
// nothing else happens meanwhile. How long it takes is of no interest here.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/data.h"
#include "harness/json_line.h"
#include "harness/process.h"
#include "harness/programs.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"
#include "runtime/loading.h"

namespace pwl::harness {
namespace {

// A program that an arm uses from one stage on, until one that has it no more.
struct Unit {
  std::string id;
  std::shared_ptr<Program> program;
  bool ran = false;
};

// Says after each step what is resident then, and what was at most until then.
class Steps {
 public:
  explicit Steps(std::vector<std::string> programs) : programs_(std::move(programs)) {}

  void Print(const char* step, size_t stage, const std::string& unit = "",
             uint64_t bytes = 0) const {
    const Resident resident = ReadResident(programs_);
    JsonLine("memory")
        .Add("step", step)
        .Add("unit", unit)
        .Add("stage", stage)
        .Add("bytes", static_cast<int64_t>(bytes))
        .Add("anonymous_kb", resident.anonymous_kb)
        .Add("programs_kb", resident.programs_kb)
        .Add("files_kb", resident.files_kb)
        .Add("peak_kb", ReadMemory().peak_kb)
        .Print();
  }

 private:
  const std::vector<std::string> programs_;
};

// The programs of each stage: a control arm is one stage.
std::vector<std::vector<PlacedProgram>> StagesOf(const MeasurementPlan& plan,
                                                 const LoadingPlan& loading, const Arm* arm) {
  std::vector<std::vector<PlacedProgram>> stages;
  if (arm != nullptr) {
    stages.emplace_back();
    for (const Artifact& program : arm->programs) stages[0].push_back({program, plan.folder});
    return stages;
  }
  for (const std::vector<size_t>& stage : loading.stages) {
    stages.emplace_back();
    for (const size_t unit : stage) stages.back().push_back({loading.artifacts[unit], plan.bundle});
  }
  return stages;
}

// Brings a stage in as the runtime does: its new programs beside those of the stage before, which
// are destroyed where they are not used any more, and then the first inference.
Status Enter(const std::vector<PlacedProgram>& stage, size_t index, const MeasurementPlan& plan,
             Engine* engine, const Steps& steps, std::vector<Unit>* units) {
  std::vector<Unit> next;
  LoadTimes unused;
  for (const PlacedProgram& placed : stage) {
    const auto same = [&](const Unit& unit) {
      return unit.program != nullptr && unit.id == placed.artifact.id;
    };
    if (const auto there = std::find_if(units->begin(), units->end(), same);
        there != units->end()) {
      next.push_back(std::move(*there));
      continue;
    }
    auto program =
        LoadArtifact(FolderFiles(placed.folder), placed.artifact, plan.verify, engine, &unused);
    if (!program.ok()) return program.status();
    next.push_back({placed.artifact.id, std::move(*program), false});
    steps.Print("load", index, placed.artifact.id, placed.artifact.bytes);
  }
  for (Unit& unit : *units) {
    if (unit.program == nullptr) continue;
    unit.program.reset();
    steps.Print("destroy", index, unit.id);
  }
  *units = std::move(next);
  return {};
}

Status Infer(Floats input, size_t index, const Steps& steps, std::vector<Unit>* units) {
  for (Unit& unit : *units) {
    Result<Floats> output = unit.program->Run(input);
    if (!output.ok()) return output.status();
    input = *output;
    if (!unit.ran) steps.Print("run", index, unit.id);
    unit.ran = true;
  }
  return {};
}

}  // namespace

Status RunMemory(const Options& options, const MeasurementPlan& plan, const Bundle& bundle) {
  const Result<Rows> inputs = ReadGoldenInputs(plan, bundle.plan.floats_in);
  if (!inputs.ok()) return inputs.status();
  const Arm* const arm = plan.FindArm(options.arm);
  if (options.arm != "pwl" && arm == nullptr) {
    return {Code::kUsage, "the plan has no arm called " + options.arm};
  }
  const auto stages = StagesOf(plan, bundle.plan, arm);
  std::vector<std::string> files;
  for (const std::vector<PlacedProgram>& stage : stages) {
    for (const PlacedProgram& program : stage) files.push_back(program.path());
  }
  const Steps steps(std::move(files));
  steps.Print("begin", 0);
  const Result<std::unique_ptr<Engine>> engine = MakeEngineFor(bundle.plan, options);
  if (!engine.ok()) return engine.status();
  steps.Print("engine", 0);
  std::vector<Unit> units;
  for (size_t index = 0; index < stages.size(); ++index) {
    if (Status status = Enter(stages[index], index, plan, engine->get(), steps, &units);
        !status.ok()) {
      return status;
    }
    if (Status status = Infer(inputs->row(0), index, steps, &units); !status.ok()) return status;
  }
  return {};
}

}  // namespace pwl::harness
