#include "mapped_data_loader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace pwl {

using executorch::runtime::Error;
using executorch::runtime::FreeableBuffer;

Result<std::unique_ptr<MappedDataLoader>> MappedDataLoader::Map(const std::string& path) {
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
  return std::unique_ptr<MappedDataLoader>(new MappedDataLoader(data, size));
}

MappedDataLoader::~MappedDataLoader() { munmap(data_, size_); }

void MappedDataLoader::DropPages() { (void)madvise(data_, size_, MADV_DONTNEED); }

executorch::runtime::Result<FreeableBuffer> MappedDataLoader::load(size_t offset, size_t size,
                                                                   const SegmentInfo&) const {
  const char* found = Find(offset, size);
  if (found == nullptr) return Error::InvalidArgument;
  return FreeableBuffer(found, size, nullptr);
}

Error MappedDataLoader::load_into(size_t offset, size_t size, const SegmentInfo&,
                                  void* buffer) const {
  const char* found = Find(offset, size);
  if (found == nullptr) return Error::InvalidArgument;
  std::memcpy(buffer, found, size);
  return Error::Ok;
}

const char* MappedDataLoader::Find(size_t offset, size_t size) const {
  if (offset > size_ || size > size_ - offset) return nullptr;
  return static_cast<const char*>(data_) + offset;
}

}  // namespace pwl
