// The kernels of lookups, called as ExecuTorch calls them.

#include "engines/executorch/lookup_kernels.h"

#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pwl {
namespace {

using executorch::extension::make_tensor_ptr;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::KernelRuntimeContext;
using executorch::runtime::Span;

// Calls a kernel with tensors at some of its `count` values, and none at the others.
Error Call(const std::string& name, size_t count, const std::vector<TensorPtr>& tensors,
           const std::vector<size_t>& places) {
  std::vector<EValue> values(count);
  for (size_t i = 0; i < tensors.size(); ++i) values[places[i]] = EValue(tensors[i]);
  std::vector<EValue*> stack;
  for (EValue& value : values) stack.push_back(&value);
  for (const auto& kernel : LookupKernels()) {
    if (name != kernel.name_) continue;
    KernelRuntimeContext context;
    kernel.op_(context, Span<EValue*>(stack.data(), stack.size()));
    return context.failure_state();
  }
  return Error::OperatorMissing;
}

Error Cast(const TensorPtr& floats, const TensorPtr& whole) {
  return Call("dim_order_ops::_to_dim_order_copy.out", 5, {floats, whole}, {0, 3});
}

Error Embed(const TensorPtr& table, const TensorPtr& tokens, const TensorPtr& rows) {
  return Call("aten::embedding.out", 7, {table, tokens, rows}, {0, 1, 5});
}

TensorPtr Whole(std::vector<int32_t> values) { return make_tensor_ptr(std::move(values)); }
TensorPtr Real(std::vector<float> values) { return make_tensor_ptr(std::move(values)); }
TensorPtr Table() { return make_tensor_ptr({3, 2}, std::vector<float>{0, 1, 2, 3, 4, 5}); }

TEST(LookupKernels, CutOffWhatIsBehindThePoint) {
  const TensorPtr whole = Whole({9, 9, 9});
  ASSERT_EQ(Cast(Real({0.F, 2.9F, -1.5F}), whole), Error::Ok);
  const int32_t* found = whole->const_data_ptr<int32_t>();
  EXPECT_EQ(std::vector<int32_t>(found, found + 3), (std::vector<int32_t>{0, 2, -1}));
}

TEST(LookupKernels, RefuseWhatIsNoNumberOrTooLarge) {
  for (const float value : {NAN, INFINITY, -INFINITY, 2147483648.F, -2147483648.F}) {
    EXPECT_EQ(Cast(Real({value}), Whole({0})), Error::InvalidArgument) << value;
  }
}

TEST(LookupKernels, CopyTheRowOfEachToken) {
  const TensorPtr rows = Real({9, 9, 9, 9, 9, 9});
  ASSERT_EQ(Embed(Table(), Whole({2, 0, 2}), rows), Error::Ok);
  const float* found = rows->const_data_ptr<float>();
  EXPECT_EQ(std::vector<float>(found, found + 6), (std::vector<float>{4, 5, 0, 1, 4, 5}));
}

TEST(LookupKernels, RefuseTokensThatTheTableLacks) {
  for (const int32_t token : {-1, 3, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(Embed(Table(), Whole({token}), Real({0, 0})), Error::InvalidArgument) << token;
  }
}

TEST(LookupKernels, RefuseWhatADamagedProgramMayGiveThem) {
  EXPECT_EQ(Cast(Whole({1}), Whole({0})), Error::InvalidArgument);
  EXPECT_EQ(Cast(Real({1, 2}), Whole({0})), Error::InvalidArgument);
  EXPECT_EQ(Embed(Table(), Whole({0}), Real({0})), Error::InvalidArgument);
  EXPECT_EQ(Embed(Real({0, 1}), Whole({0}), Real({0, 0})), Error::InvalidArgument);
  EXPECT_EQ(Embed(Table(), Real({0}), Real({0, 0})), Error::InvalidArgument);
  EXPECT_EQ(Call("aten::embedding.out", 2, {Table(), Whole({0})}, {0, 1}), Error::InvalidArgument);
  EXPECT_EQ(Call("aten::embedding.out", 7, {}, {}), Error::InvalidArgument);
}

}  // namespace
}  // namespace pwl
