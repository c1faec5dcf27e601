// Install: what an app has done once, when the files of a bundle have arrived and nobody waits for
// it, so that its next start has nothing left to hash or to pack.
#ifndef PWL_INSTALL_H_
#define PWL_INSTALL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "pwl/bundle.h"
#include "pwl/engine.h"
#include "pwl/status.h"
#include "pwl/verified_files.h"
#include "pwl/weight_cache.h"

namespace pwl {

// What is done next: the file of one program is checked, or its weight cache is built.
struct InstallStep {
  size_t number = 0;  // steps that were done before
  size_t steps = 0;   // of all
  std::string path;   // of the program's file, relative to the bundle
  bool packs = false;
};

struct InstallOptions {
  // Where it is remembered which files were checked; saved before this ends, and must outlive it.
  // Null: nothing is remembered, and a start hashes again.
  VerifiedFiles* verified = nullptr;
  // Where caches are built, within a quota of bytes for the whole folder (see WeightCacheBuilder).
  // Without a folder, none are.
  WeightCache cache;
  uint64_t quota = UINT64_MAX;
  // Asked before each step, on the thread that works, and again while somebody else builds in the
  // same folder; may block, for instance until the app is idle. False ends it with kCancelled. What
  // it throws counts as a failure.
  std::function<bool(const InstallStep& next)> may_go_on;
};

// What was done, in programs.
struct Installed {
  size_t hashed = 0;   // their sha256 was computed, and is right
  size_t known = 0;    // it had been, and their files have not changed since
  size_t built = 0;    // their weight cache was built
  size_t there = 0;    // it was there already
  size_t without = 0;  // there is none: no room in the quota or on the storage, or no weights
};

// Checks the sha256 of every program of a bundle, and then builds the weight caches that are
// missing, both in the order in which stages need them. Blocks until that is done; the work is done
// by a thread of its own at background priority (nice 10), one file at a time. Needs the memory of
// the largest program while it builds.
//
// `engine` was made with `options.cache`, whose `build` is true; null where no caches are built.
//
// Whatever ends it leaves files and caches whole, and what was done is not done again by the next
// call. When all is done, that costs asking the system about each file. Several at once, also of
// several processes, do not disturb each other; those that build in one folder take turns, with
// each other and with every WeightCacheBuilder.
//
// kMissing, kDamaged and so on when a file is not what the plan says: the message names each of
// them, and no cache is built. kCancelled; kIo when what was checked cannot be remembered, or the
// folder of caches cannot be written to; kUsage for a bundle without files or whole stages, and for
// caches without an engine. For every thread; throws nothing.
Result<Installed> Install(const Bundle& bundle, Engine* engine,
                          const InstallOptions& options) noexcept;

}  // namespace pwl

#endif  // PWL_INSTALL_H_
