#include "mapped_file.h"

#include <sys/mman.h>

#include <cstdint>

namespace pwl {
namespace {

constexpr size_t kWorthDropping = 1 << 20;

}  // namespace

Result<std::unique_ptr<MappedFile>> MappedFile::Map(const ProgramSource& source) {
  if (source.size() == 0) return Status(Code::kDamaged, source.path() + " is empty");
  if (source.size() > SIZE_MAX / 2)
    return Status(Code::kIncompatible, source.path() + " is too large");
  const auto size = static_cast<size_t>(source.size());
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, source.descriptor(), 0);
  if (data == MAP_FAILED) return FileError(source.path());
  std::unique_ptr<MappedFile> file(new MappedFile(data, size));
  // Reading behind the end of a file that was cut short would end the process.
  if (source.Changed())
    return Status(Code::kDamaged, source.path() + " changed while it was opened");
  return file;
}

MappedFile::~MappedFile() { munmap(data_, size_); }

void MappedFile::ReadSparsely() { (void)madvise(data_, size_, MADV_RANDOM); }

void MappedFile::DropPages() {
  // For a small file, the call costs more than its pages are worth.
  if (size_ > kWorthDropping) (void)madvise(data_, size_, MADV_DONTNEED);
}

}  // namespace pwl
