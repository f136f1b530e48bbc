/* SPDX-License-Identifier: Apache-2.0 */
/* Making, removing, renaming; attributes; listings; synthetic trees as part of the one tree. */
#define _GNU_SOURCE
#include "fact.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

static void put(const char *name)
{
	close(open(name, O_CREAT | O_RDWR, 0644));
}

static void making(void)
{
	struct stat st;

	FACT("mkdir", mkdir("a", 0777), 0);
	TRUE("mkdir minds umask", stat("a", &st) == 0 && (st.st_mode & 07777) == 0755);
	FACT("mkdir again", mkdir("a", 0777), -EEXIST);
	FACT("mkdir with a slash", mkdir("b/", 0777), 0);
	FACT("mkdir of .", mkdir(".", 0777), -EEXIST);
	FACT("mkdir of /", mkdir("/", 0777), -EEXIST);
	FACT("mkdir below nothing", mkdir("none/x", 0777), -ENOENT);
	FACT("rmdir of .", rmdir("."), -EINVAL);
	FACT("rmdir of ..", rmdir("a/.."), -ENOTEMPTY);
	FACT("rmdir of /", rmdir("/"), -EBUSY);
	put("a/f");
	FACT("rmdir of a full one", rmdir("a"), -ENOTEMPTY);
	FACT("rmdir of a file", rmdir("a/f"), -ENOTDIR);
	FACT("unlink of a directory", unlink("b"), -EISDIR);
	FACT("unlink with a slash", unlink("a/f/"), -ENOTDIR);
	FACT("unlinkat with bad flags", syscall(SYS_unlinkat, AT_FDCWD, "a/f", 1), -EINVAL);
	FACT("link", link("a/f", "g"), 0);
	TRUE("link counts", stat("g", &st) == 0 && st.st_nlink == 2);
	FACT("link over what is there", link("a/f", "g"), -EEXIST);
	FACT("link of a directory", link("a", "c"), -EPERM);
	FACT("linkat with bad flags", linkat(AT_FDCWD, "g", AT_FDCWD, "h", 1), -EINVAL);
	FACT("symlink of an empty text", symlink("", "s"), -ENOENT);
	FACT("symlink", symlink("g", "s"), 0);
	FACT("link of a link", link("s", "s2"), 0);
	TRUE("link does not follow", lstat("s2", &st) == 0 && S_ISLNK(st.st_mode));
	FACT("mknod of a fifo", mknod("fifo", S_IFIFO | 0600, 0), 0);
	FACT("mknod of a file", mknod("plain", S_IFREG | 0600, 0), 0);
	FACT("mknod of a directory", mknod("dir", S_IFDIR | 0600, 0), -EPERM);
	FACT("mknod of nonsense", mknod("dir", 0170000 | 0600, 0), -EINVAL);
	FACT("open of a fifo that nobody reads", open("fifo", O_WRONLY | O_NONBLOCK), -ENXIO);
}

static void renaming(void)
{
	put("x");
	put("y");
	FACT("rename", rename("x", "z"), 0);
	FACT("rename of nothing", rename("x", "z"), -ENOENT);
	FACT("rename over a file", rename("y", "z"), 0);
	FACT("rename of a file over a directory", rename("z", "a"), -EISDIR);
	FACT("rename of a directory over a file", rename("b", "z"), -ENOTDIR);
	FACT("rename into itself", rename("b", "b/c"), -EINVAL);
	FACT("rename of .", rename("a/.", "q"), -EBUSY);
	FACT("RENAME_NOREPLACE", renameat2(AT_FDCWD, "z", AT_FDCWD, "g", RENAME_NOREPLACE), -EEXIST);
	FACT("RENAME_EXCHANGE", renameat2(AT_FDCWD, "z", AT_FDCWD, "b", RENAME_EXCHANGE), 0);
	TRUE("they are exchanged", access("z/.", F_OK) == 0 && access("b", F_OK) == 0);
	FACT("RENAME_EXCHANGE with nothing", renameat2(AT_FDCWD, "z", AT_FDCWD, "none", RENAME_EXCHANGE),
	     -ENOENT);
	FACT("renameat2 with both",
	     renameat2(AT_FDCWD, "z", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE), -EINVAL);
	FACT("renameat2 with bad flags", renameat2(AT_FDCWD, "z", AT_FDCWD, "b", 64), -EINVAL);
}

static void attributes(void)
{
	struct timespec times[2] = {{.tv_sec = 100, .tv_nsec = 5}, {.tv_nsec = UTIME_OMIT}};
	struct timespec bad[2] = {{.tv_nsec = 2000000000}, {0}};
	struct stat st;
	char buf[64];
	int fd = open("g", O_RDWR), p = open("g", O_PATH);

	FACT("chmod", chmod("g", 06751), 0);
	TRUE("chmod is seen", stat("g", &st) == 0 && (st.st_mode & 07777) == 06751);
	FACT("fchmod", fchmod(fd, 0600), 0);
	FACT("fchmod of O_PATH", fchmod(p, 0600), -EBADF);
	FACT("chmod of nothing", chmod("none", 0600), -ENOENT);
	FACT("chown to nobody else", chown("g", (uid_t)-1, (gid_t)-1), 0);
	FACT("fchownat of O_PATH", fchownat(p, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH), 0);
	FACT("fchownat with bad flags", fchownat(AT_FDCWD, "g", -1, -1, 1), -EINVAL);
	FACT("utimensat", utimensat(AT_FDCWD, "g", times, 0), 0);
	TRUE("utimensat is seen", stat("g", &st) == 0 && st.st_atim.tv_sec == 100 && st.st_atim.tv_nsec == 5);
	FACT("utimensat of too many ns", utimensat(AT_FDCWD, "g", bad, 0), -EINVAL);
	FACT("futimens", futimens(fd, times), 0);
	FACT("utimes", utimes("g", (struct timeval[]){{1, 1}, {2, 2}}), 0);
	FACT("utimes of too many us", syscall(SYS_utimes, "g", (struct timeval[]){{1, 1000000}, {2, 2}}),
	     -EINVAL);
	FACT("lutimes of a link", utimensat(AT_FDCWD, "s", times, AT_SYMLINK_NOFOLLOW), 0);
	FACT("setxattr of an empty name", setxattr("g", "", "v", 1, 0), -ERANGE);
	FACT("setxattr with bad flags", setxattr("g", "user.x", "v", 1, 77), -EINVAL);
	FACT("getxattr of nothing", getxattr("g", "user.none", buf, sizeof(buf)), -ENODATA);
	FACT("getxattr of no name space", getxattr("g", "what.x", buf, sizeof(buf)), -EOPNOTSUPP);
	if (setxattr("g", "user.x", "value", 5, 0) == 0) {
		FACT("getxattr's size", getxattr("g", "user.x", NULL, 0), 5);
		FACT("getxattr into little", getxattr("g", "user.x", buf, 3), -ERANGE);
		FACT("XATTR_CREATE again", setxattr("g", "user.x", "v", 1, XATTR_CREATE), -EEXIST);
		FACT("fgetxattr", fgetxattr(fd, "user.x", buf, sizeof(buf)), 5);
		FACT("removexattr", removexattr("g", "user.x"), 0);
	}
	close(fd);
	close(p);
}

static void listing(void)
{
	DIR *d;
	struct dirent *e;
	int found = 0, dots = 0, fd;
	char name[32], buf[256];

	mkdir("many", 0700);
	for (int i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "many/entry-%d", i);
		put(name);
	}
	d = opendir("many");
	while (d && (e = readdir(d))) {
		found += strncmp(e->d_name, "entry-", 6) == 0 && e->d_type == DT_REG;
		dots += e->d_name[0] == '.' && e->d_type == DT_DIR;
	}
	fact("readdir finds all", found, 500);
	fact("readdir finds the dots", dots, 2);
	rewinddir(d);
	TRUE("rewinddir", readdir(d) != NULL);
	closedir(d);
	fd = open("many", O_RDONLY | O_DIRECTORY);
	FACT("getdents64 into little", syscall(SYS_getdents64, fd, buf, 5), -EINVAL);
	TRUE("old getdents", syscall(SYS_getdents, fd, buf, sizeof(buf)) > 0);
	close(fd);
	fd = open("g", O_RDONLY);
	FACT("getdents64 of a file", syscall(SYS_getdents64, fd, buf, sizeof(buf)), -ENOTDIR);
	close(fd);
}

static void synthetic(void)
{
	char buf[PATH_MAX], mine[64];
	struct stat st, other;
	int fd, dir, n;

	FACT("link to proc", symlink("/proc/self/status", "status"), 0);
	fd = open("status", O_RDONLY);
	TRUE("open through a link into proc",
	     fd >= 0 && read(fd, buf, 5) == 5 && memcmp(buf, "Name:", 5) == 0);
	close(fd);
	TRUE("proc is a file system of its own",
	     stat("/proc", &st) == 0 && stat("/", &other) == 0 && st.st_dev != other.st_dev);
	dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
	TRUE("openat below proc", (fd = openat(dir, "stat", O_RDONLY)) >= 0);
	close(fd);
	TRUE("openat out of proc", (fd = openat(dir, "../../tmp", O_RDONLY | O_DIRECTORY)) >= 0);
	close(fd);
	close(dir);
	FACT("mkdir in proc", mkdir("/proc/x", 0700), -ENOENT);
	FACT("open O_CREAT in proc", open("/proc/x", O_CREAT | O_RDWR, 0600), -ENOENT);
	FACT("rename into proc", rename("g", "/proc/g"), -EXDEV);
	FACT("rmdir of proc", rmdir("/proc"), -EBUSY);
	FACT("open of a proc file with a slash", open("/proc/self/stat/", O_RDONLY), -ENOTDIR);
	fd = open("g", O_RDONLY);
	(void)snprintf(mine, sizeof(mine), "/proc/self/fd/%d", fd);
	n = (int)readlink(mine, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = '\0';
	TRUE("readlink of proc's fd", n > 2 && strcmp(buf + n - 2, "/g") == 0);
	TRUE("stat of proc's fd",
	     stat(mine, &st) == 0 && fstat(fd, &other) == 0 && st.st_ino == other.st_ino);
	dir = open(mine, O_RDWR);
	TRUE("open of proc's fd", dir >= 0 && dir != fd);
	close(dir);
	unlink("g2");
	link("g", "g2");
	close(fd);
	fd = open("g2", O_RDWR);
	unlink("g2");
	(void)snprintf(mine, sizeof(mine), "/proc/self/fd/%d", fd);
	n = (int)readlink(mine, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = '\0';
	TRUE("readlink of what is deleted", n > 10 && strcmp(buf + n - 10, " (deleted)") == 0);
	close(fd);
	TRUE("cwd through proc", stat("/proc/self/cwd/g", &st) == 0);
	TRUE("root through proc", stat("/proc/self/root/tmp", &st) == 0);
	FACT("chdir into proc", chdir("/proc/self"), 0);
	TRUE("relative in proc", (fd = open("status", O_RDONLY)) >= 0);
	close(fd);
	TRUE("getcwd in proc", getcwd(buf, sizeof(buf)) && strncmp(buf, "/proc/", 6) == 0);
}

static void memory_files(void)
{
	char buf[8] = "";
	int fd = memfd_create("mine", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	TRUE("memfd_create", fd >= 0);
	FACT("memfd_create with bad flags", memfd_create("x", 0x8000), -EINVAL);
	FACT("ftruncate of a memfd", ftruncate(fd, 4096), 0);
	FACT("pwrite to a memfd", pwrite(fd, "data", 4, 0), 4);
	FACT("F_GET_SEALS", fcntl(fd, F_GET_SEALS), 0);
	FACT("F_ADD_SEALS", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
	FACT("write to a sealed memfd", pwrite(fd, "data", 4, 0), -EPERM);
	FACT("read of a memfd", pread(fd, buf, 4, 0), 4);
	FACT("F_ADD_SEALS of a file", fcntl(0, F_GET_SEALS), -EINVAL);
	close(fd);
}

static void watching(void)
{
	char buf[4096] __attribute__((aligned(8)));
	struct inotify_event *e = (struct inotify_event *)buf;
	int fd = inotify_init1(IN_NONBLOCK), wd;

	mkdir("watched", 0700);
	wd = inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_CLOSE_WRITE);
	TRUE("inotify_add_watch", wd >= 0);
	FACT("inotify has nothing", read(fd, buf, sizeof(buf)), -EAGAIN);
	put("watched/new");
	TRUE("inotify sees a creation",
	     read(fd, buf, sizeof(buf)) > 0 && e->mask & IN_CREATE && strcmp(e->name, "new") == 0);
	unlink("watched/new");
	TRUE("inotify sees a removal", read(fd, buf, sizeof(buf)) > 0 && e->mask & IN_DELETE);
	FACT("inotify of nothing", inotify_add_watch(fd, "none", IN_CREATE), -ENOENT);
	FACT("inotify of no events", inotify_add_watch(fd, "watched", 0), -EINVAL);
	FACT("inotify_rm_watch", inotify_rm_watch(fd, wd), 0);
	FACT("inotify_rm_watch again", inotify_rm_watch(fd, wd), -EINVAL);
	close(fd);
}

int main(void)
{
	char top[] = "names-XXXXXX";

	umask(022);
	if (!mkdtemp(top) || chdir(top) < 0) {
		perror(top);
		return 1;
	}
	making();
	renaming();
	attributes();
	listing();
	memory_files();
	watching();
	synthetic();
	return facts_end();
}
