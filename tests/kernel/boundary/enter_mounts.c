/* SPDX-License-Identifier: Apache-2.0 */
/* Enters its own tree of mounts from below a root of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char *how, int r)
{
	char at[PATH_MAX];
	if (r < 0) {
		printf("%s: %s\n", how, errno == EINVAL ? "EINVAL" : errno == EPERM ? "EPERM" : "failed");
		return;
	}
	printf("%s: 0\nat %s\n", how, access("/bin/program", F_OK) == 0 && getcwd(at, sizeof(at)) ? at : "?");
}

static void go_below(void)
{
	if (mkdir("/below", 0755) < 0 && errno != EEXIST)
		perror("mkdir");
	if (chroot("/below") < 0 || chdir("/") < 0)
		perror("chroot");
}

static void *wait_for_ever(void *data)
{
	pause();
	return data;
}

int main(void)
{
	int mounts = open("/proc/self/ns/mnt", O_RDONLY), self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	char at[PATH_MAX];
	pthread_t other;
	go_below();
	tell("alone", setns(mounts, CLONE_NEWNS));
	go_below();
	tell("by a process", setns(self, CLONE_NEWNS));
	pthread_create(&other, NULL, wait_for_ever, NULL);
	tell("with others", setns(mounts, 0));
	chdir("/tmp");
	tell("with users", setns(self, CLONE_NEWUSER | CLONE_NEWNS));
	tell("none was", getcwd(at, sizeof(at)) && strcmp(at, "/tmp") == 0 ? 0 : -1);
	go_below();
	tell("with others and more", setns(self, CLONE_NEWUTS | CLONE_NEWNS));
	return 0;
}
