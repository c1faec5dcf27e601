#include "runtime/sha256.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/temporary_folder.h"

namespace pwl {
namespace {

std::string Digest(const std::string& text, size_t piece) {
  Sha256 digest;
  for (size_t i = 0; i < text.size(); i += piece) {
    digest.Update(text.data() + i, std::min(piece, text.size() - i));
  }
  return digest.Finish();
}

// The examples of FIPS 180-4 / NIST's SHA-256 test vectors.
TEST(Sha256, AgreesWithThePublishedExamples) {
  EXPECT_EQ(Digest("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Digest("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Digest(std::string(1000000, 'a'), 4096),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheBytesArrive) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (const size_t piece : {1, 3, 55, 56, 63, 64, 65, 300}) {
    EXPECT_EQ(Digest(text, piece), Digest(text, 300)) << piece;
  }
}

TEST(Sha256, IsTheSameByTheProcessorsInstructionsAndWithoutThem) {
  std::string text;
  for (size_t size = 0; size < 400; ++size) {
    Sha256 fast;
    Sha256 portable(Sha256::Instructions::kPortable);
    fast.Update(text.data(), text.size());
    portable.Update(text.data(), text.size());
    EXPECT_EQ(fast.Finish(), portable.Finish()) << size;
    text += static_cast<char>(size * 37 + 11);
  }
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const TemporaryFolder folder;
  const auto digest = Sha256OfFile(folder.Write("file", "abc"));
  ASSERT_TRUE(digest.ok());
  EXPECT_EQ(*digest, Digest("abc", 3));
}

TEST(Sha256, OfAMissingFileSaysSo) {
  const auto digest = Sha256OfFile("/nowhere/at/all");
  EXPECT_EQ(digest.status().code(), Code::kMissing);
}

TEST(Sha256, OfAFolderIsAnErrorNotACrash) {
  const TemporaryFolder folder;
  EXPECT_EQ(Sha256OfFile(folder.path()).status().code(), Code::kDamaged);
}

}  // namespace
}  // namespace pwl
