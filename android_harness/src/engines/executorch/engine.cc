#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/extension/threadpool/threadpool_guard.h>
#include <executorch/runtime/backend/backend_options_map.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/backend/options.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engines/executorch/lookup_kernels.h"
#include "engines/executorch/mapped_data_loader.h"
#include "pwl/executorch_engine.h"
#include "runtime/clock.h"
#include "runtime/guard.h"

#if __has_include(<executorch/extension/threadpool/threadpool.h>)
#include <executorch/extension/threadpool/threadpool.h>
#else
// The wheel ships libexecutorch_threadpool.so without its header threadpool.h; these are the two
// declarations of it that are needed. A result of another type would link all the same, so they
// are believed of this release alone.
static_assert(std::string_view(PWL_EXECUTORCH_VERSION).substr(0, 4) == "1.5.",
              "compare these declarations with threadpool.h of this release of ExecuTorch");
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool
#endif

namespace pwl {
namespace {

using executorch::aten::ScalarType;
using executorch::extension::make_tensor_ptr;
using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::extension::threadpool::NoThreadPoolGuard;
using executorch::runtime::BackendOptions;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::LoadBackendOptionsMap;
using executorch::runtime::Program;

constexpr char kXnnpack[] = "XnnpackBackend";
// Every delegate has its own workspace. With the default, one for all, loading a program holds the
// lock that every inference needs, for as long as its weights are being packed. With one for each
// model (1), ExecuTorch 1.5 keeps a hundred bytes of every program that was ever loaded.
constexpr int kWorkspacePerDelegate = 0;
// For programs that run in turns anyway, and for all where memory rules: as large as the largest.
// Not for programs with a weight cache: when the workspace grows, XNNPACK sets all of its programs
// up again, without the lock of their caches. It gives up halfway at the first one whose cache is
// just being opened for another load; the rest go on in memory that is freed.
constexpr int kOneWorkspace = 2;

std::string Describe(const char* what, Error error) {
  return std::string(what) + ": ExecuTorch error " + std::to_string(static_cast<uint32_t>(error)) +
         " (" + executorch::runtime::to_string(error) + ")";
}

class ExecuTorchProgram final : public pwl::Program {
 public:
  static Result<std::unique_ptr<pwl::Program>> Load(const ProgramSource& source,
                                                    const ProgramSpec& spec,
                                                    const LoadBackendOptionsMap& options,
                                                    CacheUse* cache, LoadTimes* times) {
    const int64_t begin = NowNs();
    Result<std::unique_ptr<MappedFile>> file = MappedFile::Map(source);
    if (!file.ok()) return file.status();
    if (cache->filled() && (*file)->size() > kReadWhole) (*file)->ReadSparsely();
    MappedFile* const mapped_file = file->get();  // belongs to the loader from here on
    auto owned_loader = std::make_unique<MappedDataLoader>(std::move(*file));
    MappedDataLoader* const loader = owned_loader.get();  // and that to the module
    auto module = std::make_unique<Module>(std::move(owned_loader));
    const int64_t mapped = NowNs();
    // Minimal verification would crash on some damaged files; this one costs microseconds.
    if (const Error error =
            module->load(options, executorch::runtime::Program::Verification::InternalConsistency);
        error != Error::Ok) {
      return Status(Code::kDamaged, Describe("not a whole program", error));
    }
    auto program = std::unique_ptr<ExecuTorchProgram>(new ExecuTorchProgram(std::move(module)));
    if (Status status = program->ReadEdges(); !status.ok()) return status;
    if (Status status = spec.Fits(program->floats_in_, program->floats_out_); !status.ok()) {
      return status;
    }
    const int64_t parsed = NowNs();
    loader->set_cache(cache);
    if (const Error error =
            program->module_->load_forward(nullptr, nullptr, nullptr, LookupKernels());
        error != Error::Ok) {
      return Status(Code::kIncompatible, Describe("cannot be prepared", error));
    }
    loader->set_cache(nullptr);
    // XNNPACK has packed the weights into memory of its own; tables of tokens come back by rows.
    mapped_file->DropPages();
    times->map_ns += mapped - begin;
    times->parse_ns += parsed - mapped;
    times->prepare_ns += NowNs() - parsed;
    return std::unique_ptr<pwl::Program>(std::move(program));
  }

  size_t floats_in() const override { return floats_in_; }
  size_t floats_out() const override { return floats_out_; }

  Result<Floats> Run(Floats input) override {
    if (Status status = RequireFloats(input, floats_in_); !status.ok()) return status;
    // ExecuTorch reads inputs through a pointer to non-const and copies them into its own memory.
    input_->unsafeGetTensorImpl()->set_data(const_cast<float*>(input.data));
    const auto outputs = module_->forward({EValue(input_)});
    if (!outputs.ok()) return Status(Code::kRuntime, Describe("inference failed", outputs.error()));
    if (outputs->size() != 1 || !(*outputs)[0].isTensor()) {
      return Status(Code::kRuntime, "the program gave no tensor");
    }
    const auto tensor = (*outputs)[0].toTensor();
    if (static_cast<size_t>(tensor.numel()) != floats_out_) {
      return Status(Code::kRuntime, "the program gave another size than it announced");
    }
    return Floats{tensor.const_data_ptr<float>(), floats_out_};
  }

 private:
  explicit ExecuTorchProgram(std::unique_ptr<Module> module) : module_(std::move(module)) {}

  // One float tensor in, one out, both of known size.
  Status ReadEdges() {
    const auto meta = module_->method_meta("forward");
    if (!meta.ok()) return {Code::kIncompatible, Describe("no forward method", meta.error())};
    if (meta->num_inputs() != 1 || meta->num_outputs() != 1) {
      return {Code::kIncompatible, "a unit has one input and one output"};
    }
    const auto in = meta->input_tensor_meta(0);
    const auto out = meta->output_tensor_meta(0);
    if (!in.ok() || !out.ok() || in->scalar_type() != ScalarType::Float ||
        out->scalar_type() != ScalarType::Float) {
      return {Code::kIncompatible, "a unit reads and writes float32 tensors"};
    }
    floats_in_ = in->nbytes() / sizeof(float);
    floats_out_ = out->nbytes() / sizeof(float);
    input_ =
        make_tensor_ptr({in->sizes().begin(), in->sizes().end()}, nullptr,
                        {in->dim_order().begin(), in->dim_order().end()}, {}, ScalarType::Float);
    return {};
  }

  std::unique_ptr<Module> module_;
  TensorPtr input_;
  size_t floats_in_ = 0;
  size_t floats_out_ = 0;
};

// ExecuTorch has one pool of threads in a process. Setting its size destroys the threads that
// programs infer on, so that is done once, and an engine that wants another size has to wait until
// all others are gone. Programs of one thread never ask for the pool: making it begins with a
// thread for every core, which are joined again.
class ThreadPoolUse {
 public:
  static bool NeededFor(int threads) { return threads > 1; }

  static Status Enter(int threads) {
    const std::lock_guard<std::mutex> lock(Mutex());
    if (engines_ > 0 && threads != threads_) {
      return {Code::kUsage, "ExecuTorch runs with " + std::to_string(threads_) +
                                " threads in this process; an engine with " +
                                std::to_string(threads) + " needs the others destroyed first"};
    }
    if (threads != threads_) {
      if (Status status = Resize(threads); !status.ok()) return status;
      threads_ = threads;
    }
    ++engines_;
    return {};
  }

  static void Leave() {
    const std::lock_guard<std::mutex> lock(Mutex());
    --engines_;
  }

 private:
  static std::mutex& Mutex() {
    static std::mutex mutex;
    return mutex;
  }

  static Status Resize(int threads) {
    auto* pool = executorch::extension::threadpool::get_threadpool();
    // Null where the processor cannot be identified, as without /sys.
    if (pool == nullptr) return {Code::kRuntime, "ExecuTorch has no thread pool on this device"};
    if (!pool->_unsafe_reset_threadpool(static_cast<uint32_t>(threads))) {
      return {Code::kRuntime, "ExecuTorch refuses " + std::to_string(threads) + " threads"};
    }
    return {};
  }

  static int engines_;
  static int threads_;  // 0: never set here
};

int ThreadPoolUse::engines_ = 0;
int ThreadPoolUse::threads_ = 0;

class ExecuTorchEngine final : public Engine {
 public:
  ExecuTorchEngine(WeightCache cache, Favor favor)
      : cache_(std::move(cache)), in_turns_(favor == Favor::kMemory) {}

  ~ExecuTorchEngine() override {
    if (pooled_) ThreadPoolUse::Leave();
  }

  Status Configure(int threads) {
    if (Status status = RequireThreads(threads); !status.ok()) return status;
    if (executorch::runtime::get_backend_class(kXnnpack) == nullptr) {
      return {Code::kRuntime, "this build of ExecuTorch has no XNNPACK backend"};
    }
    if (!ThreadPoolUse::NeededFor(threads)) return {};
    if (Status status = ThreadPoolUse::Enter(threads); !status.ok()) return status;
    pooled_ = true;
    return {};
  }

  Result<std::unique_ptr<pwl::Program>> Load(const ProgramSource& source, const ProgramSpec& spec,
                                             LoadTimes* times) override {
    // XNNPACK keeps the pool that it is given here for all of a program's inferences.
    std::optional<NoThreadPoolGuard> alone;
    if (!pooled_) alone.emplace();
    CacheUse cache = cache_.Open(spec.sha256, source.size());
    auto program = Load(source, spec, &cache, times);
    if (cache.out_of_room()) {
      CacheUse none;
      return Load(source, spec, &none, times);
    }
    // A cache that cannot be kept is built again next time; the program has what it needs.
    if (program.ok()) (void)cache.Keep();
    return program;
  }

  std::string WeightsFile(const std::string& sha256) const override {
    return cache_.ExistingFileOf(sha256);
  }

  std::string Name() const override { return "executorch " PWL_EXECUTORCH_VERSION; }
  std::string Version() const override { return PWL_EXECUTORCH_VERSION; }

 private:
  Result<std::unique_ptr<pwl::Program>> Load(const ProgramSource& source, const ProgramSpec& spec,
                                             CacheUse* cache, LoadTimes* times) const {
    BackendOptions<3> options;
    LoadBackendOptionsMap map;
    // They live until Load returns, which is as long as ExecuTorch reads the options.
    const std::string& packed = cache->path();
    const bool shares = packed.empty() && (in_turns_ || spec.in_turns);
    Error error = options.set_option("workspace_sharing_mode",
                                     shares ? kOneWorkspace : kWorkspacePerDelegate);
    if (!packed.empty()) {
      if (packed.size() >= executorch::runtime::kMaxOptionValueLength) {
        return Status(Code::kUsage, "too long a path for ExecuTorch: " + packed);
      }
      if (error == Error::Ok) error = options.set_option("weight_cache_enabled", true);
      if (error == Error::Ok) error = options.set_option("packed_cache_path", packed.c_str());
    }
    if (error == Error::Ok) error = map.set_options(kXnnpack, options.view());
    if (error != Error::Ok) return Status(Code::kRuntime, Describe("options refused", error));
    return ExecuTorchProgram::Load(source, spec, map, cache, times);
  }

  const WeightCache cache_;
  const bool in_turns_;
  bool pooled_ = false;
};

}  // namespace

Result<std::unique_ptr<Engine>> MakeExecuTorchEngine(int threads, WeightCache cache,
                                                     Favor favor) noexcept {
  return Guarded("making an engine failed", [&]() -> Result<std::unique_ptr<Engine>> {
    auto engine = std::make_unique<ExecuTorchEngine>(std::move(cache), favor);
    if (Status status = engine->Configure(threads); !status.ok()) return status;
    return std::unique_ptr<Engine>(std::move(engine));
  });
}

}  // namespace pwl
