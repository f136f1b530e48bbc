/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is taken apart, answered by the verb of its number, and its reply
 * put together: nothing here knows how either travels.
 *
 * What the guest's kernel is told at INIT, and why:
 *
 * - No opening and closing (ENOSYS to OPEN, OPENDIR, FLUSH): a file is opened
 *   here when it is first read.  What the guest has cached stays valid from
 *   one open to the next until its attributes say otherwise
 *   (AUTO_INVAL_DATA), which are asked for again after the time to live.
 *   So a warm read leaves the guest not at all, and a cold one once.
 * - No WRITEBACK_CACHE: with it the guest's kernel would be the authority for
 *   sizes and times, and what others write to a volume would stay unseen.
 * - POSIX_ACL, DONT_MASK: access lists hold, default ones are inherited; the
 *   host's file system applies the umask where there is none.
 * - HANDLE_KILLPRIV_V2: set-id bits and file capabilities go here; so the
 *   guest need not ask for security.capability at each write.
 * - No locks: they are between processes of the guest, whose kernel keeps
 *   them.  One that waited here would need a thread, and a lock that is held
 *   on the host's file would be the guest's to hold as long as it likes.
 * - No EXPORT_SUPPORT: a node that was forgotten is not found again by number.
 */
#include "vm/share/share_int.h"

#include "base/clock.h"
#include "host/procfs.h"

#include <sys/resource.h>

int request_take(struct request *q, void *ret, size_t size)
{
	if (q->left < size)
		return -EINVAL;
	memcpy(ret, q->p, size);
	q->p += size;
	q->left -= size;
	return 0;
}

int request_text(struct request *q, size_t max, const char **ret)
{
	const uint8_t *end = q->left ? memchr(q->p, 0, q->left) : NULL;
	if (!end)
		return -EINVAL;
	size_t size = (size_t)(end - q->p) + 1;
	if (size > max)
		return -ENAMETOOLONG;
	*ret = (const char *)q->p;
	q->p += size;
	q->left -= size;
	return 0;
}

int request_name(struct request *q, const char **ret)
{
	const char *name;
	int r = request_text(q, NAME_MAX + 1, &name);
	if (r < 0)
		return r;
	if (!*name || streq(name, ".") || streq(name, "..") || strchr(name, '/'))
		return -EINVAL;
	*ret = name;
	return 0;
}

int reply_put(struct reply *r, const void *data, size_t size)
{
	if (size > r->size - r->len)
		return -ERANGE;
	memcpy(r->p + r->len, data, size);
	r->len += size;
	return 0;
}

enum {
	WANTED = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA |
		 FUSE_DO_READDIRPLUS | FUSE_ASYNC_DIO | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS |
		 FUSE_POSIX_ACL | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT |
		 FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT,
	/* Without one of these the verbs here would do the wrong thing, rather than do it slowly. */
	NEEDED = FUSE_AUTO_INVAL_DATA | FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT | FUSE_MAX_PAGES |
		 FUSE_SETXATTR_EXT | FUSE_DONT_MASK,
};

static int verb_init(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_init_in in = {0};
	(void)n; /* it is about none */
	int e = request_take(q, &in, offsetof(struct fuse_init_in, flags2));
	if (e < 0)
		return e;
	if (in.major < FUSE_KERNEL_VERSION || (in.major == FUSE_KERNEL_VERSION && in.minor < 33) ||
	    (in.flags & NEEDED) != NEEDED)
		return -EPROTO;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 36,
		.max_readahead = in.max_readahead,
		.flags = in.flags & WANTED,
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = SHARE_DATA_MAX,
		.time_gran = 1,
		.max_pages = SHARE_DATA_MAX / 4096,
	};
	if (in.major == FUSE_KERNEL_VERSION) { /* else it asks again, by ours */
		nodes_reset(s);		       /* a new mount knows none */
		s->started = true;
	}
	return reply_put(r, &out, sizeof(out));
}

static int verb_destroy(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	(void)n, (void)q, (void)r; /* nothing is said but that */
	nodes_reset(s);
	return 0;
}

struct row {
	verb *run;
	bool writes; /* refused where the share is for reading */
};

/* A verb that is not here is answered with ENOSYS, and the guest's kernel does not ask for it again; of OPEN,
 * OPENDIR, FLUSH, ACCESS, INTERRUPT and the locks that is meant (see above). */
static const struct row rows[] = {
	[FUSE_LOOKUP] = {verb_lookup, false},
	[FUSE_FORGET] = {verb_forget, false},
	[FUSE_GETATTR] = {verb_getattr, false},
	[FUSE_SETATTR] = {verb_setattr, true},
	[FUSE_READLINK] = {verb_readlink, false},
	[FUSE_SYMLINK] = {verb_symlink, true},
	[FUSE_MKNOD] = {verb_mknod, true},
	[FUSE_MKDIR] = {verb_mkdir, true},
	[FUSE_UNLINK] = {verb_unlink, true},
	[FUSE_RMDIR] = {verb_rmdir, true},
	[FUSE_RENAME] = {verb_rename, true},
	[FUSE_LINK] = {verb_link, true},
	[FUSE_READ] = {verb_read, false},
	[FUSE_WRITE] = {verb_write, true},
	[FUSE_STATFS] = {verb_statfs, false},
	[FUSE_RELEASE] = {verb_release, false},
	[FUSE_FSYNC] = {verb_fsync, false},
	[FUSE_SETXATTR] = {verb_setxattr, true},
	[FUSE_GETXATTR] = {verb_getxattr, false},
	[FUSE_LISTXATTR] = {verb_listxattr, false},
	[FUSE_REMOVEXATTR] = {verb_removexattr, true},
	[FUSE_INIT] = {verb_init, false},
	[FUSE_READDIR] = {verb_readdir, false},
	[FUSE_FSYNCDIR] = {verb_fsyncdir, false},
	[FUSE_CREATE] = {verb_create, true},
	[FUSE_DESTROY] = {verb_destroy, false},
	[FUSE_BATCH_FORGET] = {verb_batch_forget, false},
	[FUSE_FALLOCATE] = {verb_fallocate, true},
	[FUSE_READDIRPLUS] = {verb_readdirplus, false},
	[FUSE_RENAME2] = {verb_rename2, true},
	[FUSE_LSEEK] = {verb_lseek, false},
	[FUSE_COPY_FILE_RANGE] = {verb_copy_file_range, true},
	[FUSE_TMPFILE] = {verb_tmpfile, true},
};

static int answer_verb(struct share_server *s, struct request *q, struct reply *r)
{
	const struct row *row = q->head.opcode < ARRAY_LEN(rows) ? &rows[q->head.opcode] : NULL;
	uint32_t op = q->head.opcode;
	if (!row || !row->run)
		return -ENOSYS;
	if (op == FUSE_INIT)
		return verb_init(s, s->root, q, r);
	if (!s->started)
		return -EPROTO;
	if (op == FUSE_BATCH_FORGET || op == FUSE_DESTROY)
		return row->run(s, s->root, q, r);
	struct node *n = node_find(s, q->head.nodeid);
	if (!n)
		return op == FUSE_FORGET ? NO_REPLY : -ESTALE;
	if (row->writes && s->config.readonly)
		return -EROFS;
	if (!row->writes || s->watch_fd < 0)
		return row->run(s, n, q, r);
	struct share_own own;
	watch_before(s, n, q, &own);
	int e = row->run(s, n, q, r);
	watch_read(s, &own);
	return e;
}

size_t share_handle(struct share_server *s, const void *request, size_t len, void *reply, size_t reply_size)
{
	struct request q = {.p = request, .left = len};
	struct fuse_out_header out = {.len = sizeof(out)};
	int e;
	if (reply_size < sizeof(out) || request_take(&q, &q.head, sizeof(q.head)) < 0)
		return 0;
	struct reply r = {.p = (uint8_t *)reply + sizeof(out), .size = reply_size - sizeof(out)};
	size_t extra = (size_t)q.head.total_extlen * 8;
	if (q.head.len != len || extra > q.left) {
		e = -EINVAL;
	} else {
		q.left -= extra; /* none was agreed on */
		s->now_ns = clock_ns(CLOCK_MONOTONIC_COARSE);
		e = answer_verb(s, &q, &r);
	}
	if (e == NO_REPLY)
		return 0;
	if (e < 0) {
		r.len = 0;
		out.error = e < -511 ? -EIO : e; /* the kernel refuses what is no errno of its own */
	}
	out.len += (uint32_t)r.len;
	out.unique = q.head.unique;
	memcpy(reply, &out, sizeof(out));
	return out.len;
}

bool share_idle(struct share_server *s)
{
	s->now_ns = clock_ns(CLOCK_MONOTONIC_COARSE);
	share_close_idle(s, s->now_ns);
	return s->writable > 0;
}

/* As many descriptors as there may be, within reason: each holds memory of the host's kernel. */
static void limit_descriptors(struct share_server *s)
{
	enum { RESERVE = STREAMS + 64, MOST = 16384 };
	struct rlimit l = {.rlim_cur = 1024};
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		struct rlimit more = {.rlim_cur = MIN_OF(l.rlim_max, (rlim_t)MOST + RESERVE),
				      .rlim_max = l.rlim_max};
		if (more.rlim_cur > l.rlim_cur && setrlimit(RLIMIT_NOFILE, &more) == 0)
			l = more;
	}
	size_t n = l.rlim_cur > RESERVE + 512 ? MIN_OF((size_t)l.rlim_cur, (size_t)MOST + RESERVE) - RESERVE
					      : 512;
	s->pinned_max = n / 2;
	s->open_max = n / 4; /* of up to two descriptors each */
}

static int open_self(struct share_server *s, struct err *err)
{
	autoclose int own = s->config.proc_fd < 0 ? procfs_open(err) : -1;
	if (s->config.proc_fd < 0 && own < 0)
		return own;
	s->self_fd = openat(own >= 0 ? own : s->config.proc_fd, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* The working directory too: some calls take no directory. */
	if (s->self_fd < 0 || fchdir(s->self_fd) < 0)
		return err_sys(err, "cannot enter /proc/self/fd");
	return 0;
}

int share_new(const struct share *config, bool confine, struct share_server **ret, struct err *err)
{
	struct share_server *s = calloc(1, sizeof(*s));
	if (!s)
		return err_oom(err);
	*s = (struct share_server){.config = *config, .root_fd = -1, .self_fd = -1, .watch_fd = -1};
	for (int i = 0; i < STREAMS; i++)
		s->streams[i].fd = -1;
	s->fsuid = s->fsgid = s->umask = UINT32_MAX; /* unknown */
	limit_descriptors(s);
	s->root_fd = fcntl(config->root_fd, F_DUPFD_CLOEXEC, 0);
	int r = s->root_fd < 0 ? err_sys(err, "cannot keep the directory to share") : open_self(s, err);
	if (r == 0)
		r = nodes_init(s, err);
	if (r == 0)
		watch_begin(s);
	if (r == 0)
		r = share_confine(s, confine, err);
	if (r < 0) {
		share_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void share_free(struct share_server *s)
{
	if (!s)
		return;
	nodes_free(s);
	watch_end(s);
	fd_drop(&s->root_fd);
	fd_drop(&s->self_fd);
	free(s);
}
