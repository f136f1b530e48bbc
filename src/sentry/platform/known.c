/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to paths that slots give themselves: stat, lstat, newfstatat and access.
 *
 * A program that asks often gets a table of its own, in private memory beside
 * its own, which the sentry fills: by path and question, what the answer was
 * and under which generation of the tree (fs/tree.h).  The generation itself
 * is in a page that all processes map and nobody but the sentry can write.
 * The slot (known_x86_64.S) copies an answer if its generation is the present
 * one, and else makes the call.  Nothing has to be taken back: a change of
 * anything that answers depend on makes it another generation, before it
 * begins.
 *
 * The table tells a process what it has been told before, is copied by fork,
 * and goes with the program; what the program makes of it is its own affair.
 * Threads that share it must see the same tree with the same rights while it
 * is filled (patch_sees_alike); that one of them comes to see another is a
 * change.
 *
 * To fill an entry costs some microseconds, so it is done for what is asked
 * twice.  It is done at most once in a generation, which is what the slot
 * counts on.
 */
#include "sentry/file.h"
#include "sentry/fs/tree.h"
#include "sentry/guest.h"
#include "sentry/platform/handoff.h"
#include "sentry/platform/platform_int.h"
#include "sentry/platform/site.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { ENTRIES = 1 << KNOWN_BITS, WORTH_IT = 16 /* questions asked again before there is a table */ };

struct known_entry {
	uint64_t generation;
	int32_t result;
	uint32_t key;
	unsigned char stat[KNOWN_STAT_SIZE];
	char path[KNOWN_PATH_MAX];
};
_Static_assert(sizeof(struct known_entry) == KNOWN_SIZE &&
		       offsetof(struct known_entry, result) == KNOWN_MIDDLE + KNOWN_RESULT &&
		       offsetof(struct known_entry, key) == KNOWN_MIDDLE + KNOWN_KEY &&
		       offsetof(struct known_entry, stat) == KNOWN_MIDDLE + KNOWN_STAT &&
		       offsetof(struct known_entry, path) == KNOWN_MIDDLE + KNOWN_PATH &&
		       KNOWN_STAT_SIZE <= sizeof(struct stat),
	       "the assembly counts on it");

enum { TABLE_SIZE = ENTRIES * sizeof(struct known_entry) };

struct known {
	uint64_t at, tree; /* 0 = not yet */
	bool tried;	   /* it is being mapped, or could not be */
	unsigned again;
	struct {
		uint32_t hash; /* of what was asked last; 0 = nothing */
		uint64_t filled;
	} entries[ENTRIES];
};

static bool known_on;

void known_init(void)
{
	known_on = tree_fd() >= 0 && patch_wants_paths();
}

bool known_is_on(void)
{
	return known_on;
}

struct known *known_copy(const struct known *k)
{
	struct known *copy = k ? malloc(sizeof(*copy)) : NULL;
	if (!copy)
		return NULL;
	*copy = *k;
	copy->tried = k->at != 0;
	return copy;
}

/* As the slots do it. */
static uint32_t known_hash(uint32_t key, const char *path, size_t n)
{
	uint32_t h = key;
	for (size_t i = 0; i < n; i++)
		h = (h << KNOWN_ROTATE | h >> (32 - KNOWN_ROTATE)) ^ (unsigned char)path[i];
	return h * KNOWN_MULTIPLY;
}

static void fill_known(struct task *t, struct known *k, unsigned i, struct known_entry *e)
{
	uint64_t at = k->at + i * sizeof(*e);
	const size_t head = sizeof(e->generation);
	k->entries[i].filled = e->generation;
	/* What it is valid under comes last. */
	if (guest_write(t, at + head, (char *)e + head, sizeof(*e) - head) == 0)
		(void)guest_put(t, at, &e->generation); /* the program's own loss */
}

void platform_path_answered(struct task *t, const char *path, int nr, int mode, long result,
			    uint64_t generation)
{
	struct known **known = known_on ? patch_known(t) : NULL, *k;
	size_t n = strlen(path) + 1;
	struct stat st = {0};
	if (!known || !tree_is_still(generation) || n > KNOWN_PATH_MAX || n == 1 || !patch_call_may_know(t))
		return;
	if (!*known)
		*known = calloc(1, sizeof(**known)); /* no memory: nothing is known */
	k = *known;
	if (!k)
		return;
	struct known_entry e = {.generation = generation, .result = (int32_t)result};
	e.key = (uint32_t)nr | (uint32_t)mode << 8;
	uint32_t hash = known_hash(e.key, path, n);
	unsigned i = hash >> (32 - KNOWN_BITS);
	bool again = k->entries[i].hash == hash;
	k->entries[i].hash = hash;
	k->again += again;
	if (!again || !k->at || k->entries[i].filled == generation || !patch_sees_alike(t))
		return;
	const struct place *cwd = t->fs->cwd;
	if (tree_look(t, cwd->fd, path, nr != SYS_lstat, generation, &st) != result)
		return;
	memcpy(e.stat, &st, sizeof(e.stat));
	memcpy(e.path, path, n);
	fill_known(t, k, i, &e);
}

/* ---- the table ---- */

static long known_closed(struct task *t, struct call *c unused, long result unused, uint64_t scratch unused)
{
	struct known **known = patch_known(t), *k = known ? *known : NULL;
	remote_begin_anew(t);
	if (k && k->at && !patch_tell_known(t, k->at + KNOWN_MIDDLE, k->tree))
		k->at = 0;
	return CALL_PARK;
}

static long known_mapped(struct task *t, struct call *c unused, long result, uint64_t scratch unused)
{
	struct known **known = patch_known(t), *k = known ? *known : NULL;
	if (k && result > 0)
		k->at = (uint64_t)result;
	platform_next(t, SYS_close, (const uint64_t[6]){AREAS_FD}, known_closed);
	return 0;
}

static long tree_mapped(struct task *t, struct call *c, long result, uint64_t scratch)
{
	struct known **known = patch_known(t), *k = known ? *known : NULL;
	if (!k || result <= 0)
		return known_mapped(t, c, -ENOMEM, scratch);
	k->tree = (uint64_t)result;
	platform_next(t, SYS_mmap,
		      (const uint64_t[6]){patch_below(t, TREE_PAGE + HANDOFF_SIZE + TABLE_SIZE), TABLE_SIZE,
					  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1,
					  0},
		      known_mapped);
	return 0;
}

bool known_trapped(struct task *t)
{
	struct known **known = patch_known(t), *k = known ? *known : NULL;
	/* As with areas, the number may be another memory's where only descriptors are shared. */
	if (!k || k->tried || k->again < WORTH_IT || fd_table_shadows(t->files)->off)
		return false;
	k->tried = true;
	if (notify_add_fd(t->call.id, tree_fd(), AREAS_FD, true) < 0)
		return false;
	const uint64_t args[6] = {patch_below(t, TREE_PAGE), TREE_PAGE, PROT_READ, MAP_SHARED, AREAS_FD, 0};
	if (platform_call(t, &t->call, SYS_mmap, args, NULL, 0, tree_mapped) != CALL_GONE)
		return false;
	t->platform->answered = false;
	t->state = CALL_IDLE;
	return true;
}

bool known_fault(struct task *t, int sig)
{
	struct arch_regs regs;
	siginfo_t info;
	if ((sig != SIGSEGV && sig != SIGBUS) || arch_get(t->host_tid, &regs) < 0)
		return false;
	const struct site *s = patch_site_looking(t, arch_pc(&regs));
	if (!s || ptrace(PTRACE_GETSIGINFO, t->host_tid, NULL, &info) < 0 || info.si_code <= 0)
		return false;
	arch_end_call(&regs, s->nr); /* the number is where the result will be */
	arch_set_pc(&regs, s->call);
	(void)arch_set(t->host_tid, &regs); /* killed: no matter */
	(void)trace_ptrace(PTRACE_CONT, t->host_tid, 0);
	return true;
}
