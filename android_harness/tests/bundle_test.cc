#include "pwl/bundle.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/plan_texts.h"
#include "tests/temporary_folder.h"

namespace pwl {
namespace {

const std::string kSha(64, 'a');

std::string GoodPlan() {
  return "pwl-loading-plan 1\n"
         "backend executorch\n"
         "runtime 1.5.0\n"
         "threads 2\n"
         "input 12\n"
         "classes 3\n"
         "artifact s0 units/s0.pte 10 " +
         kSha +
         " 12 8\n"
         "artifact s1 units/s1.pte 20 " +
         kSha +
         " 8 3\n"
         "artifact t0 units/t0.pte 30 " +
         kSha +
         " 12 16\n"
         "artifact e0 units/e0.pte 5 " +
         kSha +
         " 16 8\n"
         "artifact t1 units/t1.pte 40 " +
         kSha +
         " 16 3\n"
         "stage 0 s0 s1\n"
         "stage 1 t0 e0 s1\n"
         "stage 2 t0 t1\n"
         "end\n";
}

std::string Replaced(const std::string& from, const std::string& to) {
  return With(GoodPlan(), from, to);
}

void ExpectRefused(const std::string& text, const std::string& why) {
  ExpectNoPlan(ParseLoadingPlan(text), text, why);
}

TEST(LoadingPlan, SaysWhatIsInItsText) {
  const Result<LoadingPlan> plan = ParseLoadingPlan(GoodPlan());
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->backend, "executorch");
  EXPECT_EQ(plan->minimum_runtime, "1.5.0");
  EXPECT_EQ(plan->threads, 2);
  EXPECT_EQ(plan->floats_in, 12u);
  EXPECT_EQ(plan->classes, 3u);
  ASSERT_EQ(plan->artifacts.size(), 5u);
  EXPECT_EQ(plan->artifacts[3].path, "units/e0.pte");
  EXPECT_EQ(plan->artifacts[3].bytes, 5u);
  EXPECT_EQ(plan->artifacts[3].floats_in, 16u);
  ASSERT_EQ(plan->stages.size(), 3u);
  EXPECT_EQ(plan->stages[1], (std::vector<size_t>{2, 3, 1}));
  std::vector<std::string> first;
  for (const Artifact& artifact : plan->artifacts) {
    if (artifact.in_first_stage) first.push_back(artifact.id);
  }
  EXPECT_EQ(first, (std::vector<std::string>{"s0", "s1"}));
}

TEST(LoadingPlan, SaysWhatIsFavored) {
  const auto favored = [](const std::string& line) {
    const auto plan = ParseLoadingPlan(Replaced("threads 2\n", "threads 2\n" + line));
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    return plan.ok() ? plan->favor : Favor::kAccuracy;
  };
  EXPECT_EQ(favored(""), Favor::kAccuracy);
  EXPECT_EQ(favored("favor accuracy\n"), Favor::kAccuracy);
  EXPECT_EQ(favored("favor memory\n"), Favor::kMemory);
  ExpectRefused(Replaced("threads 2", "favor speed"), "line 4: favor is accuracy or memory");
}

TEST(LoadingPlan, SaysHowManyThreadsLoad) {
  const auto loaders = [](const std::string& line) {
    const auto plan = ParseLoadingPlan(Replaced("threads 2\n", "threads 2\n" + line));
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    return plan.ok() ? plan->loaders : -1;
  };
  EXPECT_EQ(loaders(""), 1);
  EXPECT_EQ(loaders("loaders 1\n"), 1);
  EXPECT_EQ(loaders("loaders 2\n"), 2);
  EXPECT_EQ(loaders("loaders auto\n"), LoadingPlan::kAutoLoaders);
  ExpectRefused(Replaced("threads 2", "loaders 3"), "line 4: loaders is 1, 2 or auto");
}

TEST(LoadingPlan, CutShortAnywhereIsRefused) {
  const std::string text = GoodPlan();
  for (size_t length = 0; length < text.size() - 1; ++length) {
    EXPECT_FALSE(ParseLoadingPlan(text.substr(0, length)).ok()) << length;
  }
}

TEST(LoadingPlan, OfAnotherVersionIsRefused) {
  ExpectRefused(Replaced("plan 1", "plan 2"), "line 1");
}

TEST(LoadingPlan, WithAnUnknownDirectiveNamesItsLine) {
  ExpectRefused(Replaced("threads 2", "treads 2"), "line 4: unknown directive `treads`");
}

TEST(LoadingPlan, CannotReachOutsideItsFolder) {
  for (const char* path : {"../s0.pte", "/etc/passwd", "a/../../b", "a//b", "./a", "a/."}) {
    ExpectRefused(Replaced("units/s0.pte", path), "artifact ID PATH");
  }
}

TEST(LoadingPlan, RefusesNumbersThatAreNone) {
  for (const char* number : {"-1", "0x10", "1e3", "99999999999999999999", "", "12 ", "0"}) {
    EXPECT_FALSE(ParseLoadingPlan(Replaced("input 12", std::string("input ") + number)).ok())
        << number;
  }
  EXPECT_FALSE(ParseLoadingPlan(Replaced("threads 2", "threads 1000")).ok());
}

TEST(LoadingPlan, RefusesChainsThatDoNotFit) {
  ExpectRefused(Replaced("stage 1 t0 e0 s1", "stage 1 t0 s1"), "s1 does not fit behind t0");
  ExpectRefused(Replaced("stage 2 t0 t1", "stage 2 t1"), "stage 2 does not lead");
  ExpectRefused(Replaced("stage 2 t0 t1", "stage 2 t0 t9"), "no artifact is called t9");
  ExpectRefused(Replaced("stage 1 t0", "stage 5 t0"), "stage 1 ID");
}

TEST(LoadingPlan, RefusesWhatDoesNotAddUp) {
  ExpectRefused(Replaced("artifact s1", "artifact s0"), "s0 occurs twice");
  ExpectRefused(Replaced("backend executorch\n", ""), "no `backend`");
  ExpectRefused(Replaced("runtime 1.5.0", "runtime 1..0"), "runtime is a version");
  ExpectRefused(GoodPlan() + "stage 3 t0 t1\n", "nothing may follow");
}

TEST(LoadingPlan, SurvivesAnyChangeOfOneByte) {
  const std::string good = GoodPlan();
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'\0', ' ', '\n', '9', 'z', '\xff'}) {
      std::string text = good;
      text[i] = c;
      (void)ParseLoadingPlan(text);  // any answer, but an answer
    }
  }
}

TEST(Bundle, IsOpenedFromAFolder) {
  const TemporaryFolder folder;
  folder.Write("loading.plan", GoodPlan());
  const std::string artifact = folder.Write("artifact", "0123456789");
  const Result<Bundle> bundle = Bundle::Open(folder.path());
  ASSERT_TRUE(bundle.ok()) << bundle.status().message();
  EXPECT_EQ(bundle->plan.artifacts.size(), 5u);
  const Result<ProgramSource> source = bundle->files->Open("artifact");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(source->path(), artifact);
  EXPECT_EQ(source->size(), 10u);
  EXPECT_EQ(bundle->files->Open("units/s0.pte").status().code(), Code::kMissing);
}

// What an app does whose bundle lies elsewhere, as in the assets of an APK.
class OneFile : public BundleFiles {
 public:
  explicit OneFile(std::string path) : path_(std::move(path)) {}
  Result<ProgramSource> Open(const std::string& path) const override {
    if (path != "loading.plan") return Status(Code::kMissing, path + ": has not arrived");
    return ProgramSource::Open(path_);
  }

 private:
  const std::string path_;
};

TEST(Bundle, IsOpenedFromWhereverAnAppHasItsFiles) {
  const TemporaryFolder folder;
  const std::string plan = folder.Write("another-name", GoodPlan());
  const Result<Bundle> bundle = Bundle::Open(std::make_shared<OneFile>(plan));
  ASSERT_TRUE(bundle.ok()) << bundle.status().message();
  EXPECT_EQ(bundle->files->Open("units/s0.pte").status().message(),
            "units/s0.pte: has not arrived");
}

class Throwing : public BundleFiles {
 public:
  Result<ProgramSource> Open(const std::string&) const override {
    throw std::runtime_error("no idea");
  }
};

TEST(Bundle, OfNoFilesOrOfThoseThatThrowIsAnError) {
  EXPECT_EQ(Bundle::Open(std::shared_ptr<const BundleFiles>()).status().code(), Code::kUsage);
  const Status status = Bundle::Open(std::make_shared<Throwing>()).status();
  EXPECT_EQ(status.code(), Code::kRuntime);
  EXPECT_NE(status.message().find("no idea"), std::string::npos);
}

TEST(Bundle, WithoutAPlanOrWithSomethingElseForItIsAnError) {
  const TemporaryFolder folder;
  EXPECT_EQ(Bundle::Open(folder.path()).status().code(), Code::kMissing);
  const std::string plan = folder.path() + "/loading.plan";
  ASSERT_EQ(mkfifo(plan.c_str(), 0600), 0);
  EXPECT_EQ(Bundle::Open(folder.path()).status().code(), Code::kDamaged);
  ASSERT_EQ(unlink(plan.c_str()), 0);
  ASSERT_EQ(mkdir(plan.c_str(), 0700), 0);
  EXPECT_EQ(Bundle::Open(folder.path()).status().code(), Code::kDamaged);
  ASSERT_EQ(rmdir(plan.c_str()), 0);
  folder.Write("loading.plan", std::string(3 << 20, 'x'));
  EXPECT_EQ(Bundle::Open(folder.path()).status().code(), Code::kInvalidPlan);
}

}  // namespace
}  // namespace pwl
