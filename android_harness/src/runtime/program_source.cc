#include "pwl/program_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "runtime/guard.h"

namespace pwl {
namespace {

bool SameTime(const timespec& one, const timespec& other) {
  return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

}  // namespace

Result<ProgramSource> ProgramSource::Open(const std::string& path) noexcept {
  return Guarded("opening failed", [&]() -> Result<ProgramSource> {
    std::string name = path;
    // Without O_NONBLOCK, opening a FIFO waits for a writer.
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) return FileError(path);
    return Of(std::move(name), descriptor);
  });
}

Result<ProgramSource> ProgramSource::FromDescriptor(std::string name, int descriptor,
                                                    uint64_t offset, uint64_t length) noexcept {
  return Guarded("opening failed", [&]() -> Result<ProgramSource> {
    const int own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return FileError(name);
    Result<ProgramSource> source = Of(std::move(name), own);
    if (!source.ok()) return source;
    if (offset > source->size_ || length > source->size_ - offset) {
      return Status(Code::kDamaged, source->path_ + " is cut short");
    }
    source->offset_ = offset;
    source->size_ = length;
    return source;
  });
}

// Takes the descriptor over.
Result<ProgramSource> ProgramSource::Of(std::string path, int descriptor) {
  struct stat identity{};
  const bool known = fstat(descriptor, &identity) == 0;
  ProgramSource source(std::move(path), descriptor, identity);
  if (!known) return FileError(source.path_);
  if (!S_ISREG(identity.st_mode)) return Status(Code::kDamaged, source.path_ + " is no file");
  return source;
}

ProgramSource::ProgramSource(std::string path, int descriptor, const struct stat& identity)
    : path_(std::move(path)),
      descriptor_(descriptor),
      identity_(identity),
      size_(static_cast<uint64_t>(identity.st_size)) {}

ProgramSource::~ProgramSource() {
  if (descriptor_ >= 0) close(descriptor_);
}

ProgramSource::ProgramSource(ProgramSource&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      identity_(other.identity_),
      offset_(other.offset_),
      size_(other.size_) {}

ProgramSource& ProgramSource::operator=(ProgramSource&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(identity_, other.identity_);
  std::swap(offset_, other.offset_);
  std::swap(size_, other.size_);
  return *this;
}

Status ProgramSource::Read(uint64_t offset, void* data, size_t size) const noexcept {
  return Guarded("reading failed", [&] { return ReadAt(offset, data, size); });
}

Status ProgramSource::ReadAt(uint64_t offset, void* data, size_t size) const {
  auto* to = static_cast<char*>(data);
  if (offset > size_ || size > size_ - offset) return {Code::kDamaged, path_ + " is cut short"};
  offset += offset_;
  while (size > 0) {
    const ssize_t count = pread(descriptor_, to, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError(path_);
    if (count == 0) return {Code::kDamaged, path_ + " is cut short"};
    to += count;
    offset += static_cast<uint64_t>(count);
    size -= static_cast<size_t>(count);
  }
  return {};
}

bool ProgramSource::Changed() const noexcept {
  struct stat now{};
  return fstat(descriptor_, &now) != 0 || now.st_size != identity_.st_size ||
         !SameTime(now.st_mtim, identity_.st_mtim) || !SameTime(now.st_ctim, identity_.st_ctim);
}

}  // namespace pwl
