/* SPDX-License-Identifier: Apache-2.0 */
/* Many at once, and kill -9 of any: whole layers and images, nothing half done, nothing left. */
#include "test_image_case.h"

#include "image/tar.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static struct store_case c;

enum { ROUNDS = 40, FILES = 200 };

static int to_str(void *data, const void *bytes, size_t len, struct err *err)
{
	(void)err;
	str_put_n(data, bytes, len);
	return 0;
}

static void put(struct tar_writer *w, const char *name, const char *data, size_t len)
{
	struct tar_entry e = {.type = TAR_FILE, .name = name, .link = "", .mode = 0644, .size = len};

	CHECK_INT(tar_write_entry(w, &e, &c.err), 0);
	CHECK_INT(tar_write_bytes(w, data, len, &c.err), 0);
}

/* A docker-archive of two layers of many files; `salt` makes it another one. */
static int archive_of(int salt)
{
	struct str out autostr = {0}, layers[2] = {{0}};
	struct tar_writer w = {.sink = to_str, .data = &out};
	char diff[2][DIGEST_MAX], name[64], text[4000];
	int fd = memfd_create("archive", MFD_CLOEXEC);

	for (int l = 0; l < 2; l++) {
		struct tar_writer in = {.sink = to_str, .data = &layers[l]};
		for (int i = 0; i < FILES; i++) {
			memset(text, 'a' + (i + l) % 26, sizeof(text));
			(void)snprintf(text, sizeof(text), "%d %d %d", salt, l, i);
			(void)snprintf(name, sizeof(name), "d%d/f%d", l, i);
			put(&in, name, text, sizeof(text));
		}
		CHECK_INT(tar_write_end(&in, &c.err), 0);
		struct sha256 sum;
		sha256_init(&sum);
		sha256_update(&sum, layers[l].s, layers[l].len);
		sha256_digest(&sum, diff[l]);
		(void)snprintf(name, sizeof(name), "l%d.tar", l);
		put(&w, name, layers[l].s, layers[l].len);
		str_free(&layers[l]);
	}
	autofree char *config =
		str_format("{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\","
			   "\"diff_ids\":[\"%s\",\"%s\"]}}",
			   diff[0], diff[1]);
	autofree char *manifest = str_format(
		"[{\"Config\":\"c.json\",\"RepoTags\":[\"crash:%d\"],\"Layers\":[\"l0.tar\",\"l1.tar\"]}]",
		salt);
	put(&w, "c.json", config, strlen(config));
	put(&w, "manifest.json", manifest, strlen(manifest));
	CHECK_INT(tar_write_end(&w, &c.err), 0);
	CHECK_INT(fd_write_all(fd, out.s, out.len), 0);
	return fd;
}

static int load(int fd)
{
	CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
	return image_load(c.s, fd, NULL, NULL, NULL, &c.err);
}

static void on_finding(void *data, const char *line)
{
	(void)data;
	fprintf(stderr, "finding: %s\n", line);
}

static int left_in_ingest(void)
{
	autoclose int fd = openat(image_store_dirfd(c.s), "ingest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(dup(fd));
	int n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

static void check_store(void)
{
	struct image_gc_result res;
	uint64_t findings = 99;

	CHECK_INT(image_check(c.s, true, true, on_finding, NULL, &findings, &c.err), 0);
	CHECK_INT(findings, 0);
	CHECK_INT(image_gc(c.s, NULL, NULL, &res, &c.err), 0);
	CHECK_INT(left_in_ingest(), 0);
	CHECK_INT(image_gc(c.s, NULL, NULL, &res, &c.err), 0);
	CHECK_INT(res.blobs + res.layers, 0);
}

static void test_killed(void)
{
	image_store_close(c.s);
	c.s = NULL;
	srandom((unsigned)time(NULL));
	for (int round = 0; round < ROUNDS; round++) {
		int p[2], fd = archive_of(round);
		char done = 0;
		CHECK_INT(pipe(p), 0);
		pid_t pid = fork();
		if (pid == 0) {
			case_open(&c);
			if (load(fd) == 0)
				ignore_result(write(p[1], "x", 1) < 0); /* the parent sees what comes */
			_exit(test_failures != 0);
		}
		(void)close(p[1]);
		(void)usleep((useconds_t)(random() % 30000));
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		case_open(&c);
		if (read(p[0], &done, 1) == 1) {
			struct image i autoimage = {0};
			char name[32];
			(void)snprintf(name, sizeof(name), "crash:%d", round);
			CHECK_INT(image_find(c.s, name, NULL, &i, &c.err), 0);
			CHECK_INT(image_remove(c.s, &(struct image_remove){.name = name}, &c.err), 0);
		}
		(void)close(p[0]);
		(void)close(fd);
		check_store();
		image_store_close(c.s);
		c.s = NULL;
	}
	case_open(&c);
}

/* Four load the same, one sweeps all the time. */
static void test_together(void)
{
	enum { LOADERS = 4 };
	pid_t pids[LOADERS + 1];
	int fd = archive_of(1000), status;

	image_store_close(c.s);
	c.s = NULL;
	for (int n = 0; n <= LOADERS; n++) {
		pids[n] = fork();
		if (pids[n] > 0)
			continue;
		int r = 0;
		case_open(&c);
		for (int i = 0; r == 0 && i < 5; i++) {
			struct image_gc_result res;
			char path[32];
			(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			autoclose int own = open(path, O_RDONLY | O_CLOEXEC); /* an offset of its own */
			r = n < LOADERS ? load(own) : image_gc(c.s, NULL, NULL, &res, &c.err);
		}
		if (r < 0)
			fprintf(stderr, "%s\n", c.err.msg);
		_exit(r < 0 || test_failures);
	}
	for (int n = 0; n <= LOADERS; n++)
		CHECK(waitpid(pids[n], &status, 0) == pids[n] && status == 0);
	(void)close(fd);
	case_open(&c);
	struct image i autoimage = {0};
	CHECK_INT(image_find(c.s, "crash:1000", NULL, &i, &c.err), 0);
	check_store();
}

int main(void)
{
	case_begin(&c);
	test_killed();
	test_together();
	case_end(&c);
	return test_end();
}
