#include "engines/executorch/lookup_kernels.h"

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pwl {
namespace {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::Kernel;
using executorch::runtime::KernelRuntimeContext;
using executorch::runtime::Span;

constexpr double kBehindInt32 = 2147483648.0;

// The tensor among a call's values; nullptr if it is none of this type, or has no data.
Tensor* TensorAt(Span<EValue*> values, size_t index, ScalarType type) {
  if (index >= values.size() || values[index] == nullptr || !values[index]->isTensor()) {
    return nullptr;
  }
  Tensor& tensor = values[index]->toTensor();
  return tensor.scalar_type() == type && tensor.const_data_ptr() != nullptr ? &tensor : nullptr;
}

// _to_dim_order_copy.out(Tensor self, *, bool non_blocking=False, int[]? dim_order=None,
//                        Tensor(a!) out) -> Tensor(a!): floats to int32, cut toward 0.
void Cast(KernelRuntimeContext& context, Span<EValue*> values) {
  const Tensor* floats = TensorAt(values, 0, ScalarType::Float);
  Tensor* whole = TensorAt(values, 3, ScalarType::Int);
  if (floats == nullptr || whole == nullptr || floats->numel() != whole->numel()) {
    return context.fail(Error::InvalidArgument);
  }
  const float* from = floats->const_data_ptr<float>();
  int32_t* to = whole->mutable_data_ptr<int32_t>();
  for (ssize_t i = 0; i < floats->numel(); ++i) {
    const double value = from[i];
    // So is what is no number.
    if (!(value > -kBehindInt32 && value < kBehindInt32)) {
      return context.fail(Error::InvalidArgument);
    }
    to[i] = static_cast<int32_t>(value);
  }
}

// embedding.out(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False,
//               bool sparse=False, *, Tensor(a!) out) -> Tensor(a!)
void Embedding(KernelRuntimeContext& context, Span<EValue*> values) {
  const Tensor* table = TensorAt(values, 0, ScalarType::Float);
  const Tensor* tokens = TensorAt(values, 1, ScalarType::Int);
  Tensor* rows = TensorAt(values, 5, ScalarType::Float);
  if (table == nullptr || tokens == nullptr || rows == nullptr || table->dim() != 2 ||
      rows->numel() != tokens->numel() * table->size(1)) {
    return context.fail(Error::InvalidArgument);
  }
  const auto width = static_cast<size_t>(table->size(1));
  const float* from = table->const_data_ptr<float>();
  const int32_t* token = tokens->const_data_ptr<int32_t>();
  float* to = rows->mutable_data_ptr<float>();
  for (ssize_t i = 0; i < tokens->numel(); ++i, to += width) {
    if (token[i] < 0 || token[i] >= table->size(0)) return context.fail(Error::InvalidArgument);
    std::memcpy(to, from + static_cast<size_t>(token[i]) * width, width * sizeof(float));
  }
}

}  // namespace

std::vector<Kernel> LookupKernels() {
  return {Kernel("dim_order_ops::_to_dim_order_copy.out", Cast),
          Kernel("aten::embedding.out", Embedding)};
}

}  // namespace pwl
