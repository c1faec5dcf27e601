#include "engines/litert/declarations.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>

namespace pwl::litert {
namespace {

// A structure that the library fills, and what lies behind it: written to if it has grown.
template <typename Structure>
class Fenced {
 public:
  Fenced() { std::fill(std::begin(fence_), std::end(fence_), kMark); }

  Structure* get() { return &structure_; }
  const Structure* operator->() const { return &structure_; }
  bool intact() const {
    return std::all_of(std::begin(fence_), std::end(fence_),
                       [](unsigned char byte) { return byte == kMark; });
  }

 private:
  static constexpr unsigned char kMark = 0xA5;
  Structure structure_{};
  unsigned char fence_[128];
};

Status Changed(const std::string& what) {
  return {Code::kIncompatible, "LiteRT's C interface has changed: " + what +
                                   ". PWL knows that of LiteRT " + std::string(kOldest) + " to " +
                                   kNewest + ": use one of these, or a newer PWL"};
}

bool HoldsOption(const Library& library, EnvironmentOptions options, int tag, int64_t value) {
  Fenced<OptionValue> found;
  return library.GetEnvironmentOptionsValue(options, tag, found.get()) == 0 && found.intact() &&
         found->type == kIntegerOption && found->integer == value;
}

bool IsProcessor(const Library& library, Environment environment, size_t index) {
  Accelerator accelerator = nullptr;
  const char* name = nullptr;
  int hardware = 0;
  if (library.GetAccelerator(environment, index, &accelerator) != 0 ||
      library.GetAcceleratorName(accelerator, &name) != 0 || name == nullptr ||
      library.GetAcceleratorHardwareSupport(accelerator, &hardware) != 0) {
    return false;
  }
  std::string lower = name;
  for (char& letter : lower) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return hardware == kCpu && lower.find("cpu") != std::string::npos;
}

bool HasProcessor(const Library& library, Environment environment) {
  size_t count = 0;
  if (library.GetNumAccelerators(environment, &count) != 0) return false;
  for (size_t index = 0; index < count; ++index) {
    if (IsProcessor(library, environment, index)) return true;
  }
  return false;
}

// A float tensor [2, 3, 5] comes back as it was, and weighs 120 bytes.
bool KeepsTensorType(const Library& library) {
  constexpr int32_t kShape[] = {2, 3, 5};
  constexpr size_t kBytes = 2 * 3 * 5 * sizeof(float);
  alignas(64) unsigned char memory[128] = {};
  RankedTensorType type{};
  type.element_type = kFloat32;
  type.layout.rank = 3;
  std::copy(std::begin(kShape), std::end(kShape), type.layout.dimensions);
  TensorBuffer made = nullptr;
  if (library.CreateTensorBufferFromHostMemory(&type, memory, kBytes, nullptr, &made) != 0) {
    return false;
  }
  const Owned<TensorBuffer> buffer(made, library.DestroyTensorBuffer);
  Fenced<RankedTensorType> found;
  size_t bytes = 0;
  return library.GetTensorBufferPackedSize(made, &bytes) == 0 && bytes == kBytes &&
         library.GetTensorBufferTensorType(made, found.get()) == 0 && found.intact() &&
         found->element_type == kFloat32 && found->layout.rank == 3 &&
         found->layout.has_strides == 0 &&
         std::equal(std::begin(kShape), std::end(kShape), found->layout.dimensions);
}

}  // namespace

Status RequireDeclarations(const Library& library, Environment environment) {
  EnvironmentOptions options = nullptr;
  if (library.GetEnvironmentOptions(environment, &options) != 0 ||
      !HoldsOption(library, options, kAccelerators, kCpu) ||
      !HoldsOption(library, options, kMinimumSeverity, kSilent)) {
    return Changed("it does not hold the options that its environment was made with");
  }
  if (!HasProcessor(library, environment)) return Changed("it knows no accelerator that is a CPU");
  if (!KeepsTensorType(library))
    return Changed("it takes a tensor of float32 [2, 3, 5] for another");
  return {};
}

}  // namespace pwl::litert
