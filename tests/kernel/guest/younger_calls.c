/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that are younger than most programs: attributes by directory and flags, what is cached of a file, the
 * pool's ioctls. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <linux/random.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { CACHESTAT = 451, SETXATTRAT = 463, GETXATTRAT, LISTXATTRAT, REMOVEXATTRAT };

struct value {
	uint64_t at;
	uint32_t size, flags;
	uint64_t more;
};

static long set_at(int dir, const char *path, unsigned flags, const char *name, struct value *v, size_t n)
{
	return syscall(SETXATTRAT, dir, path, flags, name, v, n);
}

static long get_at(int dir, const char *path, unsigned flags, const char *name, struct value *v, size_t n)
{
	return syscall(GETXATTRAT, dir, path, flags, name, v, n);
}

static void attributes(void)
{
	struct value v = {.at = (uintptr_t) "seven b", .size = 7};
	char buf[64] = "";
	int dir, fd, path;

	(void)mkdir("attributed", 0755);
	dir = open("attributed", O_RDONLY | O_DIRECTORY);
	fd = openat(dir, "file", O_RDWR | O_CREAT, 0600);
	path = openat(dir, "file", O_PATH);
	if (set_at(dir, "file", 0, "user.one", &v, 16) < 0 && errno == ENOSYS) {
		printf("skip attributes: the kernel is older than 6.13\n");
		return;
	}
	FACT("set", set_at(dir, "file", 0, "user.one", &v, 16), 0);
	FACT("by fgetxattr", fgetxattr(fd, "user.one", buf, sizeof(buf)), 7);
	TRUE("it is the same", memcmp(buf, "seven b", 7) == 0);
	FACT("set in a larger structure", set_at(dir, "file", 0, "user.two", &v, sizeof(v)), 0);
	v.more = 1;
	FACT("that means more", set_at(dir, "file", 0, "user.two", &v, sizeof(v)), -E2BIG);
	FACT("a structure too small", set_at(dir, "file", 0, "user.two", &v, 15), -EINVAL);
	FACT("a structure too large", set_at(dir, "file", 0, "user.two", &v, 4097), -E2BIG);
	FACT("a structure nowhere", set_at(dir, "file", 0, "user.two", NULL, 16), -EFAULT);
	v.flags = XATTR_CREATE;
	FACT("there is one", set_at(dir, "file", 0, "user.one", &v, 16), -EEXIST);
	v.flags = 8;
	FACT("unknown flags of it", set_at(dir, "file", 0, "user.one", &v, 16), -EINVAL);
	v.flags = 0;
	FACT("unknown flags", set_at(dir, "file", 1, "user.one", &v, 16), -EINVAL);
	FACT("of the open file", set_at(fd, "", AT_EMPTY_PATH, "user.three", &v, 16), 0);
	FACT("of the open file by no path", set_at(fd, NULL, AT_EMPTY_PATH, "user.three", &v, 16), 0);
	FACT("of none", set_at(99, "", AT_EMPTY_PATH, "user.three", &v, 16), -EBADF);
	FACT("of a path's descriptor", set_at(path, "", AT_EMPTY_PATH, "user.three", &v, 16), -EBADF);
	FACT("without the flag", set_at(fd, "", 0, "user.three", &v, 16), -ENOENT);
	FACT("not there", set_at(dir, "nothing", 0, "user.three", &v, 16), -ENOENT);

	v = (struct value){.at = (uintptr_t)buf, .size = sizeof(buf)};
	FACT("get", get_at(dir, "file", 0, "user.one", &v, 16), 7);
	v.size = 3;
	FACT("too small", get_at(dir, "file", 0, "user.one", &v, 16), -ERANGE);
	v.size = 0;
	FACT("how large", get_at(fd, "", AT_EMPTY_PATH, "user.one", &v, 16), 7);
	v.flags = XATTR_CREATE;
	FACT("get has no flags", get_at(dir, "file", 0, "user.one", &v, 16), -EINVAL);

	(void)symlinkat("file", dir, "link");
	FACT("names by a link", syscall(LISTXATTRAT, dir, "link", 0, buf, sizeof(buf)), 29);
	FACT("none of the link's own",
	     syscall(LISTXATTRAT, dir, "link", AT_SYMLINK_NOFOLLOW, buf, sizeof(buf)), 0);
	FACT("remove", syscall(REMOVEXATTRAT, dir, "link", 0, "user.one"), 0);
	FACT("removed", syscall(REMOVEXATTRAT, fd, "", AT_EMPTY_PATH, "user.one"), -ENODATA);
	FACT("of a closed directory", syscall(REMOVEXATTRAT, 99, "file", 0, "user.one"), -EBADF);
}

static void cached(void)
{
	uint64_t range[2] = {0, 0}, pages[5];
	int fd = open("cached", O_RDWR | O_CREAT | O_TRUNC, 0600), ends[2];
	static char data[4 * 4096];

	if (syscall(CACHESTAT, fd, range, pages, 0) < 0 && errno == ENOSYS) {
		printf("skip cached: the kernel is older than 6.5\n");
		return;
	}
	FACT("nothing", syscall(CACHESTAT, fd, range, pages, 0), 0);
	TRUE("no pages", pages[0] == 0);
	(void)!write(fd, data, sizeof(data));
	FACT("all", syscall(CACHESTAT, fd, range, pages, 0), 0);
	TRUE("four pages", pages[0] == 4);
	range[0] = 4096;
	range[1] = 8192;
	FACT("a part", syscall(CACHESTAT, fd, range, pages, 0), 0);
	TRUE("two pages", pages[0] == 2);
	FACT("flags", syscall(CACHESTAT, fd, range, pages, 1), -EINVAL);
	FACT("no range", syscall(CACHESTAT, fd, NULL, pages, 0), -EFAULT);
	FACT("no room", syscall(CACHESTAT, fd, range, NULL, 0), -EFAULT);
	FACT("not open", syscall(CACHESTAT, 99, range, pages, 0), -EBADF);
	(void)!pipe(ends);
	pages[0] = 9;
	FACT("a pipe", syscall(CACHESTAT, ends[1], range, pages, 0), 0);
	TRUE("has none", pages[0] == 0);
}

/* Whether others have read it is the owner's to know, and of who may write to it (since 6.14). */
static void cached_of_others(void)
{
	uint64_t range[2] = {0, 0}, pages[5];
	int fd, status;
	pid_t pid;

	if (getuid() != 0)
		return;
	(void)close(open("roots", O_RDWR | O_CREAT | O_TRUNC, 0600));
	(void)chmod("roots", 0644);
	fd = open("roots", O_RDONLY);
	pid = fork();
	if (pid == 0) {
		if (setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
			_exit(1);
		_exit(syscall(CACHESTAT, fd, range, pages, 0) < 0 && errno == EPERM ? 0 : 2);
	}
	(void)waitpid(pid, &status, 0);
	if (syscall(CACHESTAT, fd, range, pages, 0) < 0 || status == 2 << 8)
		printf("skip others' cache: the kernel is older than 6.14\n");
	else
		FACT("others' cache", status, 0);
}

static void entropy(void)
{
	int fd = open("/dev/urandom", O_RDONLY), bits = 0;
	FILE *f = fopen("/proc/sys/kernel/random/entropy_avail", "r");
	int told = 0;

	if (fd < 0 || !f || fscanf(f, "%d", &told) != 1) {
		printf("skip entropy: no pool to ask\n");
		return;
	}
	FACT("how much", ioctl(fd, RNDGETENTCNT, &bits), 0);
	FACT("as /proc says", bits, told);
	FACT("nowhere", ioctl(fd, RNDGETENTCNT, NULL), -EFAULT);
	FACT("no such request", ioctl(fd, _IO('R', 0x70), 0), -EINVAL);
	(void)fclose(f);
}

int main(void)
{
	attributes();
	cached();
	cached_of_others();
	entropy();
	return facts_end();
}
