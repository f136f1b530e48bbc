/* SPDX-License-Identifier: Apache-2.0 */
/* /proc: its root, directories by table, and the way to the host's texts (proc.h). */
#include "sentry/proc/proc.h"

#include "base/file.h"
#include "sentry/ipc/ipc.h"
#include "sentry/sys/creds_int.h"

enum { HOST_TEXT_MAX = 64 << 20 }; /* smaps of a large process */

/* ---- directories by table ---- */

static void entry_node(const struct synth_node *dir, const struct proc_entry *e, struct synth_node *ret)
{
	*ret = (struct synth_node){.type = &e->type, .pid = dir->pid, .tid = dir->tid};
}

int proc_lookup(struct task *t, const struct synth_node *dir, const char *name, struct synth_node *ret)
{
	(void)t;
	for (const struct proc_entry *e = proc_entry_of(dir)->children; e->name; e++)
		if (streq(e->name, name)) {
			entry_node(dir, e, ret);
			return 0;
		}
	return -ENOENT;
}

int proc_list(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each, void *data)
{
	uint64_t i = 0;

	(void)t;
	for (const struct proc_entry *e = proc_entry_of(dir)->children; e->name; e++, i++) {
		struct synth_node node;

		if (i < from)
			continue;
		entry_node(dir, e, &node);
		if (!each(data, e->name, &node))
			break;
	}
	return 0;
}

/* ---- the host's texts ---- */

int proc_show_host(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	autofree char *data = NULL;
	size_t len;
	int r = file_read_at(kernel.proc_fd, proc_entry_of(node)->host, HOST_TEXT_MAX, &data, &len);

	(void)t;
	if (r < 0)
		return r;
	synth_write(text, data, len);
	return 0;
}

struct process *proc_process(const struct synth_node *node)
{
	return process_find(node->pid);
}

struct task *proc_task(const struct synth_node *node)
{
	struct process *p = proc_process(node);
	struct task *t;

	if (!p)
		return NULL;
	if (!node->tid)
		return process_task(p);
	t = task_find(node->tid);
	return t && t->process == p ? t : NULL;
}

int proc_host_text(const struct synth_node *node, const char *file, char **ret, size_t *ret_len)
{
	const struct process *p = proc_process(node);
	const struct task *t = proc_task(node);
	char path[96];

	const struct zombie *z = p ? NULL : proc_zombie(node->pid);

	if (!t && !z)
		return -ESRCH;
	if (t && node->tid) {
		(void)snprintf(path, sizeof(path), "%d/task/%d/%s", p->host_pid, t->host_tid, file);
		int r = file_read_at(kernel.proc_fd, path, HOST_TEXT_MAX, ret, ret_len);

		if (r != -ENOENT)
			return r;
		/* What only whole processes have, /proc/TID shows of the thread. */
		(void)snprintf(path, sizeof(path), "%d/%s", t->host_tid, file);
	} else {
		(void)snprintf(path, sizeof(path), "%d/%s", t ? p->host_pid : z->host_pid, file);
	}
	return file_read_at(kernel.proc_fd, path, HOST_TEXT_MAX, ret, ret_len);
}

struct pid_search {
	pid_t host, guest;
};

static int match_pid(struct process *p, void *data)
{
	struct pid_search *s = data;

	if (p->host_pid == s->host)
		s->guest = p->pid;
	return s->guest != 0;
}

pid_t proc_guest_pid(pid_t host_pid)
{
	struct pid_search s = {.host = host_pid};

	process_each(match_pid, &s);
	return s.guest;
}

int proc_finish(struct str *from, struct synth_text *text)
{
	bool failed = from->failed;

	if (!failed)
		synth_write(text, from->s, from->len);
	str_free(from);
	return failed ? -ENOMEM : 0;
}

/* ---- the root ---- */

static ssize_t read_self(struct task *t, const struct synth_node *node, char *buf, size_t size)
{
	(void)node;
	return snprintf(buf, size, "%d", t->process->pid);
}

static ssize_t read_thread_self(struct task *t, const struct synth_node *node, char *buf, size_t size)
{
	(void)node;
	return snprintf(buf, size, "%d/task/%d", t->process->pid, t->tid);
}

static ssize_t read_text(struct task *t, const struct synth_node *node, char *buf, size_t size)
{
	(void)t;
	return snprintf(buf, size, "%s", proc_entry_of(node)->host);
}

#define FIXED_LINK(called, to)                                                                               \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFLNK | 0777, .readlink = read_text}, .host = (to)      \
	}

int proc_show_fixed(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const char *fixed = proc_entry_of(node)->host;

	(void)t;
	synth_write(text, fixed, strlen(fixed));
	return 0;
}

#define FIXED_FILE(called, says)                                                                             \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFREG | 0444, .show = proc_show_fixed}, .host = (says)  \
	}

static const struct proc_entry tty_entries[] = {
	/* ps names terminals by it. */
	FIXED_FILE("drivers", "/dev/tty             /dev/tty        5       0 system:/dev/tty\n"
			      "/dev/console         /dev/console    5       1 system:console\n"
			      "/dev/ptmx            /dev/ptmx       5       2 system\n"
			      "pty_slave            /dev/pts      136 0-1048575 pty:slave\n"
			      "pty_master           /dev/ptm      128 0-1048575 pty:master\n"),
	{.name = NULL},
};

static int show_sysvipc(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const char *name = proc_entry_of(node)->name;

	(void)t;
	if (streq(name, "shm"))
		ipc_show_shm(text);
	else if (streq(name, "sem"))
		ipc_show_sem(text);
	else
		ipc_show_msg(text);
	return 0;
}

static const struct proc_entry sysvipc_entries[] = {
	PROC_FILE("msg", show_sysvipc),
	PROC_FILE("sem", show_sysvipc),
	PROC_FILE("shm", show_sysvipc),
	{.name = NULL},
};

static const struct proc_entry root_entries[] = {
	FIXED_LINK("mounts", "self/mounts"),
	FIXED_LINK("net", "self/net"),
	PROC_LINK("self", read_self, NULL),
	PROC_LINK("thread-self", read_thread_self, NULL),
	/* As with all controllers in the unified hierarchy: a Java machine looks here first. */
	FIXED_FILE("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t1\t1\ncpu\t0\t1\t1\n"
			      "cpuacct\t0\t1\t1\nmemory\t0\t1\t1\npids\t0\t1\t1\n"),
	/* What the boot loader told the machine is nothing of the container's. */
	FIXED_FILE("cmdline", "\n"),
	PROC_FILE("cpuinfo", proc_show_cpuinfo),
	FIXED_FILE("devices",
		   "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n128 ptm\n"
		   "136 pts\n\nBlock devices:\n"),
	FIXED_FILE("diskstats", ""),
	FIXED_FILE("filesystems",
		   "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\tdevtmpfs\nnodev\tsockfs\n"
		   "nodev\tpipefs\nnodev\tdevpts\nnodev\tmqueue\nnodev\toverlay\n\text4\n\terofs\n"),
	PROC_FILE("loadavg", proc_show_loadavg),
	FIXED_FILE("locks", ""),
	PROC_FILE("meminfo", proc_show_meminfo),
	FIXED_FILE("modules", ""),
	FIXED_FILE("partitions", "major minor  #blocks  name\n\n"),
	PROC_FILE("stat", proc_show_machine_stat),
	FIXED_FILE("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
	PROC_DIR("sys", proc_sys_entries),
	PROC_DIR("sysvipc", sysvipc_entries),
	PROC_DIR("tty", tty_entries),
	PROC_HOST("uptime", "uptime"),
	PROC_HOST("version", "version"),
	PROC_HOST("vmstat", "vmstat"),
	{.name = NULL},
};

static bool process_gone(const struct synth_node *node)
{
	return !proc_task(node) && (node->tid || !proc_zombie(node->pid));
}

/* Who has kept a directory open finds nothing in it. */
static int process_lookup(struct task *t, const struct synth_node *dir, const char *name,
			  struct synth_node *ret)
{
	return process_gone(dir) ? -ESRCH : proc_lookup(t, dir, name, ret);
}

/* Of the directory itself it is the process's own, whether it may be inspected or not. */
static void pid_dir_owner(struct task *t, const struct synth_node *node, uid_t *uid, gid_t *gid)
{
	const struct task *of = proc_task(node);
	const struct zombie *z = of ? NULL : proc_zombie(node->pid);
	const struct creds *c = of ? of->creds : z ? z->creds : NULL;

	(void)t;
	if (c) {
		*uid = c->euid;
		*gid = c->egid;
	}
}

static const struct proc_entry pid_dir = {
	.name = "PID",
	.type = {.mode = S_IFDIR | 0555,
		 .lookup = process_lookup,
		 .list = proc_list,
		 .owner = pid_dir_owner,
		 .gone = process_gone},
	.children = proc_pid_entries,
};
static const struct proc_entry tid_dir = {
	.name = "TID",
	.type = {.mode = S_IFDIR | 0555, .lookup = process_lookup, .list = proc_list, .gone = process_gone},
	.children = proc_tid_entries,
};

bool proc_is_pid_dir(const struct synth_node *node)
{
	return node->type == &pid_dir.type;
}

/* A pid as a name: digits without a leading zero. */
static pid_t pid_of_name(const char *name)
{
	uint64_t n;

	if (*name < '1' || *name > '9' || str_to_u64(name, 10, &n) < 0 || n > INT_MAX)
		return 0;
	return (pid_t)n;
}

static int root_lookup(struct task *t, const struct synth_node *dir, const char *name, struct synth_node *ret)
{
	pid_t pid = pid_of_name(name);
	const struct task *thread;

	if (!pid)
		return proc_lookup(t, dir, name, ret);
	/* Threads are found by name, though not listed. */
	thread = task_find(pid);
	if (!thread && !proc_zombie(pid))
		return -ENOENT;
	*ret = (struct synth_node){.type = &pid_dir.type, .pid = thread ? thread->process->pid : pid};
	if (thread && thread->process->pid != pid)
		ret->tid = pid;
	return 0;
}

/*
 * Ids in ascending order, each with where the listing goes on behind it: who lists while processes come and
 * go misses none that stays and sees none twice.
 */
struct id_list {
	pid_t *ids;
	size_t n, room;
	bool failed;
};

static void add_id(struct id_list *l, pid_t id)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		pid_t *bigger = realloc(l->ids, room * sizeof(*bigger));

		if (!bigger) {
			l->failed = true;
			return;
		}
		l->ids = bigger;
		l->room = room;
	}
	l->ids[l->n++] = id;
}

static int add_process(struct process *p, void *data)
{
	add_id(data, p->pid);
	return 0;
}

static void add_zombie(void *data, pid_t pid)
{
	add_id(data, pid);
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

/* Those from `from` - `base` on; frees the list. */
static int list_ids(struct id_list *l, struct synth_node node, uint64_t base, uint64_t from, synth_list *each,
		    void *data)
{
	autofree pid_t *ids = l->ids;
	char name[16];

	if (l->failed)
		return -ENOMEM;
	if (l->n)
		qsort(ids, l->n, sizeof(*ids), compare_pids);
	for (size_t i = 0; i < l->n; i++) {
		if (base + (uint64_t)ids[i] < from)
			continue;
		if (node.type == &pid_dir.type)
			node.pid = ids[i];
		else
			node.tid = ids[i];
		node.after = base + (uint64_t)ids[i] + 1;
		(void)snprintf(name, sizeof(name), "%d", ids[i]);
		if (!each(data, name, &node))
			break;
	}
	return 0;
}

static int root_list(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each,
		     void *data)
{
	const uint64_t fixed = ARRAY_LEN(root_entries) - 1;
	struct id_list l = {0};

	(void)t;
	for (uint64_t i = from; i < fixed; i++) {
		struct synth_node node;

		entry_node(dir, &root_entries[i], &node);
		if (!each(data, root_entries[i].name, &node))
			return 0;
	}
	process_each(add_process, &l);
	proc_each_zombie(add_zombie, &l);
	return list_ids(&l, (struct synth_node){.type = &pid_dir.type}, fixed, from, each, data);
}

static const struct proc_entry proc_root_dir = {
	.name = "proc",
	.type = {.mode = S_IFDIR | 0555, .lookup = root_lookup, .list = root_list},
	.children = root_entries,
};

int proc_root(struct synth_node *ret)
{
	*ret = (struct synth_node){.type = &proc_root_dir.type};
	return 0;
}

/* ---- PID/task ---- */

int proc_task_lookup(struct task *t, const struct synth_node *dir, const char *name, struct synth_node *ret)
{
	struct synth_node node = {.type = &tid_dir.type, .pid = dir->pid, .tid = pid_of_name(name)};

	(void)t;
	if (!node.tid || !proc_task(&node))
		return -ENOENT;
	*ret = node;
	return 0;
}

unsigned proc_task_links(const struct synth_node *dir)
{
	const struct process *p = proc_process(dir);

	return 2 + (p ? proc_count_threads(p) : 0);
}

int proc_task_list(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each, void *data)
{
	const struct process *p = proc_process(dir);
	const struct task *thread;
	struct id_list l = {0};

	(void)t;
	if (!p)
		return -ENOENT;
	list_each(thread, &p->threads, struct task, in_process) add_id(&l, thread->tid);
	return list_ids(&l, (struct synth_node){.type = &tid_dir.type, .pid = p->pid}, 0, from, each, data);
}
