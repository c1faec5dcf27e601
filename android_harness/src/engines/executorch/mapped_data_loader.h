// A data loader for ExecuTorch that maps a program once.
//
// ExecuTorch's own MmapDataLoader maps and unmaps every constant by itself: for a ResNet block that
// is a hundred system calls, and every unmapping interrupts the other cores (TLB shootdown), which
// an inference that runs there feels.
#ifndef PWL_SRC_ENGINES_EXECUTORCH_MAPPED_DATA_LOADER_H_
#define PWL_SRC_ENGINES_EXECUTORCH_MAPPED_DATA_LOADER_H_

#include <executorch/runtime/core/data_loader.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "engines/mapped_file.h"
#include "pwl/weight_cache.h"

namespace pwl {

class MappedDataLoader final : public executorch::runtime::DataLoader {
 public:
  explicit MappedDataLoader(std::unique_ptr<MappedFile> file) : file_(std::move(file)) {}

  // Buffers point into the mapping: they are valid as long as the loader.
  executorch::runtime::Result<executorch::runtime::FreeableBuffer> load(
      size_t offset, size_t size, const SegmentInfo& info) const override;
  executorch::runtime::Error load_into(size_t offset, size_t size, const SegmentInfo& info,
                                       void* buffer) const override;
  executorch::runtime::Result<size_t> size() const override { return file_->size(); }

  // Has weights be read only while there is room for the cache that they are packed into, unless
  // null. ExecuTorch makes its file first, then reads weights, then writes.
  void set_cache(CacheUse* cache) { cache_ = cache; }

 private:
  // Where `size` bytes at `offset` lie, or nullptr when the file ends before.
  const char* Find(size_t offset, size_t size) const;

  const std::unique_ptr<MappedFile> file_;
  CacheUse* cache_ = nullptr;
};

}  // namespace pwl

#endif  // PWL_SRC_ENGINES_EXECUTORCH_MAPPED_DATA_LOADER_H_
