/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the tree's generation and the table of known paths by way of a patched site, tries to change the one,
 * and scribbles over the other; meanwhile another process must be told the truth.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* As the sentry lays them out: data behind the stub's image, in its page. */
enum { DATA = 1024, KNOWN = 728, TREE = 736, TABLE = 128 * 320, PAGE = 4096 };

long ask(const char *path, struct stat *st);
__asm__(".text\n.globl ask\n.balign 64\nask:\n\tmov $4, %eax\n\tsyscall\n\tret\n");

static sigjmp_buf back;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static uint64_t word(uint64_t at)
{
	uint64_t x;
	memcpy(&x, (void *)at, sizeof(x));
	return x;
}

static int others_are_well(void)
{
	struct stat st;
	pid_t pid = fork();
	int status = 1;
	if (pid)
		return waitpid(pid, &status, 0) == pid && status == 0;
	for (int i = 0; i < 2000; i++) {
		int fd = open("/tmp/truth", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || write(fd, "0123456789", (size_t)(i % 10)) != i % 10 || close(fd))
			_exit(1);
		/* what it has inherited was scribbled over: a table of its own comes with another program
		 * only */
		if (open("/tmp/nothing", O_RDONLY) >= 0 || (fd = open("/tmp/truth", O_RDONLY)) < 0 ||
		    fstat(fd, &st) || st.st_size != i % 10 || close(fd))
			_exit(1);
	}
	_exit(0);
}

int main(void)
{
	struct stat st;
	int32_t jump;
	for (int i = 0; i < 200; i++)
		(void)ask("/tmp", &st);
	const unsigned char *code = (const unsigned char *)ask;
	if (code[0] != 0xe9) {
		puts("not patched");
		return 1;
	}
	memcpy(&jump, code + 1, sizeof(jump));
	uint64_t page = ((uint64_t)code + 5 + (uint64_t)(int64_t)jump) & ~(uint64_t)(PAGE - 1);
	uint64_t table = word(page + DATA + KNOWN) - 128, tree = word(page + DATA + TREE),
		 before = word(tree);
	printf("found: %d\n", word(page + DATA + KNOWN) && tree);
	printf("made writable: %d\n", mprotect((void *)tree, PAGE, PROT_READ | PROT_WRITE) == 0);
	printf("taken out: %d\n", madvise((void *)tree, PAGE, MADV_REMOVE) == 0);
	signal(SIGSEGV, on_fault);
	int written = 0;
	if (!sigsetjmp(back, 1)) {
		*(volatile uint64_t *)tree = before;
		written = 1;
	}
	printf("written: %d\n", written);
	fflush(stdout);
	srand(1);
	int well = 1;
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < TABLE; k++)
			((volatile unsigned char *)table)[k] = (unsigned char)rand();
		for (int k = 0; k < 200; k++)
			(void)ask("/tmp", &st);
		if (i % 5 == 0)
			well &= others_are_well();
	}
	printf("others are well: %d\n", well);
	munmap((void *)table, TABLE);
	long r = ask("/tmp", &st); /* it faults there, and is made after all */
	printf("without a table: %ld\n", r);
	return 0;
}
