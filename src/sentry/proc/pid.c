/* SPDX-License-Identifier: Apache-2.0 */
/* PID/ and PID/task/TID/: the entries, and those files that need few lines. */
#include "sentry/file.h"
#include "sentry/proc/proc.h"
#include "sentry/sys/creds_int.h"
#include "base/file.h"

/* ---- what the host says ---- */

/* A file of the host's /proc/PID under the entry's own name. */
static int show_own_name(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	autofree char *data = NULL;
	size_t len;
	int r = proc_host_text(node, proc_entry_of(node)->name, &data, &len);

	(void)t;
	if (r == 0)
		synth_write(text, data, len);
	return r;
}

/* ... of those that only who may inspect the process may read. */
static int show_inspected(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const struct task *of = proc_task(node);

	if (!of)
		return -ESRCH;
	if (!may_inspect(t, of))
		return -EACCES;
	creds_assume(NULL);
	int r = show_own_name(t, node, text);
	creds_assume(t->creds);
	return r;
}

/* ---- the sentry's own ---- */

static int show_comm(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const struct task *of = proc_task(node);
	const struct zombie *z = of ? NULL : proc_zombie(node->pid);

	(void)t;
	if (!of && !z)
		return -ESRCH;
	synth_printf(text, "%s\n", of ? of->comm : z->comm);
	return 0;
}

static ssize_t store_comm(struct task *t, const struct synth_node *node, const char *data, size_t n)
{
	struct task *of = proc_task(node);
	size_t len = strcspn(data, "\n");

	if (!of)
		return -ESRCH;
	if (of->process != t->process)
		return -EINVAL;
	len = MIN_OF(MIN_OF(len, n), (size_t)TASK_COMM_LEN - 1);
	memset(of->comm, 0, sizeof(of->comm));
	memcpy(of->comm, data, len);
	return (ssize_t)n;
}

static int show_cgroup(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	(void)node;
	/* A container's cgroup namespace begins at its own cgroup. */
	synth_printf(text, "0::/\n");
	return 0;
}

static int show_id_map(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	char path[32];
	autofree char *data = NULL;
	size_t len;
	int r;

	(void)t;
	(void)snprintf(path, sizeof(path), "self/%s", proc_entry_of(node)->name);
	r = file_read_at(kernel.proc_fd, path, 1 << 20, &data, &len);
	if (r == 0)
		synth_write(text, data, len);
	return r;
}

static int show_cpuset(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	(void)node;
	synth_printf(text, "/\n");
	return 0;
}

static int show_setgroups(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	(void)node;
	synth_printf(text, "allow\n");
	return 0;
}

static int show_loginuid(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const struct task *of = proc_task(node);

	(void)t;
	synth_printf(text, "%u", of ? of->login.uid : LOGIN_NONE);
	return 0;
}

static int show_sessionid(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const struct task *of = proc_task(node);

	(void)t;
	synth_printf(text, "%u", of ? of->login.session : LOGIN_NONE);
	return 0;
}

/* A thread says its own, once: it needs a right to say another.  PAM does, for every login. */
static ssize_t store_loginuid(struct task *t, const struct synth_node *node, const char *data, size_t n)
{
	static uint32_t sessions;
	char *end;

	if (proc_task(node) != t)
		return -EPERM;
	errno = 0;
	unsigned long uid = strtoul(data, &end, 10);
	if (end == data || *data < '0' || *data > '9' || end[*end == '\n'])
		return -EINVAL;
	if (errno || uid > UINT32_MAX)
		return -ERANGE;
	if (t->login.uid != LOGIN_NONE && !task_capable(t, CAP_AUDIT_CONTROL))
		return -EPERM;
	t->login.uid = (uint32_t)uid;
	t->login.session = uid == LOGIN_NONE ? LOGIN_NONE : ++sessions;
	return (ssize_t)n;
}

static int show_children(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const struct task *of = proc_task(node);
	autofree char *data = NULL;
	char path[64];
	int r;

	(void)t;
	if (!of)
		return -ESRCH;
	(void)snprintf(path, sizeof(path), "%d/task/%d/children", of->process->host_pid, of->host_tid);
	r = file_read_at(kernel.proc_fd, path, 1 << 20, &data, NULL);
	if (r < 0)
		return r;
	for (char *at = data, *end;; at = end) {
		long child = strtol(at, &end, 10);
		pid_t pid = end == at ? 0 : proc_guest_pid((pid_t)child);

		if (end == at)
			break;
		if (pid)
			synth_printf(text, "%d ", pid);
	}
	return 0;
}

/*
 * How likely the host kills this one for lack of memory: what the guest has set, and on the host what stubs
 * have above the sentry (platform/zygote.c) besides, so that they go first.
 */
enum { STUB_OOM_SCORE = 100, OOM_SCORE_WORST = 1000 };

static int show_oom_score_adj(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const struct process *p = proc_process(node);

	(void)t;
	if (!p)
		return -ESRCH;
	synth_printf(text, "%d\n", p->oom_score_adj);
	return 0;
}

static ssize_t store_oom_score_adj(struct task *t, const struct synth_node *node, const char *data, size_t n)
{
	struct process *p = proc_process(node);
	char path[48], text[16], *end;
	long value = strtol(data, &end, 10);
	int r;

	if (!p)
		return -ESRCH;
	if (end == data || end[strspn(end, " \t\r\n")] || value < -OOM_SCORE_WORST || value > OOM_SCORE_WORST)
		return -EINVAL;
	if (value < p->oom_score_adj && !task_capable(t, CAP_SYS_RESOURCE))
		return -EACCES;
	(void)snprintf(path, sizeof(path), "%d/oom_score_adj", p->host_pid);
	(void)snprintf(text, sizeof(text), "%ld", MIN_OF(value + STUB_OOM_SCORE, (long)OOM_SCORE_WORST));
	creds_assume(NULL);
	r = file_write_at(kernel.proc_fd, path, text);
	creds_assume(t->creds);
	if (r == 0)
		p->oom_score_adj = (int)value;
	return r < 0 ? r : (ssize_t)n;
}

/* What a core file would hold; none is written, and the setting is kept. */
static int show_coredump_filter(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const struct process *p = proc_process(node);

	(void)t;
	if (!p)
		return -ESRCH;
	synth_printf(text, "%08x\n", p->core_filter);
	return 0;
}

static ssize_t store_coredump_filter(struct task *t, const struct synth_node *node, const char *data,
				     size_t n)
{
	struct process *p = proc_process(node);
	char *end;
	unsigned long value = strtoul(data, &end, 0);

	(void)t;
	if (!p)
		return -ESRCH;
	if (*data == '-' || end == data || (*end == '\n' ? end[1] : *end))
		return -EINVAL;
	if (value > UINT32_MAX)
		return -ERANGE;
	p->core_filter = (unsigned)value & CORE_FILTER_ALL;
	return (ssize_t)n;
}

/* Linux asks as these are opened. */
static int admit_reader(struct task *t, const struct synth_node *node)
{
	const struct task *of = proc_task(node);

	return of && !may_inspect(t, of) ? -EACCES : 0;
}

/* Settings that have no effect here, and are remembered by nobody. */
static int show_zero(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	(void)node;
	synth_printf(text, "0\n");
	return 0;
}

/* ---- links ---- */

static struct place *task_place(const struct task *of, const char *name)
{
	if (streq(name, "exe"))
		return of->process->exe_place;
	return streq(name, "cwd") ? of->fs->cwd : of->fs->root;
}

static int find_task_place(struct task *t, const struct synth_node *node, struct place **ret)
{
	const struct task *of = proc_task(node);

	if (!of)
		return -ESRCH;
	if (!may_inspect(t, of))
		return -EACCES;
	*ret = task_place(of, proc_entry_of(node)->name);
	return *ret ? 0 : -ENOENT;
}

static ssize_t read_task_place(struct task *t, const struct synth_node *node, char *buf, size_t size)
{
	struct place *place;
	int r = find_task_place(t, node, &place);

	if (r < 0)
		return r;
	if (streq(proc_entry_of(node)->name, "root"))
		return snprintf(buf, size, "/");
	return place_path(t, place, buf, size);
}

static int follow_task_place(struct task *t, const struct synth_node *node, struct place **ret)
{
	struct place *place;
	int r = find_task_place(t, node, &place);

	if (r < 0)
		return r;
	*ret = place_ref(place);
	return 0;
}

/* ---- the entries ---- */

#define STORED_FILE(called, bits, shown, stored)                                                             \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFREG | (bits), .show = (shown), .store = (stored) }    \
	}

#define FUNCTION_DIR(called, bits, look, names)                                                              \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFDIR | (bits), .lookup = (look), .list = (names) }     \
	}

/* Who has given up root's identity still finds its own there (/dev/stdout). */
#define FD_DIR                                                                                               \
	{                                                                                                    \
		.name = "fd", .type = {                                                                      \
			.mode = S_IFDIR | 0500,                                                              \
			.lookup = proc_fd_lookup,                                                            \
			.list = proc_fd_list,                                                                \
			.own = true                                                                          \
		}                                                                                            \
	}

#define MAPS_FILE(called, shown)                                                                             \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFREG | 0444, .show = (shown), .admit = admit_reader }  \
	}

#define MEM_FILE                                                                                             \
	{                                                                                                    \
		.name = "mem", .type = {.mode = S_IFREG | 0600, .open = proc_open_mem }                      \
	}

/* What a thread's directory has as well as a process's. */
#define POLLED_FILE(called, shown)                                                                           \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFREG | 0444, .show = (shown), .polled = true }         \
	}
#define COMMON_ENTRIES                                                                                       \
	PROC_FILE_MODE("auxv", 0400, show_inspected), PROC_FILE("cgroup", show_cgroup),                      \
		PROC_FILE("cmdline", show_own_name), STORED_FILE("comm", 0644, show_comm, store_comm),       \
		PROC_LINK("cwd", read_task_place, follow_task_place),                                        \
		PROC_FILE_MODE("environ", 0400, show_inspected),                                             \
		PROC_LINK("exe", read_task_place, follow_task_place), FD_DIR,                                \
		FUNCTION_DIR("fdinfo", 0555, proc_fdinfo_lookup, proc_fdinfo_list),                          \
		PROC_FILE("gid_map", show_id_map), PROC_FILE_MODE("io", 0400, show_inspected),               \
		PROC_FILE("cpuset", show_cpuset), PROC_FILE("limits", proc_show_limits),                     \
		STORED_FILE("loginuid", 0644, show_loginuid, store_loginuid),                                \
		MAPS_FILE("maps", proc_show_maps), MEM_FILE, POLLED_FILE("mountinfo", proc_show_mountinfo),  \
		POLLED_FILE("mounts", proc_show_mounts),                                                     \
		FUNCTION_DIR("net", 0555, proc_net_lookup, proc_net_list), PROC_DIR("ns", proc_ns_entries),  \
		PROC_FILE("oom_score", show_own_name),                                                       \
		STORED_FILE("oom_score_adj", 0644, show_oom_score_adj, store_oom_score_adj),                 \
		PROC_FILE_MODE("personality", 0400, show_inspected),                                         \
		PROC_LINK("root", read_task_place, follow_task_place),                                       \
		PROC_FILE("schedstat", show_own_name), PROC_FILE("sessionid", show_sessionid),               \
		PROC_FILE("setgroups", show_setgroups), MAPS_FILE("smaps", proc_show_smaps),                 \
		MAPS_FILE("smaps_rollup", proc_show_smaps_rollup), PROC_FILE("stat", proc_show_stat),        \
		PROC_FILE("statm", proc_show_statm), PROC_FILE("status", proc_show_status),                  \
		PROC_FILE("projid_map", show_id_map), PROC_FILE("uid_map", show_id_map),                     \
		PROC_FILE("wchan", show_zero)

const struct proc_entry proc_tid_entries[] = {
	COMMON_ENTRIES,
	PROC_FILE("children", show_children),
	{.name = NULL},
};

const struct proc_entry proc_pid_entries[] = {
	COMMON_ENTRIES,
	PROC_FILE_MODE("mountstats", 0400, proc_show_mountstats),
	STORED_FILE("coredump_filter", 0644, show_coredump_filter, store_coredump_filter),
	{.name = "task",
	 .type = {.mode = S_IFDIR | 0555,
		  .lookup = proc_task_lookup,
		  .list = proc_task_list,
		  .links = proc_task_links}},
	PROC_FILE("timerslack_ns", show_own_name),
	{.name = NULL},
};
