// A data loader for ExecuTorch that maps a program once.
//
// ExecuTorch's own MmapDataLoader maps and unmaps every constant by itself: for a ResNet block that
// is a hundred system calls, and every unmapping interrupts the other cores (TLB shootdown), which
// an inference that runs there feels.
#ifndef PWL_SRC_MAPPED_DATA_LOADER_H_
#define PWL_SRC_MAPPED_DATA_LOADER_H_

#include <executorch/runtime/core/data_loader.h>

#include <cstddef>
#include <memory>
#include <string>

#include "pwl/status.h"

namespace pwl {

class MappedDataLoader final : public executorch::runtime::DataLoader {
 public:
  static Result<std::unique_ptr<MappedDataLoader>> Map(const std::string& path);
  ~MappedDataLoader() override;

  MappedDataLoader(const MappedDataLoader&) = delete;
  MappedDataLoader& operator=(const MappedDataLoader&) = delete;

  // Lets go of the memory behind the mapping. What is read again comes back from the file.
  void DropPages();

  // Buffers point into the mapping: they are valid as long as the loader.
  executorch::runtime::Result<executorch::runtime::FreeableBuffer> load(
      size_t offset, size_t size, const SegmentInfo& info) const override;
  executorch::runtime::Error load_into(size_t offset, size_t size, const SegmentInfo& info,
                                       void* buffer) const override;
  executorch::runtime::Result<size_t> size() const override { return size_; }

 private:
  MappedDataLoader(void* data, size_t size) : data_(data), size_(size) {}

  // Where `size` bytes at `offset` lie, or nullptr when the file ends before.
  const char* Find(size_t offset, size_t size) const;

  void* const data_;
  const size_t size_;
};

}  // namespace pwl

#endif  // PWL_SRC_MAPPED_DATA_LOADER_H_
