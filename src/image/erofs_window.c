/* SPDX-License-Identifier: Apache-2.0 */
#include "image/erofs_window.h"

#include "base/fd.h"
#include "image/erofs_format.h"

int erofs_window_init(struct erofs_window *w, size_t cap, struct err *err)
{
	w->buf = malloc(cap);
	w->cap = cap;
	return w->buf ? 0 : err_oom(err);
}

int erofs_pwrite(int fd, const void *bytes, size_t len, uint64_t at, struct err *err)
{
	const uint8_t *p = bytes;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot write a layer");
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int erofs_window_flush(struct erofs_window *w, int fd, struct err *err)
{
	size_t n = w->used;

	w->used = 0;
	return n > 0 ? erofs_pwrite(fd, w->buf, n, w->at, err) : 0;
}

int erofs_window_put(struct erofs_window *w, int fd, uint64_t at, const void *bytes, size_t len,
		     struct err *err)
{
	uint64_t end = w->at + w->used;
	int r;

	/*
	 * A gap within a block is filling, and ours; behind a longer one lies what others wrote.
	 */
	if (w->used > 0 && at - end < EROFS_BLOCK && at - end + len <= w->cap - w->used) {
		memset(w->buf + w->used, 0, (size_t)(at - end));
		w->used += (size_t)(at - end);
	} else {
		r = erofs_window_flush(w, fd, err);
		if (r < 0)
			return r;
		w->at = at;
		if (len >= w->cap / 2) /* large enough to go without a copy */
			return erofs_pwrite(fd, bytes, len, at, err);
	}
	memcpy(w->buf + w->used, bytes, len);
	w->used += len;
	return 0;
}
