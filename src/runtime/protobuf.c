/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/protobuf.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_varint(struct str *b, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n] = (uint8_t)(v & 0x7f);
		v >>= 7;
		if (v)
			bytes[n] |= 0x80;
		n++;
	} while (v);
	str_put_n(b, bytes, n);
}

void pb_put_int(struct str *b, unsigned field, int64_t value)
{
	put_varint(b, field << 3 | WIRE_VARINT);
	put_varint(b, (uint64_t)value);
}

void pb_put_bytes(struct str *b, unsigned field, const void *data, size_t len)
{
	put_varint(b, field << 3 | WIRE_BYTES);
	put_varint(b, len);
	str_put_n(b, len ? data : "", len);
}

void pb_put_str(struct str *b, unsigned field, const char *value)
{
	if (value)
		pb_put_bytes(b, field, value, strlen(value));
}

static int get_varint(struct pb_in *in, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && in->p < in->end; shift += 7) {
		uint8_t byte = *in->p++;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return -EBADMSG;
}

static int get_bytes(struct pb_in *in, uint64_t len, struct pb_field *f)
{
	if (len > (uint64_t)(in->end - in->p))
		return -EBADMSG;
	f->data = in->p;
	f->len = (size_t)len;
	in->p += len;
	return 0;
}

int pb_next(struct pb_in *in, struct pb_field *ret)
{
	struct pb_field f = {0};
	uint64_t key, len;
	int r;

	if (in->p == in->end)
		return 0;
	r = get_varint(in, &key);
	if (r < 0 || key >> 3 > UINT32_MAX || key >> 3 == 0)
		return -EBADMSG;
	f.number = (unsigned)(key >> 3);
	switch (key & 7) {
	case WIRE_VARINT:
		r = get_varint(in, &f.value);
		break;
	case WIRE_BYTES:
		r = get_varint(in, &len);
		if (r == 0)
			r = get_bytes(in, len, &f);
		break;
	case WIRE_64:
		r = get_bytes(in, 8, &f);
		break;
	case WIRE_32:
		r = get_bytes(in, 4, &f);
		break;
	default:
		r = -EBADMSG;
	}
	if (r < 0)
		return r;
	*ret = f;
	return 1;
}
