// pwl_harness: measures a bundle on this device. One process, one task, one JSON object a line.

#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "harness/json_line.h"
#include "harness/options.h"
#include "harness/start_state.h"
#include "harness/tasks.h"
#include "pwl/clock.h"
#include "pwl/plan.h"

namespace pwl::harness {
namespace {

// The program files that a task reads: all of them, or those before an arm's first answer.
Result<std::vector<std::string>> FilesOf(const Options& options) {
  const Result<Plan> plan = ReadPlan(options.plan);
  if (!plan.ok()) return plan.status();
  std::vector<std::string> files;
  if (options.task == "progress") {
    for (const Artefact& artefact : plan->artefacts) files.push_back(artefact.path);
  } else if (options.arm == "pwl") {
    for (const size_t unit : plan->stages[0]) files.push_back(plan->artefacts[unit].path);
  } else if (const Control* control = plan->FindControl(options.arm)) {
    files.push_back(control->artefact.path);
  } else {
    return Status(Code::kUsage, "the plan has no control called " + options.arm);
  }
  return files;
}

Status Run(const Options& options, int64_t main_ns) {
  if (options.task == "info") return RunInfo();
  if (options.task == "ttfi" || options.task == "progress") {
    const std::optional<StartState> start = CurrentStartState();
    if (!start) {
      const Result<std::vector<std::string>> files = FilesOf(options);
      if (!files.ok()) return files.status();
      return EnterStartState(options.state, *files);
    }
    return options.task == "ttfi" ? RunTtfi(options, *start, main_ns)
                                  : RunProgress(options, *start, main_ns);
  }
  const Result<Plan> plan = ReadPlan(options.plan);
  if (!plan.ok()) return plan.status();
  if (options.task == "latency") return RunLatency(options, *plan);
  if (options.task == "accuracy") return RunAccuracy(*plan);
  if (options.task == "parity") return RunParity(*plan);
  return {Code::kUsage, "no task is called " + options.task};
}

}  // namespace
}  // namespace pwl::harness

int main(int argc, char** argv) {
  using pwl::harness::JsonLine;
  const int64_t main_ns = pwl::NowNs();
  const pwl::Result<pwl::harness::Options> options = pwl::harness::ParseOptions(argc, argv);
  pwl::Status status = options.status();
  try {
    if (options.ok()) status = pwl::harness::Run(*options, main_ns);
  } catch (const std::exception& error) {  // the C++ library's own: no memory, no thread
    status = {pwl::Code::kRuntime, error.what()};
  }
  if (!status.ok()) {
    JsonLine("error").Add("code", CodeName(status.code())).Add("message", status.message()).Print();
    if (status.code() == pwl::Code::kUsage) std::fputs(pwl::harness::kUsage, stderr);
  }
  JsonLine("end")
      .Add("ok", status.ok() ? 1 : 0)
      .Add("nonce", options.ok() ? options->nonce : "")
      .Print();
  return status.ok() ? 0 : 1;
}
