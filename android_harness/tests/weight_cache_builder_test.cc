#include "pwl/weight_cache_builder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cache_folder.h"
#include "runtime/descriptor.h"
#include "tests/packed_bundle.h"

namespace pwl {
namespace {

namespace fs = std::filesystem;
using Outcome = WeightCacheBuilder::Outcome;

class WeightCacheBuilderTest : public PackedBundle {
 protected:
  Result<std::unique_ptr<WeightCacheBuilder>> Made(uint64_t quota) {
    return WeightCacheBuilder::Make(bundle_, &engine_, cache_, quota, nullptr);
  }
  std::unique_ptr<WeightCacheBuilder> Builder(uint64_t quota) { return std::move(*Made(quota)); }

  // Has a cache of another program there, used before all that is built later.
  std::string Older(const std::string& program, size_t bytes) {
    CacheUse use = cache_.Open(program, bytes);
    std::ofstream(use.path()) << std::string(bytes, 'o');
    EXPECT_TRUE(use.Keep().ok());
    const std::string record = cache_.FileOf(program) + ".sha256";
    fs::last_write_time(record, fs::last_write_time(record) - std::chrono::hours(1));
    return cache_.FileOf(program);
  }
};

TEST_F(WeightCacheBuilderTest, BuildsWhatIsMissingAndNothingTwice) {
  const auto builder = Builder(10000);
  ASSERT_EQ(builder->programs(), 3u);
  for (size_t unit = 0; unit < 3; ++unit) {
    EXPECT_EQ(*builder->Build(unit), Outcome::kBuilt);
    EXPECT_TRUE(HasCache(unit));
    EXPECT_EQ(*builder->Build(unit), Outcome::kThere);
  }
  EXPECT_EQ(cache_.Bytes(), 600u);
  EXPECT_EQ(builder->Build(3).status().code(), Code::kUsage);
}

TEST_F(WeightCacheBuilderTest, LeavesOutWhatTheQuotaHasNoRoomFor) {
  const auto builder = Builder(400);
  EXPECT_EQ(*builder->Build(0), Outcome::kBuilt);
  EXPECT_EQ(*builder->Build(1), Outcome::kWithout);
  EXPECT_EQ(*builder->Build(2), Outcome::kBuilt);
  EXPECT_EQ(cache_.Bytes(), 300u);
}

TEST_F(WeightCacheBuilderTest, RemovesWhatWasUsedLeastRecentlyToMakeRoom) {
  const std::string used = Older("used", 150);
  const std::string oldest = Older("oldest", 150);
  EXPECT_TRUE(cache_.Open("used", 150).filled());  // now it is the newer one
  EXPECT_EQ(*Builder(300)->Build(0), Outcome::kBuilt);
  EXPECT_TRUE(fs::exists(used));
  EXPECT_FALSE(fs::exists(oldest));
  EXPECT_FALSE(fs::exists(oldest + ".sha256"));
}

TEST_F(WeightCacheBuilderTest, NeverRemovesOneOfTheSameBundle) {
  EXPECT_EQ(*Builder(400)->Build(0), Outcome::kBuilt);
  EXPECT_EQ(*Builder(300)->Build(1), Outcome::kWithout);
  EXPECT_TRUE(HasCache(0));
}

TEST_F(WeightCacheBuilderTest, RemovesACacheThatBecameLargerThanTheQuota) {
  engine_.extra_ = 1000;
  EXPECT_EQ(*Builder(500)->Build(0), Outcome::kWithout);
  EXPECT_EQ(cache_.Bytes(), 0u);
}

TEST_F(WeightCacheBuilderTest, BuildsNothingFromADamagedProgram) {
  folder_.Write("bundle/unit-300", std::string(300, '?'));
  EXPECT_EQ(Builder(10000)->Build(1).status().code(), Code::kDamaged);
  fs::remove(folder_.path() + "/bundle/unit-200");
  EXPECT_EQ(Builder(10000)->Build(2).status().code(), Code::kMissing);
  EXPECT_EQ(cache_.Bytes(), 0u);
}

TEST_F(WeightCacheBuilderTest, RefusesAPlanWhoseStagesAreNotWhole) {
  bundle_.plan.stages.push_back({bundle_.plan.artifacts.size()});
  EXPECT_EQ(Made(10000).status().code(), Code::kUsage);
  bundle_.plan.stages.back().clear();
  EXPECT_EQ(Made(10000).status().code(), Code::kUsage);
  bundle_.plan.stages.clear();
  EXPECT_EQ(Made(10000).status().code(), Code::kUsage);
}

TEST_F(WeightCacheBuilderTest, RefusesABundleWithoutFilesAndNoEngine) {
  EXPECT_EQ(WeightCacheBuilder::Make(bundle_, nullptr, cache_, 1, nullptr).status().code(),
            Code::kUsage);
  bundle_.files = nullptr;
  EXPECT_EQ(Made(10000).status().code(), Code::kUsage);
}

TEST_F(WeightCacheBuilderTest, RemovesWhatABuildLeftThatWasKilled) {
  const std::string other = cache_.FileOf("other");
  for (const char* end : {".part", ".lock", ".sha256", ".sha256.999999999.part"}) {
    std::ofstream(other + end) << std::string(500, 'x');
  }
  const std::string whole = Older("whole", 100);
  std::ofstream(whole + ".part") << std::string(500, 'x');
  Builder(10000);
  EXPECT_EQ(cache_.Bytes(), 100u);
  EXPECT_TRUE(cache_.Open("whole", 100).filled());
  EXPECT_EQ(std::distance(fs::directory_iterator(cache_.folder), {}), 2);  // with its record
}

TEST_F(WeightCacheBuilderTest, LeavesWhatSomebodyElseIsBuildingAndCountsIt) {
  const CacheUse use = cache_.Open("other", 100);
  std::ofstream(use.path()) << std::string(500, 'x');
  const auto builder = Builder(600);
  EXPECT_TRUE(fs::exists(use.path()));
  EXPECT_GE(cache_.Bytes(), 500u);
  EXPECT_EQ(*builder->Build(1), Outcome::kWithout);
  EXPECT_TRUE(cache_.Open("other", 100).path().empty());  // still held
}

TEST_F(WeightCacheBuilderTest, BuildsNothingWhileAnotherOneBuildsInTheFolder) {
  const auto builder = Builder(10000);
  {
    const Descriptor turn(LockBuilding(cache_.folder));
    EXPECT_EQ(*builder->Build(0), Outcome::kBusy);
    EXPECT_EQ(engine_.loads_, 0);
  }
  EXPECT_EQ(*builder->Build(0), Outcome::kBuilt);
}

TEST_F(WeightCacheBuilderTest, RemovesNothingBesideAnotherOneThatBuilds) {
  // What its engine is about to hold looks as if it were abandoned.
  const std::string lock = cache_.FileOf("other") + ".lock";
  std::ofstream(lock).put('-');
  {
    const Descriptor turn(LockBuilding(cache_.folder));
    (void)Builder(10000);
    EXPECT_TRUE(fs::exists(lock));
  }
  (void)Builder(10000);
  EXPECT_FALSE(fs::exists(lock));
}

TEST_F(WeightCacheBuilderTest, LeavesTheProgramThatALoadIsPackingUntilThatIsDone) {
  const auto builder = Builder(10000);
  {
    CacheUse use = cache_.Open(Sha256(0), 100);
    std::ofstream(use.path()) << "packed";
    EXPECT_EQ(*builder->Build(0), Outcome::kBusy);
    EXPECT_EQ(*builder->Build(1), Outcome::kBuilt);
    ASSERT_TRUE(use.Keep().ok());
  }
  EXPECT_EQ(*builder->Build(0), Outcome::kThere);
}

TEST_F(WeightCacheBuilderTest, WaitsForALoadThatTakesTheProgramJustBeforeItsEngineDoes) {
  const auto builder = Builder(10000);
  CacheUse use;
  engine_.before_open_ = [&] { use = cache_.Open(Sha256(0), 100); };
  EXPECT_EQ(*builder->Build(0), Outcome::kBusy);
  EXPECT_FALSE(HasCache(0));
  engine_.before_open_ = nullptr;
  std::ofstream(use.path()) << "packed";
  ASSERT_TRUE(use.Keep().ok());
  EXPECT_EQ(*builder->Build(0), Outcome::kThere);
}

TEST_F(WeightCacheBuilderTest, SaysThatItsFolderIsGone) {
  const auto builder = Builder(10000);
  fs::remove(cache_.folder);
  const Status gone = builder->Build(0).status();
  EXPECT_EQ(gone.code(), Code::kMissing);
  EXPECT_NE(gone.message().find(cache_.folder), std::string::npos) << gone.message();
}

TEST_F(WeightCacheBuilderTest, ALoadThatOnlyUsesCachesBuildsNone) {
  WeightCache used = cache_;
  used.build = false;
  EXPECT_TRUE(used.Open(Sha256(0), 100).path().empty());
  EXPECT_EQ(*Builder(10000)->Build(0), Outcome::kBuilt);
  EXPECT_TRUE(used.Open(Sha256(0), 100).filled());
}

}  // namespace
}  // namespace pwl
