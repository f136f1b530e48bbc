/* SPDX-License-Identifier: Apache-2.0 */
#include "image/sha256.h"

/* clang gives the intrinsics only where the whole build is for such a processor. */
#if defined(__aarch64__) && (!defined(__clang__) || defined(__ARM_FEATURE_SHA2))
#define ARM_CRYPTO 1
#else
#define ARM_CRYPTO 0
#endif

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif ARM_CRYPTO
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

static const uint32_t k256[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* ---- portable ---- */

static inline uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static inline uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void compress_portable(uint32_t state[static 8], const uint8_t *p, size_t n)
{
	uint32_t w[64];

	for (; n > 0; n--, p += SHA256_BLOCK) {
		uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
		uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

		for (int i = 0; i < 16; i++)
			w[i] = load_be32(p + i * 4);
		for (int i = 16; i < 64; i++) {
			uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
			uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
			w[i] = w[i - 16] + s0 + w[i - 7] + s1;
		}
		for (int i = 0; i < 64; i++) {
			uint32_t s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
			uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + k256[i] + w[i];
			uint32_t s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
			uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
			h = g;
			g = f;
			f = e;
			e = d + t1;
			d = c;
			c = b;
			b = a;
			a = t1 + t2;
		}
		state[0] += a;
		state[1] += b;
		state[2] += c;
		state[3] += d;
		state[4] += e;
		state[5] += f;
		state[6] += g;
		state[7] += h;
	}
}

/* ---- x86: the SHA extensions ---- */

#if defined(__x86_64__)
/* The instructions want the state as ABEF and CDGH, and give four rounds in two steps. */
__attribute__((target("sha,sse4.1,ssse3"))) static void compress_native(uint32_t state[static 8],
									const uint8_t *p, size_t n)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
	__m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)&state[0]);
	__m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)&state[4]);
	__m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
	__m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);

	for (; n > 0; n--, p += SHA256_BLOCK) {
		const __m128i abef_before = abef, cdgh_before = cdgh;
		__m128i w[4];

		for (int i = 0; i < 4; i++)
			w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + i * 16)),
						swap);
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			__m128i k = _mm_load_si128((const __m128i *)(const void *)&k256[i * 4]);
			__m128i m = _mm_add_epi32(w[i & 3], k);
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, m);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(m, 0x0e));
			if (i < 12) { /* the words of four groups on */
				__m128i x = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
				x = _mm_add_epi32(x, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
				w[i & 3] = _mm_sha256msg2_epu32(x, w[(i + 3) & 3]);
			}
		}
		abef = _mm_add_epi32(abef, abef_before);
		cdgh = _mm_add_epi32(cdgh, cdgh_before);
	}
	__m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128((__m128i *)(void *)&state[0], _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)&state[4], _mm_alignr_epi8(dchg, feba, 8));
}

static bool native_here(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* ---- ARMv8: the crypto extensions ---- */

#elif ARM_CRYPTO
#if !defined(__clang__)
__attribute__((target("+crypto")))
#endif
static void
compress_native(uint32_t state[static 8], const uint8_t *p, size_t n)
{
	uint32x4_t abcd = vld1q_u32(&state[0]), efgh = vld1q_u32(&state[4]);

	for (; n > 0; n--, p += SHA256_BLOCK) {
		const uint32x4_t abcd_before = abcd, efgh_before = efgh;
		uint32x4_t w[4];

		for (int i = 0; i < 4; i++)
			w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p + i * 16)));
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			uint32x4_t m = vaddq_u32(w[i & 3], vld1q_u32(&k256[i * 4])), was = abcd;
			abcd = vsha256hq_u32(abcd, efgh, m);
			efgh = vsha256h2q_u32(efgh, was, m);
			if (i < 12)
				w[i & 3] = vsha256su1q_u32(vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]),
							   w[(i + 2) & 3], w[(i + 3) & 3]);
		}
		abcd = vaddq_u32(abcd, abcd_before);
		efgh = vaddq_u32(efgh, efgh_before);
	}
	vst1q_u32(&state[0], abcd);
	vst1q_u32(&state[4], efgh);
}

static bool native_here(void)
{
	return getauxval(AT_HWCAP) & (1UL << 6); /* HWCAP_SHA2 */
}

#else
#define compress_native compress_portable
static bool native_here(void)
{
	return false;
}
#endif

/* ---- the stream ---- */

void sha256_init_portable(struct sha256 *s)
{
	*s = (struct sha256){
		.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
			  0x5be0cd19},
		.compress = compress_portable,
	};
}

void sha256_init(struct sha256 *s)
{
	/*
	 * CPUID is a trip to the hypervisor in a virtual machine: asked once.
	 * Threads that ask at the same time store the same answer.
	 */
	static int known; /* 0 = not asked, 1 = portable, 2 = native */
	int use = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (use == 0) {
		use = native_here() ? 2 : 1;
		__atomic_store_n(&known, use, __ATOMIC_RELAXED);
	}
	sha256_init_portable(s);
	if (use == 2)
		s->compress = compress_native;
}

void sha256_update(struct sha256 *s, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t have = s->total % SHA256_BLOCK;

	if (len == 0)
		return;
	s->total += len;
	if (have > 0) {
		size_t n = MIN_OF(len, SHA256_BLOCK - have);
		memcpy(s->block + have, p, n);
		p += n;
		len -= n;
		if (have + n < SHA256_BLOCK)
			return;
		s->compress(s->state, s->block, 1);
	}
	if (len >= SHA256_BLOCK) {
		s->compress(s->state, p, len / SHA256_BLOCK);
		p += len - len % SHA256_BLOCK;
		len %= SHA256_BLOCK;
	}
	if (len > 0)
		memcpy(s->block, p, len);
}

void sha256_final(struct sha256 *s, uint8_t ret[static SHA256_LEN])
{
	uint64_t bits = s->total * 8;
	uint8_t pad[SHA256_BLOCK + 8] = {0x80};
	size_t n = (s->total % SHA256_BLOCK < 56 ? 56 : 120) - s->total % SHA256_BLOCK;

	for (int i = 0; i < 8; i++)
		pad[n + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_update(s, pad, n + 8);
	for (int i = 0; i < 8; i++)
		for (int k = 0; k < 4; k++)
			ret[i * 4 + k] = (uint8_t)(s->state[i] >> (24 - 8 * k));
}

void sha256_hex(const uint8_t sum[static SHA256_LEN], char ret[static 65])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < SHA256_LEN; i++) {
		ret[i * 2] = digits[sum[i] >> 4];
		ret[i * 2 + 1] = digits[sum[i] & 15];
	}
	ret[64] = '\0';
}

void sha256_digest(struct sha256 *s, char ret[static 72])
{
	uint8_t sum[SHA256_LEN];

	sha256_final(s, sum);
	memcpy(ret, "sha256:", 7);
	sha256_hex(sum, ret + 7);
}
