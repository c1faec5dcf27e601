#include "harness/programs.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>

#include "harness/affinity.h"
#include "harness/process.h"
#include "runtime/clock.h"
#include "runtime/joined_thread.h"
#include "runtime/loading.h"

namespace pwl::harness {
namespace {

// What one thread has loaded.
struct Share {
  LoadTimes times;
  int64_t end_ns = 0;
};

// The places of an arm's programs, the largest first: it decides when all of them are there.
std::vector<size_t> LargestFirst(const Arm& arm) {
  std::vector<size_t> order(arm.programs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t one, size_t other) {
    return arm.programs[one].bytes > arm.programs[other].bytes;
  });
  return order;
}

}  // namespace

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
  if (arm.parallel) {
    return LoadInParallel(plan, arm, CoresAllowed().size(), engine, times);
  }
  const FolderFiles files(plan.folder);
  Chain chain;
  for (const Artifact& artifact : arm.programs) {
    auto program = LoadArtifact(files, artifact, plan.verify, engine, times);
    if (!program.ok()) return program.status();
    chain.push_back(std::move(*program));
  }
  return chain;
}

Result<Chain> LoadInParallel(const MeasurementPlan& plan, const Arm& arm, size_t threads,
                             Engine* engine, LoadTimes* times) {
  const FolderFiles files(plan.folder);
  const std::vector<size_t> order = LargestFirst(arm);
  const size_t count = std::max<size_t>(1, std::min(threads, order.size()));
  Chain chain(order.size());
  std::vector<Status> statuses(order.size());
  std::vector<Share> shares(count);
  std::atomic<size_t> next{0};
  const auto load = [&](Share* share) {
    for (size_t turn = next++; turn < order.size(); turn = next++) {
      const size_t place = order[turn];
      auto program = LoadArtifact(files, arm.programs[place], plan.verify, engine, &share->times);
      statuses[place] = program.status();
      if (program.ok()) chain[place] = std::move(*program);
    }
    share->end_ns = NowNs();
  };
  {
    std::vector<JoinedThread> helpers(count - 1);
    for (size_t i = 1; i < count; ++i) {
      if (!helpers[i - 1].Begin([&load, share = &shares[i]] { load(share); })) break;
    }
    load(&shares[0]);
  }
  for (const Status& status : statuses) {
    if (!status.ok()) return status;
  }
  const auto later = [](const Share& one, const Share& other) { return one.end_ns < other.end_ns; };
  *times += std::max_element(shares.begin(), shares.end(), later)->times;
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
