/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /sys/fs/cgroup: the container's control group as version 2 shows it,
 * whichever version the host has.  Java, node and Go size themselves by
 * memory.max and cpu.max; all of it is to be read only.
 *
 * On a version 2 host a file's text is the host's own.  On version 1 it is
 * made of what that version knows.
 */
#include "sentry/sysfs/tree.h"

#include "base/str.h"
#include "oci/config.h"
#include "sentry/boot.h"
#include "sentry/platform/platform.h"
#include "sentry/sys/system.h"

enum { FILE_ROOM = 8192, UNLIMITED_V1 = 62 /* limits at or above 2^62 mean none */ };

/* The text of a file of the host's control group; NULL = there is none. */
static char *host_text(int dir, const char *name)
{
	int fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : malloc(FILE_ROOM);
	ssize_t n = text ? read(fd, text, FILE_ROOM - 1) : -1;

	if (fd >= 0)
		ignore_result(close(fd)); /* read only */
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

static bool host_number(int dir, const char *name, int64_t *ret)
{
	autofree char *text = host_text(dir, name);

	if (!text)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return str_to_i64(text, ret) == 0;
}

/* "key number" lines: the number of that key, 0 where it is not there. */
static uint64_t keyed(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
		if (strncmp(at, key, n) == 0 && at[n] == ' ')
			return strtoull(at + n + 1, NULL, 10);
	return 0;
}

/* Version 2's own file.  True = shown. */
static bool shown_by_host(const struct synth_node *node, struct synth_text *text, int dir)
{
	if (kernel.cgroup_version != 2)
		return false;
	autofree char *s = host_text(dir, tree_name(node));
	if (!s)
		return false;
	synth_write(text, s, strlen(s));
	return true;
}

static void show_limit(struct synth_text *text, bool there, int64_t v)
{
	if (!there || v < 0 || v >> UNLIMITED_V1 || (uint64_t)v > (uint64_t)INT64_MAX - (1 << 16))
		synth_printf(text, "max\n");
	else
		synth_printf(text, "%lld\n", (long long)v);
}

/* A limit or a usage of memory: version 1's name beside ours. */
static const struct memory_file {
	const char *name, *v1;
	bool limit;
	const char *without; /* what stands there on a host that does not count it */
} memory_files[] = {
	{"memory.max", "memory.limit_in_bytes", true, "max"},
	{"memory.high", NULL, true, "max"},
	{"memory.low", NULL, false, "0"},
	{"memory.min", NULL, false, "0"},
	{"memory.current", "memory.usage_in_bytes", false, "0"},
	{"memory.peak", "memory.max_usage_in_bytes", false, "0"},
};

static int show_memory(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	int64_t v = 0;

	if (shown_by_host(node, text, kernel.memory_fd))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(memory_files); i++) {
		const struct memory_file *f = &memory_files[i];
		if (!streq(f->name, tree_name(node)))
			continue;
		bool there = f->v1 && host_number(kernel.memory_fd, f->v1, &v);
		if (there && f->limit)
			show_limit(text, true, v);
		else if (there)
			synth_printf(text, "%lld\n", (long long)v);
		else
			synth_printf(text, "%s\n", f->without);
	}
	return 0;
}

/* Version 1 limits and counts memory and swap together. */
static int show_swap(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	bool limit = streq(tree_name(node), "memory.swap.max");
	int64_t both = 0, memory = 0;

	if (shown_by_host(node, text, kernel.memory_fd))
		return 0;
	bool there =
		host_number(kernel.memory_fd,
			    limit ? "memory.memsw.limit_in_bytes" : "memory.memsw.usage_in_bytes", &both) &&
		host_number(kernel.memory_fd, limit ? "memory.limit_in_bytes" : "memory.usage_in_bytes",
			    &memory);
	if (limit)
		show_limit(text, there && !(both >> UNLIMITED_V1), both - memory);
	else
		synth_printf(text, "%lld\n", there && both > memory ? (long long)(both - memory) : 0LL);
	return 0;
}

static int show_memory_stat(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	static const char *const keys[][2] = {
		{"anon", "total_rss"},
		{"file", "total_cache"},
		{"shmem", "total_shmem"},
		{"file_mapped", "total_mapped_file"},
		{"file_dirty", "total_dirty"},
		{"file_writeback", "total_writeback"},
		{"anon_thp", "total_rss_huge"},
		{"inactive_anon", "total_inactive_anon"},
		{"active_anon", "total_active_anon"},
		{"inactive_file", "total_inactive_file"},
		{"active_file", "total_active_file"},
		{"unevictable", "total_unevictable"},
		{"pgfault", "total_pgfault"},
		{"pgmajfault", "total_pgmajfault"},
	};

	if (shown_by_host(node, text, kernel.memory_fd))
		return 0;
	autofree char *v1 = host_text(kernel.memory_fd, "memory.stat");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		synth_printf(text, "%s %llu\n", keys[i][0], (unsigned long long)keyed(v1, keys[i][1]));
	return 0;
}

static int show_memory_events(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	int64_t failed = 0;

	if (shown_by_host(node, text, kernel.memory_fd))
		return 0;
	ignore_result(host_number(kernel.memory_fd, "memory.failcnt", &failed)); /* else 0 */
	autofree char *control = host_text(kernel.memory_fd, "memory.oom_control");
	synth_printf(text, "low 0\nhigh 0\nmax %lld\noom 0\noom_kill %llu\n", (long long)failed,
		     (unsigned long long)keyed(control, "oom_kill"));
	return 0;
}

static int show_cpu_max(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	int64_t quota = -1, period = 100000;

	if (shown_by_host(node, text, kernel.cpu_fd))
		return 0;
	ignore_result(host_number(kernel.cpu_fd, "cpu.cfs_quota_us", &quota));	 /* else none */
	ignore_result(host_number(kernel.cpu_fd, "cpu.cfs_period_us", &period)); /* else the default */
	if (quota > 0)
		synth_printf(text, "%lld %lld\n", (long long)quota, (long long)period);
	else
		synth_printf(text, "max %lld\n", (long long)period);
	return 0;
}

/* Shares of 2..262144 stand for weights of 1..10000, as systemd and runc convert. */
static int show_cpu_weight(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	int64_t shares = 1024;

	if (shown_by_host(node, text, kernel.cpu_fd))
		return 0;
	if (host_number(kernel.cpu_fd, "cpu.shares", &shares) && shares >= 2)
		synth_printf(text, "%lld\n", (long long)(1 + (shares - 2) * 9999 / 262142));
	else
		synth_printf(text, "100\n");
	return 0;
}

static int show_cpu_stat(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	int64_t used = 0;

	if (shown_by_host(node, text, kernel.cpu_fd))
		return 0;
	ignore_result(
		host_number(kernel.cpu_fd, "cpuacct.usage", &used)); /* where both are mounted together */
	autofree char *stat = host_text(kernel.cpu_fd, "cpuacct.stat");
	autofree char *v1 = host_text(kernel.cpu_fd, "cpu.stat");
	synth_printf(text, "usage_usec %lld\nuser_usec %llu\nsystem_usec %llu\n", (long long)used / 1000,
		     (unsigned long long)keyed(stat, "user") * 10000,
		     (unsigned long long)keyed(stat, "system") * 10000);
	synth_printf(text, "nr_periods %llu\nnr_throttled %llu\nthrottled_usec %llu\n",
		     (unsigned long long)keyed(v1, "nr_periods"),
		     (unsigned long long)keyed(v1, "nr_throttled"),
		     (unsigned long long)keyed(v1, "throttled_time") / 1000);
	return 0;
}

static int show_pids(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	const struct oci_config *c = kernel.boot->config;
	size_t processes, threads;

	if (streq(tree_name(node), "pids.max")) {
		/* As with Linux 0 and below mean none in the configuration. */
		bool limited = c && c->linux.resources.pids_limit.set && c->linux.resources.pids_limit.v > 0;
		show_limit(text, limited, limited ? c->linux.resources.pids_limit.v : -1);
		return 0;
	}
	platform_counts(&processes, &threads);
	synth_printf(text, "%zu\n", threads);
	return 0;
}

static const struct fixed_file {
	const char *name, *text;
} fixed[] = {
	{"cgroup.controllers", "cpu memory pids\n"},
	{"cgroup.events", "populated 1\nfrozen 0\n"},
	{"cgroup.freeze", "0\n"},
	{"cgroup.max.depth", "max\n"},
	{"cgroup.max.descendants", "max\n"},
	{"cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n"},
	{"cgroup.subtree_control", "\n"},
	{"cgroup.type", "domain\n"},
	{"memory.oom.group", "0\n"},
	{"pids.events", "max 0\n"},
};

static int show_constant(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (streq(fixed[i].name, tree_name(node)))
			synth_printf(text, "%s", fixed[i].text);
	return 0;
}

static int print_process(struct process *p, void *data)
{
	synth_printf(data, "%d\n", p->pid);
	return 0;
}

static int print_threads(struct process *p, void *data)
{
	struct task *t;

	list_each(t, &p->threads, struct task, in_process) synth_printf(data, "%d\n", t->tid);
	return 0;
}

static int show_processes(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	return process_each(streq(tree_name(node), "cgroup.threads") ? print_threads : print_process, text);
}

static const struct tree_entry entries[] = {
	TREE_FILE("cgroup.controllers", show_constant),
	TREE_FILE("cgroup.events", show_constant),
	TREE_FILE("cgroup.freeze", show_constant),
	TREE_FILE("cgroup.max.depth", show_constant),
	TREE_FILE("cgroup.max.descendants", show_constant),
	TREE_FILE("cgroup.procs", show_processes),
	TREE_FILE("cgroup.stat", show_constant),
	TREE_FILE("cgroup.subtree_control", show_constant),
	TREE_FILE("cgroup.threads", show_processes),
	TREE_FILE("cgroup.type", show_constant),
	TREE_FILE("cpu.max", show_cpu_max),
	TREE_FILE("cpu.stat", show_cpu_stat),
	TREE_FILE("cpu.weight", show_cpu_weight),
	TREE_FILE("memory.current", show_memory),
	TREE_FILE("memory.events", show_memory_events),
	TREE_FILE("memory.high", show_memory),
	TREE_FILE("memory.low", show_memory),
	TREE_FILE("memory.max", show_memory),
	TREE_FILE("memory.min", show_memory),
	TREE_FILE("memory.oom.group", show_constant),
	TREE_FILE("memory.peak", show_memory),
	TREE_FILE("memory.stat", show_memory_stat),
	TREE_FILE("memory.swap.current", show_swap),
	TREE_FILE("memory.swap.max", show_swap),
	TREE_FILE("pids.current", show_pids),
	TREE_FILE("pids.events", show_constant),
	TREE_FILE("pids.max", show_pids),
	TREE_END,
};
static const struct tree_entry root_entry = TREE_DIR(NULL, entries);

int cgroupfs_root(struct synth_node *ret)
{
	*ret = (struct synth_node){.type = &root_entry.type};
	return 0;
}
