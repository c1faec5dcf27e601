#include "runtime/sha256.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "runtime/sha256_hardware.h"

namespace pwl {

const uint32_t kSha256Round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

namespace {

constexpr size_t kBlock = 64;
constexpr uint64_t kPiece = 1 << 18;

uint32_t Rotate(uint32_t value, int bits) { return value >> bits | value << (32 - bits); }

void PortableBlock(uint32_t* state, const uint8_t* block) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i) {
    w[i] = uint32_t{block[4 * i]} << 24 | uint32_t{block[4 * i + 1]} << 16 |
           uint32_t{block[4 * i + 2]} << 8 | uint32_t{block[4 * i + 3]};
  }
  for (int i = 16; i < 64; ++i) {
    const uint32_t s0 = Rotate(w[i - 15], 7) ^ Rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
    const uint32_t s1 = Rotate(w[i - 2], 17) ^ Rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; ++i) {
    const uint32_t s1 = Rotate(e, 6) ^ Rotate(e, 11) ^ Rotate(e, 25);
    const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kSha256Round[i] + w[i];
    const uint32_t s0 = Rotate(a, 2) ^ Rotate(a, 13) ^ Rotate(a, 22);
    const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const uint32_t added[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) state[i] += added[i];
}

void PortableBlocks(uint32_t* state, const uint8_t* blocks, size_t count) {
  for (; count > 0; --count, blocks += kBlock) PortableBlock(state, blocks);
}

}  // namespace

Sha256::Sha256(Instructions instructions)
    : blocks_(instructions == Instructions::kPortable ? nullptr : HardwareSha256()),
      state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
      pending_{} {
  if (blocks_ == nullptr) blocks_ = PortableBlocks;
}

void Sha256::Update(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  size_t used = total_ % kBlock;
  total_ += size;
  if (used > 0) {
    const size_t taken = std::min(size, kBlock - used);
    std::memcpy(pending_.data() + used, bytes, taken);
    used += taken;
    bytes += taken;
    size -= taken;
    if (used < kBlock) return;
    blocks_(state_.data(), pending_.data(), 1);
  }
  const size_t whole = size / kBlock;
  blocks_(state_.data(), bytes, whole);
  bytes += whole * kBlock;
  size -= whole * kBlock;
  if (size > 0) std::memcpy(pending_.data(), bytes, size);
}

std::string Sha256::Finish() {
  const uint64_t bits = total_ * 8;
  const uint8_t one = 0x80;
  const uint8_t zero = 0;
  Update(&one, 1);
  while (total_ % kBlock != kBlock - 8) Update(&zero, 1);
  uint8_t length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
  Update(length, sizeof length);
  std::string text;
  for (const uint32_t word : state_) {
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", word);
    text += digits;
  }
  return text;
}

Result<std::string> Sha256Of(const ProgramSource& source) {
  std::vector<char> buffer(std::min<uint64_t>(source.size(), kPiece));
  Sha256 digest;
  for (uint64_t at = 0; at < source.size();) {
    const size_t count = std::min<uint64_t>(source.size() - at, buffer.size());
    if (Status status = source.Read(at, buffer.data(), count); !status.ok()) return status;
    digest.Update(buffer.data(), count);
    at += count;
  }
  return digest.Finish();
}

Result<std::string> Sha256OfFile(const std::string& path) {
  const Result<ProgramSource> source = ProgramSource::Open(path);
  if (!source.ok()) return source.status();
  return Sha256Of(*source);
}

}  // namespace pwl
