#include "runtime/sha256_hardware.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1 << 6)
#endif
#endif

namespace pwl {
namespace {

#if defined(__x86_64__)

// Each instruction does two rounds on the words ABEF and CDGH (Intel 64 manual, SHA256RNDS2).
__attribute__((target("sha,sse4.1,ssse3"))) void Blocks(uint32_t* state, const uint8_t* blocks,
                                                        size_t count) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const auto load = [](const void* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
  };
  __m128i badc = _mm_shuffle_epi32(load(state), 0xb1);
  __m128i hgfe = _mm_shuffle_epi32(load(state + 4), 0x1b);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
  __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
  for (; count > 0; --count, blocks += 64) {
    const __m128i abef_before = abef;
    const __m128i cdgh_before = cdgh;
    __m128i words[4];  // the last sixteen words of the message schedule
    for (int i = 0; i < 4; ++i) {
      words[i] = _mm_shuffle_epi8(load(blocks + 16 * i), big_endian);
    }
    for (int group = 0; group < 16; ++group) {
      __m128i& current = words[group % 4];
      if (group >= 4) {
        const __m128i last = words[(group + 3) % 4];
        const __m128i seven_back = _mm_alignr_epi8(last, words[(group + 2) % 4], 4);
        current = _mm_sha256msg1_epu32(current, words[(group + 1) % 4]);
        current = _mm_sha256msg2_epu32(_mm_add_epi32(current, seven_back), last);
      }
      const __m128i keyed = _mm_add_epi32(current, load(kSha256Round + 4 * group));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, keyed);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(keyed, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  auto* const out = reinterpret_cast<__m128i*>(state);
  _mm_storeu_si128(out, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(out + 1, _mm_alignr_epi8(dchg, feba, 8));
}

bool Available() {
  unsigned int a = 0;
  unsigned int b = 0;
  unsigned int c = 0;
  unsigned int d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSE4_1) == 0) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & (1U << 29)) != 0;
}

#elif defined(__aarch64__)

#if defined(__clang__)
#define PWL_SHA_TARGET __attribute__((target("sha2")))
#else
// GCC 12's arm_neon.h gives these functions to callers with AES as well, which are asked for none.
#define PWL_SHA_TARGET __attribute__((target("+crypto")))
#endif

// Each pair of instructions does four rounds (Arm Architecture Reference Manual, SHA256H).
PWL_SHA_TARGET void Blocks(uint32_t* state, const uint8_t* blocks, size_t count) {
  uint32x4_t abcd = vld1q_u32(state);
  uint32x4_t efgh = vld1q_u32(state + 4);
  for (; count > 0; --count, blocks += 64) {
    const uint32x4_t abcd_before = abcd;
    const uint32x4_t efgh_before = efgh;
    uint32x4_t words[4];  // the last sixteen words of the message schedule
    for (int i = 0; i < 4; ++i) {
      words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(blocks + 16 * i)));
    }
    for (int group = 0; group < 16; ++group) {
      uint32x4_t& current = words[group % 4];
      if (group >= 4) {
        current = vsha256su1q_u32(vsha256su0q_u32(current, words[(group + 1) % 4]),
                                  words[(group + 2) % 4], words[(group + 3) % 4]);
      }
      const uint32x4_t keyed = vaddq_u32(current, vld1q_u32(kSha256Round + 4 * group));
      const uint32x4_t abcd_now = abcd;
      abcd = vsha256hq_u32(abcd, efgh, keyed);
      efgh = vsha256h2q_u32(efgh, abcd_now, keyed);
    }
    abcd = vaddq_u32(abcd, abcd_before);
    efgh = vaddq_u32(efgh, efgh_before);
  }
  vst1q_u32(state, abcd);
  vst1q_u32(state + 4, efgh);
}

bool Available() { return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0; }

#endif

}  // namespace

Sha256Blocks HardwareSha256() {
#if defined(__x86_64__) || defined(__aarch64__)
  static const bool available = Available();
  return available ? Blocks : nullptr;
#else
  return nullptr;
#endif
}

}  // namespace pwl
