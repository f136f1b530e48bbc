/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that ask a volume each in its own way, and one that does not and lives on.  The volume falls
 * silent when "ready" has been printed, and speaks again after "alive"; what comes on stdin says how far that
 * is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MORE = 24 }; /* more than there are of what answers */

static int file, written, path, dir;
static struct stat st;
static struct statfs fs;
static char buf[4096];
static struct sockaddr_un name = {AF_UNIX, "/volume/file"};

static void by_stat(void)
{
	(void)stat("/volume/file", &st);
}
static void by_fstat(void)
{
	(void)fstat(file, &st);
}
static void by_fstat_path(void)
{
	(void)fstat(path, &st);
}
static void by_statfs(void)
{
	(void)statfs("/volume", &fs);
}
static void by_fstatfs(void)
{
	(void)fstatfs(file, &fs);
}
static void by_fstatfs_written(void)
{
	(void)fstatfs(written, &fs);
}
static void by_open(void)
{
	(void)open("/volume/file", O_RDONLY);
}
static void by_emptying(void)
{
	(void)open("/volume/other", O_RDWR | O_TRUNC);
}
static void by_path(void)
{
	(void)open("/volume/file", O_PATH);
}
static void by_read(void)
{
	(void)!pread(file, buf, sizeof(buf), 0);
}
static void by_many_reads(void)
{
	for (int i = 0; i < 40; i++)
		(void)!pread(file, buf, 16, 0);
}
static void by_write(void)
{
	(void)!write(written, "x", 1);
}
static void by_append(void)
{
	(void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 20, 1 << 20});
	(void)fcntl(written, F_SETFL, O_APPEND);
	(void)!write(written, "x", 1);
}
static void by_end(void)
{
	(void)lseek(file, 0, SEEK_END);
}
static void by_lock(void)
{
	(void)fcntl(written, F_SETLK, &(struct flock){F_WRLCK, SEEK_END, 0, 1, 0});
}
static void by_size(void)
{
	(void)ioctl(file, FIONREAD, buf);
}
static void by_access(void)
{
	(void)access("/volume/file", R_OK);
}
static void by_close(void)
{
	(void)close(written);
}
static void by_dup2(void)
{
	(void)dup2(0, written);
}
static void by_exit(void)
{
	_exit(0);
}
static void by_list(void)
{
	struct stat s;
	(void)openat(dir, "other", O_RDONLY);
	(void)fstat(dir, &s);
}
static void by_chdir(void)
{
	(void)chdir("/volume");
}
static void by_fchdir(void)
{
	(void)fchdir(dir);
	(void)!getcwd(buf, sizeof(buf));
}
static void by_truncate(void)
{
	(void)truncate("/volume/other", 10);
}
static void by_chmod(void)
{
	(void)chmod("/volume/other", 0600);
}
static void by_unlink(void)
{
	(void)unlink("/volume/nothing");
}
static void by_rename(void)
{
	(void)rename("/volume/other", "/volume/nothing");
}
static void by_node(void)
{
	(void)mknod("/volume/fifo", S_IFIFO | 0600, 0);
}
static void by_connect(void)
{
	(void)connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&name, sizeof(name));
}
static void by_bind(void)
{
	(void)bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&name, sizeof(name));
}
static void by_advice(void)
{
	(void)posix_fadvise(file, 0, 0, POSIX_FADV_WILLNEED);
	(void)fstat(file, &st);
}
static void by_magic(void)
{
	sprintf(buf, "/proc/self/fd/%d", file);
	(void)open(buf, O_RDONLY);
}
static void by_information(void)
{
	sprintf(buf, "/proc/self/fdinfo/%d", file);
	int fd = open(buf, O_RDONLY);
	(void)!read(fd, buf, sizeof(buf));
}

static void (*const ways[])(void) = {
	by_stat,   by_fstat,	by_fstat_path, by_statfs, by_fstatfs,	 by_fstatfs_written,
	by_open,   by_emptying, by_path,       by_read,	  by_many_reads, by_write,
	by_append, by_end,	by_lock,       by_size,	  by_access,	 by_close,
	by_dup2,   by_exit,	by_list,       by_chdir,  by_fchdir,	 by_truncate,
	by_chmod,  by_unlink,	by_rename,     by_node,	  by_connect,	 by_bind,
	by_advice, by_magic,	by_information};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static pid_t child(void (*way)(void), int begin)
{
	pid_t pid = fork();
	if (pid == 0) {
		char c;
		close(begin);
		(void)!read(0, &c, 1); /* the end of what the parent holds */
		way();
		_exit(0);
	}
	return pid;
}

/* What needs the sandbox and not the volume. */
static int lives(int p[2])
{
	char c;
	int fd = open("/proc/self/stat", O_RDONLY), ok;
	ok = fd >= 0 && read(fd, buf, sizeof(buf)) > 0 && write(p[1], "x", 1) == 1 &&
	     read(p[0], &c, 1) == 1 && stat("/bin/program", &st) == 0 &&
	     poll(&(struct pollfd){p[0], POLLIN, 0}, 1, 1) == 0;
	close(fd);
	return ok;
}

int main(void)
{
	int p[2], begin[2], out = dup(0), ok = 1;
	pid_t pids[WAYS + MORE], killed;

	if (pipe(p) || pipe(begin))
		return 1;
	file = open("/volume/file", O_RDONLY);
	written = open("/volume/other", O_WRONLY);
	path = open("/volume/file", O_PATH);
	dir = open("/volume", O_RDONLY | O_DIRECTORY);
	if (file < 0 || written < 0 || path < 0 || dir < 0)
		return 2;
	dup2(begin[0], 0);
	for (int i = 0; i < WAYS + MORE; i++)
		pids[i] = child(i < WAYS ? ways[i] : by_fstat, begin[1]);
	killed = child(by_stat, begin[1]);
	close(begin[0]);
	dup2(out, 0);
	puts("ready");
	fflush(stdout);
	if (read(0, buf, 1) != 1) /* it is silent */
		return 3;
	close(begin[1]);
	if (read(0, buf, 1) != 1) /* they wait */
		return 4;
	for (int i = 0; i < 200; i++)
		ok &= lives(p);
	kill(killed, SIGKILL);
	ok &= waitpid(killed, NULL, 0) == killed;
	puts(ok ? "alive" : "not alive");
	fflush(stdout);
	if (read(0, buf, 1) != 1) /* it speaks */
		return 5;
	for (int i = 0; i < WAYS + MORE; i++)
		waitpid(pids[i], NULL, 0);
	close(file);
	puts("over");
	return 0;
}
