/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: what the kernel alone asks for a container with Docker's default config.
 *
 *   floor BUNDLE FILTER CGROUP [IMAGE.erofs [BRIDGE]]
 *
 * makes the namespaces, mounts, device nodes, cgroups, masks, seccomp filter (raw BPF in FILTER, "-" for
 * none) and capability sets of `docker run` for BUNDLE/rootfs, runs /true in it and removes the cgroups.
 * Nothing is parsed, checked or reported, and what is known to be dear is avoided: the child joins its
 * cgroups by writing "0" to `tasks` (v1) or is cloned into one (v2), because writing another's pid to
 * cgroup.procs waits for an RCU grace period (10 ms); the network namespace, the dearest one, is made by
 * the child while the parent makes the cgroups.
 *
 * With IMAGE it is the floor of `coffer run`: a user namespace, and the image's EROFS file with its ids
 * shifted into it below an overlay; with BRIDGE also a veth pair with address and default route
 * (floor_net.c).
 */
#ifndef _GNU_SOURCE /* the build may define it */
#define _GNU_SOURCE
#endif
#include "floor_net.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FL	 (MS_NOSUID | MS_NOEXEC | MS_NODEV)
#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define DO(call)                                                                                             \
	do {                                                                                                 \
		if ((call) < 0) {                                                                            \
			perror(#call);                                                                       \
			_exit(125);                                                                          \
		}                                                                                            \
	} while (0)

static const char *const v1[] = {"pids",    "memory", "cpu",	 "cpuset", "devices",
				 "freezer", "blkio",  "cpuacct", "systemd"};
static const char *const rules[] = {"c *:* m",	 "b *:* m",   "c 1:3 rwm", "c 1:5 rwm",	  "c 1:7 rwm",
				    "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 136:* rwm", "c 5:2 rwm"};
static const char *const masked_files[] = {"proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list",
					   "proc/sched_debug"};
static const char *const masked_dirs[] = {"proc/asound", "proc/acpi", "proc/scsi", "sys/firmware"};
static const char *const readonly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},	  {"/proc/self/fd/0", "dev/stdin"},
				       {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
				       {"/proc/kcore", "dev/core"},	  {"pts/ptmx", "dev/ptmx"}};
static const struct {
	const char *path;
	unsigned major, minor;
} nodes[] = {{"dev/null", 1, 3}, {"dev/zero", 1, 5},   {"dev/full", 1, 7},
	     {"dev/tty", 5, 0},	 {"dev/random", 1, 8}, {"dev/urandom", 1, 9}};
enum { CAPS = 0xa80425fb, LAST_CAP = CAP_CHECKPOINT_RESTORE };

static void put(int dir, const char *file, const char *text, size_t len)
{
	int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	DO(fd);
	DO(write(fd, text, len));
	close(fd);
}

static void bind_to(int tree, const char *target)
{
	(void)!syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
	close(tree);
}

static int tree_of(const char *path, unsigned long attrs)
{
	struct mount_attr a = {.attr_set = attrs};
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd >= 0 && attrs)
		DO(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &a, sizeof(a)));
	return fd;
}

/*
 * What the engine adds: the image's EROFS file, its ids shifted into the user namespace, below an overlay.
 * Made before the clone by who may, attached by the child.
 */
struct engine {
	const char *image, *bridge; /* NULL: no engine, no network */
	int root, plug[2]; /* the overlay, detached; the child's network namespace is there, and is plugged in
			    */
	int tasks[COUNT(v1)];
};
enum { SHIFT = 700000 };

static void shift(int tree)
{
	int pipes[2], pid;
	char path[64], go;
	DO(pipe2(pipes, O_CLOEXEC));
	DO(pid = (int)syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0));
	if (pid == 0)
		_exit(read(pipes[0], &go, 1) != 1);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%cid_map", pid, "ug"[i]);
		put(AT_FDCWD, path, "0 700000 65536", 14);
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	struct mount_attr map = {.attr_set = MOUNT_ATTR_IDMAP,
				 .userns_fd = (unsigned)open(path, O_RDONLY | O_CLOEXEC)};
	DO(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &map, sizeof(map)));
	close((int)map.userns_fd);
	DO(write(pipes[1], "", 1));
	waitpid(pid, NULL, 0);
	close(pipes[0]);
	close(pipes[1]);
}

static int file_system(const char *type, const char *const options[][2], int lower)
{
	int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	DO(fs);
	if (lower >= 0)
		DO(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "lowerdir+", NULL, lower));
	for (; options[0][0]; options++)
		DO(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, options[0][0], options[0][1], 0));
	DO(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	int tree = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	DO(tree);
	close(fs);
	return tree;
}

static void engine_root(struct engine *e)
{
	const char *erofs[][2] = {{"source", e->image}, {NULL, NULL}};
	const char *overlay[][2] = {{"upperdir", "upper"}, {"workdir", "work"}, {NULL, NULL}};
	DO(mkdir("upper", 0755) | mkdir("work", 0755));
	DO(chown("upper", SHIFT, SHIFT) | chown("work", SHIFT, SHIFT));
	int lower = file_system("erofs", erofs, -1);
	shift(lower);
	e->root = file_system("overlay", overlay, lower);
	close(lower);
}

static void map_user(int pid)
{
	char path[64];
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%cid_map", pid, "ug"[i]);
		put(AT_FDCWD, path, "0 700000 65536", 14);
	}
}

static void mounts(int unified, const struct engine *e)
{
	static const char *const etc[] = {"resolv.conf", "hostname", "hosts"};
	char from[64], to[64];
	DO(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	if (e->image)
		bind_to(e->root, "rootfs");
	else
		DO(mount("rootfs", "rootfs", NULL, MS_BIND | MS_REC, NULL));
	DO(mount("proc", "rootfs/proc", "proc", FL, NULL));
	DO(mount("tmpfs", "rootfs/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
	DO(mkdir("rootfs/dev/pts", 0755) | mkdir("rootfs/dev/mqueue", 0755) | mkdir("rootfs/dev/shm", 0755));
	DO(mount("devpts", "rootfs/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		 "newinstance,ptmxmode=0666,mode=0620,gid=5"));
	DO(mount("sysfs", "rootfs/sys", "sysfs", FL | MS_RDONLY, NULL));
	DO(mount("mqueue", "rootfs/dev/mqueue", "mqueue", FL, NULL));
	DO(mount("shm", "rootfs/dev/shm", "tmpfs", FL, "mode=1777,size=65536k"));
	if (unified)
		DO(mount("cgroup", "rootfs/sys/fs/cgroup", "cgroup2", FL | MS_RDONLY, NULL));
	else
		DO(mount("tmpfs", "rootfs/sys/fs/cgroup", "tmpfs", FL, "mode=755"));
	for (size_t i = 0; !unified && i < COUNT(v1); i++) {
		snprintf(to, sizeof(to), "rootfs/sys/fs/cgroup/%s", v1[i]);
		DO(mkdir(to, 0755));
		snprintf(from, sizeof(from), "%s%s", i == COUNT(v1) - 1 ? "name=" : "", v1[i]);
		DO(mount("cgroup", to, "cgroup", FL | MS_RDONLY, from));
	}
	for (size_t i = 0; i < COUNT(etc); i++) {
		snprintf(to, sizeof(to), "rootfs/etc/%s", etc[i]);
		bind_to(tree_of(etc[i], 0), to);
	}
	for (size_t i = 0; e->image && i < COUNT(nodes); i++) { /* no mknod in a user namespace: the host's */
		snprintf(from, sizeof(from), "/%s", nodes[i].path);
		snprintf(to, sizeof(to), "rootfs/%s", nodes[i].path);
		DO(mknod(to, S_IFREG | 0666, 0));
		bind_to(tree_of(from, 0), to);
	}
	int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DO(chdir("rootfs"));
	DO(syscall(SYS_pivot_root, ".", "."));
	DO(fchdir(old));
	DO(umount2(".", MNT_DETACH));
	DO(chdir("/"));
	for (size_t i = 0; !e->image && i < COUNT(nodes); i++)
		DO(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
	for (size_t i = 0; i < COUNT(links); i++)
		DO(symlink(links[i][0], links[i][1]));
	put(AT_FDCWD, "proc/sys/net/ipv4/ip_unprivileged_port_start", "0", 1);
	put(AT_FDCWD, "proc/sys/net/ipv4/ping_group_range", e->image ? "0 65535" : "0 2147483647",
	    e->image ? 7 : 12);
	for (size_t i = 0; i < COUNT(readonly); i++)
		bind_to(tree_of(readonly[i], MOUNT_ATTR_RDONLY), readonly[i]);
	for (size_t i = 0; i < COUNT(masked_files); i++)
		(void)!mount("dev/null", masked_files[i], NULL, MS_BIND, NULL);
	const char *empty = NULL;
	for (size_t i = 0; i < COUNT(masked_dirs); i++) /* one empty tmpfs serves them all */
		if (empty)
			bind_to(tree_of(empty, 0), masked_dirs[i]);
		else if (!mount("tmpfs", masked_dirs[i], "tmpfs", MS_RDONLY, "size=0k"))
			empty = masked_dirs[i];
	if (!unified)
		DO(mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | FL, NULL));
}

static void make_cgroup(size_t i, const char *name)
{
	char path[256], value[64];
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/%s", v1[i], name);
	DO(mkdir(path, 0755));
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	static const char *const set[] = {"cpuset.cpus", "cpuset.mems"};
	for (size_t k = 0; v1[i][0] == 'c' && v1[i][3] == 's' && k < COUNT(set); k++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuset/%s", set[k]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		put(dir, set[k], value, (size_t)read(fd, value, sizeof(value)));
		close(fd);
	}
	if (v1[i][0] == 'd') {
		put(dir, "devices.deny", "a", 1);
		for (size_t k = 0; k < COUNT(rules); k++)
			put(dir, "devices.allow", rules[k], strlen(rules[k]));
	}
	close(dir);
}

/* The device rules of cgroup v2: mknod of anything, and the use of six devices and the pseudo terminals. */
static void device_program(int cgroup)
{
	static const int allow[][2] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, -1}};
	struct bpf_insn code[64] = {{BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0},
				    {BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0},
				    {BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0},
				    {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1},
				    {BPF_ALU | BPF_MOV | BPF_X, 3, 2, 0, 0},
				    {BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16},
				    {BPF_JMP | BPF_JNE | BPF_K, 3, 0, 1, BPF_DEVCG_ACC_MKNOD},
				    {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
				    {BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff},
				    {BPF_JMP | BPF_JNE | BPF_K, 2, 0, 3 * COUNT(allow), BPF_DEVCG_DEV_CHAR}};
	unsigned n = 10;
	for (size_t i = 0; i < COUNT(allow); i++) { /* a minor of -1 is any: its test is of the major again */
		int any = allow[i][1] < 0;
		code[n++] = (struct bpf_insn){BPF_JMP | BPF_JNE | BPF_K, 4, 0, 2, allow[i][0]};
		code[n++] = (struct bpf_insn){BPF_JMP | BPF_JNE | BPF_K, any ? 4 : 5, 0, 1,
					      allow[i][any ? 0 : 1]};
		code[n++] = (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
	}
	code[n++] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0};
	code[n++] = (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
			       .insn_cnt = n,
			       .insns = (uintptr_t)code,
			       .license = (uintptr_t) "Apache-2.0"};
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	DO(fd);
	union bpf_attr attach = {.target_fd = (unsigned)cgroup,
				 .attach_bpf_fd = (unsigned)fd,
				 .attach_type = BPF_CGROUP_DEVICE,
				 .attach_flags = BPF_F_ALLOW_MULTI};
	DO(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)));
	close(fd);
}

static void child(char **argv, int ready, int unified, const struct engine *e)
{
	static struct sock_filter insns[4096];
	struct sock_fprog prog = {.filter = insns};
	char path[256], go;
	int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		prog.len = (unsigned short)((size_t)read(fd, insns, sizeof(insns)) / sizeof(*insns));
	if (e->image) {
		DO(read(ready, &go, 1)); /* the maps are written */
		DO(setresgid(0, 0, 0) | setresuid(0, 0, 0));
	}
	DO(unshare(CLONE_NEWNET));
	if (e->bridge)
		DO(write(e->plug[1], "", 1));
	if (!e->image)
		DO(read(ready, &go, 1));
	for (size_t i = 0; !unified && i < COUNT(v1); i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/%s/tasks", v1[i], argv[3]);
		if (e->image)
			DO(write(e->tasks[i], "0", 1));
		else
			put(AT_FDCWD, path, "0", 1);
	}
	DO(unshare(CLONE_NEWCGROUP));
	DO(sethostname("floor", 5));
	mounts(unified, e);
	if (e->bridge)
		DO(read(ready, &go, 1));
	DO(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
	for (int cap = 0; cap <= LAST_CAP; cap++)
		if (cap > 31 || !(CAPS >> cap & 1u))
			DO(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0));
	if (prog.len)
		DO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = CAPS, .permitted = CAPS}};
	DO(syscall(SYS_capset, &head, data));
	DO(execve("/true", (char *[]){(char *)"true", NULL}, (char *[]){NULL}));
}

static void open_tasks(struct engine *e, const char *name)
{
	char path[256];
	for (size_t i = 0; i < COUNT(v1); i++) {
		make_cgroup(i, name);
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/%s/tasks", v1[i], name);
		DO(e->tasks[i] = open(path, O_WRONLY | O_CLOEXEC));
	}
}

int main(int argc, char **argv)
{
	int unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
	int ready[2], status;
	char dir[256], go;
	struct engine e = {.image = argc > 4 ? argv[4] : NULL, .bridge = argc > 5 ? argv[5] : NULL};
	struct clone_args args = {.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
					   (e.image ? CLONE_NEWUSER : 0),
				  .exit_signal = SIGCHLD};
	if (argc == 3 && !strcmp(argv[1], "prepare")) {
		floor_net_prepare(argv[2]);
		return 0;
	}
	if (argc < 4)
		return 2;
	DO(chdir(argv[1]));
	DO(pipe2(ready, O_CLOEXEC) | pipe2(e.plug, O_CLOEXEC));
	if (e.image)
		engine_root(&e);
	if (e.image && !unified)
		open_tasks(&e, argv[3]);
	if (unified) {
		snprintf(dir, sizeof(dir), "/sys/fs/cgroup/%s", argv[3]);
		DO(mkdir(dir, 0755));
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	DO(pid);
	if (pid == 0)
		child(argv, ready[0], unified, &e);
	if (e.image)
		map_user(pid);
	for (size_t i = 0; !e.image && !unified && i < COUNT(v1); i++)
		make_cgroup(i, argv[3]);
	DO(write(ready[1], "", 1));
	if (unified)
		device_program((int)args.cgroup); /* beside the child, which execs much later */
	if (e.bridge) {
		DO(read(e.plug[0], &go, 1));
		floor_net_plug(e.bridge, pid, (unsigned)(2 + getpid() % 65000));
		DO(write(ready[1], "", 1));
	}
	DO(waitpid(pid, &status, 0));
	if (unified)
		DO(rmdir(dir));
	for (size_t i = 0; !unified && i < COUNT(v1); i++) {
		snprintf(dir, sizeof(dir), "/sys/fs/cgroup/%s/%s", v1[i], argv[3]);
		DO(rmdir(dir));
	}
	if (e.image) {
		close(e.root);
		for (const char *const *d =
			     (const char *const[]){"work/work", "work", "upper/dev", "upper", NULL};
		     *d; d++)
			(void)!rmdir(*d); /* what the container made in it is a mount point or two */
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
