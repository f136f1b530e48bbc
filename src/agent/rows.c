/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's processes as `ps` shows them, and what they use together.  A job: /proc/PID/cmdline is
 * memory of a process of the container's, which may make who reads it wait.
 */
#include "agent/agent.h"
#include "agent/job.h"

#include "base/str.h"
#include "host/cgroup_stats.h"

#include <sys/sysinfo.h>

/* Its whole text; "" where it cannot be had. */
static size_t read_proc_file(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name); /* fits */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : fd_read_full(fd, buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* The number that the container knows it by: of the first pid namespace below ours, if it is in one. */
static int32_t inner_pid(const char *status)
{
	const char *line = strstr(status, "\nNSpid:");
	int outer = 0, inner = 0;
	int n = line ? sscanf(line, "\nNSpid: %d %d", &outer, &inner) : 0;

	return n == 2 ? inner : outer;
}

static uint32_t user_of(const char *status)
{
	const char *line = strstr(status, "\nUid:");
	unsigned real = 0, effective = 0;

	return line && sscanf(line, "\nUid: %u %u", &real, &effective) == 2 ? effective : 0;
}

static void name_terminal(unsigned device, char *buf, size_t size)
{
	unsigned major = (device >> 8) & 0xfff, minor = (device & 0xff) | ((device >> 12) & 0xfff00);

	if (device == 0)
		(void)snprintf(buf, size, "?");
	else if (major >= 136 && major <= 143)
		(void)snprintf(buf, size, "pts/%u", (major - 136) * 256 + minor);
	else
		(void)snprintf(buf, size, "%u:%u", major, minor);
}

static void put_command(pid_t pid, const char *stat, struct guest_process_row *row)
{
	size_t n = read_proc_file(pid, "cmdline", row->command, sizeof(row->command));

	while (n > 0 && row->command[n - 1] == '\0')
		n--;
	for (size_t i = 0; i < n; i++) /* no control characters: it goes to a terminal */
		if (char_is_control(row->command[i]))
			row->command[i] = ' ';
	const char *name = strchr(stat, '('), *end = strrchr(stat, ')');
	if (n == 0 && name && end && end > name)
		(void)snprintf(row->command, sizeof(row->command), "[%.*s]", (int)(end - name - 1),
			       name + 1); /* cut if long */
}

/* False where it has ended meanwhile.  *ret_parent: in our numbers. */
static bool describe_process(pid_t pid, struct guest_process_row *row, pid_t *ret_parent)
{
	char stat[1024], status[2048];
	const uint64_t tick = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	unsigned long long user = 0, sys = 0, start = 0;
	long resident = 0;
	unsigned tty = 0;
	int parent = 0;

	if (read_proc_file(pid, "stat", stat, sizeof(stat)) == 0 ||
	    read_proc_file(pid, "status", status, sizeof(status)) == 0)
		return false;
	const char *rest = strrchr(stat, ')');
	if (!rest || sscanf(rest + 1,
			    " %*c %d %*d %*d %u %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d "
			    "%llu %*u %ld",
			    &parent, &tty, &user, &sys, &start, &resident) < 5)
		return false;
	*row = (struct guest_process_row){.pid = inner_pid(status),
					  .uid = user_of(status),
					  .started_ns = start * tick,
					  .user_ns = user * tick,
					  .system_ns = sys * tick,
					  .resident = (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE)};
	name_terminal(tty, row->terminal, sizeof(row->terminal));
	put_command(pid, stat, row);
	*ret_parent = parent;
	return true;
}

static int by_outer_pid(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* A parent in the container; 0 where it is outside of it, as the kernel has it too. */
static int32_t parent_row(pid_t parent, const pid_t *pids, size_t n)
{
	char status[2048];

	if (!bsearch(&parent, pids, n, sizeof(*pids), by_outer_pid) ||
	    read_proc_file(parent, "status", status, sizeof(status)) == 0)
		return 0;
	return inner_pid(status);
}

static int by_row(const void *a, const void *b)
{
	const struct guest_process_row *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

int job_rows(struct agent *a, const struct job_order *o, struct job_answer *ret, struct err *err)
{
	autofree pid_t *pids = NULL;
	autocontainer struct container c;
	size_t n = 0, rows = 0;
	int r = container_load(&a->rt, a->id, 0, &c, err);

	if (r == 0)
		r = c.level->processes(&c.sandbox, &pids, &n, err);
	if (r < 0)
		return r;
	qsort(pids, n, sizeof(*pids), by_outer_pid);
	struct guest_process_row *v = calloc(n ? n : 1, sizeof(*v)); /* freed by the job's end */
	if (!v)
		return err_oom(err);
	for (size_t i = 0; i < n; i++) {
		pid_t parent = 0;
		if (!describe_process(pids[i], &v[rows], &parent) || v[rows].pid <= o->rows.above)
			continue;
		v[rows++].parent = parent_row(parent, pids, n);
	}
	qsort(v, rows, sizeof(*v), by_row);
	ret->more = v;
	ret->nmore = MIN_OF(rows, (size_t)GUEST_ROWS_MAX) * sizeof(*v);
	return 0;
}

/* ---- what they use together ---- */

int job_stats(struct agent *a, const struct job_order *o unused, struct job_answer *ret, struct err *err)
{
	__attribute__((cleanup(cgroup_stats_free))) struct cgroup_stats stats = {0};
	struct guest_stats *s = calloc(1, sizeof(*s)); /* freed by the job's end */
	autocontainer struct container c;
	struct sysinfo machine;
	int r = container_load(&a->rt, a->id, 0, &c, err);

	if (r == 0)
		r = c.level->stats(&c.sandbox, &stats, err);
	if (r == 0 && !s)
		r = err_oom(err);
	if (r == 0 && sysinfo(&machine) < 0)
		r = err_sys(err, "cannot look at the machine's memory");
	if (r < 0)
		return r;
	const struct cgroup_memory_entry *m = &stats.memory.usage;
	uint64_t all = (uint64_t)machine.totalram * machine.mem_unit;
	*s = (struct guest_stats){.memory = m->usage,
				  .memory_peak = m->max,
				  .inactive_file = cgroup_stats_inactive_file(&stats),
				  .memory_limit = m->limit > 0 ? MIN_OF(m->limit, all) : all,
				  .memory_failures = m->failcnt,
				  .pids = stats.pids.current};
	ret->more = s;
	ret->nmore = sizeof(*s);
	return 0;
}
