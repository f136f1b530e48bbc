/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to a file by itself, after that has come into doubt; then says so, and ends with its input.
 *
 *   vfork   a child that has the memory, too, closes the file
 *   fork    a child of one with threads writes on
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WARM = 2000, WRITES = 20000 };

static int fd;

static void writes(int n)
{
	while (n--)
		if (pwrite(fd, "x", 1, 0) != 1)
			_exit(1);
}

static void says(void)
{
	char c;

	writes(WRITES);
	(void)!write(1, "written\n", 8);
	(void)!read(0, &c, 1);
}

static void *sleeps(void *arg)
{
	(void)sleep(1000);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int status = 1, threads = argc > 1 && !strcmp(argv[1], "fork");
	pid_t pid;

	fd = open("written", O_RDWR | O_CREAT, 0600);
	if (threads && pthread_create(&thread, NULL, sleeps, NULL))
		return 1;
	writes(WARM);
	pid = threads ? fork() : vfork();
	if (pid == 0) {
		if (threads)
			says();
		else
			close(fd);
		_exit(0);
	}
	if (!threads)
		says();
	return waitpid(pid, &status, 0) != pid || status;
}
