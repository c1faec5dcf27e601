#include "runtime/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "runtime/descriptor.h"
#include "runtime/file_stamp.h"
#include "runtime/guard.h"

namespace pwl {
namespace {

constexpr unsigned int kCloseOnExec = 1;  // MFD_CLOEXEC, which older headers do not have

size_t SizeOf(int descriptor) {
  struct stat found{};
  return fstat(descriptor, &found) == 0 ? static_cast<size_t>(found.st_size) : 0;
}

bool AreOneFile(int one, int other) {
  struct stat first{};
  struct stat second{};
  return fstat(one, &first) == 0 && fstat(other, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

Status WriteNew(const std::string& path, const void* data, size_t size) {
  const Descriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.valid() && WriteWhole(file.get(), data, size)) return {};
  const int error = errno;
  if (file.valid()) unlink(path.c_str());
  errno = error;
  return FileError(path);
}

}  // namespace

std::unique_ptr<MemoryFile> MemoryFile::Make() {
#ifdef SYS_memfd_create
  // The C library of older Androids has no wrapper.
  std::unique_ptr<MemoryFile> file(new (std::nothrow) MemoryFile());
  if (file == nullptr) return nullptr;
  file->descriptor_ = static_cast<int>(syscall(SYS_memfd_create, "pwl", kCloseOnExec));
  if (file->descriptor_ >= 0) return file;
#endif
  return nullptr;
}

MemoryFile::~MemoryFile() {
  Reclaim();
  if (descriptor_ >= 0) close(descriptor_);
}

int MemoryFile::Lend() {
  Reclaim();
  lent_ = fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
  return lent_;
}

// A library that has begun has written something and has closed what was lent, whose number may be
// another file's by now.
void MemoryFile::Reclaim() {
  const int lent = std::exchange(lent_, -1);
  if (lent >= 0 && SizeOf(descriptor_) == 0 && AreOneFile(lent, descriptor_)) close(lent);
}

Status MemoryFile::CopyTo(const std::string& path) {
  Reclaim();
  const size_t size = SizeOf(descriptor_);
  if (size == 0) return {};
  void* const data = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor_, 0);
  if (data == MAP_FAILED) return FileError(path);
  Status status = Guarded("writing failed", [&] { return WriteNew(path, data, size); });
  munmap(data, size);
  return status;
}

}  // namespace pwl
