/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine is: its names, its memory, its processors. */
#include "sentry/sys/system.h"
#include "oci/config.h"
#include "sentry/boot.h"
#include "sentry/guest.h"
#include "sentry/platform/platform.h"
#include "sentry/sys/creds_int.h"
#include "sentry/sys/proc_text.h"
#include "base/file.h"

#include <sched.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

/*
 * The sentry is in the container's UTS namespace: what uname says to it is what the runtime set up.  Release
 * and version are the host's: much of what a program decides by them (timers, signals, memory) is the host's
 * own here.
 */
HANDLER(sys_uname)
{
	struct utsname names;

	if (uname(&names) < 0)
		return -errno;
	return guest_put(t, c->args[0], &names);
}

static long set_machine_name(struct task *t, const struct call *c, int (*set)(const char *, size_t))
{
	char name[65];
	int n = (int)c->args[1];

	if (!task_capable(t, CAP_SYS_ADMIN))
		return -EPERM;
	if (n < 0 || n > 64)
		return -EINVAL;
	if (guest_read(t, name, c->args[0], (size_t)n))
		return -EFAULT;
	return set(name, (size_t)n) < 0 ? -errno : 0;
}

HANDLER(sys_sethostname)
{
	return set_machine_name(t, c, sethostname);
}

HANDLER(sys_setdomainname)
{
	return set_machine_name(t, c, setdomainname);
}

/* ---- memory ---- */

static uint64_t cgroup_number(const char *file, uint64_t missing)
{
	autofree char *text = NULL;
	size_t len;
	char *end;
	uint64_t n;

	if (kernel.memory_fd < 0 || file_read_at(kernel.memory_fd, file, 4096, &text, &len) < 0)
		return missing;
	n = strtoull(text, &end, 10); /* "max" is no number */
	return end == text ? missing : n;
}

static uint64_t cgroup_stat(const char *key)
{
	autofree char *text = NULL;
	const char *value;

	if (kernel.memory_fd < 0 || file_read_at(kernel.memory_fd, "memory.stat", 1 << 16, &text, NULL) < 0)
		return 0;
	value = word_line(text, key);
	return value ? strtoull(value, NULL, 10) : 0;
}

void memory_view(struct memory_view *ret)
{
	bool v2 = kernel.cgroup_version == 2;
	struct sysinfo host;
	uint64_t limit, used, swap_limit;

	*ret = (struct memory_view){0};
	if (sysinfo(&host) < 0)
		return;
	ret->total = (uint64_t)host.totalram * host.mem_unit;
	ret->free = (uint64_t)host.freeram * host.mem_unit;
	limit = cgroup_number(v2 ? "memory.max" : "memory.limit_in_bytes", UINT64_MAX);
	if (limit >= ret->total) {
		ret->swap_total = (uint64_t)host.totalswap * host.mem_unit;
		ret->swap_free = (uint64_t)host.freeswap * host.mem_unit;
		return;
	}
	used = cgroup_number(v2 ? "memory.current" : "memory.usage_in_bytes", 0);
	ret->limited = true;
	ret->total = limit;
	ret->free = MIN_OF(limit - MIN_OF(used, limit), ret->free);
	ret->active_file = cgroup_stat(v2 ? "active_file" : "total_active_file");
	ret->inactive_file = cgroup_stat(v2 ? "inactive_file" : "total_inactive_file");
	ret->active_anon = cgroup_stat(v2 ? "active_anon" : "total_active_anon");
	ret->inactive_anon = cgroup_stat(v2 ? "inactive_anon" : "total_inactive_anon");
	ret->cached = cgroup_stat(v2 ? "file" : "total_cache");
	ret->shmem = cgroup_stat(v2 ? "shmem" : "total_shmem");
	ret->slab = v2 ? cgroup_stat("slab") : 0;
	if (v2) {
		swap_limit = cgroup_number("memory.swap.max", UINT64_MAX);
		used = cgroup_number("memory.swap.current", 0);
	} else {
		/* Version 1 counts memory and swap together. */
		uint64_t both = cgroup_number("memory.memsw.limit_in_bytes", UINT64_MAX);

		swap_limit = both == UINT64_MAX ? both : both - MIN_OF(both, limit);
		used = cgroup_number("memory.memsw.usage_in_bytes", 0) -
		       cgroup_number("memory.usage_in_bytes", 0);
		if (used > swap_limit)
			used = 0;
	}
	ret->swap_total = MIN_OF(swap_limit, (uint64_t)host.totalswap * host.mem_unit);
	ret->swap_free = ret->swap_total - MIN_OF(used, ret->swap_total);
}

HANDLER(sys_sysinfo)
{
	struct sysinfo info;
	struct memory_view memory;
	size_t processes, threads;

	if (sysinfo(&info) < 0)
		return -errno;
	memory_view(&memory);
	platform_counts(&processes, &threads);
	info.totalram = memory.total / info.mem_unit;
	info.freeram = memory.free / info.mem_unit;
	if (memory.limited) {
		info.sharedram = memory.shmem / info.mem_unit;
		info.bufferram = 0;
	}
	info.totalswap = memory.swap_total / info.mem_unit;
	info.freeswap = memory.swap_free / info.mem_unit;
	info.procs = (unsigned short)MIN_OF(threads, (size_t)UINT16_MAX);
	return guest_put(t, c->args[0], &info);
}

/* ---- processors ---- */

void cpus_visible(cpu_set_t *ret)
{
	cpu_set_t own;
	unsigned left = kernel.cpus;

	CPU_ZERO(ret);
	if (sched_getaffinity(getpid(), sizeof(own), &own) < 0) {
		CPU_SET(0, ret);
		return;
	}
	for (int i = 0; i < CPU_SETSIZE && left; i++)
		if (CPU_ISSET(i, &own)) {
			CPU_SET(i, ret);
			left--;
		}
}
