/* SPDX-License-Identifier: Apache-2.0 */
/* A stretch of a file that is being filled, mostly in order, and written in large pieces. */
#pragma once

#include "base/err.h"

struct erofs_window {
	uint64_t at; /* where buf belongs */
	size_t used, cap;
	uint8_t *buf;
};
must_use int erofs_window_init(struct erofs_window *w, size_t cap, struct err *err);
/* Bytes at a position, which never lies before what was put earlier. */
must_use int erofs_window_put(struct erofs_window *w, int fd, uint64_t at, const void *bytes, size_t len,
			      struct err *err);
must_use int erofs_window_flush(struct erofs_window *w, int fd, struct err *err);
must_use int erofs_pwrite(int fd, const void *bytes, size_t len, uint64_t at, struct err *err);
