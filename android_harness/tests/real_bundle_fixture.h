// The real bundle whose plan PWL_TEST_PLAN names, with the engine that it needs.
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

#include "pwl/make_engine.h"
#include "pwl/plan.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PWL_SANITIZED 1
#else
#define PWL_SANITIZED 0
#endif

namespace pwl {

inline std::unique_ptr<Engine> EngineOf(const Plan& plan, WeightCache cache = {}) {
  const char* const library = std::getenv("PWL_TEST_LITERT");
  auto engine = pwl::MakeEngine(
      plan.backend, {1, library == nullptr ? "" : library, std::move(cache), plan.minimum_runtime});
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
    const char* path = std::getenv("PWL_TEST_PLAN");
    if (path == nullptr) GTEST_SKIP() << "PWL_TEST_PLAN names no plan";
    auto plan = ReadPlan(path);
    ASSERT_TRUE(plan.ok()) << plan.status().message();
    plan_ = std::move(*plan);
    const std::string bytes = ReadAll(plan_.golden->inputs);
    ASSERT_EQ(bytes.size(), plan_.golden->count * plan_.floats_in * sizeof(float));
    const auto* values = reinterpret_cast<const float*>(bytes.data());
    input_.assign(values, values + plan_.floats_in);
  }

  // How far `logits` are from the golden ones of a stage, relative to the largest.
  double Deviation(const std::vector<float>& logits, size_t stage) const {
    const std::string bytes = ReadAll(plan_.golden->outputs[stage]);
    const auto* golden = reinterpret_cast<const float*>(bytes.data());
    double largest = 0;
    double scale = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(logits[i]) - golden[i]));
      scale = std::max(scale, std::fabs(static_cast<double>(golden[i])));
    }
    return largest / scale;
  }

  Plan plan_;
  std::vector<float> input_;
};

}  // namespace pwl

#endif  // PWL_TESTS_REAL_BUNDLE_FIXTURE_H_
