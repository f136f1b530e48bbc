/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Always the same bytes for the same entries: no times of ours, no names of
 * owners, PAX records in a fixed order and only where ustar has no room.
 */
#include "image/tar.h"
#include "image/tar_header.h"

#include "base/str.h"

static const uint8_t zeros[TAR_BLOCK_SIZE];

enum { OCTAL_7 = 07777777 };
#define OCTAL_11 077777777777ULL

/* len - 1 octal digits and a NUL; what has no room is 0 (a PAX record says it). */
static void put_octal(char *field, size_t len, uint64_t value)
{
	field[len - 1] = '\0';
	for (size_t i = len - 1; i > 0; i--, value >>= 3)
		field[i - 1] = (char)('0' + (value & 7));
}

static void put_field(char *field, size_t len, const char *text)
{
	memcpy(field, text, MIN_OF(strlen(text), len));
}

/* The length that stands before a record counts its own digits. */
static void put_record(struct str *b, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, total = rest + 1;

	for (size_t digits = 1, limit = 10; total >= limit; limit *= 10)
		total = rest + ++digits;
	str_putf(b, "%zu %s=", total, key);
	str_put_n(b, value, len);
	str_put_n(b, "\n", 1);
}

static void put_number_record(struct str *b, const char *key, uint64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

	put_record(b, key, text, (size_t)n);
}

static void put_time_record(struct str *b, int64_t sec, uint32_t nsec)
{
	char text[48];
	int n;

	if (sec < 0 && nsec > 0) /* from -2 s + 0.5 s to "-1.5" */
		n = snprintf(text, sizeof(text), "-%llu.%09u", (unsigned long long)-(sec + 1),
			     1000000000 - nsec);
	else if (nsec > 0)
		n = snprintf(text, sizeof(text), "%lld.%09u", (long long)sec, nsec);
	else
		n = snprintf(text, sizeof(text), "%lld", (long long)sec);
	while (nsec > 0 && text[n - 1] == '0')
		n--;
	put_record(b, "mtime", text, (size_t)n);
}

static int pax_of(const struct tar_entry *e, const char *name, struct str *b, struct err *err)
{
	for (size_t i = 0; i < e->nxattrs; i++) {
		autofree char *key = str_format("SCHILY.xattr.%s", e->xattrs[i].name);
		if (!key)
			return err_oom(err);
		put_record(b, key, e->xattrs[i].value, e->xattrs[i].len);
	}
	if (e->gid > OCTAL_7)
		put_number_record(b, "gid", e->gid);
	if (strlen(e->link) > sizeof(((struct tar_header *)0)->linkname))
		put_record(b, "linkpath", e->link, strlen(e->link));
	if (e->mtime < 0 || (uint64_t)e->mtime > OCTAL_11 || e->mtime_nsec > 0)
		put_time_record(b, e->mtime, e->mtime_nsec);
	if (strlen(name) > sizeof(((struct tar_header *)0)->name))
		put_record(b, "path", name, strlen(name));
	if (e->size > OCTAL_11)
		put_number_record(b, "size", e->size);
	if (e->uid > OCTAL_7)
		put_number_record(b, "uid", e->uid);
	return b->failed ? err_oom(err) : 0;
}

static int put_header(struct tar_writer *w, struct tar_header *h, struct err *err)
{
	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	put_octal(h->checksum, 7, tar_checksum(h));
	h->checksum[7] = ' ';
	return w->sink(w->data, h, sizeof(*h), err);
}

static int put_pax(struct tar_writer *w, const struct str *records, struct err *err)
{
	struct tar_header h = {.typeflag = 'x'};
	size_t pad = -records->len % TAR_BLOCK_SIZE;

	put_field(h.name, sizeof(h.name), "PaxHeaders/entry");
	put_octal(h.mode, sizeof(h.mode), 0644);
	put_octal(h.uid, sizeof(h.uid), 0);
	put_octal(h.gid, sizeof(h.gid), 0);
	put_octal(h.size, sizeof(h.size), records->len);
	put_octal(h.mtime, sizeof(h.mtime), 0);
	int r = put_header(w, &h, err);
	if (r == 0)
		r = w->sink(w->data, records->s, records->len, err);
	return r == 0 && pad > 0 ? w->sink(w->data, zeros, pad, err) : r;
}

int tar_write_entry(struct tar_writer *w, const struct tar_entry *e, struct err *err)
{
	static const char types[] = {
		[TAR_FILE] = '0',  [TAR_HARDLINK] = '1', [TAR_SYMLINK] = '2', [TAR_CHAR] = '3',
		[TAR_BLOCK] = '4', [TAR_DIR] = '5',	 [TAR_FIFO] = '6'};
	size_t len = strlen(e->name);
	bool slash = e->type == TAR_DIR && (len == 0 || e->name[len - 1] != '/');
	autofree char *name = str_format("%s%s", e->name, slash ? "/" : "");
	struct str records autostr = {0};
	struct tar_header h = {.typeflag = types[e->type]};
	uint64_t size = e->type == TAR_FILE ? e->size : 0;
	int r = name ? pax_of(e, name, &records, err) : err_oom(err);

	if (r == 0 && records.len > 0)
		r = put_pax(w, &records, err);
	if (r < 0)
		return r;
	put_field(h.name, sizeof(h.name), name);
	put_field(h.linkname, sizeof(h.linkname), e->link);
	put_octal(h.mode, sizeof(h.mode), e->mode & 07777);
	put_octal(h.uid, sizeof(h.uid), e->uid > OCTAL_7 ? 0 : e->uid);
	put_octal(h.gid, sizeof(h.gid), e->gid > OCTAL_7 ? 0 : e->gid);
	put_octal(h.size, sizeof(h.size), size > OCTAL_11 ? 0 : size);
	put_octal(h.mtime, sizeof(h.mtime),
		  e->mtime < 0 || (uint64_t)e->mtime > OCTAL_11 ? 0 : (uint64_t)e->mtime);
	put_octal(h.devmajor, sizeof(h.devmajor), e->major);
	put_octal(h.devminor, sizeof(h.devminor), e->minor);
	w->left = size;
	w->pad = (uint32_t)(-size % TAR_BLOCK_SIZE);
	return put_header(w, &h, err);
}

int tar_write_bytes(struct tar_writer *w, const void *bytes, size_t len, struct err *err)
{
	if (len > w->left)
		return err_set(err, EINVAL, "more bytes for a tar entry than its header said");
	int r = len > 0 ? w->sink(w->data, bytes, len, err) : 0;
	w->left -= len;
	if (r == 0 && w->left == 0 && w->pad > 0) {
		uint32_t pad = w->pad;
		w->pad = 0;
		r = w->sink(w->data, zeros, pad, err);
	}
	return r;
}

int tar_write_end(struct tar_writer *w, struct err *err)
{
	int r = w->sink(w->data, zeros, sizeof(zeros), err);

	return r == 0 ? w->sink(w->data, zeros, sizeof(zeros), err) : r;
}
