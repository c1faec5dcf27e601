#include "runtime/file_stamp.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <ctime>

#include "runtime/descriptor.h"
#include "runtime/guard.h"

namespace pwl {
namespace {

constexpr int64_t kNsPerSecond = 1000000000;
// The kernel's clock for files moves on every few milliseconds; file systems that keep whole
// seconds may be two seconds coarse.
constexpr int64_t kSettledNs = kNsPerSecond / 10;
constexpr int64_t kCoarseSettledNs = 2 * kNsPerSecond + kSettledNs;

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * kNsPerSecond + time.tv_nsec;
}

}  // namespace

std::string FileStamp(const ProgramSource& source) {
  const struct stat& file = source.identity();
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t settled = file.st_ctim.tv_nsec == 0 ? kCoarseSettledNs : kSettledNs;
  if (Nanoseconds(file.st_ctim) + settled > Nanoseconds(now) || source.Changed()) return "";
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
  // No two threads have one number, also of different processes.
  const std::string partial = path + "." + std::to_string(syscall(SYS_gettid)) + ".part";
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
