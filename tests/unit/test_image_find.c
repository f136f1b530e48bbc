/* SPDX-License-Identifier: Apache-2.0 */
#include "test_image_case.h"

#include <time.h>

static struct store_case c;

static int find(const char *name, const char *platform, const char *want_id)
{
	struct image i autoimage = {0};

	c.err = (struct err){0};
	int r = image_find(c.s, name, platform, &i, &c.err);
	if (r == 0)
		CHECK_STR(i.id, want_id);
	else
		CHECK(!i.id);
	return r;
}

static void test_names(void)
{
	char a[DIGEST_MAX], b[DIGEST_MAX], old[DIGEST_MAX];
	struct image i autoimage = {0};

	case_image(&c, "docker.io/library/nginx:1", "linux/amd64", "one", false, a);
	CHECK_INT(image_find(c.s, "nginx:1", NULL, &i, &c.err), 0);
	CHECK_STR(i.id, a);
	CHECK_STR(i.reference, "docker.io/library/nginx:1");
	CHECK_STR(i.platform, "linux/amd64");
	CHECK_INT(i.tags.n, 1);
	CHECK_STR(i.tags.v[0], "docker.io/library/nginx:1");
	CHECK_INT(i.digests.n, 1);
	CHECK(str_starts(i.digests.v[0], "docker.io/library/nginx@sha256:"));
	CHECK_INT(i.size, 1234);
	CHECK_INT(i.diff_ids.n, 2);
	CHECK_INT(i.layer_digests.n, 2);
	CHECK_STR(i.config.cmd.v[0], "one");
	CHECK_INT(i.created.tv_sec, 1704164643);
	CHECK_INT(find(i.digests.v[0], NULL, a), 0);
	CHECK_INT(find("nginx", NULL, NULL), -ENOENT);
	CHECK_STR(c.err.msg, "No such image: nginx:latest");
	CHECK_INT(find(a, NULL, a), 0);
	CHECK_INT(find(a + 7, NULL, a), 0);
	char digits[13];
	(void)snprintf(digits, sizeof(digits), "%.12s", a + 7);
	CHECK_INT(find(digits, NULL, a), 0);
	autofree char *with = str_format("sha256:%s", digits);
	CHECK_INT(find(with, NULL, a), 0);
	CHECK_INT(find("sha256:0000000000", NULL, NULL), -ENOENT);
	CHECK_INT(find("NGINX", NULL, NULL), -EINVAL);

	/* The tag moves on; the old image keeps its digest. */
	memcpy(old, a, sizeof(a));
	case_image(&c, "docker.io/library/nginx:1", "linux/amd64", "two!", false, b);
	CHECK_INT(find("nginx:1", NULL, b), 0);
	image_free(&i);
	CHECK_INT(image_find(c.s, old, NULL, &i, &c.err), 0);
	CHECK_INT(i.tags.n, 0);
	CHECK_INT(i.digests.n, 1);
}

static void test_platforms(void)
{
	char amd[DIGEST_MAX], arm[DIGEST_MAX], s390[DIGEST_MAX];

	case_image(&c, "docker.io/library/multi:latest", "linux/arm/v7", "arm", false, arm);
	CHECK_INT(find("multi", NULL, arm), 0); /* what there is */
	CHECK_INT(find("multi", "linux/amd64", NULL), -ENOENT);
	CHECK_STR(c.err.msg,
		  "image with reference multi:latest was found but does not match the specified platform: "
		  "wanted linux/amd64, actual: linux/arm/v7");
	case_image(&c, "docker.io/library/multi:latest", "linux/amd64", "amd64", false, amd);
	case_image(&c, "docker.io/library/multi:latest", "linux/s390x", "s390", false, s390);
	CHECK_INT(find("multi", image_platform_here(), amd), 0);
	CHECK_INT(find("multi", NULL, amd), 0);
	CHECK_INT(find("multi", "linux/arm64", arm), 0); /* 32-bit code as the last resort */
	CHECK_INT(find("multi", "arm/v6", NULL), -ENOENT);
	CHECK_INT(find("multi", "s390x", s390), 0);
	CHECK_INT(find(s390, "linux/amd64", NULL), -ENOENT);
	CHECK_INT(find("multi", "linux/amd64/v1/x", NULL), -EINVAL);
}

static void test_list(void)
{
	image_list l;

	CHECK_INT(image_list_all(c.s, &l, &c.err), 0);
	CHECK_INT(l.n, 5);
	for (size_t i = 1; i < l.n; i++)
		CHECK(l.v[i - 1].created.tv_sec >= l.v[i].created.tv_sec);
	image_list_free(&l);
}

static void test_record(void)
{
	char id[DIGEST_MAX];
	const char *v[1] = {id};
	str_list one = {v, 1};

	case_image(&c, NULL, "linux/amd64", "unnamed", false, id);
	struct image_record r = {.config_digest = id, .manifest_digest = id, .layer_digests = &one};
	CHECK_INT(image_record(c.s, &r, &c.err), -EBADMSG);
	r.config_digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
	CHECK_INT(image_record(c.s, &r, &c.err), -ENOENT);
	r.config_digest = "sha256:../../x";
	CHECK_INT(image_record(c.s, &r, &c.err), -EINVAL);
}

/* What `run` pays; a generous limit, for machines are noisy. */
static void test_speed(void)
{
	struct timespec from, to;
	long best = LONG_MAX;

	for (int n = 0; n < 50; n++) {
		struct image i autoimage = {0};
		image_store_close(c.s);
		(void)clock_gettime(CLOCK_MONOTONIC, &from);
		case_open(&c);
		CHECK_INT(image_find(c.s, "multi", NULL, &i, &c.err), 0);
		(void)clock_gettime(CLOCK_MONOTONIC, &to);
		best = MIN_OF(best, (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
	}
	printf("open and find: %ld us\n", best);
	CHECK(best < 5000);
}

int main(void)
{
	case_begin(&c);
	test_names();
	test_platforms();
	test_list();
	test_record();
	test_speed();
	case_end(&c);
	return test_end();
}
