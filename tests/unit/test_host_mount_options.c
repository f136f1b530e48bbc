/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/sys.h"
#include "host/mount_options.h"

#define PARSE(o, ...)                                                                                        \
	do {                                                                                                 \
		const char *words[] = {__VA_ARGS__};                                                         \
		str_list list = {words, ARRAY_LEN(words)};                                                   \
		struct err e = {0};                                                                          \
		CHECK(mount_options_parse(&list, o, &e) == 0);                                               \
	} while (0)

static void test_names(void)
{
	size_t n;
	const char *const *names = mount_option_names(&n);

	CHECK(n >= 60);
	for (size_t i = 1; i < n; i++)
		CHECK(strcmp(names[i - 1], names[i]) < 0);
	CHECK_INT(mount_propagation_named("rslave"), MS_SLAVE | MS_REC);
	CHECK_INT(mount_propagation_named("unbindable"), MS_UNBINDABLE);
	CHECK_INT(mount_propagation_named("ro"), 0);
	CHECK_INT(mount_propagation_named("nonsense"), 0);
}

static void test_flags(void)
{
	struct mount_options o;

	PARSE(&o, "ro", "nosuid", "rw", "rbind", "defaults");
	CHECK_INT(o.flags, MS_NOSUID | MS_BIND | MS_REC);
	CHECK_INT(o.cleared, MS_RDONLY);
	CHECK(!o.data);
	mount_options_free(&o);
	PARSE(&o, "rw", "ro", "size=1k", "mode=755", "nodirsync", "dirsync", "acl");
	CHECK_INT(o.flags, MS_RDONLY | MS_DIRSYNC);
	CHECK_INT(o.cleared, 0);
	CHECK_STR(o.data, "size=1k,mode=755,acl");
	mount_options_free(&o);
	PARSE(&o, "tmpcopyup", "ridmap", "noatime", "strictatime", "nodiratime");
	CHECK(o.copyup && o.idmap && o.ridmap);
	CHECK_INT(o.flags, MS_NOATIME | MS_STRICTATIME | MS_NODIRATIME);
	mount_options_free(&o);
}

static void test_recursive(void)
{
	struct mount_options o;

	PARSE(&o, "rro", "rnosuid", "rsuid", "rnoatime");
	CHECK_INT(o.rec_set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME);
	CHECK_INT(o.rec_clear, MOUNT_ATTR_NOSUID | MOUNT_ATTR__ATIME);
	PARSE(&o, "rstrictatime", "rrelatime");
	CHECK_INT(o.rec_set, 0);
	CHECK_INT(o.rec_clear, MOUNT_ATTR__ATIME);
	PARSE(&o, "rnodiratime", "rrw");
	CHECK_INT(o.rec_set, MOUNT_ATTR_NODIRATIME);
	CHECK_INT(o.rec_clear, MOUNT_ATTR_RDONLY);
}

static void test_propagation(void)
{
	struct mount_options o;
	struct err err = {0};
	const char *many[MOUNT_PROPAGATIONS_MAX + 1];

	PARSE(&o, "shared", "rslave", "rshared");
	CHECK_INT(o.n_propagation, 2);
	CHECK_INT(o.propagation[0], MS_SLAVE | MS_REC);
	CHECK_INT(o.propagation[1], MS_SHARED | MS_REC);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = "shared";
	str_list list = {many, ARRAY_LEN(many)};
	CHECK_INT(mount_options_parse(&list, &o, &err), -EINVAL);
}

int main(void)
{
	test_names();
	test_flags();
	test_recursive();
	test_propagation();
	return test_end();
}
