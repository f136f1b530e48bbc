/* SPDX-License-Identifier: Apache-2.0 */
/* Takes leases and gives them up, and says how many SIGIO it has got. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t signals;

static void count(int sig)
{
	(void)sig;
	signals++;
}

int main(void)
{
	int fd = open("/file", O_RDONLY), leases = 0;

	signal(SIGIO, count);
	(void)!write(1, "begin\n", 6);
	for (int i = 0; i < 100000; i++) {
		leases += fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	}
	usleep(20000);
	printf("signals: %d\n", (int)signals);
	return leases == 0;
}
