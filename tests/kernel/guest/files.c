/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, reading, writing, seeking, looking at files; descriptors. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

static void opening(void)
{
	char long_name[NAME_MAX + 2], long_path[PATH_MAX + 10];
	int fd = open("f", O_CREAT | O_RDWR | O_EXCL, 0666), fd2;
	struct stat st;

	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	memset(long_path, '/', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	TRUE("open creates", fd >= 0);
	FACT("open O_EXCL of what is there", open("f", O_CREAT | O_EXCL | O_RDWR, 0666), -EEXIST);
	FACT("open of nothing", open("none", O_RDONLY), -ENOENT);
	FACT("open below nothing", open("none/x", O_CREAT | O_RDWR, 0600), -ENOENT);
	FACT("open below a file", open("f/x", O_RDONLY), -ENOTDIR);
	FACT("open of a file with a slash", open("f/", O_RDONLY), -ENOTDIR);
	FACT("open creates with a slash", open("g/", O_CREAT | O_RDWR, 0600), -EISDIR);
	FACT("open O_DIRECTORY of a file", open("f", O_RDONLY | O_DIRECTORY), -ENOTDIR);
	FACT("open for writing of a directory", open(".", O_WRONLY), -EISDIR);
	FACT("open O_CREAT of a directory", open(".", O_CREAT | O_RDONLY, 0600), -EISDIR);
	FACT("open of an empty path", open("", O_RDONLY), -ENOENT);
	FACT("open of a bad pointer", open((char *)8, O_RDONLY), -EFAULT);
	FACT("open of a long name", open(long_name, O_RDONLY), -ENAMETOOLONG);
	FACT("open of a long path", open(long_path, O_RDONLY), -ENAMETOOLONG);
	FACT("openat of a bad descriptor", openat(99, "f", O_RDONLY), -EBADF);
	FACT("openat beneath a file", openat(fd, "f", O_RDONLY), -ENOTDIR);
	TRUE("openat of a bad descriptor, absolute", (fd2 = openat(99, "/", O_RDONLY)) >= 0);
	close(fd2);
	FACT("symlink", symlink("f", "l"), 0);
	FACT("symlink to itself", symlink("loop", "loop"), 0);
	FACT("open of a loop", open("loop", O_RDONLY), -ELOOP);
	FACT("open O_NOFOLLOW of a link", open("l", O_RDONLY | O_NOFOLLOW), -ELOOP);
	fd2 = open("l", O_PATH | O_NOFOLLOW);
	TRUE("O_PATH of a link", fd2 >= 0 && fstat(fd2, &st) == 0 && S_ISLNK(st.st_mode));
	FACT("read of O_PATH", read(fd2, long_name, 1), -EBADF);
	FACT("readlinkat of O_PATH", readlinkat(fd2, "", long_name, 10), 1);
	close(fd2);
	FACT("symlink that dangles", symlink("new", "d"), 0);
	FACT("open O_EXCL of a dangling link", open("d", O_CREAT | O_EXCL | O_RDWR, 0600), -EEXIST);
	fd2 = open("d", O_CREAT | O_RDWR, 0600);
	TRUE("open O_CREAT through a dangling link", fd2 >= 0 && access("new", F_OK) == 0);
	close(fd2);
	fd2 = open(".", O_TMPFILE | O_RDWR, 0600);
	TRUE("O_TMPFILE", fd2 >= 0);
	(void)snprintf(long_name, sizeof(long_name), "/proc/self/fd/%d", fd2);
	FACT("linkat of O_TMPFILE", linkat(AT_FDCWD, long_name, AT_FDCWD, "tmp", AT_SYMLINK_FOLLOW), 0);
	TRUE("the link has one name", fstat(fd2, &st) == 0 && st.st_nlink == 1);
	close(fd2);
	FACT("O_TMPFILE for reading", open(".", O_TMPFILE | O_RDONLY, 0600), -EINVAL);
	FACT("O_CREAT with O_DIRECTORY", syscall(SYS_open, "x", O_CREAT | O_DIRECTORY | O_RDWR, 0600),
	     -EINVAL);
	FACT("F_GETFL", fcntl(fd, F_GETFL) & ~0100000, O_RDWR);
	close(fd);
}

static void transfers(void)
{
	char buf[64] = "", big[9000];
	struct iovec v[3] = {{buf, 3}, {buf + 3, 0}, {buf + 3, 4}};
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("t", O_CREAT | O_RDWR | O_TRUNC, 0600), ro = open("t", O_RDONLY),
	    wo = open("t", O_WRONLY);
	off_t at = 2, read_so_far;

	munmap(page + 4096, 4096);
	FACT("write", write(fd, "0123456789", 10), 10);
	FACT("read at the end", read(fd, buf, 10), 0);
	FACT("lseek", lseek(fd, 3, SEEK_SET), 3);
	FACT("lseek before the start", lseek(fd, -1, SEEK_SET), -EINVAL);
	FACT("lseek with a bad whence", lseek(fd, 0, 77), -EINVAL);
	FACT("lseek SEEK_DATA behind the end", lseek(fd, 100, SEEK_DATA), -ENXIO);
	FACT("lseek SEEK_HOLE", lseek(fd, 0, SEEK_HOLE), 10);
	FACT("lseek back", lseek(fd, 3, SEEK_SET), 3);
	FACT("readv", readv(fd, v, 3), 7);
	TRUE("readv scatters", memcmp(buf, "3456789", 7) == 0);
	FACT("readv of none", readv(fd, v, 0), 0);
	FACT("readv of too many", syscall(SYS_readv, fd, v, 2000), -EINVAL);
	FACT("writev of a negative length", writev(fd, (struct iovec[]){{buf, SIZE_MAX}}, 1), -EINVAL);
	FACT("pread", pread(fd, buf, 4, 8), 2);
	FACT("pread at a negative offset", pread(fd, buf, 4, -2), -EINVAL);
	FACT("pwrite", pwrite(fd, "x", 1, 20), 1);
	FACT("the position has stayed", lseek(fd, 0, SEEK_CUR), 10);
	FACT("preadv2 with bad flags", syscall(SYS_preadv2, fd, v, 1, 0, 0, 1 << 20), -EOPNOTSUPP);
	FACT("read of what is for writing", read(wo, buf, 1), -EBADF);
	FACT("write to what is for reading", write(ro, buf, 1), -EBADF);
	FACT("read of a directory", read(open(".", O_RDONLY), buf, 1), -EISDIR);
	FACT("read into a bad pointer", syscall(SYS_read, ro, 8, 1), -EFAULT);
	FACT("read of 0 bytes", read(ro, NULL, 0), 0);
	FACT("write from a bad pointer", syscall(SYS_write, fd, 8, 1), -EFAULT);
	FACT("write from the end of a page", write(fd, page + 4090, 10), 6);
	FACT("lseek to the start", lseek(fd, 0, SEEK_SET), 0);
	FACT("read up to the end of a page", read(fd, page + 4091, 10), 5);
	FACT("the position is where the page ended", lseek(fd, 0, SEEK_CUR), 5);
	FACT("fcntl O_APPEND", fcntl(fd, F_SETFL, O_APPEND), 0);
	FACT("write appends", write(fd, "end", 3), 3);
	TRUE("it is at the end", pread(fd, buf, 3, 21) == 3 && memcmp(buf, "end", 3) == 0);
	FACT("ftruncate", ftruncate(fd, 5), 0);
	FACT("ftruncate below zero", ftruncate(fd, -5), -EINVAL);
	FACT("ftruncate of what is for reading", ftruncate(ro, 5), -EINVAL);
	FACT("truncate of a directory", truncate(".", 5), -EISDIR);
	FACT("fallocate", fallocate(fd, 0, 0, 100), 0);
	FACT("fallocate of nothing", fallocate(fd, 0, 0, 0), -EINVAL);
	FACT("fsync", fsync(fd), 0);
	FACT("no way around a cache that there is not", open("/dev/null", O_RDWR | O_DIRECT), -EINVAL);
	FACT("fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0);
	FACT("fadvise that there is not", posix_fadvise(fd, 0, 0, 6), EINVAL);
	FACT("fadvise of less than nothing", posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL), EINVAL);
	memset(big, 'b', sizeof(big));
	(void)!pwrite(wo, big, sizeof(big), 0);
	close(fd);
	fd = open("copy", O_CREAT | O_RDWR, 0600);
	read_so_far = lseek(ro, 0, SEEK_CUR);
	FACT("sendfile", sendfile(fd, ro, &at, 8000), 8000);
	FACT("sendfile moves its offset", at, 8002);
	FACT("sendfile from the own position", sendfile(fd, ro, NULL, 100000),
	     (long)sizeof(big) - read_so_far);
	FACT("copy_file_range", syscall(SYS_copy_file_range, ro, &(off_t){0}, fd, &(off_t){0}, 100, 0), 100);
	FACT("copy_file_range with flags",
	     syscall(SYS_copy_file_range, ro, &(off_t){0}, fd, &(off_t){0}, 100, 1), -EINVAL);
	close(fd);
	close(ro);
	close(wo);
}

static void limits(void)
{
	struct rlimit was, now;
	int fd = open("limit", O_CREAT | O_RDWR, 0600), high;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	now = (struct rlimit){4, was.rlim_max};
	setrlimit(RLIMIT_FSIZE, &now);
	FACT("a write up to the limit", write(fd, "123456", 6), 4);
	FACT("a write beyond the limit", write(fd, "5", 1), -EFBIG);
	FACT("ftruncate beyond the limit", ftruncate(fd, 5), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &was);
	getrlimit(RLIMIT_NOFILE, &was);
	high = dup(fd);
	now = (struct rlimit){(rlim_t)high, was.rlim_max};
	setrlimit(RLIMIT_NOFILE, &now);
	close(high);
	FACT("dup at the limit", dup(fd), -EMFILE);
	FACT("open at the limit", open("never", O_CREAT | O_RDWR, 0600), -EMFILE);
	FACT("nothing was made", access("never", F_OK), -ENOENT);
	FACT("dup2 beyond the limit", dup2(fd, high), -EBADF);
	FACT("F_DUPFD beyond the limit", fcntl(fd, F_DUPFD, high), -EINVAL);
	setrlimit(RLIMIT_NOFILE, &was);
	close(fd);
}

static void descriptors(void)
{
	int fd = open("f", O_RDONLY | O_CLOEXEC), other;

	FACT("F_GETFD", fcntl(fd, F_GETFD), FD_CLOEXEC);
	other = dup(fd);
	FACT("dup is not close-on-exec", fcntl(other, F_GETFD), 0);
	FACT("dup2 to itself", dup2(fd, fd), fd);
	FACT("dup3 to itself", dup3(fd, fd, 0), -EINVAL);
	FACT("dup3 with bad flags", dup3(fd, 50, O_APPEND), -EINVAL);
	FACT("dup2 of nothing", dup2(77, 77), -EBADF);
	FACT("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 60), 60);
	FACT("close_range", syscall(SYS_close_range, 60, ~0U, 0), 0);
	FACT("it is closed", fcntl(60, F_GETFD), -EBADF);
	FACT("close_range backwards", syscall(SYS_close_range, 5, 4, 0), -EINVAL);
	FACT("close of nothing", close(99), -EBADF);
	FACT("fcntl with a bad command", fcntl(fd, 9999), -EINVAL);
	FACT("F_SETPIPE_SZ of a file", fcntl(fd, F_SETPIPE_SZ, 4096), -EBADF);
	close(fd);
	close(other);
}

static void looking(void)
{
	struct stat st;
	struct statfs fs;
	struct statx x;
	char buf[PATH_MAX];

	FACT("stat", stat("l", &st), 0);
	TRUE("stat follows", S_ISREG(st.st_mode));
	TRUE("lstat does not", lstat("l", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 1);
	FACT("stat of a file with a slash", stat("f/", &st), -ENOTDIR);
	FACT("fstatat with bad flags", syscall(SYS_newfstatat, AT_FDCWD, "f", &st, 0x10), -EINVAL);
	FACT("fstatat of nothing at all", syscall(SYS_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH), 0);
	FACT("stat into a bad pointer", syscall(SYS_stat, "f", 8), -EFAULT);
	FACT("statx", statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x), 0);
	FACT("statx reserved", syscall(SYS_statx, AT_FDCWD, "f", 0, 0x80000000, &x), -EINVAL);
	FACT("access with a bad mode", access("f", 77), -EINVAL);
	FACT("access", access("f", R_OK | W_OK), 0);
	FACT("readlink", readlink("l", buf, sizeof(buf)), 1);
	FACT("readlink of a file", readlink("f", buf, sizeof(buf)), -EINVAL);
	FACT("readlink of size 0", syscall(SYS_readlink, "l", buf, 0), -EINVAL);
	FACT("statfs", statfs(".", &fs), 0);
	FACT("statfs of nothing", statfs("none", &fs), -ENOENT);
	TRUE("getcwd", getcwd(buf, sizeof(buf)) != NULL);
	FACT("getcwd into little", syscall(SYS_getcwd, buf, 1), -ERANGE);
	FACT("mkdir", mkdir("gone", 0700), 0);
	FACT("chdir", chdir("gone"), 0);
	FACT("rmdir of where one is", rmdir("../gone"), 0);
	FACT("getcwd of what is gone", syscall(SYS_getcwd, buf, sizeof(buf)), -ENOENT);
	FACT("open where all is gone", open("x", O_CREAT | O_RDWR, 0600), -ENOENT);
	FACT("chdir up", chdir(".."), 0);
	FACT("chdir to a file", chdir("f"), -ENOTDIR);
	FACT("umask", umask(077), 022);
	FACT("umask back", umask(022), 077);
}

/* Everything in a directory of its own. */
/* O_DIRECT: the file system judges the address as it is. */
static void direct(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("direct", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != EXT4_SUPER_MAGIC) {
		printf("skip direct: not on ext4\n");
		return;
	}
	FACT("direct write", write(fd, page, 4096), 4096);
	FACT("from an odd address", pwrite(fd, page + 1, 4096, 0), -EINVAL);
	FACT("direct read", pread(fd, page, 4096, 0), 4096);
	FACT("to an odd address", pread(fd, page + 1, 4096, 0), -EINVAL);
	FACT("of an odd length", pread(fd, page, 4095, 0), -EINVAL);
	close(fd);
}

int main(void)
{
	char top[] = "files-XXXXXX";

	umask(022);
	if (!mkdtemp(top) || chdir(top) < 0) {
		perror(top);
		return 1;
	}
	opening();
	transfers();
	limits();
	descriptors();
	looking();
	direct();
	return facts_end();
}
