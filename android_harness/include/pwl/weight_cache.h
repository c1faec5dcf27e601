// Where XNNPACK keeps packed weights between two starts of an app: an option of both engines, off
// by default. The next start then maps a file instead of packing; the first one is slower, and the
// file takes as much storage as the weights.
//
// XNNPACK finds a cache by the path alone and does not notice that the program has changed: it
// would serve the old model. So the name of a cache file says which program and which runtime made
// it. Nor does it notice that a cache is damaged or that two processes write it at once, and then
// answers wrongly; and where storage ends while it writes, it ends the process. So a cache is built
// under another name by one process at a time, in room that was taken before, and gets its name
// when it is whole; beside it lies its sha256, which is checked once per boot, and whenever the
// file is not the one that was checked. Nobody can write to it then: an engine that does not accept
// it would build another one in its place.
#ifndef PWL_WEIGHT_CACHE_H_
#define PWL_WEIGHT_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pwl/status.h"

namespace pwl {

// With a cache, only the structure of a program is read, not its weights. Up to this many bytes it
// costs less to read everything than to fetch the pages of the structure one by one.
constexpr size_t kReadWhole = 1 << 20;

class MemoryFile;

// What one load does with the cache of its program. Used by one thread; throws nothing.
class CacheUse {
 public:
  CacheUse();
  ~CacheUse();
  CacheUse(CacheUse&& other) noexcept;
  CacheUse& operator=(CacheUse&& other) noexcept;
  CacheUse(const CacheUse&) = delete;
  CacheUse& operator=(const CacheUse&) = delete;

  // What the engine is told; empty: to pack without a cache.
  const std::string& path() const { return path_; }
  // Whether the file is there already, whole and checked.
  bool filled() const { return !path_.empty() && lock_ < 0; }

  // For an engine that writes through a mapping of path(), which ends the process where storage
  // ends: takes all the room that it will need. Called when it has made the file, and before it
  // writes; does nothing earlier, and only once. False when there is no room: it must not write
  // then.
  bool Reserve() noexcept;
  // Whether Reserve has failed: the program has to be loaded again, without a cache.
  bool out_of_room() const { return out_of_room_; }

  // For an engine that ends the process when it cannot write: a file in memory for it to build in,
  // of which Keep makes one at path(). The descriptor is the engine's own, which closes it once it
  // has begun; what it has not begun with is closed here. -1 where there is no such thing: it must
  // not build then.
  int BuildInMemory() noexcept;

  // Gives what the engine has built its name, if this load has built something: written to storage
  // and hashed, and blocks as long as that takes. Without this call, what was built is removed. On
  // failure there is no cache.
  Status Keep() noexcept;

 private:
  friend struct WeightCache;
  Status NameWhatWasBuilt();

  std::string path_;
  std::string final_;
  uint64_t room_ = 0;  // more than what is built will take
  int lock_ = -1;      // held while a cache is being built
  bool reserved_ = false;
  bool out_of_room_ = false;
  std::unique_ptr<MemoryFile> memory_;
};

// A value. Its members may be called from every thread, and from several processes at once.
struct WeightCache {
  // It exists, belongs to the app alone, is writable, and is not backed up: what another processor
  // made does not fit. Empty: no cache.
  std::string folder;
  std::string runtime;  // sha256 of what made the files: the inference library, or the app
  // Whether a load builds the cache that it misses, and takes longer for it. False: it uses what is
  // there; a WeightCacheBuilder builds the rest when the app is idle.
  bool build = true;

  bool enabled() const { return !folder.empty(); }

  // The file for the program with that sha256. Throws std::bad_alloc at most.
  std::string FileOf(const std::string& program_sha256) const;

  // That file if it is there already, or else empty. Throws std::bad_alloc at most.
  std::string ExistingFileOf(const std::string& program_sha256) const;

  // How a program of so many bytes is loaded: with its cache if that is as it was built (a damaged
  // one is removed); else building one, unless another process does, or storage is short; else
  // without. Blocks as long as Check; throws nothing.
  CacheUse Open(const std::string& program_sha256, uint64_t program_bytes) const noexcept;

  // Checks the cache of a program now, so that Open need not: kMissing, kDamaged (then it is
  // removed), or kOk. Blocks as long as hashing the file takes, or opening it when it was hashed
  // before; throws nothing.
  Status Check(const std::string& program_sha256) const noexcept;

  // Removes the cache of a program, if there is one. Throws std::bad_alloc at most, as what
  // follows.
  void Remove(const std::string& program_sha256) const;

  // Removes what processes left in the folder that were killed while they built, whatever program
  // or runtime it was for. What is being built stays, and everything while a WeightCacheBuilder
  // builds.
  void RemoveAbandoned() const;

  // Bytes of all caches in the folder, whatever made them, and of those that are being built.
  uint64_t Bytes() const;

  // Removes the caches that were not used for the longest time until all of them, with `bytes`
  // more, take at most `quota` bytes; those of the programs `keep` stay. Whether that could be
  // reached. Programs that run from a cache that is removed go on running.
  bool MakeRoom(uint64_t bytes, uint64_t quota, const std::vector<std::string>& keep) const;

 private:
  Status CheckFile(const std::string& program_sha256) const;
};

}  // namespace pwl

#endif  // PWL_WEIGHT_CACHE_H_
