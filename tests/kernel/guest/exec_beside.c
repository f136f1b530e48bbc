/* SPDX-License-Identifier: Apache-2.0 */
/* A thread puts another program in the place of its process while the first thread is in the midst of a call.
 */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMES = 60, WELL = 23 };

static void *become_another(void *us)
{
	char *args[] = {"again", NULL};

	usleep((useconds_t)(long)us);
	execv("/proc/self/exe", args);
	_exit(1);
}

/* The first thread writes and waits for the disk until it is ended. */
static _Noreturn void call_without_end(void)
{
	int fd = open("busy", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	for (;;)
		if (pwrite(fd, "x", 1, 0) != 1 || fsync(fd) < 0 || stat("busy", &st) < 0)
			_exit(2);
}

int main(int argc, char **argv)
{
	int well = 0, status;

	(void)argc;
	if (argv[0] && argv[0][0] == 'a')
		return WELL;
	for (long i = 0; i < TIMES; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			pthread_t thread;
			if (pthread_create(&thread, NULL, become_another, (void *)(i * 37 % 1500)) == 0)
				call_without_end();
			_exit(3);
		}
		well += waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == WELL;
	}
	unlink("busy");
	fact("another program each time", well, TIMES);
	return facts_end();
}
