#include "pwl/weight_cache_builder.h"

#include <cerrno>
#include <string>
#include <utility>

#include "runtime/cache_folder.h"
#include "runtime/descriptor.h"
#include "runtime/guard.h"
#include "runtime/loading.h"
#include "runtime/program_order.h"
#include "runtime/stage.h"

namespace pwl {
namespace {

// Packed weights are padded to what the processor works on at once.
uint64_t Expected(const Artifact& artifact) { return artifact.bytes + artifact.bytes / 8; }

}  // namespace

Result<std::unique_ptr<WeightCacheBuilder>> WeightCacheBuilder::Make(
    Bundle bundle, Engine* engine, WeightCache cache, uint64_t quota,
    VerifiedFiles* verified) noexcept {
  using Made = Result<std::unique_ptr<WeightCacheBuilder>>;
  return Guarded("preparing weight caches failed", [&]() -> Made {
    if (engine == nullptr) return Status(Code::kUsage, "caches need an engine that builds them");
    if (bundle.files == nullptr) return Status(Code::kUsage, "the bundle has no files");
    if (Status status = RequireWholeStages(bundle.plan); !status.ok()) return status;
    cache.RemoveAbandoned();
    return std::unique_ptr<WeightCacheBuilder>(
        new WeightCacheBuilder(std::move(bundle), engine, std::move(cache), quota, verified));
  });
}

WeightCacheBuilder::WeightCacheBuilder(Bundle bundle, Engine* engine, WeightCache cache,
                                       uint64_t quota, VerifiedFiles* verified)
    : bundle_(std::move(bundle)),
      engine_(engine),
      cache_(std::move(cache)),
      quota_(quota),
      verified_(verified),
      order_(ProgramOrder(bundle_.plan)) {
  for (const size_t unit : order_) keep_.push_back(bundle_.plan.artifacts[unit].sha256);
}

Result<WeightCacheBuilder::Outcome> WeightCacheBuilder::Build(size_t program) noexcept {
  return Guarded("building a weight cache failed", [&]() -> Result<Outcome> {
    if (program >= order_.size()) {
      return Status(Code::kUsage, "there is no program " + std::to_string(program));
    }
    return BuildArtifact(bundle_.plan.artifacts[order_[program]]);
  });
}

Result<WeightCacheBuilder::Outcome> WeightCacheBuilder::BuildArtifact(
    const Artifact& artifact) const {
  const auto there = [&] { return cache_.Check(artifact.sha256).ok(); };
  if (there()) return Outcome::kThere;
  const Descriptor turn(LockBuilding(cache_.folder));
  // A load may be building it as well, whose engine was made to.
  const auto held = [&] { return !Descriptor(LockCache(cache_.FileOf(artifact.sha256))).valid(); };
  const bool free = turn.valid() && !held();
  if (!free && errno == EWOULDBLOCK) return Outcome::kBusy;
  if (!free) return FileError(cache_.folder);
  if (there()) return Outcome::kThere;  // since it was looked for
  if (!cache_.MakeRoom(Expected(artifact), quota_, keep_)) return Outcome::kWithout;
  LoadTimes times;
  const auto loaded =
      LoadArtifact(*bundle_.files, artifact, {Verify::kSha256, verified_}, engine_, &times);
  if (!loaded.ok()) return loaded.status();
  // It may have become larger than expected: then the oldest of the others go first.
  if (!cache_.MakeRoom(0, quota_, keep_)) cache_.Remove(artifact.sha256);
  if (there()) return Outcome::kBuilt;
  // One that began since the program was found free has it, and makes the cache.
  return held() && errno == EWOULDBLOCK ? Outcome::kBusy : Outcome::kWithout;
}

}  // namespace pwl
