#include "runtime/stage.h"

#include <algorithm>
#include <utility>

#include "pwl/weight_cache.h"
#include "runtime/clock.h"

namespace pwl {
namespace {

using Chain = std::vector<std::shared_ptr<LoadedUnit>>;

// Takes a sound program of that artifact out of `chain`, or gives null.
std::shared_ptr<LoadedUnit> Take(size_t artifact, Chain* chain) {
  for (std::shared_ptr<LoadedUnit>& unit : *chain) {
    if (unit != nullptr && unit->artifact == artifact && !unit->failed) return std::move(unit);
  }
  return nullptr;
}

}  // namespace

Status RequireWholeStages(const LoadingPlan& plan) {
  const auto whole = [&](const std::vector<size_t>& stage) {
    return !stage.empty() && std::all_of(stage.begin(), stage.end(),
                                         [&](size_t unit) { return unit < plan.artifacts.size(); });
  };
  if (!plan.stages.empty() && std::all_of(plan.stages.begin(), plan.stages.end(), whole)) return {};
  return {Code::kUsage, "the plan has no stage, or one without its artifacts"};
}

Result<std::shared_ptr<LoadedUnit>> StageFactory::Load(size_t artifact, LoadTimes* times) const {
  auto loaded = LoadArtifact(*files_, plan_->artifacts[artifact], checks_, engine_, times);
  if (!loaded.ok()) return loaded.status();
  return std::make_shared<LoadedUnit>(artifact, std::move(*loaded));
}

Result<std::shared_ptr<Stage>> StageFactory::Make(size_t index, const Stage* before,
                                                  PreparedUnits prepared, StageLoad* load) const {
  load->stage = index;
  load->begin_ns = NowNs();
  auto stage = std::make_shared<Stage>();
  stage->index = index;
  load->times = prepared.times;
  load->bytes = prepared.bytes;
  load->ahead_begin_ns = prepared.begin_ns;
  load->ahead_ns = prepared.end_ns - prepared.begin_ns;
  Chain there = before == nullptr ? Chain() : before->chain;
  for (std::shared_ptr<LoadedUnit>& unit : prepared.units) there.push_back(std::move(unit));
  for (const size_t artifact : plan_->stages[index]) {
    std::shared_ptr<LoadedUnit> unit = Take(artifact, &there);
    if (unit == nullptr) {
      auto loaded = Load(artifact, &load->times);
      if (!loaded.ok()) return loaded.status();
      unit = std::move(*loaded);
      load->bytes += plan_->artifacts[artifact].bytes;
    }
    stage->chain.push_back(std::move(unit));
  }
  load->ready_ns = NowNs();
  return stage;
}

void StageFactory::Prepare(size_t index, const std::atomic<bool>& unwanted,
                           PreparedUnits* prepared) const {
  prepared->begin_ns = prepared->end_ns = NowNs();
  std::vector<size_t> there = plan_->stages[index - 1];
  for (const size_t artifact : plan_->stages[index]) {
    const auto same = std::find(there.begin(), there.end(), artifact);
    if (same != there.end()) {
      there.erase(same);
      continue;
    }
    if (unwanted) return;
    LoadTimes times;
    auto loaded = Load(artifact, &times);
    if (!loaded.ok()) continue;
    prepared->units.push_back(std::move(*loaded));
    prepared->times += times;
    prepared->bytes += plan_->artifacts[artifact].bytes;
    prepared->end_ns = NowNs();
  }
}

std::shared_ptr<Stage> StageFactory::RestFor(size_t index, const Stage& stage) const {
  auto rest = std::make_shared<Stage>();
  rest->index = index;
  rest->broken = true;
  Chain there = stage.chain;
  for (const size_t artifact : plan_->stages[index]) {
    if (std::shared_ptr<LoadedUnit> unit = Take(artifact, &there)) {
      rest->chain.push_back(std::move(unit));
    }
  }
  return rest;
}

std::vector<ProgramSource> StageFactory::SourcesToRead(size_t index) const {
  std::vector<ProgramSource> sources;
  if (index >= plan_->stages.size()) return sources;
  const auto add = [&](Result<ProgramSource> source) {
    if (source.ok() && !LooksResident(*source)) sources.push_back(std::move(*source));
  };
  for (const size_t unit : plan_->stages[index]) {
    const Artifact& artifact = plan_->artifacts[unit];
    const std::string weights = engine_->WeightsFile(artifact.sha256);
    if (!weights.empty()) add(ProgramSource::Open(weights));
    if (weights.empty() || artifact.bytes <= kReadWhole) add(files_->Open(artifact.path));
  }
  return sources;
}

}  // namespace pwl
