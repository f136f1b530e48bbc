/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files make TREE          5,000 files, 48 MB, in 100 directories
 * files walk TREE COPY     finds and reads all of them, again and again; then the same with a copy of the
 * tree
 *
 * Find is each directory listed and each entry looked at; read is each file opened, read to its end and
 * closed: the system calls of `find -size` and `cat`, without their processes.  Prints lines "of WHAT FIND-NS
 * READ-NS".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DIRECTORIES = 100, FILES = 50, MEAN = 48000000 / (DIRECTORIES * FILES), WARM = 7, PATH_SIZE = 256 };

static char buf[1 << 16];
static char (*found)[PATH_SIZE];
static int count;

static void fail(const char *what)
{
	fprintf(stderr, "files: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int open_or_fail(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		fail(path);
	return fd;
}

static void make(const char *tree)
{
	char path[PATH_SIZE];
	uint64_t seed = 1;
	if (mkdir(tree, 0755) < 0)
		fail(tree);
	for (int i = 0; i < DIRECTORIES * FILES; i++) {
		snprintf(path, sizeof(path), "%s/directory-%02d", tree, i / FILES);
		if (i % FILES == 0 && mkdir(path, 0755) < 0)
			fail(path);
		snprintf(path, sizeof(path), "%s/directory-%02d/some-file-%04d", tree, i / FILES, i);
		int fd = open_or_fail(path, O_WRONLY | O_CREAT | O_EXCL);
		/* From nothing to twice the mean; no two pages alike, so that nothing is shared or
		 * compressed. */
		for (size_t left = (seed >> 33) % (2 * MEAN), n; left > 0; left -= n) {
			n = left < sizeof(buf) ? left : sizeof(buf);
			for (size_t at = 0; at + 8 <= n; at += 8)
				memcpy(buf + at, &(uint64_t){seed = seed * UINT64_C(6364136223846793005) + 1},
				       8);
			if (write(fd, buf, n) != (ssize_t)n)
				fail(path);
		}
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
		close(fd);
	}
}

static void find(const char *tree)
{
	struct stat st;
	DIR *d = opendir(tree);
	if (!d)
		fail(tree);
	for (struct dirent *e; (e = readdir(d));) {
		char path[PATH_SIZE];
		if (e->d_name[0] == '.')
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			fail(e->d_name);
		if (snprintf(path, sizeof(path), "%s/%s", tree, e->d_name) >= PATH_SIZE)
			fail(tree);
		if (S_ISDIR(st.st_mode))
			find(path);
		else if (count < DIRECTORIES * FILES)
			memcpy(found[count++], path, sizeof(path));
	}
	closedir(d);
}

static void read_all(void)
{
	for (int i = 0; i < count; i++) {
		int fd = open_or_fail(found[i], O_RDONLY);
		ssize_t n;
		while ((n = read(fd, buf, sizeof(buf))) > 0) {
		}
		if (n < 0)
			fail(found[i]);
		close(fd);
	}
}

static void walk(const char *what, const char *tree)
{
	int64_t start = now();
	count = 0;
	find(tree);
	int64_t between = now();
	read_all();
	if (count != DIRECTORIES * FILES)
		fail(tree);
	printf("%s %lld %lld\n", what, (long long)(between - start), (long long)(now() - between));
}

static void copy(const char *tree, const char *to)
{
	char path[2 * PATH_SIZE];
	count = 0;
	find(tree);
	if (mkdir(to, 0755) < 0)
		fail(to);
	for (int i = 0; i < count; i++) {
		ssize_t n;
		snprintf(path, sizeof(path), "%s%s", to, found[i] + strlen(tree));
		*strrchr(path, '/') = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			fail(path);
		path[strlen(path)] = '/';
		int from = open_or_fail(found[i], O_RDONLY),
		    fd = open_or_fail(path, O_WRONLY | O_CREAT | O_EXCL);
		while ((n = read(from, buf, sizeof(buf))) > 0)
			if (write(fd, buf, (size_t)n) != n)
				fail(path);
		close(from);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "make") == 0) {
		make(argv[2]);
		return 0;
	}
	setlinebuf(stdout);
	found = calloc(DIRECTORIES * FILES, sizeof(*found));
	if (argc != 4 || strcmp(argv[1], "walk") != 0 || !found)
		return 2;
	walk("cold", argv[2]);
	walk("second", argv[2]);
	copy(argv[2], argv[3]);
	for (int i = 0; i < WARM; i++) { /* alternately: the machine may slow down in between */
		walk("warm", argv[2]);
		walk("own", argv[3]);
	}
	return 0;
}
