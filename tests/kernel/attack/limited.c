/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits its processes, for which the sandbox has it install a filter from memory that its other threads can
 * write, and executes /bin/rights, itself with set-id bits: a filter of its own making shall be no trap for a
 * program of more rights.  Says who it is then; `limited free` sets no limit.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rlimit limit = {100, 100};

	if (argc > 1 && strcmp(argv[1], "who") == 0) {
		printf("user %d\n", (int)geteuid());
		return 0;
	}
	if (argc < 2 && setrlimit(RLIMIT_NPROC, &limit) < 0)
		perror("setrlimit");
	execl("/bin/rights", "rights", "who", NULL);
	perror("exec");
	return 1;
}
