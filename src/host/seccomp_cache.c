/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled profiles on disk.
 *
 * A file is named by a hash of the profile's canonical text, and holds the
 * whole text beside the program: what counts is that the texts are equal, so
 * that a collision of the hash is a miss and nothing else.  Only a directory
 * and files of our own that nobody else may write are looked at; what is
 * read is checked for size, checksum and sound instructions, and anything odd
 * is a miss too.  The order of the bytes is the machine's: the architecture is
 * part of the text.
 */
#include "host/seccomp_int.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"

#include <dirent.h>
#include <sys/stat.h>

enum {
	CACHE_FILES_MAX = 64,
	CACHE_FILE_BYTES_MAX = 4 << 20,
};

static const char magic[8] = "coffSCB1";
static const char prefix[] = "seccomp-";

struct cache_head {
	char magic[8];
	uint64_t sum; /* of all that follows */
	uint32_t text_len, insns, flags, notify;
};

/* By words of eight bytes: good enough to name files, fast enough for every start. */
static uint64_t hash_of(const void *data, size_t len, uint64_t h)
{
	const unsigned char *p = data;
	uint64_t w;

	for (; len >= sizeof(w); len -= sizeof(w), p += sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		h = fnv_step(h, w);
		h ^= h >> 29;
	}
	h = fnv_bytes(h, p, len);
	return h ^ h >> 32;
}

static bool is_ours(const struct stat *st)
{
	return st->st_uid == geteuid() && !(st->st_mode & 022);
}

struct cache_name {
	char s[40];
};

static bool name_of(int dirfd, const char *text, size_t len, struct cache_name *ret)
{
	struct stat st;

	if (dirfd < 0 || len > CACHE_FILE_BYTES_MAX / 2 || fstat(dirfd, &st) < 0 || !S_ISDIR(st.st_mode) ||
	    !is_ours(&st))
		return false;
	(void)snprintf(ret->s, sizeof(ret->s), "%s%016llx", prefix,
		       (unsigned long long)hash_of(text, len, FNV_START)); /* always fits */
	return true;
}

static uint64_t sum_of(const struct cache_head *h, const void *text, const void *prog)
{
	uint64_t sum = hash_of(&h->text_len, sizeof(*h) - offsetof(struct cache_head, text_len), FNV_START);

	sum = hash_of(text, h->text_len, sum);
	return hash_of(prog, h->insns * sizeof(struct sock_filter), sum);
}

static bool take_filter(const char *data, size_t size, const char *text, size_t text_len,
			struct seccomp_filter *ret)
{
	struct cache_head h;

	if (size < sizeof(h))
		return false;
	memcpy(&h, data, sizeof(h));
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 || h.text_len != text_len || h.insns == 0 ||
	    h.insns > BPF_MAXINSNS || size != sizeof(h) + text_len + h.insns * sizeof(struct sock_filter))
		return false;
	const char *stored = data + sizeof(h), *code = stored + text_len;
	if (memcmp(stored, text, text_len) != 0 || h.sum != sum_of(&h, stored, code))
		return false;
	struct sock_filter *prog = calloc(h.insns, sizeof(*prog));
	if (!prog)
		return false;
	memcpy(prog, code, h.insns * sizeof(*prog));
	if (!seccomp_bpf_valid(prog, h.insns)) {
		free(prog);
		return false;
	}
	*ret = (struct seccomp_filter){
		.prog = prog, .len = (unsigned short)h.insns, .flags = h.flags, .notify = h.notify != 0};
	return true;
}

int seccomp_cache_get(int dirfd, const char *text, size_t text_len, struct seccomp_filter *ret)
{
	struct cache_name name;
	struct stat st;
	size_t size;

	if (!name_of(dirfd, text, text_len, &name))
		return 0;
	autoclose int fd = openat(dirfd, name.s, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !is_ours(&st) || st.st_size <= 0 ||
	    st.st_size > CACHE_FILE_BYTES_MAX)
		return 0;
	size = (size_t)st.st_size;
	autofree char *data = malloc(size);
	if (!data || fd_read_full(fd, data, size) != (ssize_t)size)
		return 0;
	return take_filter(data, size, text, text_len, ret);
}

/* Removes the oldest file while there are too many. */
static void evict(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		if (fd >= 0)
			(void)close(fd); /* the cache is only too large then */
		return;
	}
	for (size_t count = CACHE_FILES_MAX + 1; count > CACHE_FILES_MAX;) {
		char oldest[NAME_MAX + 1] = "";
		struct timespec when = {0};
		struct dirent *d;

		count = 0;
		rewinddir(dir);
		while ((d = readdir(dir))) {
			struct stat st;
			if (!str_starts(d->d_name, prefix) ||
			    fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			count++;
			if (!*oldest || st.st_mtim.tv_sec < when.tv_sec ||
			    (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec < when.tv_nsec)) {
				(void)snprintf(oldest, sizeof(oldest), "%s", d->d_name); /* always fits */
				when = st.st_mtim;
			}
		}
		if (count > CACHE_FILES_MAX && unlinkat(dirfd, oldest, 0) < 0)
			break;
	}
	(void)closedir(dir);
}

void seccomp_cache_put(int dirfd, const char *text, size_t text_len, const struct seccomp_filter *f)
{
	struct cache_head h = {
		.text_len = (uint32_t)text_len, .insns = f->len, .flags = f->flags, .notify = f->notify};
	struct str file autostr = {0};
	struct cache_name name;

	if (!name_of(dirfd, text, text_len, &name))
		return;
	memcpy(h.magic, magic, sizeof(magic));
	h.sum = sum_of(&h, text, f->prog);
	str_put_n(&file, &h, sizeof(h));
	str_put_n(&file, text, text_len);
	str_put_n(&file, f->prog, f->len * sizeof(*f->prog));
	/* A cache that cannot be written is no cache; the next start compiles again. */
	if (!file.failed && file_replace_at(dirfd, name.s, file.s, file.len, 0600, false) == 0)
		evict(dirfd);
}
