/* SPDX-License-Identifier: Apache-2.0 */
#include "test_image_case.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static struct store_case c;

#define SHA_HELLO "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static void test_blobs(void)
{
	char digest[DIGEST_MAX];
	autofree char *data = NULL;
	uint64_t size;
	size_t len;

	CHECK_INT(blob_exists(c.s, SHA_HELLO, &size, &c.err), 0);
	CHECK_INT(blob_open(c.s, SHA_HELLO, &c.err), -ENOENT);
	CHECK_INT(blob_open(c.s, "sha256:../../../../etc/passwd", &c.err), -EINVAL);
	CHECK_INT(blob_write(c.s, "hello", 5, digest, &c.err), 0);
	CHECK_STR(digest, SHA_HELLO);
	CHECK_INT(blob_write(c.s, "hello", 5, digest, &c.err), 0);
	CHECK_INT(blob_exists(c.s, SHA_HELLO, &size, &c.err), 1);
	CHECK_INT(size, 5);
	CHECK_INT(blob_read(c.s, SHA_HELLO, 4, &data, &len, &c.err), -EFBIG);
	CHECK_INT(blob_read(c.s, SHA_HELLO, 5, &data, &len, &c.err), 0);
	CHECK_STR(data, "hello");
	/* Damage is seen. */
	CHECK_INT(file_replace_at(image_store_dirfd(c.s),
				  "blobs/sha256/" /* the name */
				  "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
				  "hallo", 5, 0400, false),
		  0);
	free(take_ptr(&data));
	CHECK_INT(blob_read(c.s, SHA_HELLO, 5, &data, &len, &c.err), -EBADMSG);
	CHECK(strstr(c.err.msg, "is damaged") != NULL);
	CHECK_INT(unlinkat(image_store_dirfd(c.s),
			   "blobs/sha256/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
			   0),
		  0);
}

static void test_ingest(void)
{
	struct ingest i;
	uint64_t at;

	CHECK_INT(ingest_begin(c.s, SHA_HELLO, 5, &i, &at, &c.err), 0);
	CHECK_INT(at, 0);
	CHECK_INT(ingest_write(&i, 3, "loo", 3, &c.err), -EMSGSIZE);
	CHECK_INT(ingest_write(&i, UINT64_MAX, "lo", 2, &c.err), -EMSGSIZE);
	CHECK_INT(ingest_write(&i, 0, "hel", 3, &c.err), 0);
	CHECK_INT(ingest_commit(&i, false, &c.err), -EBADMSG);
	CHECK(strstr(c.err.msg, "3 of 5 bytes") != NULL);
	ingest_close(&i);
	/* Goes on where the earlier try stopped. */
	CHECK_INT(ingest_begin(c.s, SHA_HELLO, 5, &i, &at, &c.err), 0);
	CHECK_INT(at, 3);
	CHECK_INT(ingest_write(&i, 3, "la", 2, &c.err), 0);
	CHECK_INT(ingest_commit(&i, false, &c.err), -EBADMSG);
	ingest_close(&i);
	/* What was wrong is gone. */
	CHECK_INT(ingest_begin(c.s, SHA_HELLO, 5, &i, &at, &c.err), 0);
	CHECK_INT(at, 0);
	CHECK_INT(ingest_write(&i, 3, "lo", 2, &c.err), 0);
	CHECK_INT(ingest_write(&i, 0, "hel", 3, &c.err), 0);
	CHECK_INT(ingest_commit(&i, false, &c.err), 0);
	CHECK(i.exists);
	CHECK_INT(ingest_commit(&i, false, &c.err), 0);
	ingest_close(&i);
	CHECK_INT(ingest_begin(c.s, SHA_HELLO, 5, &i, &at, &c.err), 0);
	CHECK(i.exists && i.fd < 0);
	ingest_close(&i);
}

#define SHA_X "sha256:00000000000000000000000000000000000000000000000000000000000000bb"

static void test_holes(void)
{
	enum { PIECE = 1 << 20 };
	autofree char *data = calloc(1, PIECE);
	struct ingest i;
	uint64_t at;

	CHECK_INT(ingest_begin(c.s, SHA_X, 4 * PIECE, &i, &at, &c.err), 0);
	memset(data, 'x', PIECE);
	CHECK_INT(ingest_write(&i, 0, data, PIECE, &c.err), 0);
	CHECK_INT(ingest_write(&i, PIECE, data, 100, &c.err), 0);
	CHECK_INT(ingest_write(&i, 3 * PIECE, data, PIECE, &c.err), 0);
	ingest_close(&i);
	CHECK_INT(ingest_begin(c.s, SHA_X, 4 * PIECE, &i, &at, &c.err), 0);
	/* Where the file system knows no holes, all counts, and the digest tells. */
	CHECK(at <= PIECE || at == 4 * PIECE);
	CHECK(at > PIECE / 2);
	ingest_close(&i);
}

/* The second one waits, and finds the blob. */
static void test_two(void)
{
	struct ingest i;
	uint64_t at;
	char digest[DIGEST_MAX];

	case_digest("two", digest);
	CHECK_INT(ingest_begin(c.s, digest, 3, &i, &at, &c.err), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct ingest other;
		(void)close(i.fd); /* the copy of the lock goes */
		int r = ingest_begin(c.s, digest, 3, &other, &at, &c.err);
		_exit(r == 0 && other.exists ? 0 : 1);
	}
	(void)usleep(20000);
	CHECK_INT(waitpid(pid, NULL, WNOHANG), 0);
	CHECK_INT(ingest_write(&i, 0, "two", 3, &c.err), 0);
	CHECK_INT(ingest_commit(&i, true, &c.err), 0);
	ingest_close(&i);
	int status = -1;
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Writes images until it is killed; says on `fd` what was reported done. */
static void writer(int fd, int round)
{
	case_open(&c);
	for (int n = 0;; n++) {
		char id[DIGEST_MAX], name[64], what[32];
		int use = content_use(c.s, &c.err);
		(void)snprintf(what, sizeof(what), "k%d-%d", round, n);
		(void)snprintf(name, sizeof(name), "docker.io/library/%s:latest", what);
		case_image(&c, name, "linux/amd64", what, true, id);
		(void)close(use);
		if (write(fd, what, sizeof(what)) != (ssize_t)sizeof(what) || test_failures)
			_exit(1);
	}
}

/* kill -9 at any moment: what was reported done is there, and whole; one sweep leaves nothing else. */
static void test_kill(void)
{
	struct image_gc_result res;

	image_store_close(c.s);
	srandom((unsigned)time(NULL));
	for (int round = 0; round < 25; round++) {
		char done[32];
		int p[2];
		CHECK_INT(pipe(p), 0);
		pid_t pid = fork();
		if (pid == 0)
			writer(p[1], round);
		(void)close(p[1]);
		(void)usleep((useconds_t)(random() % 40000));
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		case_open(&c);
		while (read(p[0], done, sizeof(done)) == (ssize_t)sizeof(done)) {
			struct image i autoimage = {0};
			autofree char *data = NULL;
			size_t len;
			CHECK_INT(image_find(c.s, done, NULL, &i, &c.err), 0);
			for (size_t n = 0; n < i.layer_digests.n; n++) {
				CHECK_INT(blob_read(c.s, i.layer_digests.v[n], 100, &data, &len, &c.err), 0);
				free(take_ptr(&data));
			}
			CHECK_INT(blob_read(c.s, i.manifest_digest, 10000, &data, &len, &c.err), 0);
		}
		(void)close(p[0]);
		CHECK_INT(image_gc(c.s, NULL, NULL, &res, &c.err), 0);
		CHECK_INT(image_gc(c.s, NULL, NULL, &res, &c.err), 0);
		CHECK_INT(res.blobs + res.layers, 0);
		image_store_close(c.s);
	}
	case_open(&c);
}

int main(void)
{
	case_begin(&c);
	test_blobs();
	test_ingest();
	test_holes();
	test_two();
	test_kill();
	case_end(&c);
	return test_end();
}
