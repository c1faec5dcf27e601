// The LiteRT engine, with the library that PWL_TEST_LITERT names.

#include "pwl/litert_engine.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "engines/litert/declarations.h"
#include "engines/litert/library.h"
#include "engines/litert/threads.h"
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

TEST(LiteRtEngine, RefusesALibraryThatHasItsFunctionsAndMeansSomethingElse) {
  const auto engine = MakeLiteRtEngine({PWL_FOREIGN_LITERT, 1, {}});
  EXPECT_EQ(engine.status().code(), Code::kIncompatible);
  EXPECT_NE(engine.status().message().find("C interface has changed"), std::string::npos);
}

// An encoder and blocks of MobileNetV2 at 224 pixels and of the demo: bytes, floats in and out.
TEST(LiteRtThreads, AreForProgramsThatComputeForAWhile) {
  EXPECT_EQ(litert::ThreadsFor(4, 38'240, 7840, 2744), 1);
  EXPECT_EQ(litert::ThreadsFor(4, 1'123, 2048, 1024), 1);
  EXPECT_EQ(litert::ThreadsFor(4, 215'000, 150'528, 25'088), 4);
  EXPECT_EQ(litert::ThreadsFor(4, 13'120'000, 1024, 10), 4);
  EXPECT_EQ(litert::ThreadsFor(4, UINT64_MAX, 0, 0), 4);
  EXPECT_EQ(litert::ThreadsFor(4, 1, SIZE_MAX, 1), 4);
  EXPECT_EQ(litert::ThreadsFor(1, 13'120'000, 1024, 10), 1);
}

// The library of the tests, of which single functions are replaced by those of a later one.
class LiteRtDeclarations : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const path = std::getenv("PWL_TEST_LITERT");
    if (path == nullptr) GTEST_SKIP() << "PWL_TEST_LITERT names no library";
    auto library = litert::Library::Open(path);
    ASSERT_TRUE(library.ok()) << library.status().message();
    library_ = **library;
    original_ = **library;
    litert::EnvironmentOption options[2] = {};
    options[0] = {litert::kAccelerators, {litert::kIntegerOption, {litert::kCpu}}};
    options[1] = {litert::kMinimumSeverity, {litert::kIntegerOption, {litert::kSilent}}};
    litert::Environment environment = nullptr;
    ASSERT_EQ(library_.CreateEnvironment(2, options, &environment), 0);
    environment_ = {environment, library_.DestroyEnvironment};
  }

  std::string Asked() const {
    return litert::RequireDeclarations(library_, environment_.get()).message();
  }

  static inline litert::Library original_;
  litert::Library library_;
  litert::Owned<litert::Environment> environment_;
};

TEST_F(LiteRtDeclarations, AgreeWithTheLibrary) { EXPECT_EQ(Asked(), ""); }

TEST_F(LiteRtDeclarations, TellATensorTypeThatHasGrown) {
  library_.GetTensorBufferTensorType = [](litert::TensorBuffer buffer,
                                          litert::RankedTensorType* type) {
    const litert::ApiStatus status = original_.GetTensorBufferTensorType(buffer, type);
    *(reinterpret_cast<unsigned char*>(type) + sizeof *type) = 1;
    return status;
  };
  EXPECT_NE(Asked().find("float32 [2, 3, 5]"), std::string::npos);
}

TEST_F(LiteRtDeclarations, TellAnElementTypeOfAnotherWidth) {
  library_.GetTensorBufferPackedSize = [](litert::TensorBuffer, size_t* bytes) {
    *bytes = 60;
    return 0;
  };
  EXPECT_NE(Asked().find("float32 [2, 3, 5]"), std::string::npos);
}

TEST_F(LiteRtDeclarations, TellAnotherKindOfOption) {
  library_.GetEnvironmentOptionsValue = [](litert::EnvironmentOptions options, int tag,
                                           litert::OptionValue* value) {
    const litert::ApiStatus status = original_.GetEnvironmentOptionsValue(options, tag, value);
    ++value->type;
    return status;
  };
  EXPECT_NE(Asked().find("options"), std::string::npos);
}

TEST_F(LiteRtDeclarations, TellAnotherNumberForTheProcessor) {
  library_.GetAcceleratorHardwareSupport = [](litert::Accelerator, int* hardware) {
    *hardware = 2;
    return 0;
  };
  EXPECT_NE(Asked().find("CPU"), std::string::npos);
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
