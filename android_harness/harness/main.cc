// pwl_harness: measures a bundle on this device. One process, one task, one JSON object a line.

#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/affinity.h"
#include "harness/json_line.h"
#include "harness/measurement_plan.h"
#include "harness/options.h"
#include "harness/programs.h"
#include "harness/start_state.h"
#include "harness/tasks.h"
#include "pwl/bundle.h"
#include "runtime/clock.h"
#include "runtime/loading.h"
#include "runtime/sha256.h"

namespace pwl::harness {
namespace {

// Checks the programs, brings them into the start state, and starts anew as the measured process.
Status Launch(const Options& options, const MeasurementPlan& plan, const LoadingPlan& loading) {
  const Result<std::vector<PlacedProgram>> programs = ProgramsOf(options, plan, loading);
  if (!programs.ok()) return programs.status();
  std::vector<std::string> files;
  for (const PlacedProgram& program : *programs) {
    const FolderFiles folder(program.folder);
    if (Status status = CheckArtifact(folder, program.artifact, Verify::kSha256, nullptr);
        !status.ok()) {
      return status;
    }
    files.push_back(program.path());
  }
  if (options.state == "cold-cached") {
    // Here rather than in the measured process: a cache is hashed once after it was built.
    for (const PlacedProgram& program : *programs) {
      (void)options.cache.Check(program.artifact.sha256);
    }
    for (std::string& file : CachesOf(options, *programs)) files.push_back(std::move(file));
  }
  return EnterStartState(options.state, files, options.drop_caches);
}

Status RunTask(const Options& options, int64_t main_ns) {
  const bool measured = options.task == "ttfi" || options.task == "progress";
  if (const std::optional<StartState> start = CurrentStartState(); measured && start) {
    return options.task == "ttfi" ? RunTtfi(options, *start, main_ns)
                                  : RunProgress(options, *start, main_ns);
  }
  Result<MeasurementPlan> plan = ReadMeasurementPlan(options.plan);
  if (!plan.ok()) return plan.status();
  const Result<Bundle> bundle = Bundle::Open(plan->bundle);
  if (!bundle.ok()) return bundle.status();
  if (measured) return Launch(options, *plan, bundle->plan);
  if (options.task == "info") return RunInfo(options, *bundle);
  if (options.task == "install") return RunInstall(options, *plan, *bundle);
  // Nothing here is about the time that loading takes, so everything is checked.
  plan->verify = Verify::kSha256;
  if (options.task == "latency") return RunLatency(options, *plan, *bundle);
  if (options.task == "memory") return RunMemory(options, *plan, *bundle);
  if (options.task == "accuracy") return RunAccuracy(options, *plan, *bundle);
  if (options.task == "parity") return RunParity(options, *plan, *bundle);
  return {Code::kUsage, "no task is called " + options.task};
}

Status Run(const Options& options, int64_t main_ns) {
  if (Status status = RunOnCores(options.cores); !status.ok()) return status;
  if (Status status = RunTask(options, main_ns); !status.ok()) return status;
  return CheckCores(options.cores);
}

// What proves to the host that these were its own plans: taken when everything has been measured,
// so that a plan which was replaced meanwhile is seen, and no measurement is longer for it.
std::string Digest(const std::string& path) {
  const Result<std::string> digest = Sha256OfFile(path);
  return digest.ok() ? *digest : "";
}

void PrintEnd(const Result<Options>& options, const Status& status) {
  JsonLine end("end");
  end.Add("ok", status.ok() ? 1 : 0).Add("nonce", options.ok() ? options->nonce : "");
  if (options.ok()) {
    end.Add("plan", Digest(options->plan));
    const Result<MeasurementPlan> plan = ReadMeasurementPlan(options->plan);
    if (plan.ok()) end.Add("loading_plan", Digest(plan->bundle + "/loading.plan"));
  }
  end.Print();
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
  pwl::harness::PrintEnd(options, status);
  return status.ok() ? 0 : 1;
}
