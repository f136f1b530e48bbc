/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether calls with paths are answered where they are made, "here", or "asked": who asks sleeps until there
 * is an answer, which is counted.  With an argument: asks for that file until it is there.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 1000, WARM = 200 };

static int ask(const char *path, int mode)
{
	struct stat st;
	return mode < 0 ? stat(path, &st) : access(path, mode);
}

static const char *where(const char *path, int mode)
{
	struct rusage before, after;
	for (int i = 0; i < WARM; i++)
		(void)ask(path, mode);
	getrusage(RUSAGE_SELF, &before);
	for (int i = 0; i < MANY; i++)
		(void)ask(path, mode);
	getrusage(RUSAGE_SELF, &after);
	return after.ru_nvcsw - before.ru_nvcsw < MANY / 2 ? "here" : "asked";
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		time_t end = time(NULL) + 15;
		int came = 0;
		while (!came && time(NULL) < end)
			came = ask(argv[1], -1) == 0;
		puts(came ? "it came" : "it never came");
		return 0;
	}
	const char *stats = where("/bin/program", -1), *accesses = where("/bin/program", R_OK);
	const char *missing = where("/bin/nothing", -1), *mounts = where("/dev/null", -1);
	printf("stat: %s, access: %s, missing: %s, of a mount: %s\n", stats, accesses, missing, mounts);
	return 0;
}
