#include "engines/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace pwl {
namespace {

constexpr size_t kWorthDropping = 1 << 20;

long PageSize() {
  static const long size = sysconf(_SC_PAGESIZE);
  return size;
}

}  // namespace

Result<std::unique_ptr<MappedFile>> MappedFile::Map(const ProgramSource& source) {
  if (source.size() == 0) return Status(Code::kDamaged, source.path() + " is empty");
  if (source.size() > SIZE_MAX / 2)
    return Status(Code::kIncompatible, source.path() + " is too large");
  if (source.offset() % kAlignment != 0) return Copy(source);
  // A mapping begins at the beginning of a page.
  const auto begin = static_cast<size_t>(source.offset() % static_cast<uint64_t>(PageSize()));
  const auto size = static_cast<size_t>(source.size()) + begin;
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, source.descriptor(),
                    static_cast<off_t>(source.offset() - begin));
  if (data == MAP_FAILED) return FileError(source.path());
  std::unique_ptr<MappedFile> file(new MappedFile(data, size, begin, /*copied=*/false));
  // Reading behind the end of a file that was cut short would end the process.
  if (source.Changed())
    return Status(Code::kDamaged, source.path() + " changed while it was opened");
  return file;
}

Result<std::unique_ptr<MappedFile>> MappedFile::Copy(const ProgramSource& source) {
  const auto size = static_cast<size_t>(source.size());
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return Status(Code::kRuntime, "no memory for " + source.path());
  std::unique_ptr<MappedFile> file(new MappedFile(data, size, 0, /*copied=*/true));
  if (Status status = source.Read(0, data, size); !status.ok()) return status;
  (void)mprotect(data, size, PROT_READ);
  return file;
}

MappedFile::~MappedFile() { munmap(data_, size_); }

void MappedFile::ReadSparsely() {
  if (!copied_) (void)madvise(data_, size_, MADV_RANDOM);
}

void MappedFile::DropPages() {
  // For a small file, the call costs more than its pages are worth.
  if (!copied_ && size_ > kWorthDropping) (void)madvise(data_, size_, MADV_DONTNEED);
}

}  // namespace pwl
