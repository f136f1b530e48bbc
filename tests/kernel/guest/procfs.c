/* SPDX-License-Identifier: Apache-2.0 */
/* /proc: formats that programs parse, links, and who may look. */
#define _GNU_SOURCE
#include "fact.h"

#include <dirent.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static char text[1 << 20];

static const char *read_text(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = 0, m;

	text[0] = '\0';
	if (fd < 0)
		return text;
	while (n < (ssize_t)sizeof(text) - 1 && (m = read(fd, text + n, sizeof(text) - 1 - (size_t)n)) > 0)
		n += m;
	text[n] = '\0';
	close(fd);
	return text;
}

static long number_of(const char *path, const char *key)
{
	const char *at = strstr(read_text(path), key);

	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void ids_and_names(void)
{
	char path[64], link[64] = "";
	int pid, ppid, pgrp, session;
	char state, comm[32];

	FACT("PR_SET_NAME", prctl(PR_SET_NAME, "a (b) c"), 0);
	TRUE("comm", strcmp(read_text("/proc/self/comm"), "a (b) c\n") == 0);
	TRUE("stat's head", sscanf(read_text("/proc/self/stat"), "%d (%31[^)]) c) %c %d %d %d", &pid, comm,
				   &state, &ppid, &pgrp, &session) == 6);
	TRUE("stat's ids", pid == getpid() && ppid == getppid() && pgrp == getpgrp() && session == getsid(0));
	TRUE("who reads it runs", state == 'R');
	fact("status' Pid", number_of("/proc/self/status", "\nPid:\t"), getpid());
	fact("status' PPid", number_of("/proc/self/status", "\nPPid:\t"), getppid());
	fact("status' Tgid", number_of("/proc/thread-self/status", "\nTgid:\t"), getpid());
	fact("status' Uid", number_of("/proc/self/status", "\nUid:\t"), getuid());
	fact("status' Threads", number_of("/proc/self/status", "\nThreads:\t"), 1);
	TRUE("status' memory", number_of("/proc/self/status", "\nVmRSS:\t") > 0);
	FACT("self is a link", readlink("/proc/self", link, sizeof(link) - 1) > 0, 1);
	fact("to the pid", strtol(link, NULL, 10), getpid());
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", getpid(), getpid());
	TRUE("a thread's stat", strtol(read_text(path), NULL, 10) == getpid());
	FACT("a pid that is none", access("/proc/99999999", F_OK), -ENOENT);
	FACT("a pid with a zero before it", access("/proc/01", F_OK), -ENOENT);
}

static void links(void)
{
	char path[64], link[512], here[512];
	int fds[2], fd = open("/dev/null", O_RDONLY);
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	TRUE("a descriptor's path", n > 0 && strncmp(link, "/dev/null", (size_t)n) == 0 && n == 9);
	close(fd);
	FACT("a closed descriptor's", readlink(path, link, sizeof(link)), -ENOENT);
	FACT("pipe", pipe(fds), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
	n = readlink(path, link, sizeof(link) - 1);
	TRUE("a pipe's name", n > 7 && strncmp(link, "pipe:[", 6) == 0);
	fd = open(path, O_WRONLY);
	FACT("it is opened anew", write(fd, "x", 1), 1);
	FACT("and leads to the same pipe", read(fds[0], link, 8), 1);
	FACT("cwd",
	     readlink("/proc/self/cwd", link, sizeof(link) - 1) > 0 && getcwd(here, sizeof(here)) &&
		     strncmp(link, here, strlen(here)) == 0,
	     1);
	n = readlink("/proc/self/exe", link, sizeof(link) - 1);
	TRUE("exe", n > 1 && link[0] == '/');
	n = readlink("/proc/self/root", link, sizeof(link) - 1);
	TRUE("root", n == 1 && link[0] == '/');
	fd = open("/proc/self/exe", O_RDONLY);
	FACT("the program is read by its link", read(fd, link, 4) == 4 && memcmp(link, "\177ELF", 4) == 0, 1);
	close(fd);
	close(fds[0]);
	close(fds[1]);
}

static void maps(void)
{
	char line[128], *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *at;

	snprintf(line, sizeof(line), "%lx-%lx rw-s ", (unsigned long)shared, (unsigned long)shared + 8192);
	at = read_text("/proc/self/maps");
	TRUE("a shared mapping", strstr(at, line));
	TRUE("the stack", strstr(at, "[stack]"));
	TRUE("the vdso", strstr(at, "[vdso]"));
	TRUE("smaps has figures", strstr(read_text("/proc/self/smaps"), "\nRss: "));
	TRUE("statm", strtol(read_text("/proc/self/statm"), NULL, 10) > 0);
}

static void directories(void)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	int found = 0, self = 0;

	TRUE("fd is a directory", d);
	while (d && (e = readdir(d)))
		found += strcmp(e->d_name, "0") == 0;
	if (d)
		closedir(d);
	fact("with descriptor 0 in it", found, 1);
	d = opendir("/proc");
	while (d && (e = readdir(d)))
		self += strtol(e->d_name, NULL, 10) == getpid();
	if (d)
		closedir(d);
	fact("/proc lists this process once", self, 1);
	FACT("nothing is made there",
	     mkdir("/proc/x", 0755) < 0 && (errno == ENOENT || errno == EPERM || errno == EACCES), 1);
}

static void machine(void)
{
	struct sysinfo info;
	long total = number_of("/proc/meminfo", "MemTotal:"), processors = 0;
	double up = strtod(read_text("/proc/uptime"), NULL);

	FACT("sysinfo", sysinfo(&info), 0);
	fact("and meminfo agree", total, (long)(info.totalram * info.mem_unit / 1024));
	TRUE("uptime too", up >= (double)info.uptime - 2 && up <= (double)info.uptime + 2);
	for (const char *at = read_text("/proc/cpuinfo"); (at = strstr(at, "processor\t")); at++)
		processors++;
	fact("processors", processors, sysconf(_SC_NPROCESSORS_ONLN));
	TRUE("stat has a line of cpu", strncmp(read_text("/proc/stat"), "cpu  ", 5) == 0);
	TRUE("mounts has /proc", strstr(read_text("/proc/mounts"), " /proc proc "));
	TRUE("mountinfo as well", strstr(read_text("/proc/self/mountinfo"), " - proc proc "));
	fact("pid_max", number_of("/proc/sys/kernel/pid_max", "") > 100, 1);
	fact("keys' limit", number_of("/proc/sys/kernel/keys/maxkeys", "") > 0, 1);
	fact("a uuid is new each time", strlen(read_text("/proc/sys/kernel/random/uuid")), 37);
	TRUE("limits", strstr(read_text("/proc/self/limits"), "Max open files "));
}

static int is_listed(pid_t pid)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int found = 0;

	while (d && (e = readdir(d)))
		found += atoi(e->d_name) == pid;
	if (d)
		(void)closedir(d);
	return found;
}

/* Reads PID/name into text, which is of 4096 bytes. */
static long text_of(pid_t pid, const char *name, char *text)
{
	char path[64];
	int fd;
	long n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	n = RESULT(read(fd, text, 4095));
	text[n > 0 ? n : 0] = 0;
	(void)close(fd);
	return n;
}

/* Who has ended and has not been waited for is there still. */
static void zombies(void)
{
	char text[4096], path[64], state = 0;
	int parent = 0, dir;
	struct stat st;
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_NAME, "was a child");
		(void)setgid(4);
		(void)setuid(3);
		_exit(0);
	}
	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	FACT("a child has ended", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	TRUE("its stat", text_of(pid, "stat", text) > 0 && strrchr(text, ')') &&
				 sscanf(strrchr(text, ')'), ") %c %d", &state, &parent) == 2);
	FACT("its state", state, 'Z');
	FACT("its parent", parent, getpid());
	TRUE("its status", text_of(pid, "status", text) > 0 && strstr(text, "\nState:\tZ (zombie)\n"));
	TRUE("its user", strstr(text, "\nUid:\t3\t3\t3\t3\n"));
	TRUE("nothing of a mask", !strstr(text, "Umask"));
	FACT("its arguments", text_of(pid, "cmdline", text), 0);
	FACT("its memory", text_of(pid, "maps", text), 0);
	FACT("its memory's figures", text_of(pid, "smaps", text), 0);
	FACT("but no sum", text_of(pid, "smaps_rollup", text), -ESRCH);
	TRUE("its name", text_of(pid, "comm", text) > 0 && strcmp(text, "was a child\n") == 0);
	FACT("is listed", is_listed(pid), 1);
	TRUE("its directory", stat(path, &st) == 0 && st.st_uid == 3 && st.st_gid == 4);
	FACT("as it was opened", faccessat(dir, "stat", R_OK, 0), 0);
	FACT("can be signalled", kill(pid, SIGTERM), 0);
	(void)waitpid(pid, NULL, 0);
	FACT("has gone then", text_of(pid, "stat", text), -ENOENT);
	FACT("from the list", is_listed(pid), 0);
	FACT("and from where it was opened", openat(dir, "stat", O_RDONLY), -ESRCH);
	(void)close(dir);
	for (int i = 0; i < 300; i++) {
		pid = fork();
		if (pid == 0)
			_exit(0);
		if (i % 100)
			(void)waitpid(pid, NULL, 0);
	}
	(void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	for (int i = 0; (pid = waitpid(-1, NULL, 0)) > 0; i++)
		if (i == 2)
			FACT("none is left", is_listed(pid), 0);
}

/* By its own number a thread is shown as itself. */
static void *threads_own_number(void *unused)
{
	char path[64];
	struct stat st;

	(void)unused;
	snprintf(path, sizeof(path), "/proc/%d/status", gettid());
	fact("Pid of a thread's number", number_of(path, "\nPid:\t"), gettid());
	fact("Tgid of a thread's number", number_of(path, "\nTgid:\t"), getpid());
	snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", gettid());
	TRUE("a thread's slack", strtol(read_text(path), NULL, 10) > 0);
	fact("links of two threads", stat("/proc/self/task", &st) == 0 ? (long)st.st_nlink : -1, 4);
	return NULL;
}

static void threads(void)
{
	pthread_t other;

	if (pthread_create(&other, NULL, threads_own_number, NULL) == 0)
		pthread_join(other, NULL);
}

static void core_filter(void)
{
	const char *path = "/proc/self/coredump_filter";
	int fd = open(path, O_RDWR), status = 0;

	TRUE("what a core file holds", !strcmp(read_text(path), "00000033\n"));
	FACT("holding more", write(fd, "0xffff\n", 7), 7);
	TRUE("as far as there is more", !strcmp(read_text(path), "000001ff\n"));
	FACT("holding nonsense", pwrite(fd, "x", 1, 0), -EINVAL);
	if (fork() == 0)
		_exit(strcmp(read_text(path), "000001ff\n") != 0);
	(void)wait(&status);
	fact("a child has it too", status, 0);
	close(fd);
}

static void others(void)
{
	int status, fds[2];
	char byte;
	pid_t pid;

	if (pipe(fds) < 0 || getuid() != 0)
		return;
	pid = fork();
	if (pid == 0) {
		char path[64];

		if (setgid(1000) < 0 || setuid(1000) < 0)
			_exit(2);
		snprintf(path, sizeof(path), "/proc/%d/environ", getppid());
		FACT("a stranger's environment", open(path, O_RDONLY), -EACCES);
		snprintf(path, sizeof(path), "/proc/%d/maps", getppid());
		FACT("a stranger's maps", open(path, O_RDONLY), -EACCES);
		snprintf(path, sizeof(path), "/proc/%d/smaps", getppid());
		FACT("a stranger's smaps", open(path, O_RDONLY), -EACCES);
		snprintf(path, sizeof(path), "/proc/%d/fd", getppid());
		TRUE("a stranger's descriptors", !opendir(path) && errno == EACCES);
		snprintf(path, sizeof(path), "/proc/%d/exe", getppid());
		FACT("a stranger's program", readlink(path, &byte, 1), -EACCES);
		snprintf(path, sizeof(path), "/proc/%d/cmdline", getppid());
		TRUE("but its command line", open(path, O_RDONLY) >= 0);
		TRUE("its own descriptors, which are root's now", opendir("/proc/self/fd"));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
		TRUE("and what one of them is", readlink(path, &byte, 1) == 1 && byte == 'p');
		_exit(facts_end());
	}
	waitpid(pid, &status, 0);
	fact("the child came to its end", status, 0);
}

static long write_login(const char *path, const char *id)
{
	int fd = open(path, O_WRONLY);
	long r = RESULT(fd < 0 || ftruncate(fd, 0) < 0 ? -1 : write(fd, id, strlen(id))); /* as PAM does */

	close(fd);
	return r;
}

/* Who has logged in is said once, without any right. */
static int login(void)
{
	char parents[64];
	int status;
	pid_t pid;

	if (setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0 ||
	    prctl(PR_SET_DUMPABLE, 1) < 0)
		return 2;
	fact("a login that is no number", write_login("/proc/self/loginuid", "x"), -EINVAL);
	fact("one that is too large", write_login("/proc/self/loginuid", "4294967296"), -ERANGE);
	fact("a login", write_login("/proc/self/loginuid", "1000"), 4);
	TRUE("is told", strcmp(read_text("/proc/self/loginuid"), "1000") == 0);
	TRUE("has a number", strcmp(read_text("/proc/self/sessionid"), "4294967295") != 0);
	fact("it stays", write_login("/proc/self/loginuid", "1001"), -EPERM);
	snprintf(parents, sizeof(parents), "/proc/%d/loginuid", getpid());
	pid = fork();
	if (pid == 0) {
		TRUE("for children", strcmp(read_text("/proc/self/loginuid"), "1000") == 0);
		fact("nobody else says it", write_login(parents, "1000"), -EPERM);
		_exit(facts_end());
	}
	waitpid(pid, &status, 0);
	fact("the child's child came to its end", status, 0);
	return facts_end();
}

static void logins(void)
{
	int status;
	pid_t pid;

	if (getuid() != 0 || strcmp(read_text("/proc/self/loginuid"), "4294967295") != 0) {
		puts("skip logins: somebody has logged in already");
		return;
	}
	pid = fork();
	if (pid == 0)
		_exit(login());
	waitpid(pid, &status, 0);
	fact("logged in", status, 0);
	TRUE("the parent has not", strcmp(read_text("/proc/self/loginuid"), "4294967295") == 0);
}

/* Into what another process has: no matter which, it is the caller's own. */
static void entering(int self)
{
	pid_t pid = fork();
	int status, ended;

	if (pid == 0) {
		if (getuid() == 0 && setuid(1000) < 0)
			_exit(1);
		_exit(setns(self, CLONE_NEWUTS) < 0 && errno == EPERM ? 0 : 2);
	}
	ended = (int)syscall(SYS_pidfd_open, pid, 0);
	(void)waitpid(pid, &status, 0);
	FACT("without a right", status, 0);
	FACT("of one that has ended", setns(ended, CLONE_NEWUTS), -ESRCH);
	(void)close(ended);
}

/* /proc/self/ns: each link leads to a file that says which namespace it is. */
static void namespaces(void)
{
	char text[64], shown[64], link[64];
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), other;
	struct stat by_path, by_file;
	ssize_t n;

	TRUE("a namespace's file", fd >= 0);
	n = readlink("/proc/self/ns/net", text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	FACT("stat of the link's end", stat("/proc/self/ns/net", &by_path), 0);
	FACT("fstat", fstat(fd, &by_file), 0);
	TRUE("are the same", by_path.st_ino == by_file.st_ino && by_path.st_dev == by_file.st_dev);
	FACT("it is a file that can be read", by_file.st_mode, S_IFREG | 0444);
	(void)snprintf(shown, sizeof(shown), "net:[%lu]", (unsigned long)by_file.st_ino);
	TRUE("its number", strcmp(shown, text) == 0);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	TRUE("which the descriptor's link says", strcmp(shown, text) == 0);
	FACT("nobody writes it", open("/proc/self/ns/net", O_RDWR), -EPERM);
	FACT("there is nothing to read", read(fd, text, 1), -EINVAL);
	FACT("its type", ioctl(fd, NS_GET_NSTYPE), CLONE_NEWNET);
	FACT("no parent", ioctl(fd, NS_GET_PARENT), -EINVAL);
	FACT("no owner", ioctl(fd, NS_GET_OWNER_UID, text), -EINVAL);
	FACT("not of this type", setns(fd, CLONE_NEWUTS), -EINVAL);
	other = ioctl(fd, NS_GET_USERNS);
	if (other >= 0)
		FACT("the users' it belongs to", ioctl(other, NS_GET_NSTYPE), CLONE_NEWUSER);
	FACT("of a file that is none", setns(open("/dev/null", O_RDONLY), 0), -EINVAL);
	FACT("not open", setns(99, 0), -EBADF);
	n = readlink("/proc/self/ns/pid_for_children", text, sizeof(text) - 1);
	TRUE("the children's", n > 0 && strncmp(text, "pid:[", 5) == 0);
	other = open("/proc/self/ns/uts", O_PATH);
	FACT("by path alone", fstat(other, &by_file), 0);
	FACT("is not asked", ioctl(other, NS_GET_NSTYPE), -EBADF);
	other = (int)syscall(SYS_pidfd_open, getpid(), 0);
	FACT("a process is none", setns(other, 0), -EINVAL);
	FACT("nor has it one of no kind", setns(other, CLONE_NEWUTS | 1), -EINVAL);
	FACT("its users' is the caller's", setns(other, CLONE_NEWUSER), -EINVAL);
	entering(other);
	other = ioctl(other, _IO(0xff, 4), 0); /* PIDFD_GET_NET_NAMESPACE, since 6.11 */
	if (other >= 0)
		FACT("but has one", fstat(other, &by_file) == 0 && by_file.st_ino == by_path.st_ino, 1);
	close(fd);
}

/* Who may not write to a file may not empty it either, though it is only to be read. */
static void emptied(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		_exit(open("/proc/version", O_RDONLY | O_TRUNC) < 0 && errno == EACCES ? 0 : 1);
	}
	(void)waitpid(pid, &status, 0);
	fact("O_TRUNC wants to write", status, 0);
	TRUE("which root may", open("/proc/version", O_RDONLY | O_TRUNC) >= 0);
}

int main(void)
{
	ids_and_names();
	links();
	maps();
	directories();
	machine();
	zombies();
	threads();
	core_filter();
	others();
	logins();
	namespaces();
	emptied();
	return facts_end();
}
