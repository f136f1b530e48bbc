/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor tables: numbers to open file descriptions.
 *
 * An array, with a bitmap of the numbers in use beside it, so that the lowest
 * free one is found 64 at a time, beginning at a hint below which all are
 * taken.
 */
#include "sentry/file.h"
#include "sentry/fs/lock.h"
#include "sentry/platform/platform.h"
#include "sentry/task.h"

#include <sys/resource.h>

enum { FD_CHUNK = 64, ASKED_HOT = 3, FD_LIMIT = 1 << 20 }; /* fs.nr_open's usual value */
enum { FD_ALWAYS = 512, FD_KEPT = 16 }; /* descriptors of the sentry's: free for all; the part that is kept */
enum { SLOT_CLOEXEC = 1, SLOT_INJECTED = 2 };

struct fd_slot {
	struct file *file;
	unsigned char flags, asked;
};

struct fd_table {
	unsigned refs;
	unsigned size;	 /* a multiple of FD_CHUNK */
	unsigned lowest; /* no free number is below */
	struct fd_slot *slots;
	uint64_t *used;
	struct shadows shadows;
};

struct fd_table *fd_table_new(void)
{
	struct fd_table *x = calloc(1, sizeof(*x));

	if (x)
		x->refs = 1;
	return x;
}

struct fd_table *fd_table_ref(struct fd_table *x)
{
	x->refs++;
	return x;
}

/* Makes room for the number. */
static int table_grow(struct fd_table *x, unsigned fd)
{
	unsigned size =
		MAX_OF((fd + FD_CHUNK) / FD_CHUNK * FD_CHUNK, MIN_OF(x->size * 2, (unsigned)FD_LIMIT));
	struct fd_slot *slots;
	uint64_t *used;

	if (fd < x->size)
		return 0;
	slots = reallocarray(x->slots, size, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	x->slots = slots;
	used = reallocarray(x->used, size / FD_CHUNK, sizeof(*used));
	if (!used)
		return -ENOMEM;
	x->used = used;
	memset(slots + x->size, 0, (size - x->size) * sizeof(*slots));
	memset(used + x->size / FD_CHUNK, 0, (size - x->size) / FD_CHUNK * sizeof(*used));
	x->size = size;
	return 0;
}

struct fd_table *fd_table_copy(struct fd_table *x)
{
	struct fd_table *copy = fd_table_new();
	unsigned last = 0;

	if (!copy)
		return NULL;
	for (int fd = fd_next(x, 0); fd >= 0; fd = fd_next(x, fd + 1))
		last = (unsigned)fd;
	if (x->size && table_grow(copy, last) < 0) {
		free(copy->slots);
		free(copy);
		return NULL;
	}
	copy->lowest = x->lowest;
	copy->shadows = x->shadows;
	/* What is lent just now in the stub, the copy of the stub's has as well, and nobody there uses it. */
	for (size_t i = 0; i < ARRAY_LEN(x->shadows.lent); i++)
		copy->shadows.lent[i] |= x->shadows.at_work[i];
	memset(copy->shadows.at_work, 0, sizeof(copy->shadows.at_work));
	for (int fd = fd_next(x, 0); fd >= 0; fd = fd_next(x, fd + 1)) {
		copy->slots[fd].file = file_ref(x->slots[fd].file);
		copy->slots[fd].flags = x->slots[fd].flags; /* the stub's own descriptors are copied, too */
		copy->used[fd / FD_CHUNK] |= UINT64_C(1) << fd % FD_CHUNK;
	}
	return copy;
}

static bool in_use(const struct fd_table *x, int fd)
{
	return fd >= 0 && (unsigned)fd < x->size && x->slots[fd].file;
}

/* Takes the number out; the file is the caller's. */
static struct file *take_slot(struct fd_table *x, int fd)
{
	struct file *f = x->slots[fd].file;

	x->slots[fd] = (struct fd_slot){0};
	x->used[fd / FD_CHUNK] &= ~(UINT64_C(1) << fd % FD_CHUNK);
	x->lowest = MIN_OF(x->lowest, (unsigned)fd);
	return f;
}

/* One reference of the table's to a file goes: what Linux' filp_close does. */
static int drop_file(struct task *t, struct fd_table *x, struct file *f)
{
	int r;

	lock_file_closed(x, f);
	r = f->ops->flush ? f->ops->flush(f, t) : 0;
	file_unref(f);
	return r;
}

void fd_table_unref(struct task *t, struct fd_table *x)
{
	if (!x || --x->refs)
		return;
	/* Out of the table first: to drop one may let the lock go, and /proc shows the table of who ends. */
	for (int fd = fd_next(x, 0); fd >= 0; fd = fd_next(x, fd + 1))
		(void)drop_file(t, x, take_slot(x, fd)); /* nobody is there to be told */
	free(x->slots);
	free(x->used);
	free(x);
}

static int shares_table(struct process *p, void *data)
{
	const struct task *t = data;
	struct task *other;

	if (p == t->process)
		return 0; /* threads that are ending */
	list_each(other, &p->threads, struct task, in_process)
	{
		if (other->files == t->files)
			return 1;
	}
	return 0;
}

/* Another process that shares the table (CLONE_FILES, vfork) keeps its descriptors: the new image has its
 * own. */
void fd_close_on_exec(struct task *t)
{
	struct fd_table *x = t->files;

	if (x->refs > 1 && process_each(shares_table, t) != 0) {
		struct fd_table *mine = fd_table_copy(x);

		if (mine) {
			fd_table_unref(t, x);
			t->files = x = mine;
		}
	}
	for (int fd = fd_next(x, 0); fd >= 0; fd = fd_next(x, fd + 1)) {
		if (x->slots[fd].flags & SLOT_CLOEXEC)
			(void)drop_file(t, x, take_slot(x, fd)); /* likewise */
		else
			x->slots[fd].flags = 0; /* a new image has nothing injected */
	}
	x->shadows = (struct shadows){0};
}

struct file *fd_table_get(const struct fd_table *x, int fd)
{
	return in_use(x, fd) ? x->slots[fd].file : NULL;
}

struct file *fd_get_any(const struct task *t, int fd)
{
	for (int i = 0; t->call.resumed && i < CALL_FDS; i++) {
		if (t->call.held[i] && (int)t->call.args[i] == fd)
			return t->call.held[i];
	}
	return fd_table_get(t->files, fd);
}

struct file *fd_get(const struct task *t, int fd)
{
	struct file *f = fd_get_any(t, fd);

	return f && !(f->flags & O_PATH) ? f : NULL;
}

/* The lowest number >= min that is free; may be the table's size. */
static unsigned lowest_free(const struct fd_table *x, unsigned min)
{
	unsigned fd = MAX_OF(min, x->lowest);

	while (fd < x->size) {
		uint64_t vacant = ~x->used[fd / FD_CHUNK] >> fd % FD_CHUNK;

		if (vacant)
			return fd + (unsigned)__builtin_ctzll(vacant);
		fd = (fd / FD_CHUNK + 1) * FD_CHUNK;
	}
	return fd;
}

static void set_slot(struct fd_table *x, unsigned fd, struct file *f, bool cloexec)
{
	x->slots[fd] = (struct fd_slot){f, cloexec ? SLOT_CLOEXEC : 0};
	x->used[fd / FD_CHUNK] |= UINT64_C(1) << fd % FD_CHUNK;
}

void fd_table_put(struct fd_table *x, int fd, struct file *f, bool cloexec)
{
	if (fd < 0 || table_grow(x, (unsigned)fd) < 0) {
		file_unref(f);
		return;
	}
	set_slot(x, (unsigned)fd, f, cloexec);
	x->lowest = lowest_free(x, 0);
}

static unsigned fd_limit(const struct task *t)
{
	rlim_t limit = t->process->limits[RLIMIT_NOFILE].rlim_cur;

	return limit < FD_LIMIT ? (unsigned)limit : FD_LIMIT;
}

/*
 * A file that is new here may not have one of the sentry's last descriptors: where its limit could not be
 * made higher than the guest's own, all processes' files together use them up, and a birth takes some
 * (which would end the child).  So much is kept as it is of a system's files (ENFILE), but for who has come
 * so far alone.
 */
static int room_of_all(const struct task *t, const struct file *f, unsigned fd)
{
	struct rlimit own;

	if (f->refs > 1 || f->host_fd < FD_ALWAYS || getrlimit(RLIMIT_NOFILE, &own) < 0)
		return 0;
	rlim_t kept = own.rlim_cur / FD_KEPT;
	if ((rlim_t)f->host_fd < own.rlim_cur - kept)
		return 0;
	return fd + 2 * kept >= fd_limit(t) ? -EMFILE : -ENFILE;
}

int fd_install(struct task *t, struct file *f, int min, bool cloexec)
{
	struct fd_table *x = t->files;
	unsigned fd = lowest_free(x, (unsigned)min);
	int r = fd < fd_limit(t) ? room_of_all(t, f, fd) : -EMFILE;

	if (r == 0)
		r = table_grow(x, fd);
	if (r < 0) {
		file_unref(f);
		return r;
	}
	set_slot(x, fd, f, cloexec);
	platform_fd_changed(t, (int)fd);
	if ((unsigned)min <= x->lowest)
		x->lowest = fd + 1;
	return (int)fd;
}

int fd_check_room(const struct task *t)
{
	return lowest_free(t->files, 0) < fd_limit(t) ? 0 : -EMFILE;
}

int fd_install_at(struct task *t, struct file *f, int fd, bool cloexec)
{
	struct fd_table *x = t->files;
	int r = fd >= 0 && (unsigned)fd < fd_limit(t) ? table_grow(x, (unsigned)fd) : -EBADF;

	if (r < 0) {
		file_unref(f);
		return r;
	}
	/* In this order, since to drop one may let the lock go. */
	struct file *old = in_use(x, fd) ? take_slot(x, fd) : NULL;
	set_slot(x, (unsigned)fd, f, cloexec);
	platform_fd_changed(t, fd);
	if (old)
		(void)drop_file(t, x, old); /* dup2 tells nobody either */
	return fd;
}

int fd_close(struct task *t, int fd)
{
	if (!in_use(t->files, fd))
		return -EBADF;
	struct file *f = take_slot(t->files, fd);
	platform_fd_changed(t, fd);
	return drop_file(t, t->files, f);
}

int fd_flags(const struct task *t, int fd)
{
	if (!in_use(t->files, fd))
		return -EBADF;
	return t->files->slots[fd].flags & SLOT_CLOEXEC ? FD_CLOEXEC : 0;
}

int fd_set_flags(struct task *t, int fd, int flags)
{
	struct fd_slot *slot;

	if (!in_use(t->files, fd))
		return -EBADF;
	slot = &t->files->slots[fd];
	slot->flags =
		(unsigned char)((slot->flags & ~SLOT_CLOEXEC) | (flags & FD_CLOEXEC ? SLOT_CLOEXEC : 0));
	return 0;
}

int fd_next(const struct fd_table *x, int from)
{
	unsigned fd = from < 0 ? 0 : (unsigned)from;

	while (fd < x->size) {
		uint64_t rest = x->used[fd / FD_CHUNK] >> fd % FD_CHUNK;

		if (rest)
			return (int)(fd + (unsigned)__builtin_ctzll(rest));
		fd = (fd / FD_CHUNK + 1) * FD_CHUNK;
	}
	return -1;
}

struct shadows *fd_table_shadows(struct fd_table *x)
{
	return &x->shadows;
}

bool fd_table_is_shared(const struct fd_table *x)
{
	return x->refs > 1;
}

int fd_table_split(struct task *t)
{
	struct fd_table *x = t->files, *mine;

	if (x->refs == 1) /* it stays the same one, with the locks that are its */
		return 0;
	/* The stubs go on sharing theirs, which can be both tables' no more. */
	for (int fd = 0; fd < (int)ARRAY_LEN(x->shadows.may_be) * 64; fd++)
		platform_fd_changed(t, fd);
	x->shadows.off = x->shadows.split = true;
	mine = fd_table_copy(x);
	if (!mine)
		return -ENOMEM;
	memset(mine->shadows.lent, 0, sizeof(mine->shadows.lent)); /* each number there is but one table's */
	fd_table_unref(t, x);
	t->files = mine;
	return 0;
}

bool fd_is_hot(struct task *t, int fd)
{
	struct fd_slot *slot = in_use(t->files, fd) ? &t->files->slots[fd] : NULL;

	if (slot && slot->asked < ASKED_HOT)
		slot->asked++;
	return slot && slot->asked >= ASKED_HOT;
}

void fd_mark_injected(struct task *t, int fd)
{
	if (in_use(t->files, fd))
		t->files->slots[fd].flags |= SLOT_INJECTED;
}

bool fd_is_injected(const struct task *t, int fd)
{
	return in_use(t->files, fd) && t->files->slots[fd].flags & SLOT_INJECTED;
}
