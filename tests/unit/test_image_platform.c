/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "image/content.h"

static int score(const char *want, const char *os, const char *arch, const char *variant)
{
	return image_platform_score(
		want, &(struct oci_platform){.os = os, .architecture = arch, .variant = variant});
}

int main(void)
{
	CHECK(score("linux/amd64", "linux", "amd64", NULL) > 0);
	CHECK(score("linux/x86_64", "linux", "amd64", "v1") == score("amd64", "Linux", "AMD64", ""));
	CHECK_INT(score("linux/amd64", "windows", "amd64", NULL), 0);
	CHECK_INT(score("linux/amd64", "unknown", "unknown", NULL), 0);
	CHECK_INT(score("unknown/unknown", "unknown", "unknown", NULL), 0);
	CHECK_INT(score("linux/amd64", "linux", NULL, NULL), 0);
	CHECK_INT(score("linux/amd64", "linux", "s390x", NULL), 0);
	/* amd64: the plain one before any variant, and none that asks for more than what was wanted. */
	CHECK(score("linux/amd64", "linux", "amd64", NULL) > score("linux/amd64", "linux", "amd64", "v2"));
	CHECK(score("linux/amd64/v3", "linux", "amd64", "v3") >
	      score("linux/amd64/v3", "linux", "amd64", "v2"));
	CHECK(score("linux/amd64/v3", "linux", "amd64", "v2") >
	      score("linux/amd64/v3", "linux", "amd64", NULL));
	CHECK(score("linux/amd64/v3", "linux", "amd64", NULL) > 0);
	CHECK_INT(score("linux/amd64/v2", "linux", "amd64", "v3"), 0);
	CHECK(score("linux/amd64", "linux", "386", NULL) > 0);
	CHECK(score("linux/amd64", "linux", "386", NULL) < score("linux/amd64", "linux", "amd64", NULL));
	/* arm */
	CHECK(score("linux/arm64", "linux", "arm64", "v8") == score("aarch64", "linux", "arm64", NULL));
	CHECK_INT(score("linux/arm64", "linux", "arm64", "v9"), 0);
	CHECK(score("linux/arm64/v9", "linux", "arm64", NULL) > 0);
	CHECK(score("linux/arm/v7", "linux", "arm", "v7") == score("armhf", "linux", "arm", NULL));
	CHECK(score("linux/arm/v7", "linux", "arm", "v6") > score("linux/arm/v7", "linux", "arm", "v5"));
	CHECK_INT(score("linux/arm/v6", "linux", "arm", "v7"), 0);
	CHECK(score("linux/arm64", "linux", "arm", "v7") > 0);
	CHECK(score("linux/arm64", "linux", "arm", "v7") < score("linux/arm64", "linux", "arm64", NULL));
	CHECK_INT(score("linux/arm/v7", "linux", "arm64", NULL), 0);
	/* what is no platform */
	CHECK_INT(score("", "linux", "amd64", NULL), 0);
	CHECK_INT(score("linux//v1", "linux", "amd64", NULL), 0);
	CHECK_INT(score("linux/amd64/v1/x", "linux", "amd64", NULL), 0);
	CHECK_INT(score("linux/am d64", "linux", "amd64", NULL), 0);
	CHECK(score(image_platform_here(), "linux", strchr(image_platform_here(), '/') + 1, NULL) > 0 ||
	      strchr(strchr(image_platform_here(), '/') + 1, '/'));
	return test_end();
}
