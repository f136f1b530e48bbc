/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "host/lsm.h"
#include "host/procfs.h"

int main(void)
{
	struct err err = {0};
	autoclose int proc = procfs_open(&err);
	char *text = NULL;

	CHECK_INT(lsm_check(NULL, &err), 0);
	CHECK_INT(lsm_check("", &err), 0);
	CHECK_INT(lsm_apparmor_on_exec(proc, NULL, &err), 0);
	CHECK_INT(lsm_apparmor_on_exec(proc, "unconfined", &err), 0);
	CHECK_INT(lsm_selinux_on_exec(proc, "", &err), 0);
	if (!lsm_apparmor_enabled()) {
		CHECK(lsm_apparmor_on_exec(proc, "docker-default", &err) < 0);
		CHECK(str_starts(err.msg,
				 "unable to apply apparmor profile: apparmor failed to apply profile: "));
	} else {
		/* No such profile: the kernel says so. */
		CHECK_INT(lsm_apparmor_on_exec(proc, "coffer-no-such-profile", &err), -ENOENT);
	}
	CHECK(!lsm_apparmor_loaded("coffer-no-such-profile"));
	CHECK(!lsm_apparmor_confines("coffer-no-such-profile", getpid()));
	CHECK_INT(lsm_mount_options("size=1k", NULL, &text, &err), 0);
	CHECK_STR(text, "size=1k");
	free(text);
	CHECK_INT(lsm_mount_options(NULL, "", &text, &err), 0);
	CHECK_STR(text, "");
	free(text);
	if (!lsm_selinux_enabled()) {
		CHECK_INT(lsm_check("system_u:system_r:container_t:s0", &err), -ENOTSUP);
		CHECK_STR(err.msg,
			  "selinux label is specified in config, but selinux is disabled or not supported");
		CHECK_INT(lsm_mount_options("a=b", "x:y", &text, &err), 0);
		CHECK_STR(text, "a=b");
		free(text);
	} else {
		CHECK_INT(lsm_mount_options("a=b", "x:y:c1,c2", &text, &err), 0);
		CHECK_STR(text, "a=b,context=\"x:y:c1,c2\"");
		free(text);
		CHECK_INT(lsm_mount_options("a=b", "x\"", &text, &err), -EINVAL);
	}
	return test_end();
}
