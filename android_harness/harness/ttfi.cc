// ttfi: from "the app wants an answer" to the first answer, phase by phase.

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
#include "pwl/clock.h"
#include "pwl/loading.h"
#include "pwl/make_engine.h"
#include "pwl/progressive_model.h"

namespace pwl::harness {
namespace {

// One arm, ready to infer.
struct Arm {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ProgressiveModel> model;  // arm pwl
  std::shared_ptr<Program> monolith;        // other arms
  LoadTimes times;
  int64_t engine_ns = 0;

  Status Infer(Floats input, std::vector<float>* logits) {
    if (model != nullptr) return model->Infer(input, logits).status();
    const Result<Floats> output = monolith->Run(input);
    if (output.ok()) logits->assign(output->data, output->data + output->size);
    return output.status();
  }
};

Result<Arm> Load(const Options& options) {
  const std::string& name = options.arm;
  Arm arm;
  int64_t begin = NowNs();
  // The progressive arm has to read its plan to know what to load, so that belongs to its time. An
  // app with one model has no plan; here it is only how the harness learns the file's name.
  Result<Plan> plan = ReadPlan(options.plan);
  if (!plan.ok()) return plan.status();
  if (name == "pwl") {
    arm.times.locate_ns += NowNs() - begin;
  }
  begin = NowNs();
  Result<std::unique_ptr<Engine>> engine =
      MakeEngine(plan->backend, EngineOptionsOf(options, *plan));
  if (!engine.ok()) return engine.status();
  arm.engine = std::move(*engine);
  arm.engine_ns = NowNs() - begin;
  if (name == "pwl") {
    StageLoad load;
    ProgressiveOptions how;
    how.verify = plan->verify;
    auto model = ProgressiveModel::Start(std::move(*plan), arm.engine.get(), how, nullptr, &load);
    if (!model.ok()) return model.status();
    arm.model = std::move(*model);
    arm.times += load.times;
    return arm;
  }
  const Control* control = plan->FindControl(name);
  if (control == nullptr) return Status(Code::kUsage, "the plan has no control called " + name);
  auto program = LoadArtifact(control->artifact, plan->verify, arm.engine.get(), &arm.times);
  if (!program.ok()) return program.status();
  arm.monolith = std::move(*program);
  return arm;
}

}  // namespace

Status RunTtfi(const Options& options, const StartState& start, int64_t main_ns) {
  // What an app would have in hand: the input. Reading it is not part of the measurement.
  const Result<Plan> plan = ReadPlan(options.plan);
  if (!plan.ok()) return plan.status();
  const Result<Rows> inputs = ReadGoldenInputs(*plan);
  if (!inputs.ok()) return inputs.status();
  std::vector<float> logits;

  const int64_t begin = NowNs();
  Result<Arm> arm = Load(options);
  if (!arm.ok()) return arm.status();
  const int64_t loaded = NowNs();
  if (Status status = arm->Infer(inputs->row(0), &logits); !status.ok()) return status;
  const int64_t answered = NowNs();
  const Memory first = ReadMemory();
  const int64_t bytes_read = StorageBytesRead();

  std::vector<int64_t> steady;
  for (int i = 0; i < options.inferences; ++i) {
    const int64_t before = NowNs();
    if (Status status = arm->Infer(inputs->row(0), &logits); !status.ok()) return status;
    steady.push_back(NowNs() - before);
  }
  const Memory after = ReadMemory();
  JsonLine("ttfi")
      .Add("arm", options.arm)
      .Add("state", start.state)
      .Add("pages", start.pages)
      .Add("resident_pages", start.resident_pages)
      .Add("start_ns", main_ns - start.exec_ns)
      .Add("engine_ns", arm->engine_ns)
      .Add("locate_ns", arm->times.locate_ns)
      .Add("verify_ns", arm->times.verify_ns)
      .Add("map_ns", arm->times.map_ns)
      .Add("parse_ns", arm->times.parse_ns)
      .Add("prepare_ns", arm->times.prepare_ns)
      .Add("run0_ns", answered - loaded)
      .Add("ttfi_ns", answered - begin)
      .Add("process_ns", answered - start.exec_ns)
      .Add("rss_kb", first.rss_kb)
      .Add("steady_rss_kb", after.rss_kb)
      .Add("peak_rss_kb", after.peak_kb)
      .Add("bytes_read", bytes_read)
      .Add("cache_bytes", CacheBytes(options, *plan))
      .Add("steady_ns", steady)
      .Add("logits", logits)
      .Print();
  return {};
}

}  // namespace pwl::harness
