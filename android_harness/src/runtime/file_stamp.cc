#include "runtime/file_stamp.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "runtime/clock.h"
#include "runtime/descriptor.h"
#include "runtime/guard.h"

namespace pwl {
namespace {

constexpr int64_t kNsPerSecond = 1000000000;
// The kernel's clock for files moves on every few milliseconds; file systems that keep whole
// seconds may be two seconds coarse.
constexpr int64_t kSettledNs = kNsPerSecond / 10;
constexpr int64_t kCoarseSettledNs = 2 * kNsPerSecond + kSettledNs;

constexpr char kPart[] = ".part";

// The thread that PATH.THREAD.part is named after, or 0 for another file's name.
pid_t WriterOf(const std::string& name, const std::string& base) {
  const std::string part = kPart;
  if (name.size() <= base.size() + 1 + part.size() || name.compare(0, base.size(), base) != 0 ||
      name[base.size()] != '.' || name.substr(name.size() - part.size()) != part) {
    return 0;
  }
  const size_t begin = base.size() + 1;
  const std::string number = name.substr(begin, name.size() - part.size() - begin);
  if (number.find_first_not_of("0123456789") != std::string::npos) return 0;
  return static_cast<pid_t>(std::strtol(number.c_str(), nullptr, 10));
}

// Removes what was left of `path` where a thread ended before it could rename it.
void RemoveAbandoned(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string base = path.substr(slash == std::string::npos ? 0 : slash + 1);
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(opendir(folder.c_str()), &closedir);
  while (const dirent* file = listing == nullptr ? nullptr : readdir(listing.get())) {
    const pid_t writer = WriterOf(file->d_name, base);
    if (writer <= 0 || kill(writer, 0) == 0 || errno != ESRCH) continue;
    (void)unlinkat(dirfd(listing.get()), file->d_name, 0);
  }
}

// How long it takes until a later write would leave another time.
int64_t UnsettledNs(const struct stat& file) {
  const int64_t settled = file.st_ctim.tv_nsec == 0 ? kCoarseSettledNs : kSettledNs;
  return Nanoseconds(file.st_ctim) + settled - ClockNs(CLOCK_REALTIME);
}

}  // namespace

std::chrono::nanoseconds UntilSettled(const ProgramSource& source) {
  const int64_t left = UnsettledNs(source.identity());
  return std::chrono::nanoseconds(left > 0 && left <= kCoarseSettledNs ? left : 0);
}

std::string FileStamp(const ProgramSource& source) {
  const struct stat& file = source.identity();
  if (UnsettledNs(file) > 0 || source.Changed()) return "";
  char text[200];
  std::snprintf(text, sizeof text, "%llu %llu %lld %lld %lld %llu %llu",
                static_cast<unsigned long long>(file.st_dev),
                static_cast<unsigned long long>(file.st_ino), static_cast<long long>(file.st_size),
                static_cast<long long>(Nanoseconds(file.st_mtim)),
                static_cast<long long>(Nanoseconds(file.st_ctim)),
                static_cast<unsigned long long>(source.offset()),
                static_cast<unsigned long long>(source.size()));
  return text;
}

bool WriteWhole(int file, const void* data, size_t size) {
  const auto* from = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t count = write(file, from, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    from += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

Status ReplaceFile(const std::string& path, const std::function<Status(int file)>& write) {
  RemoveAbandoned(path);
  // No two threads have one number, also of different processes.
  const std::string partial = path + "." + std::to_string(syscall(SYS_gettid)) + kPart;
  const Descriptor file(
      open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return FileError(path);
  Status status = Guarded("writing failed", [&]() -> Status {
    if (Status written = write(file.get()); !written.ok()) return written;
    const bool replaced = fsync(file.get()) == 0 && rename(partial.c_str(), path.c_str()) == 0;
    return replaced ? Status() : FileError(path);
  });
  if (!status.ok()) unlink(partial.c_str());
  return status;
}

Status ReplaceFile(const std::string& path, const std::string& text) {
  return ReplaceFile(path, [&](int file) {
    return WriteWhole(file, text.data(), text.size()) ? Status() : FileError(path);
  });
}

}  // namespace pwl
