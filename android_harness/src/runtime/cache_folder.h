// The files of a folder of weight caches. NAME.xnnpack is one; beside it lie NAME.xnnpack.sha256,
// its record, and NAME.xnnpack.lock, which is held while NAME.xnnpack.part is being built.
#ifndef PWL_SRC_RUNTIME_CACHE_FOLDER_H_
#define PWL_SRC_RUNTIME_CACHE_FOLDER_H_

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace pwl {

constexpr char kCacheSuffix[] = ".xnnpack";

std::string RecordOf(const std::string& cache);
std::string PartOf(const std::string& cache);

// Holds a cache until the descriptor is closed. Negative while another process, or another thread
// of this one, does, with EWOULDBLOCK in errno, and where the folder cannot be written to.
int LockCache(const std::string& cache);

// The same for whoever builds caches in a folder, one program after the other.
int LockBuilding(const std::string& folder);

// Removes a cache and its record.
void RemoveCache(const std::string& cache);

// The time of a record's file is when its cache was used: that of the cache itself is part of what
// says that it has not changed.
void MarkUsed(const std::string& cache);

// Of a whole cache. What was not used for the longest time comes first.
struct CacheFile {
  std::string path;
  uint64_t bytes = 0;
  timespec used{};  // when a program was loaded from it, or it was built

  bool operator<(const CacheFile& other) const;
};

std::vector<CacheFile> CachesIn(const std::string& folder);
uint64_t BytesOf(const std::vector<CacheFile>& caches);

// What caches take that have no name yet, with the room that was taken for them.
uint64_t BytesBeingBuilt(const std::string& folder);

// Removes what processes left that were killed while they built, and what lies beside caches that
// are gone. What is being built stays, and everything while a WeightCacheBuilder builds.
void RemoveAbandonedCaches(const std::string& folder);

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_CACHE_FOLDER_H_
