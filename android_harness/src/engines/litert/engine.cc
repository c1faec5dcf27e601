#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "engines/litert/declarations.h"
#include "engines/litert/library.h"
#include "engines/litert/threads.h"
#include "engines/mapped_file.h"
#include "pwl/litert_engine.h"
#include "runtime/clock.h"
#include "runtime/guard.h"
#include "runtime/padded_floats.h"

namespace pwl {
namespace {

using litert::ApiStatus;
using litert::Library;
using litert::Owned;
using litert::RankedTensorType;

// An address space has room for so many values, and for what lies behind them.
constexpr size_t kMostFloats = SIZE_MAX / 8;

Status Failure(Code code, const char* what, ApiStatus status) {
  return {code, std::string(what) + ": LiteRT status " + std::to_string(status)};
}

size_t CountOf(const RankedTensorType& type) {
  size_t count = 1;
  for (unsigned int i = 0; i < type.layout.rank; ++i) {
    const int32_t size = type.layout.dimensions[i];
    // Dynamic, or more floats than could be addressed.
    if (size <= 0 || count > kMostFloats / static_cast<size_t>(size)) return 0;
    count *= static_cast<size_t>(size);
  }
  return count;
}

Status NoMemory() { return {Code::kRuntime, "no memory for the edges of a unit"}; }

class LiteRtProgram final : public Program {
 public:
  LiteRtProgram(const Library* api, int threads) : api_(api), threads_(threads) {}

  // `cached`: the weights come from elsewhere.
  Status Load(litert::Environment environment, const ProgramSource& source, const ProgramSpec& spec,
              const std::string& settings, bool cached, LoadTimes* times) {
    const int64_t begin = NowNs();
    Result<std::unique_ptr<MappedFile>> file = MappedFile::Map(source);
    if (!file.ok()) return file.status();
    file_ = std::move(*file);
    if (cached && file_->size() > kReadWhole) file_->ReadSparsely();
    const int64_t mapped = NowNs();
    // From memory, because from a file LiteRT does not verify the structure and crashes on damage.
    litert::Model model = nullptr;
    if (const ApiStatus status =
            api_->CreateModelFromBuffer(environment, file_->data(), file_->size(), &model);
        status != 0) {
      return Failure(Code::kDamaged, "not a whole program", status);
    }
    model_ = {model, api_->DestroyModel};
    if (Status status = ReadEdges(); !status.ok()) return status;
    if (Status status = spec.Fits(floats_in_, floats_out_); !status.ok()) return status;
    const int64_t parsed = NowNs();
    const int threads = litert::ThreadsFor(threads_, source.size(), floats_in_, floats_out_);
    if (Status status =
            Compile(environment, settings + "num_threads = " + std::to_string(threads) + "\n");
        !status.ok()) {
      return status;
    }
    if (Status status = MakeBuffers(); !status.ok()) return status;
    // XNNPACK has packed the weights into memory of its own.
    file_->DropPages();
    times->map_ns += mapped - begin;
    times->parse_ns += parsed - mapped;
    times->prepare_ns += NowNs() - parsed;
    return {};
  }

  size_t floats_in() const override { return floats_in_; }
  size_t floats_out() const override { return floats_out_; }

  Result<Floats> Run(Floats input) override {
    if (Status status = RequireFloats(input, floats_in_); !status.ok()) return status;
    // What another program of this engine wrote is read where it lies.
    const float* source = input.data;
    if (!input.padded) {
      // Only the first unit of a chain is given such values, so the others have no such memory.
      if (staging_.data() == nullptr && !staging_.Allocate(floats_in_)) return NoMemory();
      std::memcpy(staging_.data(), input.data, input.size * sizeof(float));
      source = staging_.data();
    }
    if (Status status = Bind(source); !status.ok()) return status;
    litert::TensorBuffer in = in_.get();
    litert::TensorBuffer out = out_.get();
    if (const ApiStatus status = api_->RunCompiledModel(compiled_.get(), 0, 1, &in, 1, &out);
        status != 0) {
      return Failure(Code::kRuntime, "inference failed", status);
    }
    return output_.view();
  }

 private:
  // One float tensor in, one out, both of known size.
  Status ReadEdges() {
    size_t signatures = 0;
    size_t inputs = 0;
    size_t outputs = 0;
    litert::Signature signature = nullptr;
    litert::Tensor in = nullptr;
    litert::Tensor out = nullptr;
    if (api_->GetNumModelSignatures(model_.get(), &signatures) != 0 || signatures != 1 ||
        api_->GetModelSignature(model_.get(), 0, &signature) != 0) {
      return {Code::kIncompatible, "a unit has one signature"};
    }
    if (api_->GetNumSignatureInputs(signature, &inputs) != 0 || inputs != 1 ||
        api_->GetNumSignatureOutputs(signature, &outputs) != 0 || outputs != 1 ||
        api_->GetSignatureInputTensorByIndex(signature, 0, &in) != 0 ||
        api_->GetSignatureOutputTensorByIndex(signature, 0, &out) != 0) {
      return {Code::kIncompatible, "a unit has one input and one output"};
    }
    if (api_->GetRankedTensorType(in, &in_type_) != 0 ||
        api_->GetRankedTensorType(out, &out_type_) != 0 ||
        in_type_.element_type != litert::kFloat32 || out_type_.element_type != litert::kFloat32) {
      return {Code::kIncompatible, "a unit reads and writes float32 tensors"};
    }
    floats_in_ = CountOf(in_type_);
    floats_out_ = CountOf(out_type_);
    if (floats_in_ == 0 || floats_out_ == 0) {
      return {Code::kIncompatible, "a unit's tensors have fixed sizes"};
    }
    return {};
  }

  Status Compile(litert::Environment environment, const std::string& settings) {
    litert::Options options = nullptr;
    litert::OpaqueOptions opaque = nullptr;
    if (api_->CreateOptions(&options) != 0) return {Code::kRuntime, "LiteRT makes no options"};
    const Owned<litert::Options> owned(options, api_->DestroyOptions);
    ApiStatus status = api_->SetOptionsHardwareAccelerators(options, litert::kCpu);
    if (status == 0) {
      char* const text = strdup(settings.c_str());  // freed by the options, which take it over
      status = api_->CreateOpaqueOptions("xnnpack", text, std::free, &opaque);
    }
    if (status == 0) status = api_->AddOpaqueOptions(options, opaque);
    if (status != 0) return Failure(Code::kRuntime, "LiteRT refuses its options", status);
    litert::CompiledModel compiled = nullptr;
    status = api_->CreateCompiledModel(environment, model_.get(), options, &compiled);
    if (status != 0) return Failure(Code::kIncompatible, "cannot be prepared", status);
    compiled_ = {compiled, api_->DestroyCompiledModel};
    return {};
  }

  Status MakeBuffers() {
    if (!output_.Allocate(floats_out_)) return NoMemory();
    litert::TensorBuffer out = nullptr;
    const ApiStatus status = api_->CreateTensorBufferFromHostMemory(
        &out_type_, output_.data(), floats_out_ * sizeof(float), nullptr, &out);
    if (status != 0) return Failure(Code::kRuntime, "no output buffer", status);
    out_ = {out, api_->DestroyTensorBuffer};
    return {};
  }

  // Makes the input buffer one that lies at `source`, unless it does already.
  Status Bind(const float* source) {
    if (source == bound_) return {};
    litert::TensorBuffer in = nullptr;
    const ApiStatus status = api_->CreateTensorBufferFromHostMemory(
        &in_type_, const_cast<float*>(source), floats_in_ * sizeof(float), nullptr, &in);
    if (status != 0) return Failure(Code::kRuntime, "no input buffer", status);
    in_ = {in, api_->DestroyTensorBuffer};
    bound_ = source;
    return {};
  }

  const Library* const api_;
  const int threads_;
  // Destroyed from the last to the first: buffers, compiled model, model, and the file it lies in.
  std::unique_ptr<MappedFile> file_;
  Owned<litert::Model> model_;
  Owned<litert::CompiledModel> compiled_;
  PaddedFloats staging_;
  PaddedFloats output_;
  Owned<litert::TensorBuffer> in_;
  Owned<litert::TensorBuffer> out_;
  const float* bound_ = nullptr;
  RankedTensorType in_type_{};
  RankedTensorType out_type_{};
  size_t floats_in_ = 0;
  size_t floats_out_ = 0;
};

class LiteRtEngine final : public Engine {
 public:
  Status Configure(const LiteRtOptions& options) {
    if (Status status = RequireThreads(options.threads); !status.ok()) return status;
    if (options.cache.folder.find_first_of("\"\\\n") != std::string::npos) {
      return {Code::kUsage, "LiteRT takes no weight cache folder with quotes in its name"};
    }
    Result<std::unique_ptr<Library>> library = Library::Open(options.library);
    if (!library.ok()) return library.status();
    library_ = std::move(*library);
    litert::EnvironmentOption wanted[2] = {};
    wanted[0].tag = litert::kAccelerators;
    wanted[0].value.type = litert::kIntegerOption;
    wanted[0].value.integer = litert::kCpu;
    wanted[1].tag = litert::kMinimumSeverity;
    wanted[1].value.type = litert::kIntegerOption;
    wanted[1].value.integer = litert::kSilent;
    litert::Environment environment = nullptr;
    const ApiStatus status = library_->CreateEnvironment(2, wanted, &environment);
    if (status != 0) return Failure(Code::kRuntime, "LiteRT does not start", status);
    environment_ = {environment, library_->DestroyEnvironment};
    if (Status agreed = litert::RequireDeclarations(*library_, environment); !agreed.ok()) {
      return agreed;
    }
    threads_ = options.threads;
    cache_ = options.cache;
    return {};
  }

  Result<std::unique_ptr<Program>> Load(const ProgramSource& source, const ProgramSpec& spec,
                                        LoadTimes* times) override {
    std::string settings;
    CacheUse cache = cache_.Open(spec.sha256, source.size());
    if (cache.filled()) {
      settings = "weight_cache_file_path = \"" + cache.path() + "\"\n";
    } else if (const int memory = cache.BuildInMemory(); memory >= 0) {
      // LiteRT aborts where it cannot write.
      settings = "weight_cache_file_descriptor = " + std::to_string(memory) + "\n";
    }
    auto program = std::make_unique<LiteRtProgram>(library_.get(), threads_);
    const Status status =
        program->Load(environment_.get(), source, spec, settings, cache.filled(), times);
    if (!status.ok()) return status;
    // A cache that cannot be kept is built again next time; the program has what it needs.
    (void)cache.Keep();
    return std::unique_ptr<Program>(std::move(program));
  }

  std::string WeightsFile(const std::string& sha256) const override {
    return cache_.ExistingFileOf(sha256);
  }

  std::string Name() const override { return "litert"; }
  std::string Version() const override { return litert::kOldest; }

 private:
  std::unique_ptr<Library> library_;
  Owned<litert::Environment> environment_;
  int threads_ = 1;
  WeightCache cache_;
};

}  // namespace

Result<std::unique_ptr<Engine>> MakeLiteRtEngine(const LiteRtOptions& options) noexcept {
  return Guarded("making an engine failed", [&]() -> Result<std::unique_ptr<Engine>> {
    auto engine = std::make_unique<LiteRtEngine>();
    if (Status status = engine->Configure(options); !status.ok()) return status;
    return std::unique_ptr<Engine>(std::move(engine));
  });
}

}  // namespace pwl
