/* SPDX-License-Identifier: Apache-2.0 */
/* With an argument: as whom it runs.  Without: for each place what its mount says, and a set-id copy run by a
 * user; the last is a file in memory, which is on no mount of the container's. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

static void copy_to(const char *path)
{
	static char bytes[4 << 20];
	int from = open("/bin/program", O_RDONLY), to = open(path, O_WRONLY | O_CREAT, 0700);
	ssize_t n = read(from, bytes, sizeof(bytes));

	if (n <= 0 || write(to, bytes, n) != n || fchown(to, 7, 8) < 0 || fchmod(to, 06755) < 0)
		perror(path);
	close(to);
	close(from);
}

/* By the same number: nobody executes what is open for writing. */
static void read_only(const char *path, int fd)
{
	int again = open(path, O_RDONLY);

	if (again < 0 || dup2(again, fd) < 0)
		perror(path);
	close(again);
}

int main(int argc, char **argv)
{
	static const char *const places[] = {"/plain", "/nosuid", "/nodev", "/proc/self/fd"};
	struct statvfs fs;
	char path[64];
	int memory;

	if (argc > 1)
		return !printf("user %d, group %d\n", geteuid(), getegid());
	memory = memfd_create("program", 0);
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/program", places[i]);
		if (i == 3)
			snprintf(path, sizeof(path), "%s/%d", places[i], memory);
		copy_to(path);
		statvfs(places[i], &fs);
		printf("%s:%s%s ", places[i], fs.f_flag & ST_NOSUID ? " nosuid" : "",
		       fs.f_flag & ST_NODEV ? " nodev" : "");
		fflush(stdout);
		if (i == 3)
			read_only(path, memory);
		if (fork() == 0) {
			if (setgid(1000) == 0 && setuid(1000) == 0)
				execl(path, path, "x", NULL);
			perror(path);
			_exit(1);
		}
		wait(NULL);
	}
	return 0;
}
