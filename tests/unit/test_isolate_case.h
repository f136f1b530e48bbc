/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's file systems without a container: a bundle on a tmpfs in a
 * mount namespace of its own, a child in new namespaces that runs setup,
 * pivot and finish, and questions asked from inside.  Nothing outlives it.
 */
#pragma once

#include "test.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/mount.h"
#include "isolate/ns/rootfs.h"

#include <dirent.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static char case_bundle[32], case_rootfs[64];
static int case_procfs = -1; /* the host's: not every case has one of its own */

enum { CASE_SKIPPED = 77 };

struct test_case {
	const char *config;    /* what is inside the braces of config.json, behind process and root */
	void (*prepare)(void); /* on the host's side, the working directory is the empty root; may be NULL */
	void (*inside)(void);  /* questions, from inside; NULL: setup must fail */
	const char *fails;     /* a part of the message that setup (or the plan) must fail with */
	int unshare;	       /* more namespaces than mount and pid */
	bool no_api, no_setattr, no_pivot, readonly, console, no_mount_ns;
	bool rootless; /* as user 1000, who is root in a user namespace */
};

/* Pieces of config.json. */
#define MOUNT(to, type, from, options)                                                                       \
	"{\"destination\": \"" to "\", \"type\": \"" type "\", \"source\": \"" from                          \
	"\", \"options\": [" options "]}"
#define PROC		     MOUNT("/proc", "proc", "proc", "\"nosuid\"")
#define DEV		     MOUNT("/dev", "tmpfs", "tmpfs", "\"mode=755\"")
#define BIND(to, from, more) MOUNT(to, "none", from, "\"bind\"" more)
#define ONLY(list)	     "\"mounts\": [" list "], \"linux\": {\"namespaces\": [{\"type\": \"mount\"}]}"

static void make_dir(const char *path)
{
	if (file_mkdir_all(path, 0755) < 0) {
		perror(path);
		_exit(2);
	}
}

static unused void make_file(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || fd_write_all(fd, text, strlen(text)) < 0) {
		perror(path);
		_exit(2);
	}
}

static unused void make_link(const char *text, const char *path)
{
	if (symlink(text, path) < 0) {
		perror(path);
		_exit(2);
	}
}

/* The line of the last mount on `point`: "root point options fields - type source super", or NULL. */
static unused const char *mount_line(const char *point, char buf[static 4096])
{
	autofree char *text = NULL;
	const char *found = NULL;
	size_t len;

	if (file_read_at(case_procfs, "self/mountinfo", 1 << 20, &text, &len) < 0)
		return NULL;
	for (char *next, *line = text; line && *line; line = next) {
		char *field = line;
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		for (int i = 0; i < 3 && field; i++)
			field = strchr(field, ' ') ? strchr(field, ' ') + 1 : NULL;
		if (!field)
			continue;
		char *p = strchr(field, ' ');
		size_t n = strlen(point);
		if (p && strncmp(p + 1, point, n) == 0 && p[1 + n] == ' ') {
			(void)snprintf(buf, 4096, "%s", field);
			found = buf;
		}
	}
	return found;
}

/* True where the mount on `point` has every word in its line, like "ro," or " - tmpfs ". */
static unused bool mounted(const char *point, const char *word)
{
	char buf[4096];
	const char *line = mount_line(point, buf);
	bool yes = line && (!word || strstr(line, word));

	if (!yes)
		fprintf(stderr, "  mount on %s: %s\n", point, line ? line : "(none)");
	return yes;
}

/* The contrary, for what is mounted. */
static unused bool lacks(const char *point, const char *word)
{
	char buf[4096];
	const char *line = mount_line(point, buf);

	return line && !strstr(line, word);
}

static unused bool is_mounted(const char *point)
{
	char buf[4096];

	return mount_line(point, buf);
}

static unused bool file_has(const char *path, const char *want)
{
	autofree char *text = NULL;
	size_t len;

	return file_read_at(AT_FDCWD, path, 65536, &text, &len) == 0 && streq(text, want);
}

static unused bool is_node(const char *path, mode_t mode, unsigned maj, unsigned min)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_mode == mode && st.st_rdev == makedev(maj, min);
}

static unused bool can_write(const char *path)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd >= 0;
}

static int case_console(struct ns_rootfs *r, struct err *err)
{
	int unlock = 0;
	/* Left open: without a master the slave is gone. */
	int master = openat(r->dev_pts_fd, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_sys(err, "no master");
	autoclose int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(err, "no slave");
	return ns_rootfs_console(r, slave, err);
}

static int case_setup(const struct test_case *t, const struct isolate_create *c, const struct ns_mounts *m,
		      struct err *err)
{
	struct ns_rootfs r;
	int code = ns_rootfs_setup(c, m, &r, err);

	if (code == 0 && t->console)
		code = case_console(&r, err);
	if (code == 0)
		code = ns_rootfs_pivot(c, &r, err);
	if (code == 0)
		code = ns_rootfs_finish(c, &r, err);
	if (code == 0 && t->inside)
		t->inside();
	return code;
}

static void case_child(const struct test_case *t, const struct isolate_create *c, const struct ns_mounts *m)
{
	struct err err = {0};
	int code = case_setup(t, c, m, &err);

	if (t->fails) {
		CHECK(code < 0 && strstr(err.msg, t->fails));
		if (code == 0 || !strstr(err.msg, t->fails))
			fprintf(stderr, "  message: %s\n", code ? err.msg : "(none)");
	} else {
		CHECK(code == 0);
		if (code < 0)
			fprintf(stderr, "  message: %s\n", err.msg);
	}
	_exit(test_failures ? 1 : 0);
}

static struct cgroup case_cgroup(void)
{
	struct cgroup cg = {.path = (char *)"/",
			    .v2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0};

	if (cg.v2) {
		cg.v2_dir = (char *)"/sys/fs/cgroup";
		return cg;
	}
	if (access("/sys/fs/cgroup/pids", F_OK) == 0)
		cg.v1_dir[CG_PIDS] = (char *)"/sys/fs/cgroup/pids";
	if (access("/sys/fs/cgroup/cpu", F_OK) == 0)
		cg.v1_dir[CG_CPU] = (char *)"/sys/fs/cgroup/cpu";
	if (access("/sys/fs/cgroup/cpuacct", F_OK) == 0)
		cg.v1_dir[CG_CPUACCT] = (char *)"/sys/fs/cgroup/cpuacct";
	if (access("/sys/fs/cgroup/systemd", F_OK) == 0)
		cg.v1_dir[CG_NAMED_SYSTEMD] = (char *)"/sys/fs/cgroup/systemd";
	return cg;
}

static unused bool write_map(const char *file, const char *text)
{
	return file_write_at(AT_FDCWD, file, text) == 0;
}

/* Namespaces and the fork that makes the child a member of the pid namespace. */
static void case_spawn(const struct test_case *t, const struct isolate_create *c, const struct ns_mounts *m)
{
	int go[2], status;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		_exit(2);
	pid = fork();
	if (pid == 0) {
		char byte;
		if (t->rootless && (setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0 ||
				    prctl(PR_SET_DUMPABLE, 1) < 0))
			_exit(2);
		if (unshare((t->no_mount_ns ? 0 : CLONE_NEWNS) | CLONE_NEWPID | t->unshare) < 0) {
			perror("unshare");
			_exit(CASE_SKIPPED);
		}
		if (t->unshare & CLONE_NEWUSER) {
			/* A map of one: root inside, and others are nobody. */
			const char *map = t->rootless ? "0 1000 1" : "0 0 1";
			if (!write_map("/proc/self/setgroups", "deny") ||
			    !write_map("/proc/self/uid_map", map) || !write_map("/proc/self/gid_map", map))
				_exit(CASE_SKIPPED);
		}
		(void)close(go[1]);
		(void)!read(go[0], &byte, 1);
		pid = fork();
		if (pid == 0)
			case_child(t, c, m);
		status = proc_wait(pid);
		_exit(status < 0 ? 2 : proc_exit_code(status));
	}
	(void)close(go[0]);
	(void)close(go[1]);
	status = proc_wait(pid);
	CHECK_INT(status < 0 ? status : proc_exit_code(status), 0);
}

static void case_run_here(const struct test_case *t)
{
	struct str text autostr = {0};
	struct oci_config config;
	struct cgroup cg = case_cgroup();
	struct ns_mounts m = {0};
	struct err err = {0};

	str_putf(&text, "{\"ociVersion\": \"1.2.0\", \"root\": {\"path\": \"rootfs\", \"readonly\": %s}, %s}",
		 t->readonly ? "true" : "false", t->config);
	if (oci_config_parse(text.s, text.len, "config.json", &config, &err) < 0) {
		/* Some of what the plan refuses is refused before. */
		CHECK(t->fails && strstr(err.msg, t->fails));
		if (!t->fails || !strstr(err.msg, t->fails))
			fprintf(stderr, "  %s\n", err.msg);
		return;
	}
	struct isolate_create c = {
		.rootfs_tree = -1,
		.sandbox = {.id = "test", .bundle = case_bundle},
		.config = &config,
		.cgroup = &cg,
		.rootfs = case_rootfs,
		.rootfs_fd = open(case_rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC),
		.no_pivot = t->no_pivot,
		.rootless = t->rootless,
	};
	int r = ns_mounts_plan(&c, &m, &err);
	if (r < 0 && t->fails) {
		CHECK(strstr(err.msg, t->fails));
		if (!strstr(err.msg, t->fails))
			fprintf(stderr, "  message: %s\n", err.msg);
	} else {
		CHECK_INT(r, 0);
		if (r < 0)
			fprintf(stderr, "  message: %s\n", err.msg);
	}
	if (r == 0) {
		if (t->no_setattr || t->no_api) {
			m.kernel.setattr = false;
			m.kernel.api = !t->no_api;
			m.procfs = fcntl(case_procfs, F_DUPFD_CLOEXEC, 3);
			for (size_t i = 0; t->no_api && i < m.n; i++)
				fd_drop(&m.v[i].tree);
			if (t->no_api)
				fd_drop(&m.root_tree);
		}
		case_spawn(t, &c, &m);
		CHECK(ns_rootfs_undo(&config, case_rootfs, &err) == 0);
		CHECK(!is_mounted(case_rootfs));
	}
	ns_mounts_free(&m);
	oci_config_free(&config);
	(void)close(c.rootfs_fd);
}

/* In a forked process with a mount namespace of its own, so that nothing is left behind. */
static unused void case_run(const char *name, const struct test_case *t)
{
	int status;
	pid_t pid;

	(void)snprintf(case_bundle, sizeof(case_bundle), "/tmp/coffer-test-XXXXXX");
	if (!mkdtemp(case_bundle)) {
		CHECK(!"a temporary directory");
		return;
	}
	(void)snprintf(case_rootfs, sizeof(case_rootfs), "%s/rootfs", case_bundle);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0)
			_exit(CASE_SKIPPED);
		test_checks = test_failures = 0;
		if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    syscall(SYS_mount, "tmpfs", case_bundle, "tmpfs", 0, "mode=755") < 0)
			_exit(2);
		case_procfs = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		make_dir(case_rootfs);
		if (chdir(case_rootfs) < 0)
			_exit(2);
		if (t->prepare)
			t->prepare();
		case_run_here(t);
		_exit(test_failures ? 1 : 0);
	}
	status = proc_wait(pid);
	int code = status < 0 ? status : proc_exit_code(status);
	if (code)
		fprintf(stderr, "case failed: %s\n", name);
	CHECK_INT(code, 0);
	(void)rmdir(case_bundle); /* the empty mount point */
}
#define RUN(...) case_run(#__VA_ARGS__, &(struct test_case){__VA_ARGS__})
