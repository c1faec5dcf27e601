// Memory for values that every engine reads in place; see Floats::padded.
#ifndef PWL_SRC_RUNTIME_PADDED_FLOATS_H_
#define PWL_SRC_RUNTIME_PADDED_FLOATS_H_

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "pwl/engine.h"

namespace pwl {

class PaddedFloats {
 public:
  // Takes room for so many values, all of them 0, in place of what there was. False, and nothing
  // happened, when there is no memory.
  bool Allocate(size_t size) {
    void* data = nullptr;
    const size_t bytes = size * sizeof(float) + Floats::kAlignment;
    if (posix_memalign(&data, Floats::kAlignment, bytes) != 0) return false;
    std::memset(data, 0, bytes);
    data_.reset(static_cast<float*>(data));
    size_ = size;
    return true;
  }

  float* data() const { return data_.get(); }
  size_t size() const { return size_; }
  Floats view() const { return {data_.get(), size_, /*padded=*/true}; }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  size_t size_ = 0;
};

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_PADDED_FLOATS_H_
