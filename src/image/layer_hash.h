/* SPDX-License-Identifier: Apache-2.0 */
/* The diffID's hash: in the caller's thread, or in one of its own beside it. */
#pragma once

#include "base/err.h"

struct layer_hash;
must_use int layer_hash_new(bool threads, struct layer_hash **ret, struct err *err);
void layer_hash_free(struct layer_hash *h);
/* A buffer to fill and to hand to layer_hash_put(). */
uint8_t *layer_hash_buffer(struct layer_hash *h, size_t *ret_size);
/*
 * Bytes to be hashed, in order; they may be read until the next layer_hash_buffer(), or, where they are no
 * buffer of ours, must stay until layer_hash_wait().
 */
void layer_hash_put(struct layer_hash *h, const uint8_t *bytes, size_t len);
void layer_hash_wait(struct layer_hash *h);
/* "sha256:HEX" of everything. */
void layer_hash_digest(struct layer_hash *h, char ret[static 72]);
