/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic nodes as files: their attributes, rights, and what is read and
 * written through a descriptor.
 *
 * A file's text is made once, as it is first read, and made again whenever it
 * is read from its beginning: programs that keep /proc/stat open and rewind it
 * see the present.
 */
#include "sentry/synth.h"
#include "base/clock.h"
#include "base/hash.h"
#include "sentry/boot.h"
#include "sentry/fs/way.h"
#include "sentry/task.h"

#include <linux/capability.h>
#include <stdarg.h>
#include <sys/sysmacros.h>

enum { TEXT_FIRST = 512, STORE_MAX = 64 << 10 };

static bool text_room(struct synth_text *x, size_t n)
{
	size_t size = x->size ? x->size : TEXT_FIRST;
	char *buf;

	if (x->failed)
		return false;
	if (x->len + n < x->size)
		return true;
	while (size <= x->len + n)
		size *= 2;
	buf = realloc(x->buf, size);
	if (!buf) {
		x->failed = true;
		return false;
	}
	x->buf = buf;
	x->size = size;
	return true;
}

void synth_write(struct synth_text *x, const void *data, size_t n)
{
	if (!n || !text_room(x, n))
		return;
	memcpy(x->buf + x->len, data, n);
	x->len += n;
}

void synth_printf(struct synth_text *x, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n <= 0 || !text_room(x, (size_t)n))
		return;
	va_start(ap, fmt);
	n = vsnprintf(x->buf + x->len, x->size - x->len, fmt, ap);
	va_end(ap);
	x->len += (size_t)n;
}

/* ---- what the configuration takes away ---- */

static int show_nothing(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	(void)node;
	(void)text;
	return 0;
}

static int find_nothing(struct task *t, const struct synth_node *dir, const char *name,
			struct synth_node *ret)
{
	(void)t;
	(void)dir;
	(void)name;
	(void)ret;
	return -ENOENT;
}

static int list_nothing(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each,
			void *data)
{
	(void)t;
	(void)dir;
	(void)from;
	(void)each;
	(void)data;
	return 0;
}

static const struct synth_type masked_file = {.mode = S_IFREG | 0444, .show = show_nothing};
static const struct synth_type masked_dir = {
	.mode = S_IFDIR | 0555, .lookup = find_nothing, .list = list_nothing};

static bool lists_path(const str_list *paths, const char *path, size_t len)
{
	for (size_t i = 0; i < paths->n; i++)
		if (strlen(paths->v[i]) == len && memcmp(paths->v[i], path, len) == 0)
			return true;
	return false;
}

void synth_confine(const char *path, size_t len, struct synth_node *node)
{
	const struct oci_linux *linux_config = &kernel.boot->config->linux;

	if (lists_path(&linux_config->masked_paths, path, len))
		node->type = S_ISDIR(node->type->mode) ? &masked_dir : &masked_file;
	else if (node->mount && node->mount->shut && lists_path(&linux_config->readonly_paths, path, len))
		node->mount = node->mount->shut;
}

/* ---- attributes and rights ---- */

static void node_owner(struct task *t, const struct synth_node *node, uid_t *uid, gid_t *gid)
{
	struct process *p;
	struct task *leader;

	*uid = 0;
	*gid = 0;
	if (node->type->owner) {
		node->type->owner(t, node, uid, gid);
		return;
	}
	p = node->pid ? process_find(node->pid) : NULL;
	leader = p && p->dumpable ? process_task(p) : NULL;
	if (leader) {
		*uid = leader->creds->euid;
		*gid = leader->creds->egid;
	}
}

/* One number for a node, the same each time: a sum of what it is. */
static uint64_t node_ino(const struct synth_node *node)
{
	const uint64_t parts[] = {(uintptr_t)node->type, (uint32_t)node->pid, (uint32_t)node->tid, node->arg};

	return (fnv_bytes(FNV_START, parts, sizeof(parts)) >> 24) + 1; /* 40 bits: programs print them */
}

/* A walked node's, which knows its mount. */
static bool is_root(const struct synth_node *node)
{
	return node->mount && node->type == node->mount->root.type && node->arg == node->mount->root.arg;
}

int synth_node_stat(struct task *t, const struct synth_node *node, struct statx *ret)
{
	int64_t now = clock_ns(CLOCK_REALTIME);
	struct statx_timestamp at = {.tv_sec = now / 1000000000, .tv_nsec = (uint32_t)(now % 1000000000)};
	uid_t uid;
	gid_t gid;

	if (node->type->gone && node->type->gone(node))
		return -ENOENT;
	node_owner(t, node, &uid, &gid);
	*ret = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = 1024,
		.stx_nlink = node->type->links		 ? node->type->links(node)
			     : S_ISDIR(node->type->mode) ? 2
							 : 1,
		.stx_uid = uid,
		.stx_gid = gid,
		.stx_mode = (uint16_t)node->type->mode,
		.stx_ino = is_root(node) ? 1 : node_ino(node), /* as in procfs, kernfs */
		.stx_size = S_ISLNK(node->type->mode) && node->pid ? 64 : 0,
		.stx_atime = at,
		.stx_mtime = at,
		.stx_ctime = at,
	};
	if (node->mount) {
		ret->stx_dev_major = major(node->mount->dev);
		ret->stx_dev_minor = minor(node->mount->dev);
		if (streq(node->mount->fstype, "sysfs")) {
			ret->stx_blksize = 4096;
			ret->stx_size = S_ISREG(node->type->mode) ? 4096 : 0;
		}
	}
	return 0;
}

int synth_permission(struct task *t, const struct synth_node *node, int mask)
{
	const struct creds *c = t->creds;
	unsigned mode = node->type->mode;
	unsigned want = (mask & R_OK ? 4 : 0) | (mask & W_OK ? 2 : 0) | (mask & X_OK ? 1 : 0);
	uid_t uid;
	gid_t gid;

	node_owner(t, node, &uid, &gid);
	if (c->fsuid == uid)
		mode >>= 6;
	else if (creds_in_group(c, gid))
		mode >>= 3;
	if ((mode & want) == want || (node->type->own && node->pid == t->process->pid))
		return 0;
	if (S_ISDIR(node->type->mode))
		return creds_capable(c, CAP_DAC_OVERRIDE) ||
				       (!(mask & W_OK) && creds_capable(c, CAP_DAC_READ_SEARCH))
			       ? 0
			       : -EACCES;
	if (creds_capable(c, CAP_DAC_OVERRIDE) && (!(mask & X_OK) || node->type->mode & 0111))
		return 0;
	return mask == R_OK && creds_capable(c, CAP_DAC_READ_SEARCH) ? 0 : -EACCES;
}

/* ---- open files ---- */

struct synth_file {
	struct file file;
	struct synth_node node;
	pid_t opener; /* acts where a call has no task of its own (sendfile) */
	bool made;
	struct synth_text text;
};

static struct synth_file *synth_of(struct file *f)
{
	return container_of(f, struct synth_file, file);
}

static void synth_release(struct file *f)
{
	struct synth_file *s = synth_of(f);

	place_unref(f->place);
	free(s->text.buf);
	free(s);
}

static int synth_stat(struct file *f, struct statx *ret)
{
	return synth_node_stat(NULL, &synth_of(f)->node, ret);
}

static int make_text(struct synth_file *s, struct task *t)
{
	struct synth_text text = {0};
	int r;

	if (!s->node.type->show)
		return -EINVAL;
	r = s->node.type->show(t, &s->node, &text);
	if (r == 0 && text.failed)
		r = -ENOMEM;
	if (r < 0) {
		free(text.buf);
		return r;
	}
	free(s->text.buf);
	s->text = text;
	s->made = true;
	return 0;
}

static struct task *acting(struct synth_file *s, const struct io *io)
{
	return io->task ? io->task : task_find(s->opener);
}

static ssize_t synth_file_read(struct file *f, struct io *io)
{
	struct synth_file *s = synth_of(f);
	int64_t pos = io->pos >= 0 ? io->pos : f->pos;
	struct task *t = acting(s, io);
	ssize_t n;
	int r;

	if (!io->left)
		return 0;
	if (!s->made || pos == 0) {
		r = t ? make_text(s, t) : -ESRCH;
		if (r < 0)
			return r;
	}
	if ((uint64_t)pos >= s->text.len)
		return 0;
	n = io_put(io, s->text.buf + pos, MIN_OF(io->left, s->text.len - (size_t)pos));
	if (n > 0 && io->pos < 0)
		f->pos += n;
	return n;
}

static ssize_t synth_file_write(struct file *f, struct io *io)
{
	struct synth_file *s = synth_of(f);
	size_t n = MIN_OF(io->left, (size_t)STORE_MAX);
	struct task *t = acting(s, io);
	char *buf = xfer_buffer();
	ssize_t r;

	if (!s->node.type->store)
		return -EACCES;
	if (!buf)
		return -ENOMEM;
	r = io_get(io, buf, n);
	if (r < 0)
		return r;
	if (!t)
		return -ESRCH;
	buf[r] = '\0'; /* for who reads a number; there is more room than STORE_MAX */
	r = s->node.type->store(t, &s->node, buf, (size_t)r);
	if (r > 0 && io->pos < 0)
		f->pos += r;
	return r;
}

static int64_t synth_seek(struct file *f, int64_t offset, int whence)
{
	int64_t to;

	/* Directories of procfs and kernfs have a size, which is 0; their files have none. */
	if (whence == SEEK_SET || (whence == SEEK_END && S_ISDIR(synth_of(f)->node.type->mode)))
		to = offset;
	else if (whence != SEEK_CUR || __builtin_add_overflow(f->pos, offset, &to))
		return -EINVAL;
	if (to < 0)
		return -EINVAL;
	f->pos = to;
	return to;
}

/* ---- directories ---- */

struct listing {
	struct task *t;
	dirent_sink *sink;
	void *data;
	int64_t next;
};

static bool list_entry(void *data, const char *name, const struct synth_node *node)
{
	struct listing *l = data;

	l->next = node->after ? (int64_t)node->after + 2 : l->next + 1;
	return l->sink(l->data, name, node_ino(node), (unsigned char)(node->type->mode >> 12 & 15), l->next);
}

static int synth_readdir(struct file *f, struct task *t, dirent_sink *sink, void *data)
{
	struct synth_file *s = synth_of(f);
	struct listing l = {.t = t, .sink = sink, .data = data, .next = f->pos};

	if (s->node.type->gone && s->node.type->gone(&s->node))
		return -ENOENT;
	if (l.next == 0 && !list_entry(&l, ".", &s->node))
		return 0;
	if (l.next == 1 && !list_entry(&l, "..", &s->node))
		return 0;
	return s->node.type->list(t, &s->node, (uint64_t)l.next - 2, list_entry, &l);
}

/* There is nothing to cut, and who writes a setting anew may ask for it. */
static int synth_truncate(struct file *f, int64_t size)
{
	(void)f;
	(void)size;
	return 0;
}

static const struct file_ops synth_file_ops = {
	.name = "synthetic",
	.read = synth_file_read,
	.write = synth_file_write,
	.truncate = synth_truncate,
	.seek = synth_seek,
	.stat = synth_stat,
	.release = synth_release,
};

/* Nobody mounts anything inside: what would be told of never happens. */
static uint32_t synth_poll(struct file *f)
{
	(void)f;
	return EPOLLIN | EPOLLRDNORM;
}

static const struct file_ops synth_polled_ops = {
	.name = "synthetic",
	.read = synth_file_read,
	.write = synth_file_write,
	.truncate = synth_truncate,
	.poll = synth_poll,
	.seek = synth_seek,
	.stat = synth_stat,
	.release = synth_release,
};

static const struct file_ops synth_dir_ops = {
	.name = "synthetic directory",
	.seek = synth_seek,
	.readdir = synth_readdir,
	.stat = synth_stat,
	.release = synth_release,
};

int synth_open(struct task *t, const struct synth_node *node, struct place *place, int flags,
	       struct file **ret)
{
	bool dir = S_ISDIR(node->type->mode);
	struct synth_file *s;
	int admitted = node->type->admit && !(flags & O_PATH) ? node->type->admit(t, node) : 0;

	if (admitted < 0)
		return admitted;
	if (node->type->open && !(flags & O_PATH) && !dir) {
		int r = node->type->open(t, node, flags, ret);

		if (r == 0 && !(*ret)->place)
			(*ret)->place = place_ref(place);
		return r;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	file_init(&s->file,
		  dir		       ? &synth_dir_ops
		  : node->type->polled ? &synth_polled_ops
				       : &synth_file_ops,
		  flags);
	s->file.place = place_ref(place);
	s->node = *node;
	s->opener = t->tid;
	*ret = &s->file;
	return 0;
}
