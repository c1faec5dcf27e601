#include "stage.h"

#include "pwl/clock.h"
#include "pwl/weight_cache.h"

namespace pwl {
namespace {

using Chain = std::vector<std::shared_ptr<LoadedUnit>>;

// Takes a sound program of that artefact out of `chain`, or gives null.
std::shared_ptr<LoadedUnit> Take(size_t artefact, Chain* chain) {
  for (std::shared_ptr<LoadedUnit>& unit : *chain) {
    if (unit != nullptr && unit->artefact == artefact && !unit->failed) return std::move(unit);
  }
  return nullptr;
}

}  // namespace

Result<std::shared_ptr<Stage>> StageFactory::Make(size_t index, const Stage* before,
                                                  StageLoad* load) const {
  load->stage = index;
  load->begin_ns = NowNs();
  auto stage = std::make_shared<Stage>();
  stage->index = index;
  Chain there = before == nullptr ? Chain() : before->chain;
  for (const size_t artefact : plan_->stages[index]) {
    std::shared_ptr<LoadedUnit> unit = Take(artefact, &there);
    if (unit == nullptr) {
      const Artefact& wanted = plan_->artefacts[artefact];
      auto loaded = LoadArtefact(wanted, checks_, engine_, &load->times);
      if (!loaded.ok()) return loaded.status();
      unit = std::make_shared<LoadedUnit>(artefact, std::move(*loaded));
      load->bytes += wanted.bytes;
    }
    stage->chain.push_back(std::move(unit));
  }
  load->ready_ns = NowNs();
  return stage;
}

std::shared_ptr<Stage> StageFactory::RestFor(size_t index, const Stage& stage) const {
  auto rest = std::make_shared<Stage>();
  rest->index = index;
  rest->broken = true;
  Chain there = stage.chain;
  for (const size_t artefact : plan_->stages[index]) {
    if (std::shared_ptr<LoadedUnit> unit = Take(artefact, &there)) {
      rest->chain.push_back(std::move(unit));
    }
  }
  return rest;
}

std::vector<std::string> StageFactory::FilesToRead(size_t index) const {
  std::vector<std::string> files;
  if (index >= plan_->stages.size()) return files;
  const auto add = [&](const std::string& path) {
    if (!LooksResident(path)) files.push_back(path);
  };
  for (const size_t unit : plan_->stages[index]) {
    const Artefact& artefact = plan_->artefacts[unit];
    const std::string bulk = engine_->BulkOf(artefact.path, artefact.sha256);
    add(bulk);
    if (bulk != artefact.path && artefact.bytes <= kReadWhole) add(artefact.path);
  }
  return files;
}

}  // namespace pwl
