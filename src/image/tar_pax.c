/* SPDX-License-Identifier: Apache-2.0 */
/* PAX records: "LENGTH KEY=VALUE\n", where LENGTH counts the whole record (POSIX.1-2017, pax, "pax Header
 * Block"). */
#include "image/tar_int.h"

#include "base/str.h"

#define XATTR_KEY  "SCHILY.xattr."
#define SPARSE_KEY "GNU.sparse."

int tar_text_reserve(struct tar_text *t, size_t more, struct err *err)
{
	size_t need = t->len + more + 1;

	if (need > t->cap) {
		size_t cap = MAX_OF(need, 2 * t->cap);
		char *s = realloc(t->s, cap);
		if (!s)
			return err_oom(err);
		t->s = s;
		t->cap = cap;
	}
	return 0;
}

void tar_pax_reset(struct tar_pax *x)
{
	tar_sparse_reset(x->sparse);
	*x = (struct tar_pax){.xattrs = x->xattrs, .xattrs_cap = x->xattrs_cap, .sparse = x->sparse};
}

void tar_pax_free(struct tar_pax *x)
{
	free(x->xattrs);
	*x = (struct tar_pax){0};
}

static int bad_record(struct err *err, const char *key, const char *why)
{
	return err_set(err, EBADMSG, "damaged PAX header: \"%.100s\" %s", key, why);
}

static int pax_number(const char *key, const char *value, bool *has, uint64_t *ret, struct err *err)
{
	*has = value[0] != '\0';
	if (*has && str_to_u64(value, 10, ret) < 0)
		return bad_record(err, key, "is no number");
	return 0;
}

/* Seconds with a fraction, "-1.5" as well: the nanoseconds count upwards from the second below. */
static int pax_time(struct tar_pax *x, char *value, struct err *err)
{
	char *dot = strchr(value, '.');
	bool negative = value[0] == '-';
	int64_t sec;
	uint32_t nsec = 0, unit = 100000000;

	x->has_mtime = value[0] != '\0';
	if (!x->has_mtime)
		return 0;
	if (dot)
		*dot++ = '\0';
	/* ".5" and "-.5" have no digit before the point. */
	const char *whole = value + negative;
	if (whole[0] == '\0' && dot)
		sec = 0;
	else if (str_to_i64(value, &sec) < 0)
		return bad_record(err, "mtime", "is no time");
	for (; dot && *dot; dot++, unit /= 10) {
		if (*dot < '0' || *dot > '9')
			return bad_record(err, "mtime", "is no time");
		nsec += (uint32_t)(*dot - '0') * unit;
	}
	if (negative && nsec > 0) {
		if (sec == INT64_MIN)
			return bad_record(err, "mtime", "is out of range");
		sec--;
		nsec = 1000000000 - nsec;
	}
	x->mtime = sec;
	x->mtime_nsec = nsec;
	return 0;
}

static int pax_xattr(struct tar_pax *x, const char *name, const char *value, size_t len,
		     const struct layer_limits *limits, struct err *err)
{
	size_t i = 0;

	if (!name[0] || strlen(name) > 255)
		return bad_record(err, name, "is no name of an extended attribute");
	while (i < x->nxattrs && !streq(x->xattrs[i].name, name))
		i++;
	/* Each is looked for among those before it. */
	if (i == TAR_XATTRS_MAX)
		return err_set(err, EFBIG, "more than %d extended attributes of one file", TAR_XATTRS_MAX);
	x->xattr_bytes += strlen(name) + len + 4;
	if (x->xattr_bytes > limits->xattr_bytes)
		return err_set(err, EFBIG,
			       "extended attributes of more than %u bytes in one file (limit "
			       "layer.xattr_bytes)",
			       limits->xattr_bytes);
	if (i == x->xattrs_cap) {
		size_t cap = x->xattrs_cap ? x->xattrs_cap * 2 : 8;
		struct tar_xattr *v = realloc(x->xattrs, cap * sizeof(*v));
		if (!v)
			return err_oom(err);
		x->xattrs = v;
		x->xattrs_cap = cap;
	}
	x->xattrs[i] = (struct tar_xattr){.name = name, .value = value, .len = len};
	if (i == x->nxattrs)
		x->nxattrs++;
	return 0;
}

/* Pieces come one record a number (0.0), as one record (0.1), or stand before the data (1.0). */
static int pax_sparse(struct tar_pax *x, const char *key, const char *value, struct err *err)
{
	struct tar_sparse *s = x->sparse;
	uint64_t number = 0;

	s->form = s->form ? s->form : TAR_SPARSE_RECORDS;
	if (streq(key, "name")) {
		x->sparse_name = *value ? value : NULL;
		return 0;
	}
	if (streq(key, "map"))
		return tar_sparse_map(s, value, err);
	if (str_to_u64(value, 10, &number) < 0)
		return bad_record(err, key, "is no number");
	if (streq(key, "size") || streq(key, "realsize")) {
		x->sparse_has_size = true;
		s->size = number;
	} else if (streq(key, "numblocks")) {
		s->has_count = true;
		s->count = number;
	} else if (streq(key, "offset") || streq(key, "numbytes")) {
		if (s->half == (*key == 'o'))
			return bad_record(err, key, "stands alone");
		s->half = *key == 'o';
		if (!s->half)
			return tar_sparse_add(s, s->offset, number, err);
		s->offset = number;
	} else if (streq(key, "major")) {
		if (number > 1)
			return err_set(err, EOPNOTSUPP, "a sparse file of version %llu is not known",
				       (unsigned long long)number);
		x->sparse_major = number == 1;
	} else if (streq(key, "minor") && number <= 1) {
		x->sparse_minor = number == 1;
	} else {
		return err_set(err, EOPNOTSUPP, "a sparse file in a form that is not known (%s=%s)", key,
			       value);
	}
	return 0;
}

/* `value` ends with a NUL at value[len]; attributes may hold others. */
static int pax_record(struct tar_pax *x, const char *key, char *value, size_t len,
		      const struct layer_limits *limits, struct err *err)
{
	if (str_starts(key, XATTR_KEY))
		return pax_xattr(x, key + strlen(XATTR_KEY), value, len, limits, err);
	bool text = streq(key, "path") || streq(key, "linkpath") || str_starts(key, SPARSE_KEY);
	if (text && strlen(value) != len)
		return bad_record(err, key, "has a NUL byte in it");
	if (str_starts(key, SPARSE_KEY))
		return pax_sparse(x, key + strlen(SPARSE_KEY), value, err);
	if (streq(key, "path"))
		x->path = len ? value : NULL;
	else if (streq(key, "linkpath"))
		x->linkpath = len ? value : NULL;
	else if (streq(key, "size"))
		return pax_number(key, value, &x->has_size, &x->size, err);
	else if (streq(key, "uid"))
		return pax_number(key, value, &x->has_uid, &x->uid, err);
	else if (streq(key, "gid"))
		return pax_number(key, value, &x->has_gid, &x->gid, err);
	else if (streq(key, "mtime"))
		return pax_time(x, value, err);
	return 0; /* hdrcharset, atime, names of owners, comments: nothing that a layer keeps */
}

int tar_pax_parse(struct tar_pax *x, struct tar_text *text, const struct layer_limits *limits,
		  struct err *err)
{
	char *p = text->s, *end = text->s + text->len;

	tar_pax_reset(x);
	if (text->len == 0)
		return 0;
	while (p < end) {
		uint64_t len = 0;
		char *q = p;
		for (; q < end && *q >= '0' && *q <= '9' && len <= text->len; q++)
			len = len * 10 + (uint64_t)(*q - '0');
		/* Length, blank, a key of one byte, '=', and the line's end. */
		if (q == p || q == end || *q != ' ' || len > (uint64_t)(end - p) ||
		    len < (uint64_t)(q - p) + 4 || p[len - 1] != '\n')
			return bad_record(err, "?", "is no record");
		char *key = q + 1, *last = p + len - 1;
		char *eq = memchr(key, '=', (size_t)(last - key));
		if (!eq || eq == key || memchr(key, '\0', (size_t)(eq - key)))
			return bad_record(err, "?", "is no record");
		*eq = '\0';
		*last = '\0';
		int r = pax_record(x, key, eq + 1, (size_t)(last - eq - 1), limits, err);
		if (r < 0)
			return r;
		p += len;
	}
	return 0;
}
