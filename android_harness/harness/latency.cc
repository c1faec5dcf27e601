// latency: the steady latency of every stage and every control, in turns within one process.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/data.h"
#include "harness/json_line.h"
#include "harness/tasks.h"
#include "pwl/clock.h"
#include "pwl/loading.h"
#include "pwl/make_engine.h"

namespace pwl::harness {
namespace {

constexpr int kWarmUp = 3;

struct Contender {
  std::string name;
  std::vector<Program*> chain;
  std::vector<int64_t> durations;
};

Status RunOnce(const Contender& contender, Floats flow) {
  for (Program* program : contender.chain) {
    const Result<Floats> output = program->Run(flow);
    if (!output.ok()) return output.status();
    flow = *output;
  }
  return {};
}

}  // namespace

Status RunLatency(const Options& options, const Plan& plan) {
  const Result<Rows> inputs = ReadGoldenInputs(plan);
  if (!inputs.ok()) return inputs.status();
  const Result<std::unique_ptr<Engine>> engine =
      MakeEngine(plan.backend, EngineOptionsOf(options, plan));
  if (!engine.ok()) return engine.status();
  std::vector<std::shared_ptr<Program>> programs;
  const auto load = [&](const Artifact& artifact) -> Status {
    LoadTimes times;
    auto program = LoadArtifact(artifact, plan.verify, engine->get(), &times);
    if (program.ok()) programs.push_back(std::move(*program));
    return program.status();
  };
  for (const Artifact& artifact : plan.artifacts) {
    if (Status status = load(artifact); !status.ok()) return status;
  }
  std::vector<Contender> contenders;
  for (size_t k = 0; k < plan.stages.size(); ++k) {
    Contender contender{"stage-" + std::to_string(k), {}, {}};
    for (const size_t unit : plan.stages[k]) contender.chain.push_back(programs[unit].get());
    contenders.push_back(std::move(contender));
  }
  for (const Control& control : plan.controls) {
    if (Status status = load(control.artifact); !status.ok()) return status;
    contenders.push_back({control.artifact.id, {programs.back().get()}, {}});
  }
  for (int round = -kWarmUp; round < options.inferences; ++round) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      // Every round begins with another contender, so that no one always follows the same one.
      const size_t turn = (i + static_cast<size_t>(round + kWarmUp)) % contenders.size();
      Contender& contender = contenders[turn];
      // Once to bring its own weights back into the processor's caches, once for the clock.
      const Floats input = inputs->row(i % inputs->count());
      if (Status status = RunOnce(contender, input); !status.ok()) return status;
      const int64_t before = NowNs();
      if (Status status = RunOnce(contender, input); !status.ok()) return status;
      const int64_t after = NowNs();
      if (round >= 0) contender.durations.push_back(after - before);
    }
  }
  for (const Contender& contender : contenders) {
    JsonLine("latency").Add("name", contender.name).Add("steady_ns", contender.durations).Print();
  }
  return {};
}

}  // namespace pwl::harness
