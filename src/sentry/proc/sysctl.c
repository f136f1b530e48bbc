/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/sys.
 *
 * What is about namespaces that the container has of its own (host name,
 * network) is the host's file, read and written by the sentry, which is in
 * them: writing needs the guest's capability, or for limits of the ipc
 * namespace the file's permission.  What is about the machine can be read
 * where a container of level `ns` may read it too; what is about other objects
 * of the sentry's own (pipes) says the sentry's limits.  All that is writable nowhere is not writable here.
 */
#include "base/file.h"
#include "sentry/io/io.h"
#include "sentry/ipc/ipc.h"
#include "sentry/proc/proc.h"
#include "sentry/proc/sysctl.h"
#include "sentry/sys/creds_int.h"

#include <sys/random.h>

ssize_t sysctl_store(const char *path, const char *data, size_t n)
{
	autofree char *text = strndup(data, n);
	int r;

	if (!text)
		return -ENOMEM;
	r = file_write_at(kernel.proc_fd, path, text);
	return r < 0 ? r : (ssize_t)n;
}

static ssize_t store_name(struct task *t, const struct synth_node *node, const char *data, size_t n)
{
	if (!task_capable(t, CAP_SYS_ADMIN))
		return -EPERM;
	return sysctl_store(proc_entry_of(node)->host, data, n);
}

/* Limits of the ipc namespace, which is the container's own, are root's there to set. */
static ssize_t store_limit(struct task *t, const struct synth_node *node, const char *data, size_t n)
{
	ssize_t r;

	creds_assume(NULL);
	r = sysctl_store(proc_entry_of(node)->host, data, n);
	creds_assume(t->creds);
	ipc_limits_changed();
	return r;
}

static int show_aio_nr(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	(void)node;
	synth_printf(text, "%u\n", aio_in_use());
	return 0;
}

static int show_uuid(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	unsigned char b[16];

	(void)t;
	(void)node;
	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	for (size_t i = 0; i < sizeof(b); i++)
		synth_printf(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
	synth_printf(text, "\n");
	return 0;
}

#define FIXED(called, says)                                                                                  \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFREG | 0444, .show = proc_show_fixed},                 \
		.host = says "\n"                                                                            \
	}
#define NAMED(called)                                                                                        \
	{                                                                                                    \
		.name = (called),                                                                            \
		.type = {.mode = S_IFREG | 0644, .show = proc_show_host, .store = store_name},               \
		.host = "sys/kernel/" called                                                                 \
	}
#define LIMIT(called, path)                                                                                  \
	{                                                                                                    \
		.name = (called),                                                                            \
		.type = {.mode = S_IFREG | 0644, .show = proc_show_host, .store = store_limit},              \
		.host = "sys/" path called                                                                   \
	}
#define KERNEL(called) PROC_HOST(called, "sys/kernel/" called)
#define VM(called)     PROC_HOST(called, "sys/vm/" called)
#define FS(called)     PROC_HOST(called, "sys/fs/" called)

static const struct proc_entry random_entries[] = {
	PROC_HOST("boot_id", "sys/kernel/random/boot_id"),
	PROC_HOST("entropy_avail", "sys/kernel/random/entropy_avail"),
	PROC_HOST("poolsize", "sys/kernel/random/poolsize"),
	PROC_HOST("urandom_min_reseed_secs", "sys/kernel/random/urandom_min_reseed_secs"),
	PROC_FILE("uuid", show_uuid),
	PROC_HOST("write_wakeup_threshold", "sys/kernel/random/write_wakeup_threshold"),
	{.name = NULL},
};

static const struct proc_entry pty_entries[] = {
	PROC_HOST("max", "sys/kernel/pty/max"),
	PROC_HOST("nr", "sys/kernel/pty/nr"),
	PROC_HOST("reserve", "sys/kernel/pty/reserve"),
	{.name = NULL},
};

static const struct proc_entry keys_entries[] = {
	PROC_HOST("gc_delay", "sys/kernel/keys/gc_delay"),
	PROC_HOST("maxbytes", "sys/kernel/keys/maxbytes"),
	PROC_HOST("maxkeys", "sys/kernel/keys/maxkeys"),
	PROC_HOST("persistent_keyring_expiry", "sys/kernel/keys/persistent_keyring_expiry"),
	PROC_HOST("root_maxbytes", "sys/kernel/keys/root_maxbytes"),
	PROC_HOST("root_maxkeys", "sys/kernel/keys/root_maxkeys"),
	{.name = NULL},
};

static const struct proc_entry seccomp_entries[] = {
	FIXED("actions_avail", "kill_process kill_thread trap errno trace log allow"),
	{.name = NULL},
};

static const struct proc_entry kernel_entries[] = {
	FIXED("auto_msgmni", "0"),
	KERNEL("cap_last_cap"),
	FIXED("core_pattern", "core"),
	FIXED("core_pipe_limit", "0"),
	FIXED("core_uses_pid", "0"),
	FIXED("ctrl-alt-del", "0"),
	FIXED("dmesg_restrict", "1"),
	NAMED("domainname"),
	NAMED("hostname"),
	FIXED("io_uring_disabled", "2"),
	PROC_DIR("keys", keys_entries),
	FIXED("kptr_restrict", "2"),
	FIXED("msg_next_id", "-1"),
	LIMIT("msgmax", "kernel/"),
	LIMIT("msgmnb", "kernel/"),
	LIMIT("msgmni", "kernel/"),
	KERNEL("ngroups_max"),
	KERNEL("osrelease"),
	KERNEL("ostype"),
	FIXED("overflowgid", "65534"),
	FIXED("overflowuid", "65534"),
	FIXED("numa_balancing", "0"),
	FIXED("panic", "0"),
	FIXED("panic_on_oops", "0"),
	FIXED("panic_on_warn", "0"),
	FIXED("perf_event_paranoid", "3"),
	KERNEL("pid_max"),
	FIXED("printk", "4\t4\t1\t7"),
	FIXED("printk_ratelimit", "5"),
	FIXED("printk_ratelimit_burst", "10"),
	PROC_DIR("pty", pty_entries),
	PROC_DIR("random", random_entries),
	KERNEL("randomize_va_space"),
	PROC_DIR("seccomp", seccomp_entries),
	LIMIT("sem", "kernel/"),
	FIXED("sem_next_id", "-1"),
	FIXED("shm_next_id", "-1"),
	FIXED("shm_rmid_forced", "0"),
	LIMIT("shmall", "kernel/"),
	LIMIT("shmmax", "kernel/"),
	LIMIT("shmmni", "kernel/"),
	FIXED("sched_autogroup_enabled", "0"),
	KERNEL("sched_rr_timeslice_ms"),
	KERNEL("sched_rt_period_us"),
	KERNEL("sched_rt_runtime_us"),
	FIXED("tainted", "0"),
	KERNEL("threads-max"),
	FIXED("unprivileged_bpf_disabled", "2"),
	KERNEL("version"),
	{.name = NULL},
};

static const struct proc_entry vm_entries[] = {
	VM("admin_reserve_kbytes"),
	VM("dirty_background_bytes"),
	VM("dirty_background_ratio"),
	VM("dirty_bytes"),
	VM("dirty_expire_centisecs"),
	VM("dirty_ratio"),
	VM("dirty_writeback_centisecs"),
	VM("dirtytime_expire_seconds"),
	VM("laptop_mode"),
	VM("legacy_va_layout"),
	VM("lowmem_reserve_ratio"),
	VM("max_map_count"),
	VM("min_free_kbytes"),
	VM("mmap_min_addr"),
	VM("nr_hugepages"),
	VM("nr_overcommit_hugepages"),
	VM("oom_dump_tasks"),
	VM("oom_kill_allocating_task"),
	VM("overcommit_kbytes"),
	VM("overcommit_memory"),
	VM("overcommit_ratio"),
	FIXED("panic_on_oom", "0"),
	VM("page-cluster"),
	VM("stat_interval"),
	VM("swappiness"),
	VM("user_reserve_kbytes"),
	VM("vfs_cache_pressure"),
	FIXED("unprivileged_userfaultfd", "0"),
	FIXED("zone_reclaim_mode", "0"),
	{.name = NULL},
};

static const struct proc_entry inotify_entries[] = {
	PROC_HOST("max_queued_events", "sys/fs/inotify/max_queued_events"),
	PROC_HOST("max_user_instances", "sys/fs/inotify/max_user_instances"),
	PROC_HOST("max_user_watches", "sys/fs/inotify/max_user_watches"),
	{.name = NULL},
};

static const struct proc_entry epoll_entries[] = {
	PROC_HOST("max_user_watches", "sys/fs/epoll/max_user_watches"),
	{.name = NULL},
};

static const struct proc_entry mqueue_entries[] = {
	LIMIT("msg_default", "fs/mqueue/"),	LIMIT("msg_max", "fs/mqueue/"),
	LIMIT("msgsize_default", "fs/mqueue/"), LIMIT("msgsize_max", "fs/mqueue/"),
	LIMIT("queues_max", "fs/mqueue/"),	{.name = NULL},
};

static const struct proc_entry fs_entries[] = {
	FIXED("aio-max-nr", "65536"),
	PROC_FILE("aio-nr", show_aio_nr),
	FS("dentry-state"),
	FS("dir-notify-enable"),
	PROC_DIR("epoll", epoll_entries),
	FS("file-max"),
	FS("file-nr"),
	FS("inode-nr"),
	FS("inode-state"),
	PROC_DIR("inotify", inotify_entries),
	FIXED("lease-break-time", "45"),
	FIXED("leases-enable", "1"),
	PROC_DIR("mqueue", mqueue_entries),
	FS("mount-max"),
	FIXED("nr_open", "1048576"),
	FIXED("overflowgid", "65534"),
	FIXED("overflowuid", "65534"),
	FIXED("pipe-max-size", "1048576"),
	FIXED("pipe-user-pages-hard", "0"),
	FIXED("pipe-user-pages-soft", "16384"),
	FS("protected_fifos"),
	FS("protected_hardlinks"),
	FS("protected_regular"),
	FS("protected_symlinks"),
	FIXED("suid_dumpable", "0"),
	{.name = NULL},
};

static const struct proc_entry user_entries[] = {
	FIXED("max_cgroup_namespaces", "0"),
	FIXED("max_ipc_namespaces", "0"),
	FIXED("max_mnt_namespaces", "0"),
	FIXED("max_net_namespaces", "0"),
	FIXED("max_pid_namespaces", "0"),
	FIXED("max_time_namespaces", "0"),
	FIXED("max_user_namespaces", "0"),
	FIXED("max_uts_namespaces", "0"),
	{.name = NULL},
};

const struct proc_entry proc_sys_entries[] = {
	PROC_DIR("fs", fs_entries),
	PROC_DIR("kernel", kernel_entries),
	{.name = "net",
	 .type = {.mode = S_IFDIR | 0555, .lookup = proc_sysctl_net_lookup, .list = proc_sysctl_net_list}},
	PROC_DIR("user", user_entries),
	PROC_DIR("vm", vm_entries),
	{.name = NULL},
};
