/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * A machine that is fed: header block -> (name or PAX records, gathered) ->
 * header block -> body -> padding -> … -> two zero blocks.  Bodies are not
 * copied: they are handed on out of whatever buffer the bytes came in.
 *
 * PAX records wait raw, one behind the other, in one buffer, for the header
 * they are about; then they are cut in place and read (tar_pax.c), so that
 * nothing of theirs is allocated twice and the limit counts all of them.
 *
 * A sparse file's map (tar_sparse.c) is complete before its bytes: in its
 * header, its PAX records, or blocks behind them.
 *
 * What is read one way by one program and another way by the next is
 * refused rather than guessed: unknown types, numbers with rubbish in them.  Global PAX headers are read
 * over, as Docker does.
 */
#include "image/tar_int.h"

enum state {
	STATE_HEADER,
	STATE_META, /* a body that is about the next header */
	STATE_SKIP, /* a body nobody wants */
	STATE_MAP,  /* blocks of a sparse file's map */
	STATE_BODY,
	STATE_PADDING,
	STATE_END, /* behind the end marker anything may stand */
};

struct tar_reader {
	const struct layer_limits *limits;
	const struct tar_events *events;
	enum state state;
	uint8_t block[TAR_BLOCK_SIZE];
	size_t have; /* of block */
	uint64_t left;
	uint32_t padding;
	char meta_type; /* 'x', 'L', 'K' */
	bool zero_block;
	bool in_file; /* entry_end is due after the body */
	struct tar_text pax, long_name, long_link;
	struct tar_pax records;
	struct tar_sparse sparse;
	uint64_t fed; /* bytes that were used */
	uint64_t entries;
	char name_buf[sizeof(((struct tar_header *)0)->prefix) + 1 + 100 + 1], link_buf[100 + 1];
};

int tar_reader_new(const struct layer_limits *limits, const struct tar_events *events,
		   struct tar_reader **ret, struct err *err)
{
	struct tar_reader *t = calloc(1, sizeof(*t));

	if (!t)
		return err_oom(err);
	t->limits = limits;
	t->events = events;
	t->records.sparse = &t->sparse;
	*ret = t;
	return 0;
}

void tar_reader_free(struct tar_reader *t)
{
	if (!t)
		return;
	free(t->pax.s);
	free(t->long_name.s);
	free(t->long_link.s);
	tar_pax_free(&t->records);
	tar_sparse_free(&t->sparse);
	free(t);
}

uint64_t tar_reader_entries(const struct tar_reader *t)
{
	return t->entries;
}

static int damaged(struct tar_reader *t, struct err *err, const char *what)
{
	return err_set(err, EBADMSG, "damaged tar archive: %s (entry %llu)", what,
		       (unsigned long long)t->entries + 1);
}

/* In the binary form the first bit is set; two's complement. */
int tar_header_number(const char *field, size_t len, bool is_signed, int64_t *ret)
{
	const uint8_t *p = (const uint8_t *)field;
	size_t i = 0;

	if (p[0] & 0x80) {
		bool negative = p[0] & 0x40;
		uint64_t v = negative ? ~0ULL : 0;
		if (negative && !is_signed)
			return -EINVAL;
		for (; i < len; i++) {
			uint8_t byte = i == 0 ? (uint8_t)(negative ? p[0] : p[0] & 0x7f) : p[i];
			if (v >> 56 != (negative ? 0xff : 0))
				return -ERANGE;
			v = v << 8 | byte;
		}
		if (negative != (bool)(v >> 63))
			return -ERANGE;
		*ret = (int64_t)v;
		return 0;
	}
	uint64_t v = 0;
	while (i < len && p[i] == ' ')
		i++;
	for (; i < len && p[i] >= '0' && p[i] <= '7'; i++) {
		if (v >> 60)
			return -ERANGE;
		v = v << 3 | (uint64_t)(p[i] - '0');
	}
	for (; i < len; i++)
		if (p[i] != ' ' && p[i] != '\0')
			return -EINVAL;
	*ret = (int64_t)v;
	return 0;
}

#define FIELD(h, f) (h)->f, sizeof((h)->f)

static size_t header_text(char *to, const char *field, size_t len)
{
	size_t n = strnlen(field, len);

	memcpy(to, field, n);
	to[n] = '\0';
	return n;
}

static void header_name(struct tar_reader *t, const struct tar_header *h, bool posix)
{
	size_t n = 0;

	if (posix && h->prefix[0]) {
		n = header_text(t->name_buf, FIELD(h, prefix));
		t->name_buf[n++] = '/';
	}
	(void)header_text(t->name_buf + n, FIELD(h, name)); /* it has room for both */
	(void)header_text(t->link_buf, FIELD(h, linkname));
}

static int entry_type(const struct tar_header *h, const char *name, enum tar_type *ret, struct err *err)
{
	switch (h->typeflag) {
	case '\0':
	case '0':
	case '7':
		/* Before POSIX a slash at the end was what made a directory. */
		*ret = name[0] && name[strlen(name) - 1] == '/' ? TAR_DIR : TAR_FILE;
		return 0;
	case '1':
		*ret = TAR_HARDLINK;
		return 0;
	case '2':
		*ret = TAR_SYMLINK;
		return 0;
	case '3':
		*ret = TAR_CHAR;
		return 0;
	case '4':
		*ret = TAR_BLOCK;
		return 0;
	case '5':
		*ret = TAR_DIR;
		return 0;
	case '6':
		*ret = TAR_FIFO;
		return 0;
	case 'S':
		*ret = TAR_FILE;
		return 0;
	default:
		return err_set(err, EOPNOTSUPP, "\"%.200s\" is of the unknown tar type 0x%02x", name,
			       (unsigned char)h->typeflag);
	}
}

/* Numbers of the header, where no PAX record has them. */
static int entry_numbers(struct tar_reader *t, const struct tar_header *h, struct tar_entry *e,
			 struct err *err)
{
	const struct tar_pax *x = &t->records;
	int64_t mode, uid = 0, gid = 0, size = 0, mtime = 0, major = 0, minor = 0;

	if (tar_header_number(FIELD(h, mode), false, &mode) < 0 ||
	    (!x->has_uid && tar_header_number(FIELD(h, uid), false, &uid) < 0) ||
	    (!x->has_gid && tar_header_number(FIELD(h, gid), false, &gid) < 0) ||
	    (!x->has_size && tar_header_number(FIELD(h, size), false, &size) < 0) ||
	    (!x->has_mtime && tar_header_number(FIELD(h, mtime), true, &mtime) < 0))
		return damaged(t, err, "a number in a header is none");
	if ((e->type == TAR_CHAR || e->type == TAR_BLOCK) &&
	    (tar_header_number(FIELD(h, devmajor), false, &major) < 0 ||
	     tar_header_number(FIELD(h, devminor), false, &minor) < 0))
		return damaged(t, err, "a device number is none");
	uint64_t u = x->has_uid ? x->uid : (uint64_t)uid, g = x->has_gid ? x->gid : (uint64_t)gid;
	if (u >= UINT32_MAX || g >= UINT32_MAX)
		return err_set(err, ERANGE, "\"%.200s\": owner %llu:%llu is out of the range of ids", e->name,
			       (unsigned long long)u, (unsigned long long)g);
	if (major > 0xfff || minor > 0xfffff)
		return err_set(err, ERANGE, "\"%.200s\": there is no device %lld:%lld", e->name,
			       (long long)major, (long long)minor);
	e->mode = (uint32_t)(mode & 07777);
	e->uid = (uint32_t)u;
	e->gid = (uint32_t)g;
	e->size = x->has_size ? x->size : (uint64_t)size;
	e->mtime = x->has_mtime ? x->mtime : mtime;
	e->mtime_nsec = x->has_mtime ? x->mtime_nsec : 0;
	e->major = (uint32_t)major;
	e->minor = (uint32_t)minor;
	return 0;
}

static void forget_meta(struct tar_reader *t)
{
	t->pax.len = t->long_name.len = t->long_link.len = 0;
	tar_pax_reset(&t->records);
}

static int check_entry(struct tar_reader *t, const struct tar_entry *e, struct err *err)
{
	const struct layer_limits *l = t->limits;

	if (!e->name[0])
		return damaged(t, err, "an entry has no name");
	if (strlen(e->name) > l->path_bytes || strlen(e->link) > l->path_bytes)
		return err_set(err, ENAMETOOLONG,
			       "\"%.60s…\": its name or target is longer than %u bytes (limit "
			       "layer.path_bytes)",
			       e->name, l->path_bytes);
	if (++t->entries > l->entries)
		return err_set(err, EFBIG, "more than %llu entries (limit layer.entries)",
			       (unsigned long long)l->entries);
	if (e->size > l->bytes)
		return err_set(err, EFBIG, "\"%.200s\" has %llu bytes, more than %llu (limit layer.bytes)",
			       e->name, (unsigned long long)e->size, (unsigned long long)l->bytes);
	return 0;
}

/* Before the PAX records are forgotten: whether the entry has holes, and its size with them. */
static int begin_sparse(struct tar_reader *t, const struct tar_header *h, struct tar_entry *e,
			struct err *err)
{
	struct tar_sparse *s = &t->sparse;

	if (s->form == TAR_SPARSE_RECORDS) {
		if (h->typeflag == 'S' || e->type != TAR_FILE || s->half || !t->records.sparse_has_size ||
		    (t->records.sparse_major && t->records.sparse_minor))
			return damaged(t, err, "what it says of a sparse file does not fit together");
		if (t->records.sparse_major) {
			if (s->n)
				return damaged(t, err, "a sparse file has two maps");
			s->form = TAR_SPARSE_LINES;
			s->more = true;
		}
	} else if (h->typeflag == 'S') {
		int r = tar_sparse_old(s, t->block, err);
		if (r < 0)
			return r;
	} else {
		return 0;
	}
	e->size = s->size;
	return 0;
}

/* The map is there: what is left are the pieces' bytes. */
static int end_map(struct tar_reader *t, struct err *err)
{
	t->state = STATE_BODY;
	return tar_sparse_begin(&t->sparse, t->left, t->fed & ~(uint64_t)(TAR_BLOCK_SIZE - 1), t->limits,
				err);
}

static int map_block(struct tar_reader *t, struct err *err)
{
	if (t->sparse.form == TAR_SPARSE_LINES) { /* they are a part of the body */
		if (t->left < TAR_BLOCK_SIZE)
			return damaged(t, err, "a sparse file ends in its map");
		t->left -= TAR_BLOCK_SIZE;
	}
	int r = tar_sparse_block(&t->sparse, t->block, err);
	return r == 0 && !t->sparse.more ? end_map(t, err) : r;
}

static int begin_entry(struct tar_reader *t, const struct tar_header *h, struct err *err)
{
	struct tar_entry e = {0};
	bool posix = memcmp(h->magic, "ustar", 6) == 0;
	int r = tar_pax_parse(&t->records, &t->pax, t->limits, err);

	if (r < 0)
		return r;
	header_name(t, h, posix);
	e.name = t->records.sparse_name ? t->records.sparse_name
		 : t->records.path	? t->records.path
		 : t->long_name.len	? t->long_name.s
					: t->name_buf;
	e.link = t->records.linkpath ? t->records.linkpath : t->long_link.len ? t->long_link.s : t->link_buf;
	r = entry_type(h, e.name, &e.type, err);
	if (r == 0)
		r = entry_numbers(t, h, &e, err);
	if (e.type != TAR_FILE)
		e.size = 0; /* as Go's reader has it: no body, whatever the header says */
	if (e.type != TAR_HARDLINK && e.type != TAR_SYMLINK)
		e.link = "";
	e.xattrs = t->records.xattrs;
	e.nxattrs = t->records.nxattrs;
	t->left = e.size;
	t->padding = (uint32_t)(-e.size % TAR_BLOCK_SIZE);
	if (r == 0)
		r = begin_sparse(t, h, &e, err);
	if (r == 0)
		r = check_entry(t, &e, err);
	if (r == 0)
		r = t->events->entry(t->events->data, &e, err);
	if (r < 0)
		return r;
	t->in_file = e.type == TAR_FILE;
	t->state = t->sparse.more ? STATE_MAP : STATE_BODY;
	return t->sparse.form && !t->sparse.more ? end_map(t, err) : 0;
}

static int begin_meta(struct tar_reader *t, const struct tar_header *h, struct err *err)
{
	struct tar_text *text = h->typeflag == 'L'   ? &t->long_name
				: h->typeflag == 'K' ? &t->long_link
						     : &t->pax;
	uint32_t max = h->typeflag == 'x' ? t->limits->pax_bytes : t->limits->path_bytes + 1;
	int64_t size;

	if (tar_header_number(FIELD(h, size), false, &size) < 0)
		return damaged(t, err, "the size of an extended header is none");
	t->left = (uint64_t)size;
	t->padding = (uint32_t)(-(uint64_t)size % TAR_BLOCK_SIZE);
	if (h->typeflag == 'g' || h->typeflag == 'V') {
		if (t->left > t->limits->pax_bytes)
			return err_set(err, EFBIG, "global PAX header of %llu bytes (limit layer.pax_bytes)",
				       (unsigned long long)t->left);
		t->state = STATE_SKIP;
		return 0;
	}
	if (h->typeflag != 'x')
		text->len = 0; /* the last one counts */
	if (t->left > max || text->len + t->left > max)
		return err_set(err, EFBIG, "extended header of %llu bytes (limit %s)",
			       (unsigned long long)t->left,
			       h->typeflag == 'x' ? "layer.pax_bytes" : "layer.path_bytes");
	t->meta_type = h->typeflag;
	t->state = STATE_META;
	return tar_text_reserve(text, (size_t)t->left, err);
}

static int header_block(struct tar_reader *t, struct err *err)
{
	struct tar_header h;
	int64_t sum;

	memcpy(&h, t->block, sizeof(h));
	if (h.name[0] == '\0' && memcmp(&h, (const uint8_t *)&h + 1, sizeof(h) - 1) == 0) {
		if (t->zero_block)
			t->state = STATE_END;
		t->zero_block = true;
		return 0;
	}
	if (t->zero_block)
		return damaged(t, err, "an entry stands behind the end marker's first half");
	if (tar_header_number(FIELD(&h, checksum), false, &sum) < 0 || sum != tar_checksum(&h))
		return damaged(t, err, t->entries ? "a header's checksum is wrong" : "this is no tar header");
	switch (h.typeflag) {
	case 'x':
	case 'g':
	case 'L':
	case 'K':
	case 'V':
		return begin_meta(t, &h, err);
	default:
		return begin_entry(t, &h, err);
	}
}

static int end_body(struct tar_reader *t, struct err *err)
{
	int r = 0;

	if (t->state == STATE_META) {
		struct tar_text *text = t->meta_type == 'L'   ? &t->long_name
					: t->meta_type == 'K' ? &t->long_link
							      : &t->pax;
		text->s[text->len] = '\0';
		if (t->meta_type != 'x')
			text->len = strlen(text->s);
	} else if (t->state == STATE_BODY) {
		if (t->sparse.form)
			r = tar_sparse_end(&t->sparse, t->events, err);
		if (r == 0 && t->in_file)
			r = t->events->entry_end(t->events->data, err);
		forget_meta(t);
	}
	t->in_file = false;
	t->state = STATE_PADDING;
	return r;
}

static int take_body(struct tar_reader *t, const uint8_t *bytes, size_t len, struct err *err)
{
	struct tar_text *text = t->meta_type == 'L'   ? &t->long_name
				: t->meta_type == 'K' ? &t->long_link
						      : &t->pax;

	if (t->state == STATE_BODY && t->sparse.form)
		return tar_sparse_bytes(&t->sparse, bytes, len, t->events, err);
	if (t->state == STATE_BODY)
		return t->events->bytes(t->events->data, bytes, len, err);
	if (t->state == STATE_META) {
		memcpy(text->s + text->len, bytes, len); /* reserved in begin_meta() */
		text->len += len;
	}
	return 0;
}

static int feed_body(struct tar_reader *t, const uint8_t **bytes, size_t *len, struct err *err)
{
	size_t n = (size_t)MIN_OF((uint64_t)*len, t->left);
	int r = 0;

	if (n > 0)
		r = take_body(t, *bytes, n, err);
	*bytes += n;
	*len -= n;
	t->left -= n;
	return r == 0 && t->left == 0 ? end_body(t, err) : r;
}

static int feed_header(struct tar_reader *t, const uint8_t **bytes, size_t *len, struct err *err)
{
	size_t n = MIN_OF(*len, TAR_BLOCK_SIZE - t->have);

	memcpy(t->block + t->have, *bytes, n);
	t->have += n;
	*bytes += n;
	*len -= n;
	if (t->have < TAR_BLOCK_SIZE)
		return 0;
	t->have = 0;
	return t->state == STATE_MAP ? map_block(t, err) : header_block(t, err);
}

/* Bodies of no bytes end where they begin, also at the very end of the input. */
int tar_reader_feed(struct tar_reader *t, const uint8_t *bytes, size_t len, struct err *err)
{
	int r = 0;

	for (size_t before = len; r == 0; t->fed += before - len, before = len) {
		bool empty_body =
			(t->state == STATE_META || t->state == STATE_SKIP || t->state == STATE_BODY) &&
			t->left == 0;
		if (len == 0 && !empty_body)
			return 0;
		if (t->state == STATE_END)
			return 0;
		if (t->state == STATE_HEADER || t->state == STATE_MAP) {
			r = feed_header(t, &bytes, &len, err);
		} else if (t->state == STATE_PADDING) {
			size_t n = MIN_OF(len, (size_t)t->padding);
			t->padding -= (uint32_t)n;
			bytes += n;
			len -= n;
			if (t->padding == 0)
				t->state = STATE_HEADER;
		} else {
			r = feed_body(t, &bytes, &len, err);
		}
	}
	return r;
}

int tar_reader_finish(struct tar_reader *t, struct err *err)
{
	bool last_padding = t->state == STATE_PADDING; /* some writers leave it out */

	if ((t->state == STATE_HEADER && t->have > 0) || t->state == STATE_META || t->state == STATE_SKIP ||
	    t->state == STATE_MAP || t->state == STATE_BODY)
		return damaged(t, err, "it ends in the middle");
	if ((last_padding || t->state == STATE_HEADER) &&
	    (t->pax.len || t->long_name.len || t->long_link.len))
		return damaged(t, err, "an extended header stands at its end");
	return 0;
}
