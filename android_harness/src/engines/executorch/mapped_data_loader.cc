#include "engines/executorch/mapped_data_loader.h"

#include <cstring>

namespace pwl {

using executorch::runtime::Error;
using executorch::runtime::FreeableBuffer;

executorch::runtime::Result<FreeableBuffer> MappedDataLoader::load(size_t offset, size_t size,
                                                                   const SegmentInfo&) const {
  if (cache_ != nullptr && !cache_->Reserve()) return Error::AccessFailed;
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
  if (offset > file_->size() || size > file_->size() - offset) return nullptr;
  return file_->data() + offset;
}

}  // namespace pwl
