/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchanges the file behind /proc/self/exe under the running program.
 *
 * Theory of operation.  What a container finds behind /proc/PID/exe is the
 * path, mount included, that the process was executed by.  If that mount is
 * read-only, an open for writing through it fails with EROFS for everybody,
 * root with every capability included.  And if the mount stands in no mount
 * namespace, nobody can make it writable again: mount_setattr(2), mount(2),
 * open_tree(2) and move_mount(2) all insist on a mount that is in the
 * caller's namespace or in an anonymous one; a detached clone whose
 * descriptor is closed is in none (the kernel dissolves it; the mount lives
 * on in the files that were opened through it).
 *
 * Executing ourselves again from such a clone costs a whole execve and a
 * second start of the C library (130 us).  Checkpoint/restore has a cheaper
 * way (PR_SET_MM_MAP with exe_fd): the kernel takes another file for the
 * process if no mapping of the old one is left.  So each segment of the
 * program is mapped anew, at its place, from the clone: the read-only ones
 * simply over the old (the bytes are the same: it is the same file), the
 * writable ones as anonymous memory with the present contents.  The kernel
 * checks that we were thorough: it refuses (EBUSY) while anything of the old
 * path is mapped.
 *
 * Last, the clone becomes noexec, and so the file can be held by whoever sees
 * this process but not be executed a second time: a container whose program
 * is "/proc/self/exe", or a script or a loader that names it, would be a
 * process of the container's own with our file behind it.  Read-only is not
 * enough there: an open for writing counts as a writer of the *file* for the
 * instant before the kernel finds out that the *mount* is read-only (EROFS,
 * do_dentry_open()), and whoever tries that in a loop makes the host's execve
 * of our program fail with ETXTBSY now and then.
 *
 * Dissolving the clone makes the kernel wait for all its processors (0.8 ms
 * here, a fifth of a whole `exec`).  A child that shares our memory and our
 * descriptors closes it while we go on; until then the mount is in an
 * anonymous namespace, where who sees us could change it.  So nobody of a
 * container may see a process of this file before exe_swap_settle().
 *
 * Needs Linux 5.12 (mount_setattr), CONFIG_CHECKPOINT_RESTORE (all
 * distributions), and CAP_SYS_ADMIN in the own user namespace.
 */
#include "host/exe_swap.h"

#include "base/fd.h"
#include "base/sys.h"

#include <elf.h>
#include <link.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__)
#define SWAP_POSSIBLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SWAP_POSSIBLE 0
#endif
#endif
#ifndef SWAP_POSSIBLE
#define SWAP_POSSIBLE 1 /* the address sanitizer's red zones forbid to copy a data segment as a whole */
#endif

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden"))); /* made by the linker */

struct image {
	uintptr_t bias, page;
	const ElfW(Phdr) * ph;
	size_t n;
};

/* A small program is used as a whole; of a large one (SQLite in it) most is not, and faults of what is cost
 * less. */
enum { POPULATE_MAX = 1 << 20 };

struct span {
	uintptr_t start, end;
};

static struct span pages_of(const struct image *im, uintptr_t vaddr, size_t size)
{
	struct span s = {
		.start = (im->bias + vaddr) & ~(im->page - 1),
		.end = (im->bias + vaddr + size + im->page - 1) & ~(im->page - 1),
	};
	return s;
}

static int image_find(struct image *ret)
{
	struct image im = {
		.page = getauxval(AT_PAGESZ),
		.ph = (const ElfW(Phdr) *)((const char *)&__ehdr_start + __ehdr_start.e_phoff),
		.n = __ehdr_start.e_phnum,
	};

	for (size_t i = 0; i < im.n; i++)
		if (im.ph[i].p_type == PT_LOAD && im.ph[i].p_offset == 0) {
			im.bias = (uintptr_t)&__ehdr_start - im.ph[i].p_vaddr;
			*ret = im;
			return 0;
		}
	return -ENOEXEC;
}

static int restrict_mount(int tree, uint64_t attrs)
{
	struct mount_attr attr = {.attr_set = attrs};

	return sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attr) < 0 ? -errno : 0;
}

static pid_t dissolving; /* the child that closes the clone; 0 = none */

/* On our memory with a stack of its own: two system calls and nothing else. */
static int close_clone(void *tree)
{
	(void)syscall(SYS_close, (int)(intptr_t)tree); /* it is open */
	(void)syscall(SYS_exit, 0);
	return 0;
}

/* Closes the clone, at once where no child is to be had. */
static void dissolve(int tree)
{
	static _Alignas(16) char stack[4096];

	/* No signal at its end, and no wait() of others finds it. */
	int pid = clone(close_clone, stack + sizeof(stack), CLONE_VM | CLONE_FILES, (void *)(intptr_t)tree);
	if (pid < 0)
		(void)close(tree);
	else
		dissolving = pid;
}

int exe_swap_settle(struct err *err)
{
	while (dissolving && waitpid(dissolving, NULL, __WALL) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for this program's file to be out of reach");
	dissolving = 0;
	return 0;
}

/* Closing *ret_tree dissolves the clone: from then on it is in no namespace. */
static int open_readonly_clone(int *ret_tree)
{
	autoclose int tree = sys_open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0)
		return -errno;
	int r = restrict_mount(tree, MOUNT_ATTR_RDONLY);
	if (r < 0)
		return r;
	int fd = open(fd_path(tree).s, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_tree = take_fd(&tree);
	return fd;
}

static int protection_of(const ElfW(Phdr) * ph)
{
	return (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
	       (ph->p_flags & PF_X ? PROT_EXEC : 0);
}

/* Puts anonymous memory with the same contents in the place of a writable segment's file pages. */
static int move_data(struct span s)
{
	size_t size = s.end - s.start;
	void *copy =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (copy == MAP_FAILED)
		return -errno;
	/* Nothing may be written to the segment between these two lines. */
	memcpy(copy, (const void *)s.start, size);
	if (mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)s.start) == MAP_FAILED)
		return -errno;
	return 0;
}

static int remap_segments(const struct image *im, int fd)
{
	for (size_t i = 0; i < im->n; i++) {
		const ElfW(Phdr) *ph = &im->ph[i];
		struct span s = pages_of(im, ph->p_vaddr, ph->p_filesz);

		if (ph->p_type != PT_LOAD || ph->p_filesz == 0)
			continue;
		if (ph->p_flags & PF_W) {
			int r = move_data(s);
			if (r < 0)
				return r;
		} else if (mmap((void *)s.start, s.end - s.start, protection_of(ph),
				MAP_PRIVATE | MAP_FIXED |
					(s.end - s.start <= POPULATE_MAX ? MAP_POPULATE : 0),
				fd, (off_t)(ph->p_offset & ~(im->page - 1))) == MAP_FAILED) {
			return -errno;
		}
	}
	/* What the C library made read-only after relocation was moved as plain data. */
	for (size_t i = 0; i < im->n; i++) {
		const ElfW(Phdr) *ph = &im->ph[i];
		uintptr_t start = (im->bias + ph->p_vaddr) & ~(im->page - 1);
		uintptr_t end = (im->bias + ph->p_vaddr + ph->p_memsz) & ~(im->page - 1);

		if (ph->p_type == PT_GNU_RELRO && end > start &&
		    mprotect((void *)start, end - start, PROT_READ) < 0)
			return -errno;
	}
	return 0;
}

static struct span strings_of(char **v)
{
	struct span s = {0};

	for (; *v; v++) {
		if (!s.start)
			s.start = (uintptr_t)*v;
		s.end = (uintptr_t)*v + strlen(*v) + 1;
	}
	return s;
}

/* The kernel wants the whole description; all but exe_fd stays what it was, or is for show only. */
static int set_exe(const struct image *im, int fd, char **argv)
{
	struct prctl_mm_map map = {.exe_fd = (uint32_t)fd};
	struct span args = strings_of(argv);

	for (size_t i = 0; i < im->n; i++) {
		const ElfW(Phdr) *ph = &im->ph[i];
		if (ph->p_type != PT_LOAD)
			continue;
		if (ph->p_flags & PF_X) {
			map.start_code = im->bias + ph->p_vaddr;
			map.end_code = map.start_code + ph->p_filesz;
		} else if (ph->p_flags & PF_W) {
			map.start_data = im->bias + ph->p_vaddr;
			map.end_data = map.start_data + ph->p_filesz;
		}
	}
	map.start_brk = map.brk = (uintptr_t)sbrk(0);
	map.start_stack = (uintptr_t)argv;
	/* The environment stands behind the arguments; its variables may have been moved to the heap. */
	map.arg_start = args.start;
	map.arg_end = map.env_start = map.env_end = args.end;
	if (!args.start)
		return -EINVAL;
	return prctl(PR_SET_MM, PR_SET_MM_MAP, (unsigned long)&map, sizeof(map), 0) < 0 ? -errno : 0;
}

int exe_swap(char **argv)
{
	struct image im;

	if (!SWAP_POSSIBLE)
		return -EOPNOTSUPP;
	if (dissolving)
		return 0; /* done a moment ago */
	int r = image_find(&im);
	if (r < 0)
		return r;
	autoclose int tree = -1;
	autoclose int fd = open_readonly_clone(&tree);
	if (fd < 0)
		return fd;
	r = remap_segments(&im, fd);
	if (r == 0)
		r = set_exe(&im, fd, argv);
	/* Not earlier: the kernel takes only what may be executed, in mappings as well as for exe. */
	if (r == 0)
		r = restrict_mount(tree, MOUNT_ATTR_NOEXEC);
	if (r == 0)
		dissolve(take_fd(&tree));
	return r;
}
