// WeightCacheBuilder: builds the weight caches of a bundle while the app is idle, within a quota.
//
// A load that builds its cache takes several times as long as one that does not, so apps open their
// models with caches that are only used (WeightCache::build is false), and have this build what is
// missing when nobody waits: one program at a time, the student's first.
#ifndef PWL_WEIGHT_CACHE_BUILDER_H_
#define PWL_WEIGHT_CACHE_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pwl/bundle.h"
#include "pwl/engine.h"
#include "pwl/status.h"
#include "pwl/verified_files.h"
#include "pwl/weight_cache.h"

namespace pwl {

// Used by one thread at a time; models may load and infer meanwhile.
class WeightCacheBuilder {
 public:
  // What became of a program's cache.
  enum class Outcome {
    kThere,    // it was there already
    kBuilt,    // it was built
    kWithout,  // there is none: no room in the quota or on the storage, or no weights to pack
    kBusy,     // somebody else builds in the folder just now: nothing was built, ask again later
  };

  // `engine` and, unless null, `verified` must outlive the builder. The engine was made with
  // `cache`, whose `build` is true. All caches of the folder together take at most `quota` bytes:
  // those of other bundles and of older releases give way, the least recently used first; what was
  // left by builds that were killed is removed now, unless somebody else builds in the folder just
  // now. kUsage without files or an engine, and for a plan whose stages are not whole; throws
  // nothing.
  static Result<std::unique_ptr<WeightCacheBuilder>> Make(Bundle bundle, Engine* engine,
                                                          WeightCache cache, uint64_t quota,
                                                          VerifiedFiles* verified) noexcept;

  // How many programs there are.
  size_t programs() const { return order_.size(); }

  // Builds the cache of a program, counted in the order in which stages need them. Loads the
  // program for it, which takes memory and time as always, and drops it; blocks until then. Of all
  // builders of a folder, in whatever process, one at a time builds. kUsage when there is no such
  // program; kMissing, kDamaged and so on as loading gives them, and as the folder does where it
  // cannot be written to. Throws nothing.
  Result<Outcome> Build(size_t program) noexcept;

 private:
  WeightCacheBuilder(Bundle bundle, Engine* engine, WeightCache cache, uint64_t quota,
                     VerifiedFiles* verified);
  Result<Outcome> BuildArtifact(const Artifact& artifact) const;

  const Bundle bundle_;
  Engine* const engine_;
  const WeightCache cache_;
  const uint64_t quota_;
  VerifiedFiles* const verified_;
  std::vector<size_t> order_;      // indices of the plan's artifacts
  std::vector<std::string> keep_;  // sha256 of each
};

}  // namespace pwl

#endif  // PWL_WEIGHT_CACHE_BUILDER_H_
