// The LiteRT engine, with the library that PWL_TEST_LITERT names.

#include "pwl/litert_engine.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "tests/temporary_folder.h"

namespace pwl {
namespace {

TEST(LiteRtEngine, SaysWhichLibraryItDoesNotFind) {
  const auto engine = MakeLiteRtEngine({"/nowhere/libLiteRt.so", 1, {}});
  EXPECT_EQ(engine.status().code(), Code::kMissing);
  EXPECT_NE(engine.status().message().find("/nowhere/libLiteRt.so"), std::string::npos);
}

TEST(LiteRtEngine, RefusesALibraryWithoutItsFunctions) {
  const auto engine = MakeLiteRtEngine({"libm.so.6", 1, {}});
  EXPECT_EQ(engine.status().code(), Code::kIncompatible);
}

TEST(LiteRtEngine, RefusesACacheFolderThatItsOptionsCannotSpell) {
  const auto engine = MakeLiteRtEngine({"libm.so.6", 1, {"/tmp/a\"b", "runtime"}});
  EXPECT_EQ(engine.status().code(), Code::kUsage);
}

TEST(LiteRtEngine, RefusesWhatIsNoProgram) {
  const char* const library = std::getenv("PWL_TEST_LITERT");
  if (library == nullptr) GTEST_SKIP() << "PWL_TEST_LITERT names no library";
  const auto engine = MakeLiteRtEngine({library, 1, {}});
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const TemporaryFolder folder;
  LoadTimes times;
  for (const std::string& content : {std::string(), std::string(5000, 'x')}) {
    const auto source = ProgramSource::Open(folder.Write("file", content));
    ASSERT_TRUE(source.ok());
    EXPECT_FALSE((*engine)->Load(*source, {}, &times).ok());
  }
}

TEST(LiteRtEngine, RefusesANumberOfThreadsThatIsNone) {
  for (const int threads : {-1, 0, kMostThreads + 1}) {
    EXPECT_EQ(MakeLiteRtEngine({"libm.so.6", threads, {}}).status().code(), Code::kUsage);
  }
}

}  // namespace
}  // namespace pwl
