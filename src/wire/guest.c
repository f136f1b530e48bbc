/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/guest.h"

#include "base/str.h"

enum { READ_AT_LEAST = 16 << 10 };

int guest_reader_room(struct guest_reader *r, void **ret, size_t *ret_size)
{
	struct guest_frame f;
	size_t wanted = READ_AT_LEAST;

	/* What was given out is done with. */
	if (r->used) {
		memmove(r->buf, r->buf + r->used, r->len - r->used);
		r->len -= r->used;
		r->used = 0;
	}
	if (r->len >= sizeof(f)) {
		memcpy(&f, r->buf, sizeof(f));
		/* guest_reader_next() has refused what is longer than it may be. */
		if (f.len <= r->max_payload && sizeof(f) + f.len > r->len + wanted)
			wanted = sizeof(f) + f.len - r->len;
	}
	if (r->len + wanted > r->size) {
		unsigned char *buf = realloc(r->buf, r->len + wanted);
		if (!buf)
			return -ENOMEM;
		r->buf = buf;
		r->size = r->len + wanted;
	}
	*ret = r->buf + r->len;
	*ret_size = r->size - r->len;
	return 0;
}

void guest_reader_filled(struct guest_reader *r, size_t n)
{
	r->len += n;
}

int guest_reader_next(struct guest_reader *r, struct guest_frame *ret, const void **ret_payload,
		      struct err *err)
{
	size_t left = r->len - r->used;
	struct guest_frame f;

	if (left < sizeof(f))
		return 0;
	memcpy(&f, r->buf + r->used, sizeof(f));
	if (f.len > r->max_payload)
		return err_set(err, EBADMSG, "a message of type %u with %u bytes", f.type, f.len);
	if (left - sizeof(f) < f.len)
		return 0;
	*ret = f;
	*ret_payload = r->buf + r->used + sizeof(f);
	r->used += sizeof(f) + f.len;
	return 1;
}

void guest_reader_free(struct guest_reader *r)
{
	free(r->buf);
	*r = (struct guest_reader){.max_payload = r->max_payload};
}
