// LiteRT's C API, found in libLiteRt.so while the program runs.
//
// The declarations are our own: the few that a CPU inference needs, written after the headers of
// google-ai-edge/LiteRT 2.3 (litert/c/). So nothing of LiteRT's SDK is needed to build, and the
// library can be the one of an app, of the ai-edge-litert wheel, or of the official Android build.
// Neither carries headers; RequireDeclarations (declarations.h) asks it whether it agrees with
// these.
#ifndef PWL_SRC_ENGINES_LITERT_LIBRARY_H_
#define PWL_SRC_ENGINES_LITERT_LIBRARY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "pwl/status.h"

namespace pwl::litert {

using ApiStatus = int;  // 0 is success
using Environment = struct EnvironmentT*;
using Model = struct ModelT*;
using Signature = struct SignatureT*;
using Tensor = struct TensorT*;
using Options = struct OptionsT*;
using OpaqueOptions = struct OpaqueOptionsT*;
using CompiledModel = struct CompiledModelT*;
using TensorBuffer = struct TensorBufferT*;
using EnvironmentOptions = struct EnvironmentOptionsT*;
using Accelerator = struct AcceleratorT*;

// The library does not tell its version. What Open accepts is at least this.
constexpr char kOldest[] = "2.1.6";
// What these declarations were written after.
constexpr char kNewest[] = "2.3";

constexpr int kFloat32 = 1;
constexpr int kCpu = 1;  // a bit of a set of accelerators

struct Layout {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
};

struct RankedTensorType {
  int element_type;
  Layout layout;
};

struct OptionValue {
  int type;
  union {
    int64_t integer;
    const void* pointer;
  };
};

// An option of an environment.
struct EnvironmentOption {
  int tag;
  OptionValue value;
};
constexpr int kIntegerOption = 2;
constexpr int kAccelerators = 24;     // which ones to look for; those of the GPU load libraries
constexpr int kMinimumSeverity = 25;  // of what is logged
constexpr int kSilent = 4;

static_assert(sizeof(Layout) == 68 && sizeof(RankedTensorType) == 72 &&
                  sizeof(EnvironmentOption) == 24,
              "these structures are passed to a library that was compiled elsewhere");

// NAME, return type, parameters of every function that is used; all are called LiteRtNAME.
#define PWL_LITERT_FUNCTIONS(X)                                                            \
  X(CreateEnvironment, ApiStatus, (int, const EnvironmentOption*, Environment*))           \
  X(DestroyEnvironment, void, (Environment))                                               \
  X(GetEnvironmentOptions, ApiStatus, (Environment, EnvironmentOptions*))                  \
  X(GetEnvironmentOptionsValue, ApiStatus, (EnvironmentOptions, int, OptionValue*))        \
  X(GetNumAccelerators, ApiStatus, (Environment, size_t*))                                 \
  X(GetAccelerator, ApiStatus, (Environment, size_t, Accelerator*))                        \
  X(GetAcceleratorName, ApiStatus, (Accelerator, const char**))                            \
  X(GetAcceleratorHardwareSupport, ApiStatus, (Accelerator, int*))                         \
  X(CreateModelFromBuffer, ApiStatus, (Environment, const void*, size_t, Model*))          \
  X(DestroyModel, void, (Model))                                                           \
  X(GetNumModelSignatures, ApiStatus, (Model, size_t*))                                    \
  X(GetModelSignature, ApiStatus, (Model, size_t, Signature*))                             \
  X(GetNumSignatureInputs, ApiStatus, (Signature, size_t*))                                \
  X(GetNumSignatureOutputs, ApiStatus, (Signature, size_t*))                               \
  X(GetSignatureInputTensorByIndex, ApiStatus, (Signature, size_t, Tensor*))               \
  X(GetSignatureOutputTensorByIndex, ApiStatus, (Signature, size_t, Tensor*))              \
  X(GetRankedTensorType, ApiStatus, (Tensor, RankedTensorType*))                           \
  X(CreateOptions, ApiStatus, (Options*))                                                  \
  X(DestroyOptions, void, (Options))                                                       \
  X(SetOptionsHardwareAccelerators, ApiStatus, (Options, int))                             \
  X(CreateOpaqueOptions, ApiStatus, (const char*, void*, void (*)(void*), OpaqueOptions*)) \
  X(AddOpaqueOptions, ApiStatus, (Options, OpaqueOptions))                                 \
  X(CreateCompiledModel, ApiStatus, (Environment, Model, Options, CompiledModel*))         \
  X(DestroyCompiledModel, void, (CompiledModel))                                           \
  X(CreateTensorBufferFromHostMemory, ApiStatus,                                           \
    (const RankedTensorType*, void*, size_t, void (*)(void*), TensorBuffer*))              \
  X(DestroyTensorBuffer, void, (TensorBuffer))                                             \
  X(GetTensorBufferPackedSize, ApiStatus, (TensorBuffer, size_t*))                         \
  X(GetTensorBufferTensorType, ApiStatus, (TensorBuffer, RankedTensorType*))               \
  X(RunCompiledModel, ApiStatus,                                                           \
    (CompiledModel, size_t, size_t, TensorBuffer*, size_t, TensorBuffer*))

class Library {
 public:
  // Loads the library and finds every function. One that is missing, or whose functions of the same
  // names take other parameters, is refused.
  static Result<std::unique_ptr<Library>> Open(const std::string& path);

#define PWL_LITERT_MEMBER(name, result, parameters) result(*name) parameters = nullptr;
  PWL_LITERT_FUNCTIONS(PWL_LITERT_MEMBER)
#undef PWL_LITERT_MEMBER
};

// Owns a handle: destroys it by a function of the library.
template <typename Handle>
class Owned {
 public:
  using Destroy = void (*)(Handle);
  Owned() = default;
  Owned(Handle handle, Destroy destroy) : handle_(handle), destroy_(destroy) {}
  Owned(Owned&& other) noexcept : handle_(other.handle_), destroy_(other.destroy_) {
    other.handle_ = nullptr;
  }
  Owned& operator=(Owned&& other) noexcept {
    Reset();
    handle_ = other.handle_;
    destroy_ = other.destroy_;
    other.handle_ = nullptr;
    return *this;
  }
  ~Owned() { Reset(); }

  Handle get() const { return handle_; }

 private:
  void Reset() {
    if (handle_ != nullptr) destroy_(handle_);
    handle_ = nullptr;
  }

  Handle handle_ = nullptr;
  Destroy destroy_ = nullptr;
};

}  // namespace pwl::litert

#endif  // PWL_SRC_ENGINES_LITERT_LIBRARY_H_
