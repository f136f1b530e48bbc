/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/proc.h"
#include "host/procfs.h"

#include <sched.h>
#include <sys/mount.h>

static int over_mounted(void)
{
	struct err err = {0};
	int r = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	int proc = procfs_open(&err);
	if (proc < 0)
		return 1;
	/* CVE-2025-52881: the file is another now. */
	if (mount("/dev/null", "/proc/self/oom_score_adj", NULL, MS_BIND, NULL) < 0)
		return 77;
	if (procfs_write(proc, "self/oom_score_adj", "10", &err) != -EXDEV)
		r |= 2;
	if (mount("tmpfs", "/proc/sys", "tmpfs", 0, NULL) < 0)
		return 77;
	if (procfs_open_at(proc, "sys/kernel/hostname", O_RDONLY, &err) != -EXDEV)
		r |= 4;
	if (procfs_open_at(proc, "sys", O_RDONLY | O_DIRECTORY, &err) != -EXDEV)
		r |= 8;
	/* A /proc that is none. */
	if (mount("tmpfs", "/proc", "tmpfs", 0, NULL) < 0)
		return 77;
	if (procfs_open(&err) != -EXDEV)
		r |= 16;
	return r;
}

int main(void)
{
	struct err err = {0};
	char *text = NULL;
	autoclose int proc = procfs_open(&err);

	CHECK(proc >= 0);
	CHECK_INT(procfs_read(proc, "self/comm", 64, &text, &err), 0);
	CHECK(text && str_starts(text, "test_host_procf"));
	free(text);
	CHECK_INT(procfs_write(proc, "self/comm", "other", &err), 0);
	CHECK_INT(procfs_read(proc, "self/comm", 64, &text, &err), 0);
	CHECK_STR(text, "other\n");
	free(text);
	CHECK_INT(procfs_open_at(proc, "self/no-such", O_RDONLY, &err), -ENOENT);
	CHECK_STR(err.msg, "cannot open /proc/self/no-such: No such file or directory");
	CHECK(procfs_open_at(proc, "../etc/passwd", O_RDONLY, &err) < 0);
	CHECK(procfs_open_at(proc, "/etc/passwd", O_RDONLY, &err) < 0);
	CHECK_INT(procfs_open_at(proc, "self/root/etc/passwd", O_RDONLY, &err), -ELOOP);
	CHECK_INT(procfs_open_at(proc, "self/exe", O_RDONLY, &err), -ELOOP);
	autoclose int tmp = open("/tmp", O_PATH | O_CLOEXEC);
	CHECK(procfs_open_at(tmp, ".", O_RDONLY, &err) < 0);

	if (geteuid() == 0) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(over_mounted());
		int code = proc_exit_code(proc_wait(pid));
		CHECK(code == 0 || code == 77);
		if (code == 77)
			printf("over-mounts not tried: no mount namespace here\n");
	}
	return test_end();
}
