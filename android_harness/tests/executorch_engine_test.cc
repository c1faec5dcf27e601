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
  EXPECT_FALSE((*engine)->Load(folder.Write("empty", ""), "", &times).ok());
  EXPECT_FALSE((*engine)->Load(folder.Write("text", std::string(5000, 'x')), "", &times).ok());
  EXPECT_FALSE((*engine)->Load(folder.path(), "", &times).ok());
  EXPECT_FALSE((*engine)->Load(folder.path() + "/missing", "", &times).ok());
}

TEST(ExecuTorchEngine, RefusesACacheWhosePathItsOptionsCannotHold) {
  const TemporaryFolder folder;
  const auto engine = MakeExecuTorchEngine(1, {folder.path() + std::string(200, '/'), "runtime"});
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  LoadTimes times;
  const auto program = (*engine)->Load(folder.Write("text", "x"), std::string(64, 'a'), &times);
  EXPECT_EQ(program.status().code(), Code::kUsage);
}

}  // namespace
}  // namespace pwl
