/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  The manifest of a docker-archive may come last, so
 * that nothing can be judged before all of it was read.  Files are spooled
 * one after the other into one file without a name, which is gone with its
 * descriptor, whatever becomes of us; what we keep of each is its name and
 * place.  Nothing is ever made under a name that an archive chose.
 */
#include "image/archive.h"

#include "base/str.h"
#include "base/sys.h"
#include "image/codec.h"
#include "image/tar.h"

#include <sys/stat.h>

enum { ARCHIVE_BUFFER = 256 << 10, ARCHIVE_ENTRIES = 1 << 16, ARCHIVE_LINKS = 8, ARCHIVE_NAME = 1024 };

struct reading_archive {
	struct archive *a;
	struct tar_reader *tar;
	uint8_t *buf;
};

static int archive_add(struct archive *a, char *name, char *link, uint64_t size, struct err *err)
{
	if (a->files.n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 64;
		struct archive_file *v = realloc(a->files.v, cap * sizeof(*v));
		if (!v)
			return err_oom(err);
		a->files.v = v;
		a->cap = cap;
	}
	a->files.v[a->files.n] = (struct archive_file){
		.name = name, .link = link, .offset = a->end, .size = size, .order = a->files.n};
	a->files.n++;
	return 0;
}

/* Where a symbolic link at `name` leads: below the archive's root or nowhere. */
static int link_target(const char *name, const char *target, char **ret, struct err *err)
{
	struct str path autostr = {0};
	const char *slash = strrchr(name, '/');

	if (*target == '/')
		return err_set(err, EINVAL, "the link \"%.200s\" leads out of the archive", name);
	str_put_n(&path, name, slash ? (size_t)(slash - name) : 0);
	str_put(&path, "");
	while (str_starts(target, "../")) {
		char *up = path.s ? strrchr(path.s, '/') : NULL;
		if (path.len == 0)
			return err_set(err, EINVAL, "the link \"%.200s\" leads out of the archive", name);
		path.len = up ? (size_t)(up - path.s) : 0;
		path.s[path.len] = '\0';
		target += 3;
	}
	str_putf(&path, "/%s", target);
	autofree char *whole = str_take(&path);
	return whole ? tar_clean_name(whole, ARCHIVE_NAME, ret, err) : err_oom(err);
}

static int archive_entry(void *data, const struct tar_entry *e, struct err *err)
{
	struct archive *a = ((struct reading_archive *)data)->a;
	autofree char *name = NULL, *link = NULL;

	if (e->type != TAR_FILE && e->type != TAR_SYMLINK && e->type != TAR_HARDLINK)
		return 0;
	int r = tar_clean_name(e->name, ARCHIVE_NAME, &name, err);
	if (r == 0 && e->type == TAR_SYMLINK)
		r = link_target(name, e->link, &link, err);
	if (r == 0 && e->type == TAR_HARDLINK)
		r = tar_clean_name(e->link, ARCHIVE_NAME, &link, err);
	if (r == 0)
		r = archive_add(a, name, link, e->type == TAR_FILE ? e->size : 0, err);
	if (r == 0)
		name = link = NULL;
	return r;
}

static int archive_bytes(void *data, const uint8_t *bytes, size_t len, struct err *err)
{
	struct archive *a = ((struct reading_archive *)data)->a;
	int r = fd_write_all(a->spool, bytes, len);

	if (r < 0)
		return err_num(err, r, "cannot keep the archive's content");
	a->end += len;
	return 0;
}

static int archive_entry_end(void *data, struct err *err)
{
	(void)data;
	(void)err;
	return 0;
}

static uint8_t *archive_buffer(void *data, size_t *ret_size)
{
	*ret_size = ARCHIVE_BUFFER;
	return ((struct reading_archive *)data)->buf;
}

static int archive_write(void *data, const uint8_t *bytes, size_t len, struct err *err)
{
	return tar_reader_feed(((struct reading_archive *)data)->tar, bytes, len, err);
}

static int check_beginning(const uint8_t *p, size_t n, struct err *err)
{
	if (n >= 3 && memcmp(p, "BZh", 3) == 0)
		return err_set(
			err, EOPNOTSUPP,
			"it is compressed with bzip2, which is not read here: bzip2 -dc FILE | coffer load");
	return n == 0 ? err_set(err, EBADMSG, "it is empty") : 0;
}

static int archive_pump(int in_fd, const struct layer_limits *limits, struct reading_archive *ra,
			struct err *err)
{
	struct codec_sink sink = {.buffer = archive_buffer, .write = archive_write, .data = ra};
	__attribute__((cleanup(cleanup_codec))) struct codec *codec = NULL;
	autofree uint8_t *in = malloc(ARCHIVE_BUFFER);
	ssize_t n;

	if (!in)
		return err_oom(err);
	do {
		n = fd_read_full(in_fd, in, ARCHIVE_BUFFER);
		if (n < 0)
			return err_num(err, (int)n, "cannot read it");
		int r = 0;
		if (!codec) {
			r = check_beginning(in, (size_t)n, err);
			if (r == 0)
				r = codec_new(codec_is_xz(in, (size_t)n) ? LAYER_CODEC_XZ : LAYER_CODEC_AUTO,
					      &layer_inflate_zlib, limits, &sink, &codec, err);
		}
		if (r == 0 && n > 0)
			r = codec_feed(codec, in, (size_t)n, err);
		if (r < 0)
			return r;
	} while (n == ARCHIVE_BUFFER);
	int r = codec_finish(codec, err);
	return r < 0 ? r : tar_reader_finish(ra->tar, err);
}

static int archive_read_tar(int in_fd, struct archive *a, struct err *err)
{
	struct layer_limits limits = layer_limits_default;
	autofree uint8_t *buf = malloc(ARCHIVE_BUFFER);
	struct reading_archive ra = {.a = a, .buf = buf};
	struct tar_events events = {
		.entry = archive_entry, .bytes = archive_bytes, .entry_end = archive_entry_end, .data = &ra};
	__attribute__((cleanup(cleanup_tar_reader))) struct tar_reader *tar = NULL;

	if (!buf)
		return err_oom(err);
	limits.entries = ARCHIVE_ENTRIES;
	int r = tar_reader_new(&limits, &events, &tar, err);
	ra.tar = tar;
	return r < 0 ? r : archive_pump(in_fd, &limits, &ra, err);
}

static int compare_files(const void *x, const void *y)
{
	const struct archive_file *a = x, *b = y;
	int c = strcmp(a->name, b->name);

	return c ? c : a->order > b->order ? -1 : 1;
}

int archive_read(struct image_store *s, int in_fd, struct archive *ret, struct err *err)
{
	struct store_path temp;
	struct stat st;

	*ret = (struct archive){.dir = -1, .spool = -1};
	if (fstat(in_fd, &st) < 0)
		return err_sys(err, "cannot look at the archive");
	if (S_ISDIR(st.st_mode)) {
		ret->dir = fcntl(in_fd, F_DUPFD_CLOEXEC, 3);
		return ret->dir < 0 ? err_sys(err, "cannot open the directory") : 0;
	}
	ret->spool = store_temp(s, &temp, err);
	if (ret->spool < 0)
		return ret->spool;
	if (unlinkat(image_store_dirfd(s), temp.s, 0) < 0)
		return err_sys(err, "cannot remove \"%s/%s\"", image_store_root(s), temp.s);
	int r = archive_read_tar(in_fd, ret, err);
	if (r < 0)
		return err_prefix(err, "the archive");
	if (ret->files.n)
		qsort(ret->files.v, ret->files.n, sizeof(*ret->files.v), compare_files);
	return 0;
}

void archive_free(struct archive *a)
{
	cleanup_close(&a->dir);
	cleanup_close(&a->spool);
	for (size_t i = 0; i < a->files.n; i++) {
		free(a->files.v[i].name);
		free(a->files.v[i].link);
	}
	free(a->files.v);
	*a = (struct archive){.dir = -1, .spool = -1};
}

static const struct archive_file *archive_look_up(const struct archive *a, const char *name)
{
	size_t low = 0, high = a->files.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (strcmp(a->files.v[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < a->files.n && streq(a->files.v[low].name, name) ? &a->files.v[low] : NULL;
}

static int find_in_dir(const struct archive *a, const char *name, struct archive_part *ret, struct err *err)
{
	struct stat st;
	autoclose int fd = sys_openat2(a->dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0,
				       RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "cannot open \"%.200s\" of the directory", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "\"%.200s\" of the directory is no regular file", name);
	*ret = (struct archive_part){.fd = take_fd(&fd), .owned = true, .size = (uint64_t)st.st_size};
	return 1;
}

int archive_find(const struct archive *a, const char *name, struct archive_part *ret, struct err *err)
{
	autofree char *clean = NULL;
	int r = tar_clean_name(name, ARCHIVE_NAME, &clean, err);

	if (r < 0)
		return r;
	if (a->dir >= 0)
		return find_in_dir(a, clean, ret, err);
	const struct archive_file *f = archive_look_up(a, clean);
	for (int i = 0; f && f->link; i++) {
		if (i == ARCHIVE_LINKS)
			return err_set(err, ELOOP, "the archive's link \"%.200s\" leads to no file", name);
		f = archive_look_up(a, f->link);
	}
	if (!f)
		return 0;
	*ret = (struct archive_part){.fd = a->spool, .offset = f->offset, .size = f->size};
	return 1;
}

void archive_part_close(struct archive_part *p)
{
	if (p->owned)
		fd_drop(&p->fd);
}

int archive_text(const struct archive *a, const char *name, size_t max, char **ret, size_t *ret_len,
		 struct err *err)
{
	struct archive_part p autopart;
	int r = archive_find(a, name, &p, err);

	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, ENOENT, "\"%.200s\" is not in the archive", name);
	if (p.size > max)
		return err_set(err, E2BIG, "\"%.200s\" of the archive is larger than %zu bytes", name, max);
	autofree char *text = malloc((size_t)p.size + 1);
	if (!text)
		return err_oom(err);
	for (size_t got = 0; got < p.size;) {
		ssize_t n = pread(p.fd, text + got, (size_t)p.size - got, (off_t)(p.offset + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_num(err, n < 0 ? errno : EIO, "cannot read \"%.200s\" of the archive",
				       name);
		got += (size_t)n;
	}
	text[p.size] = '\0';
	*ret_len = (size_t)p.size;
	*ret = take_ptr(&text);
	return 0;
}
