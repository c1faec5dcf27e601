// Climbs up and back again and again while inferences run and things fail at random.
//
//   pwl_soak BUNDLE LIBRARY CACHE_FOLDER|- CLIMBS SEED
//
// Beside the engine's failures, programs on disk are replaced by damaged ones now and then (by a
// rename, which the stamps of files that were verified before must show), loading is cancelled, and
// models and engines are made anew. Prints a JSON line every hundredth part: what was done, and
// this process's memory, descriptors and threads while nothing is going on. Ends with 1 on the
// first wrong answer or what hangs for a minute.
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "harness/process.h"
#include "pwl/make_engine.h"
#include "pwl/progressive_model.h"
#include "soak/faulty_engine.h"

namespace pwl::soak {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr int kSamples = 100;
constexpr int kClimbsOfAModel = 20;
constexpr int kModelsOfAnEngine = 5;

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::_Exit(1);
}

template <typename T>
T Require(Result<T> result, const char* what) {
  if (!result.ok()) Fail(std::string(what) + ": " + result.status().message());
  return std::move(*result);
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Replace(const std::string& path, const std::string& content) {
  std::ofstream(path + ".new", std::ios::binary) << content;
  if (std::rename((path + ".new").c_str(), path.c_str()) != 0) Fail("cannot replace " + path);
}

long EntriesOf(const char* folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

// The golden inputs, and the logits that each stage gives while nothing fails.
class Reference {
 public:
  Reference(const std::string& folder, const LoadingPlan& plan)
      : inputs_(ReadAll(folder + "/golden/inputs.f32")),
        floats_(plan.floats_in),
        logits_(plan.stages.size(), std::vector<std::vector<float>>(count())) {
    if (count() == 0) Fail("no golden inputs");
  }
  size_t count() const { return inputs_.size() / (floats_ * sizeof(float)); }
  Floats input(size_t index) const {
    return {reinterpret_cast<const float*>(inputs_.data()) + index * floats_, floats_};
  }

  void Learn(ProgressiveModel* model) {
    for (size_t stage = 0; stage < model->stages(); ++stage) {
      (void)model->LoadInBackground(stage);
      if (!model->WaitForLoading(kPatience).ok()) Fail("a sound climb fails");
      for (size_t i = 0; i < count(); ++i) {
        if (*model->Infer(input(i), &logits_[stage][i]) != stage) Fail("another stage answers");
      }
    }
  }
  bool Right(size_t stage, size_t index, const std::vector<float>& logits) const {
    return logits == logits_[stage][index];
  }

 private:
  const std::string inputs_;
  const size_t floats_;
  std::vector<std::vector<std::vector<float>>> logits_;
};

class Soak {
 public:
  Soak(std::string folder, EngineOptions engine, uint32_t seed)
      : folder_(std::move(folder)),
        bundle_(Require(Bundle::Open(folder_), "no bundle")),
        options_(std::move(engine)),
        chance_(seed),
        reference_(folder_, bundle_.plan) {
    options_.threads = bundle_.plan.threads;
    options_.favor = bundle_.plan.favor;
  }

  void Run(int climbs) {
    Renew();
    reference_.Learn(model_.get());
    chance_.Set(true);
    const int sample = climbs < kSamples ? 1 : climbs / kSamples;
    for (int climb = 0; climb < climbs; ++climb) {
      if (climb % kClimbsOfAModel == 0) Renew();
      Climb();
      if ((climb + 1) % sample == 0) Print(climb + 1);
    }
  }

 private:
  std::unique_ptr<Engine> NewEngine() {
    auto engine = Require(MakeEngine(bundle_.plan.backend, options_), "no engine");
    return std::make_unique<FaultyEngine>(std::move(engine), &chance_, &faults_);
  }

  void Renew() {
    model_.reset();
    const std::string stamps = folder_ + "/verified";
    std::filesystem::remove(stamps);
    verified_.emplace(stamps);
    if (engine_ == nullptr || ++models_ % kModelsOfAnEngine == 0) {
      engine_.reset();
      engine_ = NewEngine();
    }
    // Stage 0 may be what fails; an app would try again, too.
    while (model_ == nullptr) {
      auto started = ProgressiveModel::Start(bundle_, engine_.get(),
                                             {Verify::kSha256, {}, &*verified_}, nullptr, nullptr);
      if (started.ok()) model_ = std::move(*started);
    }
  }

  // Up to the last stage and back to the first, however often that has to be asked for.
  void Climb() {
    std::atomic<bool> stop{false};
    std::thread user([&] { Use(&stop); });
    const bool damaging = chance_.Of(0.05);
    if (damaging) DamageAndMend();
    const size_t last = model_->stages() - 1;
    while (model_->active_stage() != last) {
      (void)model_->LoadInBackground(last);
      if (chance_.Of(0.1)) {
        std::this_thread::sleep_for(std::chrono::microseconds(chance_.Below(5000)));
        model_->CancelLoading();
      }
      Wait();
    }
    while (model_->active_stage() != 0) {
      (void)model_->ReturnInBackground(0);
      Wait();
    }
    stop = true;
    user.join();
  }

  void DamageAndMend() {
    const Artifact& artifact =
        bundle_.plan.artifacts[chance_.Below(static_cast<uint32_t>(bundle_.plan.artifacts.size()))];
    const std::string path = folder_ + "/" + artifact.path;
    const std::string whole = ReadAll(path);
    std::string damaged = whole;
    const size_t at = chance_.Below(static_cast<uint32_t>(damaged.size()));
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    Replace(path, damaged);
    (void)model_->LoadInBackground(model_->stages() - 1);
    Wait();
    Replace(path, whole);
    ++damaged_;
  }

  void Wait() {
    if (model_->WaitForLoading(kPatience).code() == Code::kTimedOut) Fail("loading hangs");
  }

  void Use(const std::atomic<bool>* stop) {
    std::vector<float> logits;
    for (size_t i = 0; !*stop; i = (i + 1) % reference_.count()) {
      const auto stage = model_->Infer(reference_.input(i), &logits);
      ++inferences_;
      if (!stage.ok()) {
        ++refused_;
      } else if (!reference_.Right(*stage, i, logits)) {
        Fail("wrong logits at stage " + std::to_string(*stage));
      }
    }
  }

  void Print(int climbs) {
    malloc_trim(0);
    const struct mallinfo2 heap = mallinfo2();
    std::printf(
        "{\"climbs\": %d, \"inferences\": %llu, \"refused\": %llu, \"failed_loads\": %llu, "
        "\"failed_runs\": %llu, \"damaged\": %d, \"rss_kb\": %lld, \"allocated_kb\": %zu, "
        "\"descriptors\": %ld, \"threads\": %ld}\n",
        climbs, Number(inferences_), Number(refused_), Number(faults_.loads), Number(faults_.runs),
        damaged_, static_cast<long long>(harness::ReadMemory().rss_kb),
        (heap.uordblks + heap.hblkhd) >> 10, EntriesOf("/proc/self/fd"),
        EntriesOf("/proc/self/task"));
    std::fflush(stdout);
  }

  static unsigned long long Number(const std::atomic<uint64_t>& value) { return value.load(); }

  const std::string folder_;
  const Bundle bundle_;
  EngineOptions options_;
  Chance chance_;
  Faults faults_;
  std::optional<VerifiedFiles> verified_;
  Reference reference_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ProgressiveModel> model_;
  std::atomic<uint64_t> inferences_{0};
  std::atomic<uint64_t> refused_{0};
  int models_ = 0;
  int damaged_ = 0;
};

int Main(int count, char** words) {
  if (count != 6) Fail("usage: pwl_soak BUNDLE LIBRARY CACHE_FOLDER|- CLIMBS SEED");
  EngineOptions options;
  options.library = words[2];
  if (std::string(words[3]) != "-") options.cache = {words[3], "soak"};
  Soak soak(words[1], options, static_cast<uint32_t>(std::atoi(words[5])));
  soak.Run(std::atoi(words[4]));
  return 0;
}

}  // namespace
}  // namespace pwl::soak

int main(int count, char** words) { return pwl::soak::Main(count, words); }
