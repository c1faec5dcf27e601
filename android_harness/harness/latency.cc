// latency: the steady latency of every stage and every control arm, in turns within one process.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/cpu_clock.h"
#include "harness/data.h"
#include "harness/json_line.h"
#include "harness/programs.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"
#include "runtime/clock.h"
#include "runtime/loading.h"

namespace pwl::harness {
namespace {

constexpr int kWarmUp = 3;

struct Contender {
  std::string name;
  Chain chain;
  std::vector<int64_t> durations;
  std::vector<int64_t> cpu;
};

Status RunOnce(const Contender& contender, Floats input) {
  return RunChain(contender.chain, input).status();
}

}  // namespace

Status RunLatency(const Options& options, const MeasurementPlan& plan, const Bundle& bundle) {
  const Result<Rows> inputs = ReadGoldenInputs(plan, bundle.plan.floats_in);
  if (!inputs.ok()) return inputs.status();
  const Result<std::unique_ptr<Engine>> engine = MakeEngineFor(bundle.plan, options);
  if (!engine.ok()) return engine.status();
  LoadTimes times;
  Chain units;
  for (const Artifact& artifact : bundle.plan.artifacts) {
    auto unit = LoadArtifact(*bundle.files, artifact, plan.verify, engine->get(), &times);
    if (!unit.ok()) return unit.status();
    units.push_back(std::move(*unit));
  }
  std::vector<Contender> contenders;
  for (size_t k = 0; k < bundle.plan.stages.size(); ++k) {
    Contender contender{"stage-" + std::to_string(k), {}, {}, {}};
    for (const size_t unit : bundle.plan.stages[k]) contender.chain.push_back(units[unit]);
    contenders.push_back(std::move(contender));
  }
  for (const Arm& arm : plan.arms) {
    Result<Chain> chain = LoadArm(plan, arm, engine->get(), &times);
    if (!chain.ok()) return chain.status();
    contenders.push_back({arm.name, std::move(*chain), {}, {}});
  }
  for (int round = -kWarmUp; round < options.inferences; ++round) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      // Every round begins with another contender, so that no one always follows the same one.
      const size_t turn = (i + static_cast<size_t>(round + kWarmUp)) % contenders.size();
      Contender& contender = contenders[turn];
      // Once to bring its own weights back into the processor's caches, once for the clock.
      const Floats input = inputs->row(i % inputs->count());
      if (Status status = RunOnce(contender, input); !status.ok()) return status;
      const int64_t before_cpu = CpuNs();
      const int64_t before = NowNs();
      if (Status status = RunOnce(contender, input); !status.ok()) return status;
      const int64_t after = NowNs();
      if (round < 0) continue;
      contender.durations.push_back(after - before);
      contender.cpu.push_back(CpuNs() - before_cpu);
    }
  }
  for (const Contender& contender : contenders) {
    JsonLine("latency")
        .Add("name", contender.name)
        .Add("steady_ns", contender.durations)
        .Add("steady_cpu_ns", contender.cpu)
        .Print();
  }
  return {};
}

}  // namespace pwl::harness
