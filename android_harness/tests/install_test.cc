#include "pwl/install.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/cache_folder.h"
#include "runtime/descriptor.h"
#include "runtime/file_stamp.h"
#include "tests/packed_bundle.h"

namespace pwl {
namespace {

namespace fs = std::filesystem;

class InstallTest : public PackedBundle {
 protected:
  InstallTest() : stamps_(folder_.path() + "/verified"), verified_(stamps_) {
    options_.verified = &verified_;
    options_.cache = cache_;
  }

  Result<Installed> Installing() { return Install(bundle_, &engine_, options_); }
  std::string PathOf(size_t unit) const {
    return folder_.path() + "/bundle/" + bundle_.plan.artifacts[unit].path;
  }
  // What a later start of the app would know without hashing.
  bool IsRemembered(size_t unit) const {
    return VerifiedFiles(stamps_).Knows(*ProgramSource::Open(PathOf(unit)), Sha256(unit));
  }
  size_t HalfBuiltCaches() const {
    size_t half = 0;
    for (const auto& entry : fs::directory_iterator(cache_.folder)) {
      half += entry.path().extension() == ".part";
    }
    return half;
  }

  const std::string stamps_;
  VerifiedFiles verified_;
  InstallOptions options_;
};

TEST_F(InstallTest, LeavesTheNextStartNothingToHashOrToPack) {
  const Result<Installed> installed = Installing();
  ASSERT_TRUE(installed.ok()) << installed.status().message();
  EXPECT_EQ(installed->hashed, 3u);  // also files that were written a moment ago
  EXPECT_EQ(installed->built, 3u);
  for (size_t unit = 0; unit < 3; ++unit) {
    EXPECT_TRUE(IsRemembered(unit));
    EXPECT_TRUE(cache_.Open(Sha256(unit), 100).filled());
  }
}

TEST_F(InstallTest, TheSecondOneDoesNothing) {
  ASSERT_TRUE(Installing().ok());
  const int loads = engine_.loads_;
  const auto saved = fs::last_write_time(stamps_);
  const Result<Installed> again = Installing();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->known, 3u);
  EXPECT_EQ(again->there, 3u);
  EXPECT_EQ(again->hashed + again->built + again->without, 0u);
  EXPECT_EQ(engine_.loads_, loads);
  EXPECT_EQ(fs::last_write_time(stamps_), saved);
}

TEST_F(InstallTest, TellsTheStepsInTheOrderInWhichStagesNeedThem) {
  std::swap(bundle_.plan.stages[0], bundle_.plan.stages[2]);
  std::vector<std::string> told;
  options_.may_go_on = [&](const InstallStep& next) {
    EXPECT_EQ(next.steps, 6u);
    EXPECT_EQ(next.number, told.size());
    EXPECT_EQ(next.packs, next.number >= 3);
    told.push_back(next.path);
    return true;
  };
  ASSERT_TRUE(Installing().ok());
  EXPECT_EQ(told, (std::vector<std::string>{"unit-200", "unit-300", "unit-100", "unit-200",
                                            "unit-300", "unit-100"}));
}

TEST_F(InstallTest, WorksAtBackgroundPriorityAndLeavesTheCallersAsItIs) {
  const int before = getpriority(PRIO_PROCESS, 0);
  int within = 0;
  options_.may_go_on = [&](const InstallStep&) {
    within = getpriority(PRIO_PROCESS, 0);
    return true;
  };
  ASSERT_TRUE(Installing().ok());
  EXPECT_GE(within, 10);
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), before);
}

TEST_F(InstallTest, NamesEachFileThatIsNotWhatThePlanSaysAndBuildsNothing) {
  folder_.Write("bundle/unit-300", std::string(300, '?'));
  fs::remove(PathOf(2));
  const Result<Installed> installed = Installing();
  EXPECT_EQ(installed.status().code(), Code::kDamaged);
  const std::string& said = installed.status().message();
  EXPECT_NE(said.find("sha256"), std::string::npos) << said;
  EXPECT_NE(said.find("unit-300"), std::string::npos) << said;
  EXPECT_NE(said.find("unit-200"), std::string::npos) << said;
  EXPECT_EQ(said.find("unit-100"), std::string::npos) << said;
  EXPECT_EQ(cache_.Bytes(), 0u);
  EXPECT_TRUE(IsRemembered(0));  // the whole one needs no second look
  EXPECT_FALSE(IsRemembered(1));
}

TEST_F(InstallTest, GoesOnWhereItWasCancelled) {
  size_t steps = 0;
  options_.may_go_on = [&](const InstallStep&) { return steps++ < 4; };
  EXPECT_EQ(Installing().status().code(), Code::kCancelled);
  EXPECT_TRUE(IsRemembered(2));
  EXPECT_TRUE(HasCache(0));
  EXPECT_FALSE(HasCache(1));
  EXPECT_EQ(HalfBuiltCaches(), 0u);
  options_.may_go_on = nullptr;
  const Result<Installed> rest = Installing();
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(rest->known, 3u);
  EXPECT_EQ(rest->there, 1u);
  EXPECT_EQ(rest->built, 2u);
}

TEST_F(InstallTest, WhatTheAppThrowsEndsIt) {
  options_.may_go_on = [](const InstallStep&) -> bool { throw std::runtime_error("no battery"); };
  const Status status = Installing().status();
  EXPECT_EQ(status.code(), Code::kRuntime);
  EXPECT_NE(status.message().find("no battery"), std::string::npos);
}

TEST_F(InstallTest, SeveralAtOnceTakeTurnsAndBuildNothingTwice) {
  std::vector<std::thread> threads;
  std::atomic<size_t> built{0};
  std::atomic<size_t> there{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const Result<Installed> installed = Installing();
      ASSERT_TRUE(installed.ok()) << installed.status().message();
      built += installed->built;
      there += installed->there;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(built, 3u);
  EXPECT_EQ(there, 9u);
  EXPECT_EQ(engine_.loads_, 3);
}

TEST_F(InstallTest, WaitsForWhoeverBuildsInTheFolder) {
  auto turn = std::make_unique<Descriptor>(LockBuilding(cache_.folder));
  std::vector<size_t> told;
  options_.may_go_on = [&](const InstallStep& next) {
    told.push_back(next.number);
    if (told.size() == 5) turn = nullptr;
    return true;
  };
  const Result<Installed> installed = Installing();
  ASSERT_TRUE(installed.ok());
  EXPECT_EQ(installed->built, 3u);
  EXPECT_EQ(told, (std::vector<size_t>{0, 1, 2, 3, 3, 4, 5}));
}

TEST_F(InstallTest, WaitingForAnotherOneCanBeCancelled) {
  const Descriptor turn(LockBuilding(cache_.folder));
  int asked = 0;
  options_.may_go_on = [&](const InstallStep& next) { return !next.packs || ++asked < 3; };
  EXPECT_EQ(Installing().status().code(), Code::kCancelled);
  EXPECT_EQ(engine_.loads_, 0);
}

// Its files can be opened for reading until that is taken away, and are the same ones after it.
class UnreadableFiles final : public BundleFiles {
 public:
  explicit UnreadableFiles(std::string folder) : folder_(std::move(folder)) {}

  Result<ProgramSource> Open(const std::string& path) const override {
    const std::string place = folder_ + "/" + path;
    const Descriptor file(open(place.c_str(), (unreadable_ ? O_WRONLY : O_RDONLY) | O_CLOEXEC));
    return ProgramSource::FromDescriptor(path, file.get(), 0, fs::file_size(place));
  }

  bool unreadable_ = false;

 private:
  const std::string folder_;
};

TEST_F(InstallTest, HashesAFileOnceAlsoWhereNothingIsToBeRemembered) {
  const auto files = std::make_shared<UnreadableFiles>(folder_.path() + "/bundle");
  bundle_.files = files;
  options_.verified = nullptr;
  std::this_thread::sleep_for(UntilSettled(*files->Open("unit-200")));
  options_.may_go_on = [&](const InstallStep& next) {
    files->unreadable_ = next.packs;
    return true;
  };
  const Result<Installed> installed = Installing();
  ASSERT_TRUE(installed.ok()) << installed.status().message();
  EXPECT_EQ(installed->hashed, 3u);
  EXPECT_EQ(installed->built, 3u);
}

TEST_F(InstallTest, ChecksFilesAloneWhereNoCachesAreKept) {
  options_.cache = {};
  const Result<Installed> installed = Install(bundle_, nullptr, options_);
  ASSERT_TRUE(installed.ok()) << installed.status().message();
  EXPECT_EQ(installed->hashed, 3u);
  EXPECT_EQ(installed->built + installed->there + installed->without, 0u);
  EXPECT_TRUE(IsRemembered(2));
}

TEST_F(InstallTest, KeepsToTheQuota) {
  options_.quota = 400;
  const Result<Installed> installed = Installing();
  ASSERT_TRUE(installed.ok());
  EXPECT_EQ(installed->built, 2u);
  EXPECT_EQ(installed->without, 1u);
  EXPECT_LE(cache_.Bytes(), 400u);
}

TEST_F(InstallTest, SaysWhatCannotBeInstalled) {
  EXPECT_EQ(Install(bundle_, nullptr, options_).status().code(), Code::kUsage);
  options_.cache.folder = folder_.path() + "/nowhere";
  const Status nowhere = Installing().status();
  EXPECT_EQ(nowhere.code(), Code::kMissing);
  EXPECT_NE(nowhere.message().find("/nowhere:"), std::string::npos) << nowhere.message();
  VerifiedFiles lost(folder_.path() + "/gone/verified");
  options_.cache = {};
  options_.verified = &lost;
  EXPECT_FALSE(Installing().ok());
  bundle_.plan.stages.push_back({7});
  EXPECT_EQ(Installing().status().code(), Code::kUsage);
  bundle_.files = nullptr;
  EXPECT_EQ(Installing().status().code(), Code::kUsage);
}

TEST_F(InstallTest, KeepsWhatAModelRemembersThatIsOpenMeanwhile) {
  VerifiedFiles opened(stamps_);  // read before anything is there
  ASSERT_TRUE(Installing().ok());
  const std::string other = folder_.Write("other", "other");
  const auto file = ProgramSource::Open(other);
  while (!opened.Knows(*file, Sha256(0))) {  // until the file has settled
    opened.Remember(*file, Sha256(0));
  }
  ASSERT_TRUE(opened.Save().ok());
  EXPECT_TRUE(IsRemembered(2));
}

}  // namespace
}  // namespace pwl
