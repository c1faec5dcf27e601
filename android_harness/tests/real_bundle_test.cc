// The runtime on the real bundle that PWL_TEST_BUNDLE names, with the engine that it needs.

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pwl/bundle.h"
#include "pwl/make_engine.h"
#include "pwl/progressive_model.h"
#include "runtime/loading.h"
#include "tests/real_bundle_fixture.h"
#include "tests/temporary_folder.h"

namespace pwl {
namespace {

TEST_F(RealBundle, GivesTheGoldenLogitsAtEveryStageItPassesThrough) {
  const auto engine = EngineOf(plan());
  auto model = ProgressiveModel::Start(bundle_, engine.get(), {}, nullptr, nullptr);
  ASSERT_TRUE(model.ok()) << model.status().message();
  ExpectGoldenWhileLoading(model->get());
}

TEST_F(RealBundle, GivesTheGoldenLogitsWithProgramsThatWereWarmedUp) {
  class Recorder : public Observer {
   public:
    void StageActive(const StageLoad& load) override { loads.push_back(load); }
    void StageFailed(size_t, const Status&) override {}
    std::vector<StageLoad> loads;
  };
  const auto engine = EngineOf(plan());
  ProgressiveOptions options;
  options.wait_for_first_answer = std::chrono::nanoseconds(0);
  Recorder recorder;
  auto model = ProgressiveModel::Start(bundle_, engine.get(), options, &recorder, nullptr);
  ASSERT_TRUE(model.ok()) << model.status().message();
  (*model)->LoadInBackground();
  ASSERT_TRUE((*model)->WaitForLoading().ok());  // nobody asks meanwhile
  EXPECT_GT(recorder.loads.front().warm_ns, 0);
  std::vector<float> logits;
  for (int again = 0; again < 2; ++again) {
    const auto stage = (*model)->Infer({input_.data(), input_.size()}, &logits);
    ASSERT_TRUE(stage.ok()) << stage.status().message();
    EXPECT_EQ(*stage + 1, (*model)->stages());
    EXPECT_LT(Deviation(logits, *stage), 1e-4);
  }
}

TEST_F(RealBundle, IsRefusedByARuntimeThatIsTooOld) {
  const char* const library = std::getenv("PWL_TEST_LITERT");
  const auto engine =
      pwl::MakeEngine(plan().backend, {1, library == nullptr ? "" : library, {}, "99.0.0"});
  EXPECT_EQ(engine.status().code(), Code::kIncompatible);
  EXPECT_NE(engine.status().message().find("99.0.0"), std::string::npos);
}

TEST(Version, IsComparedNumberByNumber) {
  EXPECT_TRUE(IsAtLeast("1.5.1", ""));
  EXPECT_TRUE(IsAtLeast("1.5.1", "1.5.1"));
  EXPECT_TRUE(IsAtLeast("1.10.0", "1.9.9"));
  EXPECT_TRUE(IsAtLeast("2", "1.9.9"));
  EXPECT_TRUE(IsAtLeast("1.5", "1.5.0"));
  EXPECT_FALSE(IsAtLeast("1.5", "1.5.1"));
  EXPECT_FALSE(IsAtLeast("1.5.1", "1.6.0"));
  EXPECT_FALSE(IsAtLeast("", "0.0.1"));
}

std::ptrdiff_t ThreadsOfThisProcess() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// Before any test: a pool that one makes is there for all that follow.
const std::ptrdiff_t kThreadsAtStart = ThreadsOfThisProcess();

TEST_F(RealBundle, AnswersOnTheThreadThatCalls) {
  if (PWL_SANITIZED) GTEST_SKIP() << "not under sanitizers: they have threads of their own";
  const auto engine = EngineOf(plan());
  const auto program = Load(engine.get(), PathOf(first()), first().sha256);
  ASSERT_TRUE(program.ok()) << program.status().message();
  ASSERT_TRUE((*program)->Run({input_.data(), input_.size()}).ok());
  EXPECT_EQ(ThreadsOfThisProcess(), kThreadsAtStart);
}

TEST_F(RealBundle, GivesNoThreadsToProgramsThatAreDoneAtOnce) {
  if (PWL_SANITIZED) GTEST_SKIP() << "not under sanitizers: they have threads of their own";
  if (plan().backend != "litert") GTEST_SKIP() << "not here: ExecuTorch has one pool for all";
  const auto engine = EngineOf(plan(), {}, 4);
  std::vector<std::unique_ptr<Program>> programs;
  for (const size_t unit : plan().stages[0]) {
    const Artifact& artifact = plan().artifacts[unit];
    auto program = Load(engine.get(), PathOf(artifact), artifact.sha256);
    ASSERT_TRUE(program.ok()) << program.status().message();
    programs.push_back(std::move(*program));
    EXPECT_EQ(ThreadsOfThisProcess(), kThreadsAtStart) << artifact.id;
  }
}

TEST_F(RealBundle, ReadsInputsWhereverTheyLie) {
  const auto engine = EngineOf(plan());
  auto program = Load(engine.get(), PathOf(first()), first().sha256);
  ASSERT_TRUE(program.ok()) << program.status().message();
  std::vector<float> expected;
  std::vector<float> space(input_.size() + 32);
  for (size_t shift = 0; shift < 16; ++shift) {  // every alignment of a float within 64 bytes
    std::copy(input_.begin(), input_.end(), space.begin() + static_cast<ptrdiff_t>(shift));
    const auto output = (*program)->Run({space.data() + shift, input_.size()});
    ASSERT_TRUE(output.ok()) << output.status().message();
    const std::vector<float> values(output->data, output->data + output->size);
    if (shift == 0) expected = values;
    EXPECT_EQ(values, expected) << shift;
  }
}

// As an asset lies in an APK: somewhere in a file, at a multiple of 4.
TEST_F(RealBundle, AnswersAlikeWhereverAProgramLiesInAFile) {
  const auto engine = EngineOf(plan());
  const TemporaryFolder folder;
  const std::string whole = ReadAll(PathOf(first()));
  std::vector<float> expected;
  for (const size_t offset : {0, 4, 16, 4092, 4096, 4112}) {
    const std::string name = folder.Write("apk", std::string(offset, 'x') + whole + "behind it");
    const auto file = ProgramSource::Open(name);
    ASSERT_TRUE(file.ok());
    auto source = ProgramSource::FromDescriptor("asset", file->descriptor(), offset, whole.size());
    ASSERT_TRUE(source.ok()) << source.status().message();
    LoadTimes times;
    auto program = engine->Load(*source, {first().sha256, 0, 0}, &times);
    ASSERT_TRUE(program.ok()) << offset << ": " << program.status().message();
    const auto output = (*program)->Run({input_.data(), input_.size()});
    ASSERT_TRUE(output.ok()) << output.status().message();
    const std::vector<float> values(output->data, output->data + output->size);
    if (expected.empty()) expected = values;
    EXPECT_EQ(values, expected) << offset;
  }
}

TEST_F(RealBundle, HandsFeaturesOnWithoutACopyWhereItSaysSo) {
  const auto engine = EngineOf(plan());
  auto program = Load(engine.get(), PathOf(first()), first().sha256);
  ASSERT_TRUE(program.ok()) << program.status().message();
  const auto output = (*program)->Run({input_.data(), input_.size()});
  ASSERT_TRUE(output.ok());
  EXPECT_EQ(output->padded, plan().backend == "litert");
  if (output->padded) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(output->data) % Floats::kAlignment, 0u);
  }
}

TEST_F(RealBundle, RefusesAnInputOfAnotherSize) {
  const auto engine = EngineOf(plan());
  auto program = Load(engine.get(), PathOf(first()), "");
  ASSERT_TRUE(program.ok());
  EXPECT_EQ((*program)->Run({input_.data(), input_.size() - 1}).status().code(), Code::kUsage);
}

TEST_F(RealBundle, RefusesAProgramOfOtherSizesItself) {
  const auto engine = EngineOf(plan());
  const auto source = ProgramSource::Open(PathOf(first()));
  ASSERT_TRUE(source.ok());
  for (const auto& [in, out] : {std::pair{first().floats_in + 1, first().floats_out},
                                std::pair{first().floats_in, first().floats_out - 1}}) {
    LoadTimes times;
    const auto program = engine->Load(*source, {first().sha256, in, out}, &times);
    EXPECT_EQ(program.status().code(), Code::kIncompatible);
    EXPECT_EQ(times.prepare_ns, 0);
  }
}

TEST_F(RealBundle, BuildsACacheAnewOfWhichAByteChanged) {
  const TemporaryFolder folder;
  const WeightCache cache{folder.path(), "runtime"};
  const auto engine = EngineOf(plan(), cache);
  const auto answer = [&]() -> std::vector<float> {
    auto program = Load(engine.get(), PathOf(first()), first().sha256);
    EXPECT_TRUE(program.ok()) << program.status().message();
    const auto output = (*program)->Run({input_.data(), input_.size()});
    EXPECT_TRUE(output.ok());
    return {output->data, output->data + output->size};
  };
  const std::vector<float> right = answer();
  const std::string path = cache.FileOf(first().sha256);
  const std::string whole = ReadAll(path);
  ASSERT_FALSE(whole.empty());
  for (size_t i = 0; i < 12; ++i) {
    std::string damaged = whole;
    const size_t at = (i * 7919 + 64) % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::ofstream(path, std::ios::binary) << damaged;
    EXPECT_EQ(answer(), right) << at;
    EXPECT_EQ(ReadAll(path), whole) << at;
  }
}

TEST_F(RealBundle, KeepsNothingOfProgramsThatAreGone) {
  if (PWL_SANITIZED) GTEST_SKIP() << "not under sanitizers: they have an allocator of their own";
  const auto engine = EngineOf(plan());
  const auto load = [&](size_t times) {
    std::vector<std::vector<char>> between;  // so that every program has an address of its own
    for (size_t i = 0; i < times; ++i) {
      for (const Artifact& artifact : plan().artifacts) {
        ASSERT_TRUE(Load(engine.get(), PathOf(artifact), artifact.sha256).ok());
        for (size_t size = 64; size < 1024; size += 48) between.emplace_back(size);
      }
    }
  };
  load(200);  // what is made once, and what malloc keeps at hand
  const struct mallinfo2 before = mallinfo2();
  load(200);
  const struct mallinfo2 after = mallinfo2();
  // What is forgotten takes a node of a list and more; what malloc keeps at hand varies.
  constexpr size_t kForgotten = 32;
  EXPECT_LT(after.uordblks, before.uordblks + 200 * plan().artifacts.size() * kForgotten);
  EXPECT_LE(after.hblkhd, before.hblkhd);
}

TEST_F(RealBundle, GivesTheGoldenLogitsWhereMemoryIsFavored) {
  bundle_.plan.favor = Favor::kMemory;
  const auto engine = EngineOf(plan());
  auto model = ProgressiveModel::Start(bundle_, engine.get(), {}, nullptr, nullptr);
  ASSERT_TRUE(model.ok()) << model.status().message();
  ExpectGoldenWhileLoading(model->get());
  ASSERT_TRUE((*model)->ReturnInBackground(0).ok());
  EXPECT_TRUE((*model)->WaitForLoading().ok());
  ExpectGolden(model->get());
}

TEST_F(RealBundle, GivesTheGoldenLogitsWhereTwoThreadsLoad) {
  bundle_.plan.loaders = 2;
  const TemporaryFolder folder;
  const WeightCache built{folder.path(), "runtime"};
  // Caches are built by both threads at once, and then used by both.
  for (const WeightCache& cache : {WeightCache(), built, built}) {
    const auto engine = EngineOf(plan(), cache);
    auto model = ProgressiveModel::Start(bundle_, engine.get(), {}, nullptr, nullptr);
    ASSERT_TRUE(model.ok()) << model.status().message();
    ExpectGoldenWhileLoading(model->get());
  }
  for (const Artifact& artifact : plan().artifacts) {
    EXPECT_FALSE(built.ExistingFileOf(artifact.sha256).empty() && artifact.bytes > 1 << 16)
        << artifact.id;
  }
}

TEST_F(RealBundle, HasOneWorkspaceForAFirstStageAndWhereMemoryIsFavored) {
  if (PWL_SANITIZED) GTEST_SKIP() << "not under sanitizers: they have an allocator of their own";
  if (plan().backend != "executorch") GTEST_SKIP() << "not here: LiteRT shares no workspaces";
  // What the same program takes several times, each having run.
  const auto taken = [&](Favor favor, bool in_turns) {
    LoadingPlan favored = plan();
    favored.favor = favor;
    const auto engine = EngineOf(favored);
    std::vector<std::unique_ptr<Program>> programs;
    const struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < 16; ++i) {
      LoadTimes times;
      const auto source = ProgramSource::Open(PathOf(first()));
      auto program = engine->Load(*source, {first().sha256, 0, 0, in_turns}, &times);
      if (!program.ok() || !(*program)->Run({input_.data(), input_.size()}).ok()) return size_t{0};
      programs.push_back(std::move(*program));
    }
    const struct mallinfo2 after = mallinfo2();
    return after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
  };
  (void)taken(Favor::kAccuracy, false);  // what is made once
  const size_t apart = taken(Favor::kAccuracy, false);
  // The program writes so many floats, which its workspace has room for.
  const size_t less = 8 * first().floats_out * sizeof(float);
  EXPECT_LE(taken(Favor::kAccuracy, true) + less, apart);
  EXPECT_LE(taken(Favor::kMemory, false) + less, apart);
}

// A program that shared its workspace would be set up again when another one needs a larger one,
// and could not be while its cache is open: then the other one's inference fails, and memory that
// was freed is written to. A load that fails leaves a cache open; others do for a moment.
TEST_F(RealBundle, RunsProgramsWhileTheCacheOfAnotherIsOpen) {
  if (plan().backend != "executorch") GTEST_SKIP() << "not here: LiteRT shares no workspaces";
  const TemporaryFolder folder;
  const auto engine = EngineOf(plan(), {folder.path(), "runtime"});
  const auto load = [&](const Artifact& artifact, const std::string& path) {
    LoadTimes times;
    const auto source = ProgramSource::Open(path);
    return engine->Load(*source, {artifact.sha256, 0, 0, /*in_turns=*/true}, &times);
  };
  const auto runs = [](const Result<std::unique_ptr<Program>>& program) {
    if (!program.ok()) return program.status();
    const std::vector<float> zeros((*program)->floats_in());
    return (*program)->Run({zeros.data(), zeros.size()}).status();
  };
  for (const Artifact& artifact : plan().artifacts) {
    EXPECT_TRUE(runs(load(artifact, PathOf(artifact))).ok());  // builds its cache
  }
  // Whichever needs least is among them.
  for (const Artifact& held : plan().artifacts) {
    const auto program = load(held, PathOf(held));
    ASSERT_TRUE(runs(program).ok());
    std::string damaged = ReadAll(PathOf(held));
    const size_t header = damaged.find("XH00");  // of what is XNNPACK's
    if (header == std::string::npos) continue;
    damaged[header] = '?';
    EXPECT_FALSE(load(held, folder.Write("damaged", damaged)).ok());
    for (const Artifact& artifact : plan().artifacts) {
      if (artifact.sha256 == held.sha256) continue;
      const Status status = runs(load(artifact, PathOf(artifact)));
      EXPECT_TRUE(status.ok()) << artifact.id << " beside " << held.id << ": " << status.message();
    }
  }
}

TEST_F(RealBundle, RefusesProgramsCutAnywhere) {
  const auto engine = EngineOf(plan());
  const TemporaryFolder folder;
  const std::string whole = ReadAll(PathOf(first()));
  for (size_t i = 0; i < 40; ++i) {
    const std::string path = folder.Write("cut", whole.substr(0, whole.size() * i / 40));
    EXPECT_FALSE(Load(engine.get(), path, "").ok()) << i;
  }
}

TEST_F(RealBundle, LetsNoFlippedBitThroughToTheEngine) {
  const auto engine = EngineOf(plan());
  const TemporaryFolder folder;
  const FolderFiles files(folder.path());
  Artifact artifact = first();
  artifact.path = "flipped";
  const std::string whole = ReadAll(PathOf(first()));
  for (size_t i = 0; i < 200; ++i) {
    std::string damaged = whole;
    const size_t at = i * 7919 % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << i % 8));
    folder.Write("flipped", damaged);
    LoadTimes times;
    const auto program = LoadArtifact(files, artifact, Verify::kSha256, engine.get(), &times);
    EXPECT_EQ(program.status().code(), Code::kDamaged) << at;
    EXPECT_EQ(times.map_ns, 0);
    EXPECT_GT(times.verify_ns, 0);
  }
}

}  // namespace
}  // namespace pwl
