/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Its standard output is the file "out" in its working directory, opened outside, for reading as well: what
 * stat says of the name must be what fstat says of the descriptor.  The exit code tells what was wrong.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OFTEN = 40, ROUNDS = 20, PAGE = 4096 };

static int is_true(void)
{
	struct stat known, is;
	return stat("out", &known) == 0 && fstat(1, &is) == 0 && memcmp(&known, &is, sizeof(is)) == 0;
}

static int heat(void)
{
	int ok = 1;
	for (int i = 0; i < OFTEN; i++)
		ok &= is_true();
	return ok;
}

int main(void)
{
	int wrong = 0;
	char c, *p;
	for (int i = 0; i < ROUNDS; i++) {
		wrong |= !heat() || write(1, "x", 1) != 1 || !is_true();
		wrong |= (!heat() || pwrite(1, "xyz", 3, i * 100000L) != 3 || !is_true()) << 1;
		wrong |= (!heat() || pread(1, &c, 1, 0) != 1 || !is_true()) << 2;
		wrong |= (!heat() || fsync(1) || !is_true()) << 3;
	}
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 1, 0);
	for (int i = 0; i < ROUNDS; i++) {
		wrong |= !heat() << 4;
		p[0]++;
		wrong |= (msync(p, PAGE, MS_SYNC) || !is_true()) << 4;
	}
	return wrong;
}
