/* SPDX-License-Identifier: Apache-2.0 */
/* With an argument: as whom it runs.  Without: for each place what its mount says, and a set-id copy run by a
 * user. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
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

int main(int argc, char **argv)
{
	static const char *const places[] = {"/plain", "/nosuid", "/nodev"};
	struct statvfs fs;
	char path[64];

	if (argc > 1)
		return !printf("user %d, group %d\n", geteuid(), getegid());
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/program", places[i]);
		copy_to(path);
		statvfs(places[i], &fs);
		printf("%s:%s%s ", places[i], fs.f_flag & ST_NOSUID ? " nosuid" : "",
		       fs.f_flag & ST_NODEV ? " nodev" : "");
		fflush(stdout);
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
