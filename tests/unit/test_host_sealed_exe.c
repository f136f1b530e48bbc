/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CVE-2019-5736 played: copies of this very program are protected in each of
 * the ways, and attackers (root; root of a user namespace with a mount
 * namespace of its own) try to write them through /proc/PID/exe while they
 * run and after they have ended.
 */
#include "test.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/helper.h"
#include "host/sealed_exe.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- The victim ---- */

/* Argument: "victim", a word, …; says its state and its helper, and waits for the end of its input. */
static int victim(char **argv)
{
	static int counter = 40; /* data and relocated pointers must survive */
	static const char *const words[] = {"still", "here"};
	struct err err = {0};
	char c;

	counter++;
	/* As everybody who clones a process that a container may see. */
	if (sealed_exe_ensure(argv, &err) < 0 || sealed_exe_settle(&err) < 0) {
		printf("%s\n", err.msg);
		return 1;
	}
	counter++;
	autofree char *helper = NULL;
	ignore_result(
		helper_path("a-helper", &helper, &err)); /* a copy without a name does not know its place */
	void *p = malloc(1 << 20);			 /* the heap still grows */
	for (int i = 1; p && i < 100; i++)
		p = realloc(p, (size_t)i * 10000);
	free(p);
	autofree char *cmdline = NULL;
	size_t len = 0;
	if (file_read_at(AT_FDCWD, "/proc/self/cmdline", 4096, &cmdline, &len) < 0)
		return 1;
	for (size_t i = 0; i + 1 < len; i++)
		if (!cmdline[i])
			cmdline[i] = ' ';
	printf("%d %d %s%s %s [%s]\n", (int)sealed_exe_state(), counter, words[0], words[1],
	       helper ? helper : "-", strstr(cmdline, "victim") ? strstr(cmdline, "victim") : cmdline);
	fflush(stdout);
	if (read(0, &c, 1) < 0)
		return 1;
	return 0;
}

/* ---- The attackers ---- */

static bool can_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool wrote = pwrite(fd, "PWNED", 5, 0) > 0;
	close(fd);
	return wrote;
}

/* Not only by a path: scripts and loaders name it as well. */
static bool can_execute(int exe)
{
	char *argv[] = {(char *)(uintptr_t) "program", "victim", NULL};
	struct fd_path p = fd_path(exe);
	pid_t pid = fork();

	if (pid == 0) {
		execv(p.s, argv);
		syscall(SYS_execveat, exe, "", argv, environ, AT_EMPTY_PATH);
		_exit(errno == EACCES ? 0 : 1);
	}
	return proc_exit_code(proc_wait(pid)) != 0;
}

/* Everything that might turn a read-only mount into another, on a descriptor of the victim's program. */
static bool can_unwrap(int exe)
{
	struct mount_attr clear = {.attr_clr = MOUNT_ATTR_RDONLY};
	struct fd_path p = fd_path(exe);

	if (sys_mount_setattr(exe, "", AT_EMPTY_PATH, &clear) == 0 && can_write(p.s))
		return true;
	if (mount(NULL, p.s, NULL, MS_REMOUNT | MS_BIND, NULL) == 0 && can_write(p.s))
		return true;
	int fd = open("/tmp/target", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	if (mount(p.s, "/tmp/target", NULL, MS_BIND, NULL) == 0) {
		ignore_result(mount(NULL, "/tmp/target", NULL, MS_REMOUNT | MS_BIND, NULL));
		if (can_write("/tmp/target"))
			return true;
	}
	int tree = sys_open_tree(exe, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree >= 0 && sys_mount_setattr(tree, "", AT_EMPTY_PATH, &clear) == 0 &&
	    can_write(fd_path(tree).s))
		return true;
	if (sys_move_mount(exe, "", AT_FDCWD, "/tmp/target", MOVE_MOUNT_F_EMPTY_PATH) == 0) {
		ignore_result(mount(NULL, "/tmp/target", NULL, MS_REMOUNT | MS_BIND, NULL));
		if (can_write("/tmp/target"))
			return true;
	}
	return can_write(p.s);
}

/* Root of a user namespace in which nobody else is mapped. */
static bool become_root(uid_t uid)
{
	char map[64];

	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0 ||
	    unshare(CLONE_NEWUSER) < 0 || file_write_at(AT_FDCWD, "/proc/self/setgroups", "deny") < 0)
		return false;
	(void)snprintf(map, sizeof(map), "0 %u 1", uid);
	return file_write_at(AT_FDCWD, "/proc/self/uid_map", map) == 0 &&
	       file_write_at(AT_FDCWD, "/proc/self/gid_map", map) == 0 && geteuid() == 0;
}

/* In a child, with a mount namespace of its own and, if asked for, as root of a user namespace only. */
static int attack(int exe, bool userns, uid_t uid)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (userns && !become_root(uid))
			_exit(77);
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
			_exit(77);
		_exit(can_unwrap(exe) ? 1 : 0);
	}
	return proc_exit_code(proc_wait(pid));
}

/* ---- One round ---- */

struct round {
	const char *name;
	uid_t uid;	   /* who starts it */
	bool own_copy;	   /* the file belongs to that user */
	bool memfd_noexec; /* memory files are forbidden to be executed */
	enum sealed_exe want;
};

static void start(const struct round *r, const char *program, int in, int out)
{
	char *argv[] = {(char *)(uintptr_t)program, "victim", "a b", "", "last", NULL};

	if (r->memfd_noexec) {
		/* The setting belongs to the pid namespace. */
		if (unshare(CLONE_NEWPID) < 0)
			_exit(77);
		pid_t pid = fork();
		if (pid > 0)
			_exit(proc_exit_code(proc_wait(pid)));
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
		    file_write_at(AT_FDCWD, "/proc/sys/vm/memfd_noexec", "2") < 0)
			_exit(77);
		/* So that the first way fails as well: no privileges. */
	}
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0)
		_exit(9);
	if (r->uid && (setresgid(r->uid, r->uid, r->uid) < 0 || setresuid(r->uid, r->uid, r->uid) < 0))
		_exit(9);
	execv(program, argv);
	_exit(9);
}

static void play(const struct round *r, const char *program, const char *original, size_t original_len)
{
	char line[1024] = "", path[64], want[128];
	int in[2], out[2];
	struct stat st;

	CHECK_INT(chown(program, r->own_copy ? r->uid : 0, 0), 0);
	CHECK_INT(chmod(program, 0755), 0);
	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(in[1]);
		start(r, program, in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	ssize_t n = read(out[0], line, sizeof(line) - 1);
	if (n <= 0) {
		int code = proc_exit_code(proc_wait(pid));
		printf("%s: not possible here\n", r->name);
		CHECK(code == 77);
		close(in[1]);
		close(out[0]);
		return;
	}
	(void)snprintf(want, sizeof(want), "%d 42 stillhere ", (int)r->want);
	if (!str_starts(line, want) || !strstr(line, "[victim a b  last]"))
		fprintf(stderr, "%s: %s", r->name, line);
	CHECK(str_starts(line, want));
	CHECK(strstr(line, "[victim a b  last]") != NULL);
	CHECK(strstr(line, "/a-helper ") != NULL || r->want == SEALED_EXE_UNLINKED);

	if (!r->memfd_noexec) { /* (there it is a grandchild) */
		(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
		CHECK(stat(path, &st) == 0);
		autoclose int exe = open(path, O_PATH | O_CLOEXEC);
		CHECK(exe >= 0);
		/* FOREIGN protects from what that user can start; root itself may write root's file. */
		bool from_root = r->want != SEALED_EXE_FOREIGN;
		CHECK(!from_root || !can_write(path));
		CHECK(r->want != SEALED_EXE_READONLY || !can_execute(exe));
		CHECK(!from_root || attack(exe, false, 0) == 0);
		int code = attack(exe, true, r->uid);
		CHECK(code == 0 || code == 77);
		close(in[1]);
		CHECK_INT(proc_exit_code(proc_wait(pid)), 0);
		/* The race of the real attack: the victim is gone, the file is no longer busy. */
		CHECK(!from_root || !can_write(fd_path(exe).s));
		CHECK(r->want != SEALED_EXE_READONLY || !can_execute(exe));
		CHECK(!from_root || attack(exe, false, 0) == 0);
		code = attack(exe, true, r->uid);
		CHECK(code == 0 || code == 77);
	} else {
		close(in[1]);
		CHECK_INT(proc_exit_code(proc_wait(pid)), 0);
	}
	autofree char *now = NULL;
	size_t len = 0;
	CHECK_INT(file_read_at(AT_FDCWD, program, 1 << 26, &now, &len), 0);
	CHECK(len == original_len && memcmp(now, original, len) == 0);
	close(out[0]);
}

int main(int argc, char **argv)
{
	static const struct round rounds[] = {
#if !defined(__SANITIZE_ADDRESS__)
		{.name = "root", .want = SEALED_EXE_READONLY},
#else
		{.name = "root", .want = SEALED_EXE_MEMFD},
#endif
		{.name = "user, root's file", .uid = 1234, .want = SEALED_EXE_FOREIGN},
		{.name = "user, own file", .uid = 1234, .own_copy = true, .want = SEALED_EXE_MEMFD},
		{.name = "memory not executable",
		 .uid = 1234,
		 .own_copy = true,
		 .memfd_noexec = true,
		 .want = SEALED_EXE_UNLINKED},
	};
	char dir[] = "/tmp/coffer-exe-XXXXXX";
	size_t len = 0;
	autofree char *self = NULL;

	if (argc > 1 && streq(argv[1], "victim"))
		return victim(argv);
	CHECK(sealed_exe_state() != SEALED_EXE_MEMFD);
	CHECK_INT(file_read_at(AT_FDCWD, "/proc/self/exe", 1 << 26, &self, &len), 0);
	CHECK(mkdtemp(dir) != NULL);
	CHECK_INT(chmod(dir, 0755), 0);
	autoclose int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofree char *program = str_format("%s/program", dir);
	CHECK_INT(file_replace_at(d, "a-helper", "#!/bin/sh\n", 10, 0755, false), 0);
	fflush(stdout);
	for (size_t i = 0; geteuid() == 0 && i < ARRAY_LEN(rounds); i++) {
		CHECK_INT(file_replace_at(d, "program", self, len, 0755, false), 0);
		play(&rounds[i], program, self, len);
	}
	autoclose int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, dir + strlen("/tmp/")), 0);
	return test_end();
}
