#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pwl {
namespace {

constexpr size_t kWorthDropping = 1 << 20;

}  // namespace

Result<std::unique_ptr<MappedFile>> MappedFile::Map(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return FileError(path);
  struct stat found{};
  void* data = MAP_FAILED;
  size_t size = 0;
  if (fstat(file, &found) == 0) {
    size = static_cast<size_t>(found.st_size);
    // An empty file cannot be mapped; EISDIR and the like show here, too.
    data = mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  }
  const Status failure = FileError(path);
  close(file);
  if (data == MAP_FAILED) return failure;
  return std::unique_ptr<MappedFile>(new MappedFile(data, size));
}

MappedFile::~MappedFile() { munmap(data_, size_); }

void MappedFile::ReadSparsely() { (void)madvise(data_, size_, MADV_RANDOM); }

void MappedFile::DropPages() {
  // For a small file, the call costs more than its pages are worth.
  if (size_ > kWorthDropping) (void)madvise(data_, size_, MADV_DONTNEED);
}

}  // namespace pwl
