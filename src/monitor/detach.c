/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/detach.h"

#include "monitor/monitor.h"

#include <strings.h>

/* The byte of one key, or -1. */
static int key_byte(const char *key, size_t len)
{
	static const char control[] = "@abcdefghijklmnopqrstuvwxyz[\\]^_";
	const char *found;

	if (len == 1)
		return (unsigned char)*key;
	if (len == 3 && strncasecmp(key, "DEL", 3) == 0)
		return 0x7f;
	if (len != 6 || strncasecmp(key, "ctrl-", 5) != 0)
		return -1;
	found = memchr(control, key[5] >= 'A' && key[5] <= 'Z' ? key[5] | 32 : key[5], sizeof(control) - 1);
	return found ? (int)(found - control) : -1;
}

int detach_parse(const char *text, struct detach *ret, struct err *err)
{
	struct detach d = {0};

	for (const char *p = text; p && *p;) {
		/* A comma alone is a key too: "," or ",,x". */
		size_t len = 1 + strcspn(p + 1, ",");
		int byte = key_byte(p, len);
		if (byte < 0)
			return err_set(err, EINVAL,
				       "invalid detach keys \"%s\": \"%.*s\" is no key; write them as "
				       "\"ctrl-p,ctrl-q\" or \"a,ctrl-]\"",
				       text, (int)MIN_OF(len, (size_t)32), p);
		if (d.n == DETACH_KEYS_MAX)
			return err_set(err, EINVAL, "invalid detach keys \"%s\": more than %d of them", text,
				       DETACH_KEYS_MAX);
		d.keys[d.n++] = (unsigned char)byte;
		p += len;
		if (*p == ',' && !p[1])
			return err_set(err, EINVAL, "invalid detach keys \"%s\": it ends with a comma", text);
		p += *p == ',';
	}
	*ret = d;
	return 0;
}

int monitor_detach_check(const char *text, struct err *err)
{
	struct detach parsed;

	return detach_parse(text, &parsed, err);
}

/* The longest beginning of the sequence that what was typed ends with, now that `c` does not go on. */
static size_t detach_fall_back(const struct detach *d, unsigned char c)
{
	for (size_t n = d->at; n > 0; n--) {
		/* The last n bytes of keys[0..at) + c. */
		size_t skip = d->at + 1 - n;
		if (d->keys[n - 1] == c && memcmp(d->keys + skip, d->keys, n - 1) == 0)
			return n;
	}
	return 0;
}

bool detach_filter(struct detach *d, const unsigned char *in, size_t len, unsigned char *out, size_t *ret_len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (d->n > 0 && in[i] == d->keys[d->at]) {
			if (++d->at < d->n)
				continue;
			d->at = 0;
			*ret_len = n;
			return true;
		}
		size_t keep = detach_fall_back(d, in[i]), held = d->at;
		/* keys[0..held) and this byte were typed; the last `keep` of them are held on. */
		size_t pass = held + 1 - keep;
		memcpy(out + n, d->keys, MIN_OF(pass, held));
		n += MIN_OF(pass, held);
		if (pass > held)
			out[n++] = in[i];
		d->at = keep;
	}
	*ret_len = n;
	return false;
}
