/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls on the stub's own descriptors, with the mark that slots put there: whatever is at a number, there
 * must be nothing but the very file that the process has open, and no call that is not of its kind.
 */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES = 512, SOCKETS = 1024, WRITTEN = 1536, END = 2048, LAST = 2700, HOT = 200 };

static char byte[16];

static long marked(long nr, int number, long a, long b, long c, long d)
{
	uint64_t first = (UINT64_C(0x5eedf100) + (uint64_t)nr) << 32 | (uint32_t)number;
	long r = syscall(nr, first, a, b, c, d, 0L);
	return r < 0 ? -errno : r;
}

static long nothing_there(long r)
{
	return r == -EBADF || r == -ENOTSOCK;
}

/* Numbers from `from` on, of those up to `to`, where one of the calls does anything at all. */
static int found(int from, int to)
{
	struct iovec one = {byte, 1};
	int n = 0;
	for (int i = from; i < to; i++) {
		n += !nothing_there(marked(SYS_read, i, (long)byte, 1, 0, 0));
		n += !nothing_there(marked(SYS_pread64, i, (long)byte, 1, 0, 0));
		long end = marked(SYS_lseek, i, 0, SEEK_END, 0, 0);
		n += !nothing_there(end) && end != 0; /* what is there instead is empty */
		n += !nothing_there(marked(SYS_write, i, (long)byte, 1, 0, 0));
		n += !nothing_there(marked(SYS_pwrite64, i, (long)byte, 1, 0, 0));
		n += !nothing_there(marked(SYS_readv, i, (long)&one, 1, 0, 0));
		n += !nothing_there(marked(SYS_writev, i, (long)&one, 1, 0, 0));
		n += !nothing_there(marked(SYS_recvfrom, i, (long)byte, 1, MSG_DONTWAIT, 0));
		n += !nothing_there(marked(SYS_sendto, i, (long)byte, 1, MSG_DONTWAIT, 0));
	}
	return n;
}

static int everywhere(void)
{
	return found(FILES, LAST);
}

/* A pair of connected sockets, at these numbers. */
static void connection(int a, int b)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(to);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
	if (bind(l, (void *)&to, sizeof(to)) || listen(l, 1) || getsockname(l, (void *)&to, &len) ||
	    connect(c, (void *)&to, sizeof(to)) || (s = accept(l, NULL, NULL)) < 0)
		exit(1);
	close(l);
	dup2(c, a);
	dup2(s, b);
	close(c);
	close(s);
}

static void use_often(int a, int b)
{
	for (int i = 0; i < HOT; i++)
		if (write(a, "x", 1) != 1 || read(b, byte, 1) != 1)
			exit(2);
}

static void write_often(int fd)
{
	for (int i = 0; i < HOT; i++)
		if (pwrite(fd, byte, 1, 0) != 1)
			exit(3);
}

static long write_at(int fd)
{
	return marked(SYS_pwrite64, WRITTEN + fd, (long)byte, 1, 0, 0);
}

/* In a child: what takes the file from it, and whether it has it once more then. */
static int after(int fd, int what)
{
	struct rlimit limit = {100, 100};
	if (write_at(fd) != 1)
		return 1;
	if (what == 0 ? setrlimit(RLIMIT_FSIZE, &limit) : setresuid(0, 0, 1) || setresuid(1, 1, 1))
		return 2;
	if (!nothing_there(write_at(fd)))
		return 3;
	write_often(fd);
	return what == 0 && !nothing_there(write_at(fd)) ? 4 : 0;
}

static void written(int fd)
{
	static const char *const names[] = {"a limit ends that", "another identity ends that"};
	int status;
	write_often(fd);
	FACT("it is, where that comes to the same", write_at(fd), 1);
	FACT("and not read there", marked(SYS_pread64, WRITTEN + fd, (long)byte, 1, 0, 0), -EBADF);
	for (int what = 0; what < 2; what++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(after(fd, what));
		waitpid(pid, &status, 0);
		FACT(names[what], status, 0);
		write_often(fd);
		FACT("... for that process", write_at(fd), 1);
	}
	FACT("set-id bits", fchmod(fd, 04755), 0);
	write_often(fd);
	FACT("... are not the host's", write_at(fd), -EBADF);
}

int main(int argc, char **argv)
{
	int status;
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (argc > 1)
		return everywhere() ? 3 : 0;
	FACT("at the beginning", everywhere(), 0);
	connection(20, 21);
	use_often(20, 21);
	TRUE("a socket in use",
	     marked(SYS_write, SOCKETS + 20, (long)byte, 1, 0, 0) == 1 && read(21, byte, 1) == 1);
	FACT("one too low", marked(SYS_write, SOCKETS + 19, (long)byte, 1, 0, 0), -EBADF);
	FACT("calls of files", marked(SYS_lseek, SOCKETS + 20, 0, SEEK_CUR, 0, 0), -EBADF);
	FACT("with an address", marked(SYS_sendto, SOCKETS + 20, (long)byte, 1, 0, (long)&to), -EBADF);
	FACT("with an address for the answer",
	     marked(SYS_recvfrom, SOCKETS + 20, (long)byte, 1, MSG_DONTWAIT, (long)&to), -EBADF);
	FACT("out of band", marked(SYS_sendto, SOCKETS + 20, (long)byte, 1, MSG_OOB, 0), -EBADF);
	FACT("opening fast", marked(SYS_sendto, SOCKETS + 20, (long)byte, 1, MSG_FASTOPEN, 0), -EBADF);
	FACT("the error queue",
	     marked(SYS_recvfrom, SOCKETS + 20, (long)byte, 1, MSG_ERRQUEUE | MSG_DONTWAIT, 0), -EBADF);
	FACT("outside of the numbers", found(END, LAST), 0);

	pid_t pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", argv[0], "again", NULL);
		_exit(4);
	}
	TRUE("behind an exec", waitpid(pid, &status, 0) == pid && status == 0);
	pid = fork();
	if (pid == 0) {
		close(20);
		close(21);
		_exit(everywhere() ? 3 : 0);
	}
	TRUE("in a child that has closed it", waitpid(pid, &status, 0) == pid && status == 0);
	TRUE("... the parent has it", write(20, "x", 1) == 1 && read(21, byte, 1) == 1);

	int fd = open("secret", O_RDWR | O_CREAT | O_TRUNC, 0600);
	dup2(fd, 20);
	TRUE("another file at its number",
	     nothing_there(marked(SYS_write, SOCKETS + 20, (long)byte, 1, 0, 0)));
	FACT("... which has nothing", lseek(fd, 0, SEEK_END), 0);
	FACT("... and is no socket", write(20, "x", 1), 1);
	for (int i = 0; i < HOT; i++)
		(void)pread(20, byte, 1, 0);
	FACT("a file that is read is written by nobody", marked(SYS_write, FILES + 20, (long)byte, 1, 0, 0),
	     -EBADF);
	FACT("... nor by another number", marked(SYS_pwrite64, WRITTEN + 20, (long)byte, 1, 0, 0), -EBADF);
	written(fd);
	close(20);
	close(21);
	close(fd);
	unlink("secret");
	FACT("at the end", everywhere(), 0);
	return facts_end();
}
