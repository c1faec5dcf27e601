// The real bundle in the folder that PWL_TEST_BUNDLE names, with the engine that it needs.
#ifndef PWL_TESTS_REAL_BUNDLE_FIXTURE_H_
#define PWL_TESTS_REAL_BUNDLE_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pwl/bundle.h"
#include "pwl/make_engine.h"
#include "pwl/progressive_model.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PWL_SANITIZED 1
#else
#define PWL_SANITIZED 0
#endif

namespace pwl {

// As the plan says, but for the number of threads.
inline std::unique_ptr<Engine> EngineOf(const LoadingPlan& plan, WeightCache cache = {},
                                        int threads = 1) {
  const char* const library = std::getenv("PWL_TEST_LITERT");
  auto engine = pwl::MakeEngine(plan.backend, {threads, library == nullptr ? "" : library,
                                               std::move(cache), plan.minimum_runtime, plan.favor});
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return engine.ok() ? std::move(*engine) : nullptr;
}

inline std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class RealBundle : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("PWL_TEST_BUNDLE");
    if (folder == nullptr) GTEST_SKIP() << "PWL_TEST_BUNDLE names no bundle";
    folder_ = folder;
    auto bundle = Bundle::Open(folder_);
    ASSERT_TRUE(bundle.ok()) << bundle.status().message();
    bundle_ = std::move(*bundle);
    const std::string bytes = ReadAll(folder_ + "/golden/inputs.f32");
    ASSERT_GE(bytes.size(), plan().floats_in * sizeof(float));
    const auto* values = reinterpret_cast<const float*>(bytes.data());
    input_.assign(values, values + plan().floats_in);
  }

  const LoadingPlan& plan() const { return bundle_.plan; }
  const Artifact& first() const { return plan().artifacts[plan().stages[0][0]]; }
  std::string PathOf(const Artifact& artifact) const { return folder_ + "/" + artifact.path; }

  // Loads a file as that artifact, whatever it is.
  static Result<std::unique_ptr<Program>> Load(Engine* engine, const std::string& path,
                                               const std::string& sha256) {
    LoadTimes times;
    const auto source = ProgramSource::Open(path);
    if (!source.ok()) return source.status();
    return engine->Load(*source, {sha256, 0, 0}, &times);
  }

  // How far `logits` are from the golden ones of a stage, relative to the largest.
  double Deviation(const std::vector<float>& logits, size_t stage) const {
    const std::string bytes = ReadAll(folder_ + "/golden/stage-" + std::to_string(stage) + ".f32");
    const auto* golden = reinterpret_cast<const float*>(bytes.data());
    double largest = 0;
    double scale = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(logits[i]) - golden[i]));
      scale = std::max(scale, std::fabs(static_cast<double>(golden[i])));
    }
    return largest / scale;
  }

  // Asks a model, and expects the golden logits of the stage that it names.
  void ExpectGolden(ProgressiveModel* model) const {
    std::vector<float> logits;
    const auto stage = model->Infer({input_.data(), input_.size()}, &logits);
    ASSERT_TRUE(stage.ok()) << stage.status().message();
    EXPECT_LT(Deviation(logits, *stage), 1e-4) << "stage " << *stage;
  }

  // Loads all stages of a model, which is asked meanwhile, and once more at the end.
  void ExpectGoldenWhileLoading(ProgressiveModel* model) const {
    model->LoadInBackground();
    while (model->active_stage() + 1 < model->stages()) ExpectGolden(model);
    ExpectGolden(model);
    EXPECT_TRUE(model->WaitForLoading().ok());
  }

  std::string folder_;
  Bundle bundle_;
  std::vector<float> input_;
};

}  // namespace pwl

#endif  // PWL_TESTS_REAL_BUNDLE_FIXTURE_H_
