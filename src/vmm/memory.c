/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/memory.h"

#include <sys/mman.h>
#include <sys/stat.h>

enum { PAGE = 4096 };

/*
 * A file's holes stay anonymous: they cost nothing, where the file's own would fill its cache with zeros as
 * they are looked at.  In steps of huge pages, for holes may be many.
 */
static int map_private(void *base, uint64_t size, int fd, uint64_t at)
{
	enum { STEP = 2 << 20 };

	for (uint64_t next = 0, end; next < size; next = end) {
		off_t data = lseek(fd, (off_t)(at + next), SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		next = ((uint64_t)data - at) / STEP * STEP;
		end = MIN_OF(((uint64_t)hole - at + STEP - 1) / STEP * STEP, size);
		if (next < size &&
		    mmap((char *)base + next, end - next, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, (off_t)(at + next)) == MAP_FAILED)
			return -errno;
	}
	return 0;
}

int memory_open(struct guest_memory *m, uint64_t size, enum memory_kind kind, int fd, uint64_t at,
		struct err *err)
{
	static const int flags[] = {
		[MEMORY_ANONYMOUS] = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		[MEMORY_SHARED] = MAP_SHARED,
		[MEMORY_PRIVATE] = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, /* and map_private() */
	};
	struct stat st;
	uint64_t end = 0;

	if (size == 0 || size % PAGE || size > (UINT64_C(1) << 40))
		return err_set(err, EINVAL, "a guest cannot have %llu bytes of memory",
			       (unsigned long long)size);
	if (kind == MEMORY_ANONYMOUS)
		fd = -1;
	else if (at % PAGE || __builtin_add_overflow(at, size, &end) || end > INT64_MAX || fstat(fd, &st) < 0)
		return err_set(err, EINVAL, "the guest's memory is in no file");
	if (kind == MEMORY_SHARED && (uint64_t)st.st_size < end && ftruncate(fd, (off_t)end) < 0)
		return err_sys(err, "cannot make the file of the guest's memory %llu bytes long",
			       (unsigned long long)end);
	/* A page beyond the file's end would be a SIGBUS, not an error. */
	if (kind == MEMORY_PRIVATE && (uint64_t)st.st_size < end)
		return err_set(err, EINVAL, "the snapshot's memory is cut short");
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags[kind], kind == MEMORY_SHARED ? fd : -1,
		       kind == MEMORY_SHARED ? (off_t)at : 0);
	int r = p == MAP_FAILED ? -errno : kind == MEMORY_PRIVATE ? map_private(p, size, fd, at) : 0;
	if (r < 0 && p != MAP_FAILED)
		(void)munmap(p, size); /* ours */
	if (r < 0)
		return err_num(err, r, "cannot map %llu bytes of memory for the guest",
			       (unsigned long long)size);
	/* Neither a core dump nor a fork is to have it; huge pages are the host's choice. */
	ignore_result(madvise(p, size, MADV_DONTDUMP) < 0);
	*m = (struct guest_memory){.base = p, .size = size, .kind = kind};
	return 0;
}

void memory_close(struct guest_memory *m)
{
	if (m->base)
		(void)munmap(m->base, m->size);
	*m = (struct guest_memory){0};
}

void *memory_at(const struct guest_memory *m, uint64_t address, uint64_t len)
{
	uint64_t low = memory_low(m), end;

	if (len == 0 || __builtin_add_overflow(address, len, &end))
		return NULL;
	if (end <= low)
		return m->base + address;
	if (address < MEMORY_GAP_END || end - MEMORY_GAP_END > memory_high(m))
		return NULL;
	return m->base + low + (address - MEMORY_GAP_END);
}

bool memory_read(const struct guest_memory *m, uint64_t address, void *to, size_t len)
{
	const void *p = memory_at(m, address, len);

	if (p)
		memcpy(to, p, len);
	return p;
}

bool memory_write(const struct guest_memory *m, uint64_t address, const void *from, size_t len)
{
	void *p = memory_at(m, address, len);

	if (p)
		memcpy(p, from, len);
	return p;
}

void memory_drop(const struct guest_memory *m, void *start, size_t len)
{
	uintptr_t from = ((uintptr_t)start + PAGE - 1) / PAGE * PAGE;
	uintptr_t to = ((uintptr_t)start + len) / PAGE * PAGE;

	/* Advice: where the host does not take it, the pages stay, and nothing is wrong. */
	if (from < to)
		ignore_result(madvise((void *)from, to - from,
				      m->kind == MEMORY_SHARED ? MADV_REMOVE : MADV_DONTNEED) < 0);
}
