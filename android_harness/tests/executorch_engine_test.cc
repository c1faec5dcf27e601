// The ExecuTorch engine without a bundle.

#include "pwl/executorch_engine.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/temporary_folder.h"

namespace pwl {
namespace {

TEST(ExecuTorchEngine, RefusesWhatIsNoProgram) {
  const auto engine = MakeExecuTorchEngine(1);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const TemporaryFolder folder;
  LoadTimes times;
  for (const std::string& content : {std::string(), std::string(5000, 'x')}) {
    const auto source = ProgramSource::Open(folder.Write("file", content));
    ASSERT_TRUE(source.ok());
    EXPECT_FALSE((*engine)->Load(*source, {}, &times).ok());
  }
}

TEST(ExecuTorchEngine, KeepsTheThreadsThatOthersRunOn) {
  {
    const auto two = MakeExecuTorchEngine(2);
    ASSERT_TRUE(two.ok()) << two.status().message();
    EXPECT_TRUE(MakeExecuTorchEngine(2).ok());
    EXPECT_TRUE(MakeExecuTorchEngine(1).ok());  // needs none of them
    const auto other = MakeExecuTorchEngine(3);
    EXPECT_EQ(other.status().code(), Code::kUsage);
    EXPECT_NE(other.status().message().find("2 threads"), std::string::npos);
  }
  EXPECT_TRUE(MakeExecuTorchEngine(3).ok());
  EXPECT_TRUE(MakeExecuTorchEngine(1).ok());
}

TEST(ExecuTorchEngine, RefusesACacheWhosePathItsOptionsCannotHold) {
  const TemporaryFolder folder;
  const auto engine = MakeExecuTorchEngine(1, {folder.path() + std::string(200, '/'), "runtime"});
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  LoadTimes times;
  const auto source = ProgramSource::Open(folder.Write("text", "x"));
  ASSERT_TRUE(source.ok());
  const auto program = (*engine)->Load(*source, {std::string(64, 'a'), 0, 0}, &times);
  EXPECT_EQ(program.status().code(), Code::kUsage);
}

TEST(ExecuTorchEngine, RefusesANumberOfThreadsThatIsNone) {
  for (const int threads : {-1, 0, kMostThreads + 1}) {
    EXPECT_EQ(MakeExecuTorchEngine(threads).status().code(), Code::kUsage);
  }
}

}  // namespace
}  // namespace pwl
