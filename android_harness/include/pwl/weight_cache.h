// Where XNNPACK keeps packed weights between two starts of an app: an option of both engines, off
// by default. The next start then maps a file instead of packing; the first one is slower, and the
// file takes as much storage as the weights.
//
// XNNPACK finds a cache by the path alone and does not notice that the program has changed: it
// would serve the old model. So the name of a cache file says which program and which runtime made
// it. Nor does it notice that a cache is damaged, that two processes write it at once, or that the
// disk is full, and then answers wrongly or crashes. So a cache is built under another name by one
// process at a time, where there is room, and gets its name when it is whole; beside it lies its
// sha256, which is checked once per boot, and whenever the file is not the one that was checked.
#ifndef PWL_WEIGHT_CACHE_H_
#define PWL_WEIGHT_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pwl/status.h"

namespace pwl {

// With a cache, only the structure of a program is read, not its weights. Up to this many bytes it
// costs less to read everything than to fetch the pages of the structure one by one.
constexpr size_t kReadWhole = 1 << 20;

// What one load does with the cache of its program.
class CacheUse {
 public:
  CacheUse() = default;
  ~CacheUse();
  CacheUse(CacheUse&& other) noexcept;
  CacheUse& operator=(CacheUse&& other) noexcept;
  CacheUse(const CacheUse&) = delete;
  CacheUse& operator=(const CacheUse&) = delete;

  // What the engine is told; empty: to pack without a cache.
  const std::string& path() const { return path_; }
  // Whether the file is there already, whole and checked.
  bool filled() const { return !path_.empty() && lock_ < 0; }

  // Gives what the engine has built its name, if this load has built something: written to storage
  // and hashed. Without this call, what was built is removed. On failure there is no cache.
  Status Keep();

 private:
  friend struct WeightCache;

  std::string path_;
  std::string final_;
  int lock_ = -1;  // held while a cache is being built
};

struct WeightCache {
  std::string folder;   // it exists, belongs to the app alone, and is writable; empty: no cache
  std::string runtime;  // sha256 of what made the files: the inference library, or the app
  // Whether a load builds the cache that it misses, and takes longer for it. False: it uses what is
  // there; a WeightCacheBuilder builds the rest when the app is idle.
  bool build = true;

  bool enabled() const { return !folder.empty(); }

  // The file for the program with that sha256.
  std::string FileOf(const std::string& program_sha256) const;

  // That file if it is there already, or else empty.
  std::string ExistingFileOf(const std::string& program_sha256) const;

  // How a program of so many bytes is loaded: with its cache if that is as it was built (a damaged
  // one is removed); else building one, unless another process does, or storage is short; else
  // without.
  CacheUse Open(const std::string& program_sha256, uint64_t program_bytes) const;

  // Checks the cache of a program now, so that Open need not: kMissing, kDamaged (then it is
  // removed), or kOk.
  Status Check(const std::string& program_sha256) const;

  // Removes the cache of a program, if there is one.
  void Remove(const std::string& program_sha256) const;

  // Bytes of all caches in the folder, whatever made them.
  uint64_t Bytes() const;

  // Removes the caches that were not used for the longest time until all of them, with `bytes`
  // more, take at most `quota` bytes; those of the programs `keep` stay. Whether that could be
  // reached. Programs that run from a cache that is removed go on running.
  bool MakeRoom(uint64_t bytes, uint64_t quota, const std::vector<std::string>& keep) const;
};

}  // namespace pwl

#endif  // PWL_WEIGHT_CACHE_H_
