#include "runtime/cache_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "runtime/descriptor.h"

namespace pwl {
namespace {

constexpr char kRecordEnd[] = ".sha256";
constexpr char kPartEnd[] = ".part";
constexpr char kLockEnd[] = ".lock";
constexpr char kBuilding[] = "/building";
constexpr uint64_t kStatBlock = 512;  // what st_blocks counts

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(opendir(folder.c_str()), &closedir);
  while (const dirent* file = listing == nullptr ? nullptr : readdir(listing.get())) {
    names.emplace_back(file->d_name);
  }
  return names;
}

std::string LockOf(const std::string& cache) { return cache + kLockEnd; }

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// Whether an open file is still the one of that name.
bool IsStillAt(int file, const std::string& path) {
  struct stat opened{};
  struct stat named{};
  return fstat(file, &opened) == 0 && stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

}  // namespace

std::string RecordOf(const std::string& cache) { return cache + kRecordEnd; }

std::string PartOf(const std::string& cache) { return cache + kPartEnd; }

int LockCache(const std::string& cache) {
  const std::string path = LockOf(cache);
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) return lock;
  if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
    if (IsStillAt(lock, path)) return lock;
    errno = EWOULDBLOCK;  // it was removed while it was waited for, and holds nobody back
  }
  const Descriptor refused(lock);  // closed with errno as it is
  return -1;
}

int LockBuilding(const std::string& folder) { return LockCache(folder + kBuilding); }

void RemoveCache(const std::string& cache) {
  unlink(cache.c_str());
  unlink(RecordOf(cache).c_str());
}

void MarkUsed(const std::string& cache) {
  (void)utimensat(AT_FDCWD, RecordOf(cache).c_str(), nullptr, 0);
}

bool CacheFile::operator<(const CacheFile& other) const {
  return std::tie(used.tv_sec, used.tv_nsec, path) <
         std::tie(other.used.tv_sec, other.used.tv_nsec, other.path);
}

std::vector<CacheFile> CachesIn(const std::string& folder) {
  std::vector<CacheFile> found;
  for (const std::string& name : NamesIn(folder)) {
    if (!EndsWith(name, kCacheSuffix)) continue;
    CacheFile cache;
    cache.path = folder + "/" + name;
    struct stat file{};
    struct stat record{};
    if (stat(cache.path.c_str(), &file) != 0) continue;
    cache.bytes = static_cast<uint64_t>(file.st_size);
    // Without a record it is not believed: the first to go.
    if (stat(RecordOf(cache.path).c_str(), &record) == 0) cache.used = record.st_mtim;
    found.push_back(std::move(cache));
  }
  return found;
}

uint64_t BytesOf(const std::vector<CacheFile>& caches) {
  uint64_t bytes = 0;
  for (const CacheFile& cache : caches) bytes += cache.bytes;
  return bytes;
}

uint64_t BytesBeingBuilt(const std::string& folder) {
  uint64_t bytes = 0;
  for (const std::string& name : NamesIn(folder)) {
    struct stat part{};
    if (!EndsWith(name, std::string(kCacheSuffix) + kPartEnd) ||
        stat((folder + "/" + name).c_str(), &part) != 0) {
      continue;
    }
    bytes += std::max(static_cast<uint64_t>(part.st_size),
                      static_cast<uint64_t>(part.st_blocks) * kStatBlock);
  }
  return bytes;
}

void RemoveAbandonedCaches(const std::string& folder) {
  // Else the engine of one that builds may find its program held here, and leave the cache out.
  const Descriptor turn(LockBuilding(folder));
  if (!turn.valid()) return;
  std::map<std::string, std::vector<std::string>> beside;  // what lies beside each cache
  for (const std::string& name : NamesIn(folder)) {
    const size_t end = name.rfind(std::string(kCacheSuffix) + ".");
    if (end == std::string::npos) continue;
    const std::string cache = folder + "/" + name.substr(0, end + sizeof kCacheSuffix - 1);
    const std::string file = folder + "/" + name;
    if (file != RecordOf(cache) || !Exists(cache)) beside[cache].push_back(file);
  }
  for (const auto& [cache, files] : beside) {
    const Descriptor lock(LockCache(cache));
    if (!lock.valid()) continue;
    for (const std::string& file : files) {
      // A cache may have got its name meanwhile.
      const bool needed = file == RecordOf(cache) && Exists(cache);
      if (!needed && file != LockOf(cache)) unlink(file.c_str());
    }
    // Once, and last: from then on it is somebody else's.
    unlink(LockOf(cache).c_str());
  }
  unlink(LockOf(folder + kBuilding).c_str());
}

}  // namespace pwl
