#include "pwl/weight_cache.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>

#include "pwl/program_source.h"
#include "runtime/cache_folder.h"
#include "runtime/descriptor.h"
#include "runtime/file_stamp.h"
#include "runtime/guard.h"
#include "runtime/memory_file.h"
#include "runtime/sha256.h"

namespace pwl {
namespace {

// Packed weights are a little larger than the program, because channels are filled up and every
// weight begins on a page of its own.
constexpr uint64_t kAround = 4 << 20;
// Beside them there should be room for others.
constexpr uint64_t kForOthers = 12 << 20;

uint64_t RoomFor(uint64_t program_bytes) { return program_bytes / 2 * 3 + kAround; }

// What is known of a cache file: its sha256, and the boot and the stamp under which it was checked.
struct Record {
  std::string sha256;
  std::string boot;
  std::string stamp;

  static Record Read(const std::string& cache) {
    std::ifstream file(RecordOf(cache));
    Record record;
    std::getline(file, record.sha256);
    std::getline(file, record.boot);
    std::getline(file, record.stamp);
    return record;
  }

  Status Write(const std::string& cache) const {
    return ReplaceFile(RecordOf(cache), sha256 + "\n" + boot + "\n" + stamp + "\n");
  }
};

// Changes with every boot; empty where the system does not say.
std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

bool HasRoom(const std::string& folder, uint64_t program_bytes) {
  struct statvfs found{};
  if (statvfs(folder.c_str(), &found) != 0) return false;
  const uint64_t free_bytes = uint64_t{found.f_bavail} * found.f_frsize;
  return free_bytes >= kForOthers && free_bytes - kForOthers >= RoomFor(program_bytes);
}

// Its size stays as it is: an engine would take a longer file for one that is built.
bool TakeRoom(int file, uint64_t bytes) {
  while (fallocate(file, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

// Ends with the file whole on storage, without room that it does not take, and for reading only.
Status Seal(const std::string& path, uint64_t size) {
  const Descriptor file(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  const bool sealed = file.valid() && ftruncate(file.get(), static_cast<off_t>(size)) == 0 &&
                      fchmod(file.get(), S_IRUSR) == 0 && fsync(file.get()) == 0;
  return sealed ? Status() : FileError(path);
}

}  // namespace

CacheUse::CacheUse() = default;

CacheUse::~CacheUse() {
  if (lock_ < 0) return;
  unlink(path_.c_str());
  close(lock_);
}

CacheUse::CacheUse(CacheUse&& other) noexcept { *this = std::move(other); }

CacheUse& CacheUse::operator=(CacheUse&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(final_, other.final_);
  std::swap(room_, other.room_);
  std::swap(lock_, other.lock_);
  std::swap(reserved_, other.reserved_);
  std::swap(out_of_room_, other.out_of_room_);
  std::swap(memory_, other.memory_);
  return *this;
}

bool CacheUse::Reserve() noexcept {
  if (lock_ < 0 || reserved_) return true;
  const Descriptor file(open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid() && errno == ENOENT) return true;
  reserved_ = file.valid() && TakeRoom(file.get(), room_);
  out_of_room_ = !reserved_;
  return reserved_;
}

int CacheUse::BuildInMemory() noexcept {
  if (lock_ < 0) return -1;
  memory_ = MemoryFile::Make();
  return memory_ == nullptr ? -1 : memory_->Lend();
}

Status CacheUse::Keep() noexcept {
  if (lock_ < 0) return {};
  return Guarded("keeping a weight cache failed", [&] { return NameWhatWasBuilt(); });
}

Status CacheUse::NameWhatWasBuilt() {
  if (memory_ != nullptr) {
    if (Status status = memory_->CopyTo(path_); !status.ok()) return status;
  }
  const Result<ProgramSource> built = ProgramSource::Open(path_);
  // A program without weights that could be packed leaves no file, or an empty one.
  if (!built.ok()) return built.status().code() == Code::kMissing ? Status() : built.status();
  if (built->size() == 0) return {};
  if (Status status = Seal(path_, built->size()); !status.ok()) return status;
  const Result<std::string> digest = Sha256Of(*built);
  if (!digest.ok()) return digest.status();
  // The record comes first: a cache without one is not believed.
  if (Status status = Record{*digest, "", ""}.Write(final_); !status.ok()) return status;
  if (rename(path_.c_str(), final_.c_str()) != 0) return FileError(final_);
  return {};
}

std::string WeightCache::FileOf(const std::string& program_sha256) const {
  return folder + "/" + program_sha256 + "-" + runtime + kCacheSuffix;
}

std::string WeightCache::ExistingFileOf(const std::string& program_sha256) const {
  if (!enabled()) return "";
  const std::string file = FileOf(program_sha256);
  return access(file.c_str(), R_OK) == 0 ? file : "";
}

Status WeightCache::Check(const std::string& program_sha256) const noexcept {
  return Guarded("checking a weight cache failed", [&] { return CheckFile(program_sha256); });
}

Status WeightCache::CheckFile(const std::string& program_sha256) const {
  const std::string path = FileOf(program_sha256);
  const Result<ProgramSource> file = ProgramSource::Open(path);
  if (!file.ok()) return file.status();
  const Record known = Record::Read(path);
  const std::string stamp = FileStamp(*file);
  const std::string boot = BootId();
  if (!stamp.empty() && known.stamp == stamp && known.boot == boot) return {};
  const Result<std::string> digest = Sha256Of(*file);
  if (!digest.ok() || *digest != known.sha256) {
    RemoveCache(path);
    return {Code::kDamaged, path + " is not as it was built; it was removed"};
  }
  // Where this cannot be written, the file is hashed again next time.
  if (!stamp.empty()) (void)Record{*digest, boot, stamp}.Write(path);
  return {};
}

CacheUse WeightCache::Open(const std::string& program_sha256,
                           uint64_t program_bytes) const noexcept {
  CacheUse use;
  const Status opened = Guarded("no weight cache", [&]() -> Status {
    if (!enabled()) return {};
    use.final_ = FileOf(program_sha256);
    if (Check(program_sha256).ok()) {
      MarkUsed(use.final_);
      use.path_ = use.final_;
      return {};
    }
    if (build && HasRoom(folder, program_bytes)) use.lock_ = LockCache(use.final_);
    if (use.lock_ < 0) return {};
    use.path_ = PartOf(use.final_);
    use.room_ = RoomFor(program_bytes);
    unlink(use.path_.c_str());  // of a process that died while it built
    return {};
  });
  return opened.ok() ? std::move(use) : CacheUse();
}

void WeightCache::Remove(const std::string& program_sha256) const {
  RemoveCache(FileOf(program_sha256));
}

void WeightCache::RemoveAbandoned() const { RemoveAbandonedCaches(folder); }

uint64_t WeightCache::Bytes() const { return BytesOf(CachesIn(folder)) + BytesBeingBuilt(folder); }

bool WeightCache::MakeRoom(uint64_t bytes, uint64_t quota,
                           const std::vector<std::string>& keep) const {
  std::vector<CacheFile> caches = CachesIn(folder);
  uint64_t taken = BytesOf(caches) + BytesBeingBuilt(folder);
  const auto fits = [&] { return bytes <= quota && taken <= quota - bytes; };
  std::sort(caches.begin(), caches.end());
  for (const CacheFile& cache : caches) {
    if (fits()) break;
    const bool kept = std::any_of(keep.begin(), keep.end(), [&](const std::string& program) {
      return cache.path == FileOf(program);
    });
    if (kept) continue;
    RemoveCache(cache.path);
    taken -= cache.bytes;
  }
  return fits();
}

}  // namespace pwl
