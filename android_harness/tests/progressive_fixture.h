// A model of three blocks whose answers say which units ran, on the fake engine.
#ifndef PWL_TESTS_PROGRESSIVE_FIXTURE_H_
#define PWL_TESTS_PROGRESSIVE_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pwl/progressive_model.h"
#include "tests/fake_engine.h"
#include "tests/temporary_folder.h"

namespace pwl {

// Three blocks. Student units add 1, 10, 100; teacher units 2, 20, 200; encoders 1000 each. The
// answer to 0 at each stage therefore names the units that ran.
inline constexpr float kAnswers[] = {111, 2 + 1000 + 10 + 100, 2 + 20 + 1000 + 100, 222};
inline constexpr size_t kStages = 4;

class ProgressiveModelTest : public testing::Test {
 protected:
  ProgressiveModelTest() {
    bundle_.files = std::make_shared<FolderFiles>(folder_.path());
    LoadingPlan& plan = bundle_.plan;
    plan.backend = "fake";
    plan.floats_in = plan.classes = 1;
    for (const char* name :
         {"s0-1", "s1-10", "s2-100", "t0-2", "t1-20", "t2-200", "e0-1000", "e1-1000"}) {
      Artifact artifact;
      artifact.id = name;
      artifact.path = name;
      folder_.Write(name, "program");
      artifact.bytes = 7;
      artifact.sha256 = name;  // nothing is hashed here
      artifact.floats_in = artifact.floats_out = 1;
      plan.artifacts.push_back(artifact);
    }
    plan.stages = {{0, 1, 2}, {3, 6, 1, 2}, {3, 4, 7, 2}, {3, 4, 5}};
    options_.verify = Verify::kSize;
    options_.wait_for_first_answer = std::chrono::nanoseconds(0);
    options_.warm_up = false;  // units run when they are asked
  }

  std::unique_ptr<ProgressiveModel> Start() {
    auto model = ProgressiveModel::Start(bundle_, &engine_, options_, &observer_, nullptr);
    EXPECT_TRUE(model.ok()) << model.status().message();
    return model.ok() ? std::move(*model) : nullptr;
  }

  // What the model answers to 0, checked against the stage that it names.
  static float Ask(ProgressiveModel& model) {
    const float zero = 0;
    std::vector<float> logits;
    const Result<size_t> stage = model.Infer({&zero, 1}, &logits);
    EXPECT_TRUE(stage.ok()) << stage.status().message();
    if (!stage.ok()) return -1;
    EXPECT_EQ(logits, std::vector<float>{kAnswers[*stage]}) << "at stage " << *stage;
    return logits[0];
  }

  class Recorder : public Observer {
   public:
    void StageActive(const StageLoad& load) override { active.push_back(load); }
    void StageFailed(size_t stage, const Status& reason) override {
      failed.push_back(stage);
      reasons.push_back(reason);
    }
    std::vector<size_t> ActiveStages() const {
      std::vector<size_t> stages;
      for (const StageLoad& load : active) stages.push_back(load.stage);
      return stages;
    }
    std::vector<StageLoad> active;
    std::vector<size_t> failed;
    std::vector<Status> reasons;
  };

  std::string PathOf(const std::string& id) const { return folder_.path() + "/" + id; }

  TemporaryFolder folder_;
  FakeEngine engine_;
  Bundle bundle_;
  ProgressiveOptions options_;
  Recorder observer_;
};

}  // namespace pwl

#endif  // PWL_TESTS_PROGRESSIVE_FIXTURE_H_
