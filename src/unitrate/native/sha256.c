#include "sha256.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_SHA_NI 1
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t ROUNDS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t START[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void portable(uint32_t state[8], const unsigned char block[64])
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8
               | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7]
               + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t sum1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
        uint32_t one = s[7] + sum1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + ROUNDS[i] + w[i];
        uint32_t sum0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
        uint32_t two = sum0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

#ifdef HAS_SHA_NI
/* Intel's instructions keep the state as ABEF and CDGH and do four rounds with one message vector. */
__attribute__((target("sha,sse4.1,ssse3"))) static void hardware(uint32_t state[8], const unsigned char block[64])
{
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_loadu_si128((const __m128i *)state), high = _mm_loadu_si128((const __m128i *)(state + 4));
    __m128i badc = _mm_shuffle_epi32(low, 0xB1), hgfe = _mm_shuffle_epi32(high, 0x1B), w[4];
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
    const __m128i abef_before = abef, cdgh_before = cdgh;
    for (int i = 0; i < 16; i++) {
        __m128i now;
        if (i < 4) {
            now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * i)), order);
        } else {
            __m128i sums = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
            sums = _mm_add_epi32(sums, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
            now = _mm_sha256msg2_epu32(sums, w[(i + 3) & 3]);
        }
        w[i & 3] = now;
        __m128i round = _mm_add_epi32(now, _mm_loadu_si128((const __m128i *)(ROUNDS + 4 * i)));
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, round);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(round, 0x0E));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#endif

static void (*mix)(uint32_t state[8], const unsigned char block[64]) = portable;

int choose_sha256(int allow_hardware)
{
    mix = portable;
#ifdef HAS_SHA_NI
    unsigned int eax, ebx, ecx, edx, wide = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        wide = (ecx >> 9 & 1) & (ecx >> 19 & 1); /* SSSE3 and SSE4.1 */
    if (allow_hardware && wide && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx >> 29 & 1))
        mix = hardware;
#else
    (void)allow_hardware;
#endif
    return mix != portable;
}

typedef struct {
    uint32_t state[8];
    unsigned char block[64];
    size_t filled;
} Hash;

static void feed(Hash *hash, const unsigned char *data, size_t size)
{
    while (size > 0) {
        size_t part = 64 - hash->filled;
        if (part > size)
            part = size;
        memcpy(hash->block + hash->filled, data, part);
        hash->filled += part;
        data += part;
        size -= part;
        if (hash->filled == 64) {
            mix(hash->state, hash->block);
            hash->filled = 0;
        }
    }
}

void half_sha256(const unsigned char *head, size_t head_size, const unsigned char *tail, size_t tail_size,
                 unsigned char into[16])
{
    Hash hash;
    uint64_t bits = (uint64_t)(head_size + tail_size) * 8;
    memcpy(hash.state, START, sizeof START);
    hash.filled = 0;
    feed(&hash, head, head_size);
    feed(&hash, tail, tail_size);
    hash.block[hash.filled++] = 0x80;
    if (hash.filled > 56) {
        memset(hash.block + hash.filled, 0, 64 - hash.filled);
        mix(hash.state, hash.block);
        hash.filled = 0;
    }
    memset(hash.block + hash.filled, 0, 56 - hash.filled);
    for (int i = 0; i < 8; i++)
        hash.block[56 + i] = (unsigned char)(bits >> (56 - 8 * i));
    mix(hash.state, hash.block);
    for (int i = 0; i < 16; i++)
        into[i] = (unsigned char)(hash.state[i / 4] >> (24 - 8 * (i % 4)));
}
