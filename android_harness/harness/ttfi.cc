// ttfi: from "the app wants an answer" to the first answer, phase by phase.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/cpu_clock.h"
#include "harness/data.h"
#include "harness/json_line.h"
#include "harness/label_maps.h"
#include "harness/process.h"
#include "harness/programs.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"
#include "pwl/progressive_model.h"
#include "runtime/clock.h"

namespace pwl::harness {
namespace {

// One arm, ready to infer.
struct StartedArm {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ProgressiveModel> model;  // arm pwl
  Chain chain;                              // other arms
  LoadTimes times;
  int64_t engine_ns = 0;

  Status Infer(Floats input, std::vector<float>* logits) {
    if (model != nullptr) return model->Infer(input, logits).status();
    const Result<Floats> output = RunChain(chain, input);
    if (output.ok()) logits->assign(output->data, output->data + output->size);
    return output.status();
  }
};

// The progressive arm reads its plan to know what to load, so that belongs to its time. An app that
// does not load progressively has no plan: it knows its files.
Result<StartedArm> StartPwl(const Options& options, const MeasurementPlan& plan) {
  StartedArm started;
  int64_t begin = NowNs();
  Result<Bundle> bundle = Bundle::Open(plan.bundle);
  if (!bundle.ok()) return bundle.status();
  started.times.locate_ns += NowNs() - begin;
  begin = NowNs();
  Result<std::unique_ptr<Engine>> engine = MakeEngineFor(bundle->plan, options);
  if (!engine.ok()) return engine.status();
  started.engine = std::move(*engine);
  started.engine_ns = NowNs() - begin;
  StageLoad load;
  ProgressiveOptions how;
  how.verify = plan.verify;
  auto model =
      ProgressiveModel::Start(std::move(*bundle), started.engine.get(), how, nullptr, &load);
  if (!model.ok()) return model.status();
  started.model = std::move(*model);
  started.times += load.times;
  return started;
}

Result<StartedArm> StartControl(const Options& options, const MeasurementPlan& plan,
                                const LoadingPlan& loading, const Arm& arm) {
  StartedArm started;
  const int64_t begin = NowNs();
  Result<std::unique_ptr<Engine>> engine = MakeEngineFor(loading, options);
  if (!engine.ok()) return engine.status();
  started.engine = std::move(*engine);
  started.engine_ns = NowNs() - begin;
  Result<Chain> chain = LoadArm(plan, arm, started.engine.get(), &started.times);
  if (!chain.ok()) return chain.status();
  started.chain = std::move(*chain);
  return started;
}

}  // namespace

Status RunTtfi(const Options& options, const StartState& start, int64_t main_ns) {
  // What an app would have in hand: the input. Reading it is not part of the measurement.
  const Result<MeasurementPlan> plan = ReadMeasurementPlan(options.plan);
  if (!plan.ok()) return plan.status();
  const Result<Bundle> bundle = Bundle::Open(plan->bundle);
  if (!bundle.ok()) return bundle.status();
  const Result<Rows> inputs = ReadGoldenInputs(*plan, bundle->plan.floats_in);
  if (!inputs.ok()) return inputs.status();
  const Arm* const control = plan->FindArm(options.arm);
  if (options.arm != "pwl" && control == nullptr) {
    return {Code::kUsage, "the plan has no arm called " + options.arm};
  }
  std::vector<float> logits;

  const int64_t begin_cpu = CpuNs();
  const int64_t begin = NowNs();
  Result<StartedArm> arm = options.arm == "pwl"
                               ? StartPwl(options, *plan)
                               : StartControl(options, *plan, bundle->plan, *control);
  if (!arm.ok()) return arm.status();
  const int64_t loaded = NowNs();
  if (Status status = arm->Infer(inputs->row(0), &logits); !status.ok()) return status;
  const int64_t answered = NowNs();
  const int64_t answered_cpu = CpuNs();
  const Memory first = ReadMemory();
  const int64_t bytes_read = StorageBytesRead();

  std::vector<int64_t> steady;
  std::vector<int64_t> steady_cpu;
  for (int i = 0; i < options.inferences; ++i) {
    const int64_t before_cpu = CpuNs();
    const int64_t before = NowNs();
    if (Status status = arm->Infer(inputs->row(0), &logits); !status.ok()) return status;
    steady.push_back(NowNs() - before);
    steady_cpu.push_back(CpuNs() - before_cpu);
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
      .Add("ttfi_cpu_ns", answered_cpu - begin_cpu)
      .Add("process_ns", answered - start.exec_ns)
      .Add("process_cpu_ns", answered_cpu - start.cpu_ns)
      .Add("rss_kb", first.rss_kb)
      .Add("steady_rss_kb", after.rss_kb)
      .Add("peak_rss_kb", after.peak_kb)
      .Add("bytes_read", bytes_read)
      .Add("cache_bytes", CacheBytes(options, *plan, bundle->plan))
      .Add("steady_ns", steady)
      .Add("steady_cpu_ns", steady_cpu)
      .Add("logits", plan->label_maps ? Excerpt(logits) : logits)
      .Print();
  return {};
}

}  // namespace pwl::harness
