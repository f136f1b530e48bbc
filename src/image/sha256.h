/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4), streaming: with the processor's own instructions
 * where it has them (SHA-NI, ARMv8 crypto), else portable.
 */
#pragma once

#include "base/base.h"

enum { SHA256_LEN = 32, SHA256_BLOCK = 64 };

struct sha256 {
	uint32_t state[8];
	void (*compress)(uint32_t state[static 8], const uint8_t *blocks, size_t n); /* chosen by init */
	uint64_t total;								     /* bytes so far */
	uint8_t block[SHA256_BLOCK];						     /* total % 64 of them */
};

void sha256_init(struct sha256 *s);
/* Always the portable code: for tests, and where a comparison is wanted. */
void sha256_init_portable(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *data, size_t len);
/* Ends the stream; `s` may go on only from another init. */
void sha256_final(struct sha256 *s, uint8_t ret[static SHA256_LEN]);
/* 64 lower-case hex digits and a NUL. */
void sha256_hex(const uint8_t sum[static SHA256_LEN], char ret[static 65]);
/* Ends the stream; "sha256:HEX" as digests are written: 72 bytes with the NUL. */
void sha256_digest(struct sha256 *s, char ret[static 72]);
