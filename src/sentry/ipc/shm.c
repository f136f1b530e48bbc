/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V shared memory.
 *
 * A segment is a memfd.  To attach it the process itself maps a descriptor
 * that it is lent for that; the kernel in user space keeps who has attached
 * what.  munmap and mremap are the host's: where it matters what they have done
 * (how many have attached a segment, an address that shmdt does not know), it
 * is read from the process's map.
 */
#include "base/file.h"
#include "sentry/ipc/ids.h"
#include "sentry/ipc/ipc_int.h"
#include "sentry/platform/platform.h"

#include <linux/capability.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

enum {
	PAGE = 4096,
	LOOK_EVERY = 1024,
	MAPS_MAX = 64 << 20,
	SHM_STAT_ANY_ = 15 /* SHM_STAT_ANY: newer than some libcs */
};

struct segment {
	struct ipc_object object;
	uint64_t size;
	int fd;
	ino_t ino; /* by which a map shows it */
	unsigned attached;
	pid_t creator, last;
	time_t attach_time, detach_time, change_time;
};

struct attachment {
	struct list_node of_process;
	struct segment *segment;
	uint64_t addr, len;
	bool seen; /* in the process's map */
};

static struct {
	struct ipc_table ids;
	uint64_t pages;
} shm;

static uint64_t segment_pages(const struct segment *s)
{
	return s->size / PAGE + (s->size % PAGE != 0);
}

static void destroy_segment(struct segment *s)
{
	ipc_remove(&shm.ids, &s->object);
	shm.pages -= segment_pages(s);
	(void)close(s->fd); /* memory alone */
	free(s);
}

static void detach_segment(struct attachment *a, pid_t pid)
{
	struct segment *s = a->segment;

	list_remove(&a->of_process);
	free(a);
	s->detach_time = time(NULL);
	s->last = pid;
	if (--s->attached == 0 && s->object.mode & SHM_DEST)
		destroy_segment(s);
}

void shm_released(struct process *p)
{
	struct attachment *a;

	list_each(a, &p->shm, struct attachment, of_process) detach_segment(a, p->pid);
}

static int attach_segment(struct process *p, struct segment *s, uint64_t addr)
{
	struct attachment *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	*a = (struct attachment){.segment = s, .addr = addr, .len = segment_pages(s) * PAGE, .seen = true};
	list_append(&p->shm, &a->of_process);
	s->attached++;
	return 0;
}

/* ---- what the host has unmapped or moved ---- */

static struct segment *segment_by_inode(ino_t ino)
{
	for (unsigned i = 0; i < shm.ids.size; i++) {
		struct ipc_object *o = shm.ids.slots[i];
		struct segment *s = o ? container_of(o, struct segment, object) : NULL;

		if (s && s->ino == ino)
			return s;
	}
	return NULL;
}

static void see_mapping(struct process *p, struct segment *s, uint64_t addr)
{
	struct attachment *a;

	list_each(a, &p->shm, struct attachment, of_process)
	{
		if (a->segment == s && a->addr == addr) {
			a->seen = true;
			return;
		}
	}
	(void)attach_segment(p, s, addr); /* no memory: it will be seen the next time */
}

/* Brings what a process has attached into line with its map; what cannot be read stays as it is. */
static int look_at_map(struct process *p, void *data unused)
{
	struct attachment *a;
	autofree char *maps = NULL;
	char path[32];
	size_t len;

	if (list_empty(&p->shm))
		return 0;
	(void)snprintf(path, sizeof(path), "%d/maps", p->host_pid);
	if (file_read_at(kernel.proc_fd, path, MAPS_MAX, &maps, &len) < 0 || !len)
		return 0;
	list_each(a, &p->shm, struct attachment, of_process) a->seen = false;
	for (const char *at = maps; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		unsigned long long start, offset, ino;
		int name = 0;

		if (sscanf(at, "%llx-%*x %*s %llx %*x:%*x %llu %n", &start, &offset, &ino, &name) < 3 ||
		    strncmp(at + name, "/memfd:SYSV", strlen("/memfd:SYSV")) != 0)
			continue;
		struct segment *s = segment_by_inode((ino_t)ino);
		if (s)
			see_mapping(p, s, start - offset);
	}
	list_each(a, &p->shm, struct attachment, of_process)
	{
		if (!a->seen)
			detach_segment(a, p->pid);
	}
	return 0;
}

static void look_at_all_maps(void)
{
	(void)process_each(look_at_map, NULL); /* visits all */
}

/* Where something new is, nothing else is any more. */
static void forget_beneath(struct process *p, uint64_t addr, uint64_t len)
{
	struct attachment *a;

	list_each(a, &p->shm, struct attachment, of_process)
	{
		if (a->addr < addr + len && addr < a->addr + a->len)
			detach_segment(a, p->pid);
	}
}

int ipc_forked(struct process *p, const struct process *from)
{
	for (const struct list_node *n = from->shm.next; n != &from->shm; n = n->next) {
		const struct attachment *a = container_of(n, const struct attachment, of_process);
		int r = attach_segment(p, a->segment, a->addr);

		if (r < 0)
			return r;
	}
	return 0;
}

void ipc_executed(struct process *p)
{
	shm_released(p);
}

/* ---- shmget ---- */

static int make_segment(struct task *t, key_t key, uint64_t size, int flags)
{
	struct segment *s;
	uint64_t pages = size / PAGE + (size % PAGE != 0), all;
	struct stat st;
	int r;

	if (size < 1 || size > ipc_limits()->shm_size)
		return -EINVAL;
	if (pages > INT64_MAX / PAGE || __builtin_add_overflow(shm.pages, pages, &all) ||
	    all > ipc_limits()->shm_pages)
		return -ENOSPC;
	if (flags & SHM_HUGETLB)
		return creds_capable(t->creds, CAP_IPC_LOCK) ? -ENOMEM : -EPERM; /* none are set aside */
	shm.ids.limit = ipc_limits()->shm_segments;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct segment){.size = size, .creator = t->process->pid, .change_time = time(NULL)};
	s->fd = memfd_create("SYSV", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)(pages * PAGE)) < 0)
		r = errno == EMFILE || errno == ENFILE ? -ENOSPC : -ENOMEM;
	else if (fstat(s->fd, &st) < 0)
		r = -errno;
	else
		r = ipc_add(&shm.ids, &s->object, key, (unsigned)flags, t->creds);
	if (r < 0) {
		if (s->fd >= 0)
			(void)close(s->fd); /* memory alone */
		free(s);
		return r;
	}
	s->ino = st.st_ino;
	shm.pages += pages;
	return s->object.id;
}

HANDLER(sys_shmget)
{
	int flags = (int)c->args[2], r;
	struct ipc_object *o;

	r = ipc_lookup(&shm.ids, (key_t)c->args[0], flags, &o);
	if (r < 0)
		return r;
	if (r > 0)
		return make_segment(t, (key_t)c->args[0], c->args[1], flags);
	if (container_of(o, struct segment, object)->size < c->args[1])
		return -EINVAL;
	r = ipc_may(t->creds, o, (unsigned)flags & 0777);
	return r < 0 ? r : o->id;
}

/* ---- shmat, shmdt ---- */

/* shmat in its two steps: the mapping, then the end of the descriptor that was lent for it. */
struct lent {
	int fd;
	long result;
};

static void drop_lent(struct task *t, void *data)
{
	const struct lent *l = data;

	platform_lent_ends(t, l->fd, true); /* it was interrupted; -1: it was not */
	free(data);
}

static long keep_attachment(struct task *t, const struct call *c, uint64_t addr)
{
	struct ipc_object *o;
	struct segment *s;
	int r;

	if (ipc_find(&shm.ids, (int)c->args[0], &o) < 0)
		return -EIDRM; /* removed meanwhile; what is mapped stays mapped */
	s = container_of(o, struct segment, object);
	s->attached++; /* to be there after this */
	forget_beneath(t->process, addr, segment_pages(s) * PAGE);
	s->attached--;
	r = attach_segment(t->process, s, addr);
	if (r < 0)
		return r;
	if (s->attached % LOOK_EVERY == 0)
		(void)look_at_map(t->process, NULL);
	s->attach_time = time(NULL);
	s->last = t->process->pid;
	return (long)addr;
}

static long lent_closed(struct task *t, struct call *c, long result, uint64_t scratch)
{
	struct lent *l = c->data;

	(void)result;
	(void)scratch;
	platform_lent_ends(t, l->fd, false);
	l->fd = -1;
	return l->result;
}

static long segment_mapped(struct task *t, struct call *c, long result, uint64_t scratch)
{
	struct lent *l = c->data;

	(void)scratch;
	if (result < 0 && result >= -4095)
		l->result = result == -EEXIST ? -EINVAL : result;
	else
		l->result = keep_attachment(t, c, (uint64_t)result);
	platform_next(t, SYS_close, (const uint64_t[6]){(uint64_t)l->fd}, lent_closed);
	return 0;
}

static long map_segment(struct task *t, struct call *c, const struct segment *s, uint64_t addr, int flags)
{
	bool writes = !(flags & SHM_RDONLY);
	uint64_t prot = PROT_READ | (writes ? PROT_WRITE : 0U) | (flags & SHM_EXEC ? PROT_EXEC : 0U);
	uint64_t how = !addr ? 0U : flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	struct lent *l = calloc(1, sizeof(*l));
	char name[16];
	int fd;

	if (!l)
		return -ENOMEM;
	/* Opened for this, so that mprotect gives no more than was asked for. */
	(void)snprintf(name, sizeof(name), "%d", s->fd);
	fd = openat(kernel.self_fd_fd, name, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	l->fd = fd < 0 ? -ENOMEM : platform_lend(t, fd);
	if (fd >= 0)
		(void)close(fd); /* the process has its own now */
	if (l->fd < 0) {
		int r = l->fd;

		free(l);
		return r;
	}
	c->data = l;
	c->release = drop_lent;
	return platform_call(t, c, SYS_mmap,
			     (const uint64_t[6]){addr, segment_pages(s) * PAGE, prot, MAP_SHARED | how,
						 (uint64_t)l->fd, 0},
			     NULL, 0, segment_mapped);
}

/* Where: 0 and the address (0 = anywhere), or -EINVAL. */
static int address_of(uint64_t at, int flags, uint64_t *ret)
{
	if (at % PAGE && !(flags & SHM_RND))
		return -EINVAL;
	at -= at % PAGE;
	if (at == 0 && flags & SHM_REMAP)
		return -EINVAL;
	*ret = at;
	return 0;
}

HANDLER(sys_shmat)
{
	int id = (int)c->args[0], flags = (int)c->args[2], r;
	unsigned wanted = 0444U | (flags & SHM_RDONLY ? 0 : 0222U) | (flags & SHM_EXEC ? 0111U : 0);
	struct ipc_object *o;
	uint64_t addr;

	r = id < 0 ? -EINVAL : address_of(c->args[1], flags, &addr);
	if (r == 0)
		r = ipc_find(&shm.ids, id, &o);
	if (r == 0)
		r = ipc_may(t->creds, o, wanted);
	return r < 0 ? r : map_segment(t, c, container_of(o, struct segment, object), addr, flags);
}

static long detached(struct task *t, struct call *c, long result, uint64_t scratch)
{
	struct attachment *a;

	(void)scratch;
	if (result < 0)
		return result;
	list_each(a, &t->process->shm, struct attachment, of_process)
	{
		if (a->addr == c->args[0]) {
			detach_segment(a, t->process->pid);
			break;
		}
	}
	return 0; /* it has been unmapped, and may have been seen to be */
}

static struct attachment *attachment_at(const struct process *p, uint64_t addr)
{
	struct attachment *a;

	list_each(a, &p->shm, struct attachment, of_process)
	{
		if (a->addr == addr)
			return a;
	}
	return NULL;
}

HANDLER(sys_shmdt)
{
	const struct attachment *a;

	(void)look_at_map(t->process, NULL); /* munmap of what is another's now would be harm */
	a = attachment_at(t->process, c->args[0]);
	return a ? platform_call(t, c, SYS_munmap, (const uint64_t[6]){a->addr, a->len}, NULL, 0, detached)
		 : -EINVAL;
}

/* ---- shmctl ---- */

static long stat_segment(struct task *t, const struct segment *s, int cmd, uint64_t arg)
{
	struct shmid_ds ds = {.shm_segsz = s->size,
			      .shm_atime = s->attach_time,
			      .shm_dtime = s->detach_time,
			      .shm_ctime = s->change_time,
			      .shm_cpid = s->creator,
			      .shm_lpid = s->last,
			      .shm_nattch = s->attached};
	int r = cmd == SHM_STAT_ANY_ ? 0 : ipc_may(t->creds, &s->object, 0444);

	if (r < 0)
		return r;
	ipc_perm_out(&s->object, &ds.shm_perm);
	if (guest_put(t, arg, &ds) < 0)
		return -EFAULT;
	return cmd == IPC_STAT ? 0 : s->object.id;
}

static long shm_info_put(struct task *t, int cmd, uint64_t arg)
{
	const struct ipc_limits *x = ipc_limits();
	struct shminfo limits = {.shmmax = x->shm_size,
				 .shmmin = 1,
				 .shmmni = x->shm_segments,
				 .shmseg = x->shm_segments,
				 .shmall = x->shm_pages};
	struct shm_info now = {.used_ids = (int)shm.ids.used, .shm_tot = shm.pages};
	int r;

	if (cmd == SHM_INFO) {
		for (unsigned i = 0; i < shm.ids.size; i++) {
			struct stat st;

			if (shm.ids.slots[i] &&
			    fstat(container_of(shm.ids.slots[i], struct segment, object)->fd, &st) == 0)
				now.shm_rss += (unsigned long)st.st_blocks / (PAGE / 512);
		}
	}
	r = cmd == SHM_INFO ? guest_put(t, arg, &now) : guest_put(t, arg, &limits);
	return r < 0 ? r : ipc_highest(&shm.ids);
}

static long shm_control(struct task *t, struct segment *s, int cmd, uint64_t arg)
{
	struct shmid_ds ds;
	int r;

	if (cmd == IPC_SET && guest_get(t, &ds, arg) < 0)
		return -EFAULT;
	r = ipc_may_control(t->creds, &s->object);
	if (r < 0)
		return r;
	if (cmd == IPC_SET) {
		ipc_perm_in(&s->object, &ds.shm_perm);
		s->change_time = time(NULL);
	} else if (s->attached > 0) {
		s->object.mode |= SHM_DEST;
		s->object.key = IPC_PRIVATE;
	} else {
		destroy_segment(s);
	}
	return 0;
}

/* Memory of the sandbox is not swapped apart from the rest of it; the rights are checked as for the real
 * thing. */
static long lock_segment(const struct task *t, struct segment *s, int cmd)
{
	bool owner = t->creds->euid == s->object.uid || t->creds->euid == s->object.cuid;

	if (!creds_capable(t->creds, CAP_IPC_LOCK)) {
		if (!owner)
			return -EPERM;
		if (cmd == SHM_LOCK && t->process->limits[RLIMIT_MEMLOCK].rlim_cur == 0)
			return -EPERM;
	}
	s->object.mode =
		cmd == SHM_LOCK ? s->object.mode | SHM_LOCKED : s->object.mode & ~(unsigned)SHM_LOCKED;
	return 0;
}

HANDLER(sys_shmctl)
{
	int id = (int)c->args[0], cmd = (int)c->args[1], r;
	struct ipc_object *o;
	struct segment *s;

	if (id < 0 || cmd < 0)
		return -EINVAL;
	if (cmd == IPC_INFO || cmd == SHM_INFO)
		return shm_info_put(t, cmd, c->args[2]);
	if (cmd == SHM_STAT || cmd == SHM_STAT_ANY_ || cmd == IPC_STAT || cmd == IPC_RMID)
		look_at_all_maps();
	if (cmd == SHM_STAT || cmd == SHM_STAT_ANY_) {
		o = ipc_slot(&shm.ids, id);
		return o ? stat_segment(t, container_of(o, struct segment, object), cmd, c->args[2])
			 : -EINVAL;
	}
	if (cmd != IPC_STAT && cmd != IPC_SET && cmd != IPC_RMID && cmd != SHM_LOCK && cmd != SHM_UNLOCK)
		return -EINVAL;
	r = ipc_find(&shm.ids, id, &o);
	if (r < 0)
		return r;
	s = container_of(o, struct segment, object);
	if (cmd == IPC_STAT)
		return stat_segment(t, s, cmd, c->args[2]);
	return cmd == SHM_LOCK || cmd == SHM_UNLOCK ? lock_segment(t, s, cmd)
						    : shm_control(t, s, cmd, c->args[2]);
}

void ipc_show_shm(struct synth_text *text)
{
	look_at_all_maps();
	synth_printf(text, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid "
			   " cuid  cgid "
			   "     atime      dtime      ctime                   rss                  swap\n");
	for (unsigned i = 0; i < shm.ids.size; i++) {
		const struct ipc_object *o = shm.ids.slots[i];
		const struct segment *s = o ? container_of(o, const struct segment, object) : NULL;
		struct stat st;

		if (!s || fstat(s->fd, &st) < 0)
			continue;
		synth_printf(
			text,
			"%10d %10d  %4o %21llu %5d %5d  %5u %5u %5u %5u %5u %10ld %10ld %10ld %21lld %21d\n",
			o->key, o->id, o->mode, (unsigned long long)s->size, s->creator, s->last, s->attached,
			o->uid, o->gid, o->cuid, o->cgid, (long)s->attach_time, (long)s->detach_time,
			(long)s->change_time, (long long)st.st_blocks * 512, 0);
	}
}
