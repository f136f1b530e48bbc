/* SPDX-License-Identifier: Apache-2.0 */
/* Memory policies where there is one node. */
#define _GNU_SOURCE
#include "fact.h"

#include <linux/mempolicy.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, BITS = 64 };

static const unsigned long none, first = 1, second = 2;

static long set(int mode, const unsigned long *mask)
{
	return syscall(SYS_set_mempolicy, mode, mask, mask ? BITS : 0);
}

static long get(int *mode, unsigned long *mask, void *addr, unsigned flags)
{
	return syscall(SYS_get_mempolicy, mode, mask, mask ? BITS : 0, addr, flags);
}

static long bind_range(void *at, size_t n, int mode, const unsigned long *mask, unsigned flags)
{
	return syscall(SYS_mbind, at, n, mode, mask, mask ? BITS : 0, flags);
}

static void thread_policy(void)
{
	unsigned long mask = 9;
	int mode = -1;

	FACT("none at first", get(&mode, &mask, NULL, 0), 0);
	TRUE("which is the default", mode == MPOL_DEFAULT && mask == 0);
	FACT("allowed", get(NULL, &mask, NULL, MPOL_F_MEMS_ALLOWED), 0);
	TRUE("is the first node", mask & 1);
	FACT("bind", set(MPOL_BIND, &first), 0);
	FACT("is told", get(&mode, &mask, NULL, 0), 0);
	TRUE("as it was set", mode == MPOL_BIND && mask == 1);
	FACT("no next node of it", get(&mode, NULL, NULL, MPOL_F_NODE), -EINVAL);
	FACT("interleave", set(MPOL_INTERLEAVE, &first), 0);
	FACT("has a next node", get(&mode, NULL, NULL, MPOL_F_NODE), 0);
	fact("the first", mode, 0);
	if (fork() == 0)
		_exit(get(&mode, &mask, NULL, 0) != 0 || mode != MPOL_INTERLEAVE);
	int status;
	(void)wait(&status);
	fact("a child has it", status, 0);
	FACT("preferred without nodes", set(MPOL_PREFERRED, NULL), 0);
	FACT("is local", get(&mode, &mask, NULL, 0), 0);
	TRUE("without a node", mode == MPOL_LOCAL && mask == 0);
	FACT("bind without nodes", set(MPOL_BIND, &none), -EINVAL);
	FACT("bind to what is not there", set(MPOL_BIND, &second), -EINVAL);
	FACT("a default with nodes", set(MPOL_DEFAULT, &first), -EINVAL);
	FACT("no bits of a mask", syscall(SYS_set_mempolicy, MPOL_DEFAULT, &none, 0), -EINVAL);
	FACT("an unknown mode", set(77, &first), -EINVAL);
	FACT("static and relative", set(MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, &first),
	     -EINVAL);
	FACT("a bad address", set(MPOL_BIND, (const unsigned long *)8), -EFAULT);
	FACT("the default again", set(MPOL_DEFAULT, NULL), 0);
}

static void range_policy(void)
{
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long mask;
	int mode;

	FACT("a range", bind_range(at + PAGE, 2 * PAGE, MPOL_BIND, &first, 0), 0);
	FACT("within", get(&mode, &mask, at + PAGE, MPOL_F_ADDR), 0);
	TRUE("it is told", mode == MPOL_BIND && mask == 1);
	FACT("before", get(&mode, &mask, at, MPOL_F_ADDR), 0);
	TRUE("it is not", mode == MPOL_DEFAULT && mask == 0);
	FACT("a part again", bind_range(at + PAGE, PAGE, MPOL_DEFAULT, NULL, 0), 0);
	FACT("is asked", get(&mode, NULL, at + PAGE, MPOL_F_ADDR), 0);
	fact("and the default", mode, MPOL_DEFAULT);
	FACT("the other part", get(&mode, NULL, at + 2 * PAGE, MPOL_F_ADDR), 0);
	fact("is as before", mode, MPOL_BIND);
	FACT("the node of an address", get(&mode, NULL, at, MPOL_F_NODE | MPOL_F_ADDR), 0);
	fact("is the first", mode, 0);
	FACT("an address without the flag", get(&mode, NULL, at, 0), -EINVAL);
	FACT("between pages", bind_range(at + 1, PAGE, MPOL_DEFAULT, NULL, 0), -EINVAL);
	FACT("no length", bind_range(at, 0, MPOL_DEFAULT, NULL, 0), 0);
	FACT("unknown flags", bind_range(at, PAGE, MPOL_DEFAULT, NULL, 1 << 20), -EINVAL);
	munmap(at + PAGE, PAGE);
	FACT("a hole", bind_range(at, 3 * PAGE, MPOL_BIND, &first, 0), -EFAULT);
	FACT("asked of a hole", get(&mode, NULL, at + PAGE, MPOL_F_ADDR), -EFAULT);
}

int main(void)
{
	if (get(NULL, NULL, NULL, 0) < 0 && errno == ENOSYS) {
		printf("skip all: this kernel has no NUMA\nok\n");
		return 0;
	}
	thread_policy();
	range_policy();
	return facts_end();
}
