/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot call sites are patched (site.h): what the sentry has told the process
 * before, or what the host may do on a descriptor that the sentry has given to
 * the stub (shadow.c), needs no notification.
 *
 * A site is patched when it has trapped often, by a private file's code that
 * nobody may write, while no other thread of this memory can be executing it:
 * all of them wait for us, or are stopped for a moment (patch_later).  Slots and what they look at (struct
 * site_data) are in the rest of a page of the stub's image, private to the process and written by the sentry
 * alone; what a guest makes of it by mprotect is its own affair, as slots are no part of the boundary.
 *
 * The data is only ever what is true for all threads that have the memory: an
 * identity is told while all have the same, and taken away before a call that
 * changes one returns.  A pid is told while the memory is one process's.
 */
#include "sentry/call.h"
#include "sentry/file.h"
#include "sentry/io/io.h"
#include "sentry/net/socket.h"
#include "sentry/platform/handoff.h"
#include "sentry/platform/platform_int.h"
#include "sentry/platform/site.h"
#include "sentry/platform/stub_x86_64.h"
#include "sentry/sys/profile.h"

#include "base/fd.h"
#include "base/str.h"
#include "sentry/boot.h"
#include "sentry/guest.h"

#include <inttypes.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	DATA_AT = STUB_IMAGE_MAX,
	SLOTS_AT = (DATA_AT + sizeof(struct site_data) + 63) / 64 * 64,
	SLOT_ALIGN = 16,
	SITES_MAX = 48,
	HEAT_SIZE = 64, /* a power of two */
	HOT = 16	/* calls; a power of two */
};

struct patches {
	unsigned refs;
	bool off;
	uint64_t page;
	struct {
		uint64_t ip;
		unsigned n;
	} heat[HEAT_SIZE];
	struct site sites[SITES_MAX];
	size_t nsites;
	uint64_t slots_end;	    /* where the next one goes */
	struct handoff_page *areas; /* NULL = none yet */
	struct known *known;	    /* NULL = none yet */
	struct site_data data;	    /* as it is in the process */
	unsigned in_vain;	    /* calls that asked for answers while the threads did not agree */
};

static bool is_annotated(const char *key, const char *value)
{
	const pair_list *a = &kernel.boot->config->annotations;
	for (size_t i = 0; i < a->n; i++)
		if (streq(a->v[i].key, key) && streq(a->v[i].value, value))
			return true;
	return false;
}

/* What is answered in place comes to nobody who could judge it. */
static bool profile_forbids(void)
{
	for (int nr = 0; profile_is_on() && nr < call_count(); nr++)
		if ((site_is_answered(nr) || site_kinds(nr)) && profile_restricts(nr))
			return true;
	return false;
}

/* What does not trap would not be traced. */
static bool is_patching(void)
{
	static enum { UNKNOWN, NO, YES } answer; /* it is asked for at each execve, and the profile is long */
	if (answer == UNKNOWN)
		answer = kernel.boot->trace_fd < 0 && !is_annotated("dev.coffer.kernel.patch", "off") &&
					 !profile_forbids()
				 ? YES
				 : NO;
	return answer == YES;
}

bool patch_wants_files(void)
{
	return is_patching() && !is_annotated("dev.coffer.kernel.files", "off");
}

bool patch_wants_paths(void)
{
	return is_patching() && !is_annotated("dev.coffer.kernel.paths", "off");
}

bool patch_handoff_is_eager(void)
{
	return is_annotated("dev.coffer.kernel.handoff", "eager");
}

bool patch_wants_handoff(void)
{
	return is_patching() && !is_annotated("dev.coffer.kernel.handoff", "off");
}

bool patch_new_image(struct task *t, uint64_t page)
{
	patch_unref(t);
	if (!page || !is_patching() || t->platform->filtered)
		return false;
	t->platform->patches = calloc(1, sizeof(struct patches)); /* no memory: nothing is patched */
	if (t->platform->patches) {
		t->platform->patches->refs = 1;
		t->platform->patches->page = page;
		t->platform->patches->slots_end = page + SLOTS_AT;
	}
	return t->platform->patches;
}

void patch_unref(struct task *t)
{
	struct patches *p = t->platform->patches;
	handoff_release(t);
	t->platform->patches = NULL;
	if (!p || --p->refs)
		return;
	handoff_page_unref(p->areas);
	free(p->known);
	free(p);
}

/* ---- the process's memory ---- */

/* As the sentry itself: a guest's user may not. */
static int open_proc(const struct task *t, const char *file, int flags)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "%d/%s", t->host_tid, file);
	creds_assume(NULL);
	int fd = openat(kernel.proc_fd, path, flags | O_CLOEXEC);
	creds_assume(t->creds);
	return fd;
}

/* What the process itself may not write is written by way of its /proc/PID/mem. */
static int write_code(const struct task *t, uint64_t at, const void *bytes, size_t n)
{
	autoclose int fd = open_proc(t, "mem", O_WRONLY);
	ssize_t r = fd < 0 ? -1 : pwrite(fd, bytes, n, (off_t)at);
	if (r == (ssize_t)n)
		return 0;
	kernel_log("process %d: cannot write its code: %s", t->process->pid, strerror(r < 0 ? errno : EIO));
	return -EIO;
}

static int write_data(const struct task *t, const struct patches *p, size_t offset, size_t n)
{
	return write_code(t, p->page + DATA_AT + offset, (const char *)&p->data + offset, n);
}

/* Nothing is told any more.  Where that cannot be said, the process must not go on. */
static void forget_answers(struct task *t, struct patches *p)
{
	if (!p->data.answers[SYS_getuid])
		return;
	memset(p->data.answers, 0, sizeof(p->data.answers));
	if (write_data(t, p, offsetof(struct site_data, answers), sizeof(p->data.answers)) < 0)
		platform_kill(t->process, SIGKILL);
}

void patch_forget_native(struct task *t)
{
	struct patches *p = t->platform->patches;
	bool any = false;
	if (!p)
		return;
	for (size_t i = 0; i < ARRAY_LEN(p->data.native); i++)
		any |= p->data.native[i] != 0;
	if (!any)
		return;
	memset(p->data.native, 0, sizeof(p->data.native));
	if (write_data(t, p, offsetof(struct site_data, native), sizeof(p->data.native)) < 0)
		platform_kill(t->process, SIGKILL);
}

bool patch_set_native(struct task *t, unsigned shadow, bool native)
{
	struct patches *p = t->platform->patches;
	if (!p)
		return false;
	uint64_t *word = shadow < SHADOW_POLLABLE ? &p->data.native[shadow / 64]
						  : &p->data.pollable[(shadow - SHADOW_POLLABLE) / 64];
	uint64_t bit = UINT64_C(1) << shadow % 64;
	if (!!(*word & bit) == native)
		return true;
	*word ^= bit;
	if (write_data(t, p, (size_t)((char *)word - (char *)&p->data), sizeof(*word)) == 0)
		return true;
	*word ^= bit;
	/* Who ends, or whose program another thread has replaced, has nothing to be told of. */
	if (!native && !notify_is_over(t->call.id))
		platform_kill(t->process, SIGKILL);
	return false;
}

/* ---- who shares the memory ---- */

struct sharers {
	const struct task *of;
	bool one_process, same_ids, same_view, all_wait;
};

static int compare_threads(struct process *p, void *data)
{
	struct sharers *x = data;
	struct task *t;
	list_each(t, &p->threads, struct task, in_process)
	{
		const struct creds *a = t->creds, *b = x->of->creds;
		if (t == x->of || t->platform->patches != x->of->platform->patches)
			continue;
		x->one_process &= t->process == x->of->process;
		x->same_ids &= a == b || (a->uid == b->uid && a->euid == b->euid && a->gid == b->gid &&
					  a->egid == b->egid);
		x->same_view &= t->fs == x->of->fs && a == b;
		x->all_wait &= t->state != CALL_IDLE;
	}
	return 0;
}

static struct sharers sharers_of(const struct task *t)
{
	struct sharers x = {t, true, true, true, true};
	(void)process_each(compare_threads, &x); /* visits all */
	return x;
}

bool patch_is_private(const struct task *t)
{
	return sharers_of(t).one_process;
}

bool patch_is_alone(const struct task *t)
{
	return t->platform->patches && t->platform->patches->refs == 1;
}

/* ---- sites ---- */

/* Code of a private file that is not writable. */
static bool is_plain_code(const struct task *t, uint64_t from, uint64_t to)
{
	char perms[5], *line = NULL;
	size_t size = 0;
	uint64_t start, end, inode;
	bool found = false, plain = false;
	int fd = open_proc(t, "maps", O_RDONLY);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
	if (!f) {
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	while (!found && getline(&line, &size, f) > 0) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*x:%*x %" SCNu64, &start, &end, perms,
			   &inode) != 4)
			break;
		found = from >= start && from < end;
		plain = found && to <= end && streq(perms, "r-xp") && inode;
	}
	free(line);
	(void)fclose(f); /* read only */
	return plain;
}

static struct site *find_site(struct patches *p, uint64_t ip)
{
	for (size_t i = 0; i < p->nsites; i++)
		if (p->sites[i].end == ip)
			return &p->sites[i];
	return NULL;
}

/* The program may have put something else in its place. */
static bool has_page(const struct task *t, const struct patches *p)
{
	unsigned char head[64];
	return guest_read(t, head, p->page, sizeof(head)) == 0 && memcmp(head, stub_image, sizeof(head)) == 0;
}

/* Their slots are large, and a program has few such sites. */
static bool may_look_up(const struct patches *p, int nr)
{
	enum { MOST = 4 };
	unsigned n = 0;
	for (size_t i = 0; i < p->nsites; i++)
		n += p->sites[i].knows;
	return n < MOST && known_is_on() && site_may_know(nr) && !(profile_is_on() && profile_restricts(nr));
}

/* The call that came from there; `still`: whether all who have the memory stand still. */
static void patch_site(struct task *t, struct patches *p, uint64_t ip, int nr,
		       bool (*still)(struct task *t, uint64_t ip, int nr))
{
	unsigned char bytes[SITE_BEFORE], code[SITE_SLOT], jump[SITE_JUMP];
	struct site s, *old = find_site(p, ip);
	if (guest_read(t, bytes, ip - SITE_BEFORE, SITE_BEFORE) < 0 || (old && site_is_patched(old, bytes)) ||
	    !site_find(bytes, ip, nr, &s) || !has_page(t, p) || s.at / PAGE != (s.end - 1) / PAGE ||
	    (!old && p->nsites == SITES_MAX) || !is_plain_code(t, s.at, s.end) || !still(t, ip, nr))
		return;
	s.handed_off = s.nr >= 0 && handoff_may(s.nr);
	s.knows = s.nr >= 0 && may_look_up(p, s.nr);
	s.handoff = p->page + (uint64_t)((uintptr_t)stub_handoff - (uintptr_t)stub_image);
	s.slot = old ? old->slot : p->slots_end;
	if (!site_code(&s, p->page + DATA_AT, bytes, code, jump) || (old && s.size > old->size) ||
	    s.slot + s.size > p->page + PAGE || write_code(t, s.slot, code, s.size) < 0)
		return;
	if (old) {
		*old = s;
	} else {
		p->sites[p->nsites++] = s;
		p->slots_end += (s.size + SLOT_ALIGN - 1) & ~(unsigned)(SLOT_ALIGN - 1);
	}
	(void)write_code(t, s.at, jump, sizeof(jump)); /* not to be written: it goes on trapping */
}

/*
 * Other threads may wait in the host for one another, for as long as they like
 * (a pool's workers).  The tracer stops them, and the one that has called,
 * which is under way again: a futex is waited for and a sleep goes on afterwards, and a call
 * that traps is restarted.  Of anything else they may be in nobody knows
 * whether it would bear that; then it is tried again after as many calls more.
 */
enum { STOP_POLLS = 100, STOP_POLL_US = 20 };

/*
 * Only with the mark of its own number does the filter let a call pass there: what else has it, as a vfork
 * whose child waits for us, might not stop.
 */
bool patch_may_be_in_slot(const char *text)
{
	int nr;
	uint64_t first;
	if (sscanf(text, "%d %" SCNx64, &nr, &first) != 2 || nr < 0)
		return true; /* running, or stopped between calls */
	return first >> 32 == SHADOW_MARK + (uint64_t)nr;
}

/* `text`: as above. */
static bool bears_a_stop(const char *text)
{
	int nr;
	uint64_t first;
	if (str_starts(text, "running"))
		return true;
	if (sscanf(text, "%d %" SCNx64, &nr, &first) != 2)
		return false;
	const struct call_row *row = call_row(nr);
	/* The host goes on with a sleep where it stood. */
	if (nr == SYS_futex || nr == SYS_nanosleep || nr == SYS_clock_nanosleep || nr == SYS_restart_syscall)
		return true;
	return row && row->route == ROUTE_TRAP && first >> 40 != SHADOW_MARK >> 8;
}

static int stop_thread(struct process *p, void *data)
{
	const struct task *of = data;
	struct task *t;
	list_each(t, &p->threads, struct task, in_process)
	{
		char text[256];
		if (t->platform->patches != of->platform->patches || t->state != CALL_IDLE)
			continue;
		if (t->platform->sending) /* the answer could be lost */
			return -1;
		if (task_host_proc(t, "syscall", text, sizeof(text)) < 0 || !bears_a_stop(text) ||
		    trace_ptrace(PTRACE_INTERRUPT, t->host_tid, 0) < 0)
			return -1;
		t->platform->kicked = true;
	}
	return 0;
}

/* The tracer hears of each as of any other stop, later, and has it go on. */
static int see_stopped(struct process *p, void *data)
{
	const struct task *of = data;
	struct task *t;
	list_each(t, &p->threads, struct task, in_process)
	{
		siginfo_t info = {0};
		if (t->platform->patches != of->platform->patches || t->state != CALL_IDLE)
			continue;
		for (int i = 0; i < STOP_POLLS && !info.si_pid; i++) {
			if (i > 0)
				(void)usleep(STOP_POLL_US);
			if (waitid(P_PID, (id_t)t->host_tid, &info,
				   WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
				return -1;
		}
		if (!info.si_pid)
			return -1;
	}
	return 0;
}

static bool stop_all(struct task *t, uint64_t ip unused, int nr unused)
{
	creds_assume(NULL);
	bool stopped = process_each(stop_thread, t) == 0 && process_each(see_stopped, t) == 0;
	creds_assume(t->creds);
	notify_settled();
	return stopped;
}

struct later_patch {
	struct trace_request request;
	pid_t host_tid;
	uint64_t ip;
	int nr;
};

static void patch_now(struct trace_request *q)
{
	struct later_patch *x = container_of(q, struct later_patch, request);
	struct task *t = task_by_host(x->host_tid);
	struct patches *p = t ? t->platform->patches : NULL;
	if (p && !p->off && t->platform->stage == STAGE_GUEST)
		patch_site(t, p, x->ip, x->nr, stop_all);
	free(x);
}

static bool all_wait_or_later(struct task *t, uint64_t ip, int nr)
{
	struct later_patch *x;
	if (sharers_of(t).all_wait)
		return true;
	x = calloc(1, sizeof(*x)); /* no memory: it goes on trapping */
	if (x) {
		x->request.run = patch_now;
		x->host_tid = t->host_tid;
		x->ip = ip;
		x->nr = nr;
		trace_request(&x->request);
	}
	return false;
}

/* ---- answers ---- */

static void give_answers(struct task *t, struct patches *p)
{
	const struct creds *c = t->creds;
	uint32_t *a = p->data.answers;
	if (p->in_vain & (p->in_vain - 1)) { /* less and less often */
		p->in_vain++;
		return;
	}
	struct sharers x = sharers_of(t);
	p->in_vain = x.same_ids ? 0 : p->in_vain + 1;
	if (!x.same_ids)
		return;
	a[SYS_getuid] = c->uid + 1;
	a[SYS_geteuid] = c->euid + 1;
	a[SYS_getgid] = c->gid + 1;
	a[SYS_getegid] = c->egid + 1;
	if (x.one_process)
		a[SYS_getpid] = (uint32_t)t->process->pid + 1;
	if (write_data(t, p, offsetof(struct site_data, answers), sizeof(p->data.answers)) < 0)
		platform_kill(t->process, SIGKILL);
}

bool patch_trapped(struct task *t)
{
	struct patches *p = t->platform->patches;
	const struct call *c = &t->call;
	bool native = shadow_is_possible(t);
	if (!p || p->off ||
	    !(site_is_answered(c->nr) || native || handoff_may(c->nr) ||
	      (site_may_know(c->nr) && known_is_on())))
		return false;
	const struct site *s = find_site(p, c->ip);
	if (s && site_is_answered(c->nr))
		give_answers(t, p);
	else if (s && native)
		shadow_asked(t);
	if (s && s->knows && known_trapped(t))
		return true;
	if (s && s->handed_off)
		return handoff_trapped(t);
	size_t i = (c->ip ^ c->ip >> 8) % HEAT_SIZE;
	if (p->heat[i].ip != c->ip) {
		p->heat[i].ip = c->ip;
		p->heat[i].n = 0;
	}
	unsigned n = ++p->heat[i].n;
	if (n >= HOT && (n & (n - 1)) == 0)
		patch_site(t, p, c->ip, c->nr, all_wait_or_later);
	return false;
}

/* A filter of the program's own sees every call. */
static void stop_patching(struct task *t)
{
	struct task *other;
	list_each(other, &t->process->threads, struct task, in_process) other->platform->filtered = true;
	struct patches *p = t->platform->patches;
	if (!p || p->off)
		return;
	p->off = true;
	forget_answers(t, p);
	patch_forget_native(t);
	if (p->data.areas_size && !patch_tell_areas(t, 0, 0, 0))
		platform_kill(t->process, SIGKILL);
	if (p->data.known && !patch_tell_known(t, 0, 0))
		platform_kill(t->process, SIGKILL);
}

uint64_t patch_below(const struct task *t, size_t bytes)
{
	const struct patches *p = t->platform->patches;
	return p && p->page > bytes ? p->page - bytes : 0;
}

/* ---- answers to paths ---- */

struct known **patch_known(const struct task *t)
{
	struct patches *p = t->platform->patches;
	return p && !p->off && !t->platform->filtered ? &p->known : NULL;
}

bool patch_call_may_know(const struct task *t)
{
	struct patches *p = t->platform->patches;
	const struct site *s = p ? find_site(p, t->call.ip) : NULL;
	return s && s->knows;
}

bool patch_sees_alike(const struct task *t)
{
	return t->platform->patches->refs == 1 || sharers_of(t).same_view;
}

bool patch_tell_known(struct task *t, uint64_t known, uint64_t tree)
{
	struct patches *p = t->platform->patches;
	const size_t from = offsetof(struct site_data, known);
	p->data.known = known;
	p->data.tree = tree;
	return write_data(t, p, from, sizeof(p->data) - from) == 0;
}

const struct site *patch_site_looking(const struct task *t, uint64_t pc)
{
	const struct patches *p = t->platform->patches;
	for (size_t i = 0; p && i < p->nsites; i++)
		if (p->sites[i].knows && pc - p->sites[i].slot >= p->sites[i].known &&
		    pc - p->sites[i].slot < p->sites[i].known_end)
			return &p->sites[i];
	return NULL;
}

/* ---- hand-off ---- */

struct handoff_page **patch_areas(const struct task *t)
{
	struct patches *p = t->platform->patches;
	return p && !p->off && !t->platform->filtered ? &p->areas : NULL;
}

struct handoff_page **patch_areas_of(const struct task *t)
{
	return &t->platform->patches->areas;
}

uint64_t patch_page(const struct task *t)
{
	return t->platform->patches->page;
}

const struct site *patch_site_of_tail(const struct task *t, uint64_t tail)
{
	const struct patches *p = t->platform->patches;
	for (size_t i = 0; i < p->nsites; i++)
		if (p->sites[i].handed_off && p->sites[i].slot + p->sites[i].tail == tail)
			return &p->sites[i];
	return NULL;
}

const struct site *patch_site_at_call(const struct task *t, uint64_t pc)
{
	const struct patches *p = t->platform->patches;
	for (size_t i = 0; i < p->nsites; i++)
		if (p->sites[i].handed_off &&
		    (p->sites[i].call == pc || p->sites[i].slot + p->sites[i].tail == pc))
			return &p->sites[i];
	return NULL;
}

bool patch_tell_areas(struct task *t, uint64_t at, uint64_t size, uint64_t spins)
{
	struct patches *p = t->platform->patches;
	const size_t from = offsetof(struct site_data, areas);
	p->data.areas = at;
	p->data.areas_size = size;
	p->data.spins = spins;
	return write_data(t, p, from, sizeof(p->data) - from) == 0;
}

void patch_handled(struct task *t)
{
	struct patches *p = t->platform->patches;
	const struct call *c = &t->call;
	const struct creds *own = t->creds;
	if ((c->nr == SYS_seccomp && c->args[0] == SECCOMP_SET_MODE_FILTER) ||
	    (c->nr == SYS_prctl && c->args[0] == PR_SET_SECCOMP))
		stop_patching(t);
	if (!p || !p->data.answers[SYS_getuid])
		return;
	const uint32_t *a = p->data.answers;
	if (a[SYS_getuid] != own->uid + 1 || a[SYS_geteuid] != own->euid + 1 ||
	    a[SYS_getgid] != own->gid + 1 || a[SYS_getegid] != own->egid + 1)
		forget_answers(t, p);
}

/* ---- births, signals ---- */

int patch_birth(struct task *parent, struct task *child, uint64_t clone_flags)
{
	struct patches *p = parent->platform->patches, *copy;
	child->platform->filtered = parent->platform->filtered;
	if (!p)
		return 0;
	if (clone_flags & CLONE_VM) {
		p->refs++;
		child->platform->patches = p;
		if (!(clone_flags & CLONE_THREAD) && p->data.answers[SYS_getpid])
			forget_answers(parent, p);
		return 0;
	}
	if (p->areas && p->areas->broken)
		p->areas->forked = true;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *p;
	copy->refs = 1;
	copy->areas = NULL; /* it has not that part of the memory */
	/* Where other threads are, one may have mapped it since the host copied the memory; and what a set
	 * that was taken back has changed, is not in the copy. */
	bool behind = p->refs > 1 || fd_table_shadows(parent->files)->any_stale;
	copy->known = behind ? NULL : known_copy(p->known);
	child->platform->patches = copy;
	if (copy->data.areas_size && !patch_tell_areas(child, 0, 0, 0))
		platform_kill(child->process, SIGKILL);
	if (behind && p->nsites) {
		/* What other threads' calls made of the data since the host copied it is not in the child's.
		 */
		memset(&copy->data, 0, sizeof(copy->data));
		if (write_data(child, copy, 0, sizeof(copy->data)) < 0)
			platform_kill(child->process, SIGKILL);
	} else if (copy->data.answers[SYS_getpid]) {
		forget_answers(child, copy);
	}
	if (copy->data.known && !copy->known && !patch_tell_known(child, 0, 0))
		platform_kill(child->process, SIGKILL);
	return 0;
}

/* The one whose call is made there, or NULL. */
static const struct site *site_of_call(const struct patches *p, uint64_t pc)
{
	for (size_t i = 0; i < p->nsites; i++)
		if (p->sites[i].call == pc)
			return &p->sites[i];
	return NULL;
}

/* The one whose slot this is in, or NULL. */
static const struct site *site_around(const struct patches *p, uint64_t pc)
{
	for (size_t i = 0; i < p->nsites; i++)
		if (pc - p->sites[i].slot < p->sites[i].size)
			return &p->sites[i];
	return NULL;
}

/* Whether a write goes on until all is written, or a signal comes. */
static bool writes_all(struct file *f, int nr, const uint64_t args[6])
{
	const struct socket *s = socket_of(f);
	if (f->flags & O_NONBLOCK || (nr == SYS_sendto && args[3] & MSG_DONTWAIT))
		return false;
	return s ? s->stream : file_is_pipe(f);
}

/*
 * A write that was cut short by what the program does not hear of goes on as a call of the sentry's, as if
 * nothing had stopped it.
 */
static void go_on_writing(struct task *t, const struct site *s, struct arch_regs *regs)
{
	uint64_t args[6];
	long done = arch_result(regs);
	if ((s->nr != SYS_write && s->nr != SYS_writev && s->nr != SYS_sendto) || done <= 0)
		return;
	arch_call_args(regs, args);
	struct file *f = fd_get(t, (int)args[0]);
	if (!f || !writes_all(f, s->nr, args))
		return;
	t->platform->partial = (uint64_t)done;
	arch_end_call(regs, s->nr); /* the number is where the result will be */
	arch_set_pc(regs, s->call);
}

/* As site_leave, which see. */
static bool leave_slot(struct task *t, const struct site *s, struct arch_regs *regs, bool anew)
{
	bool behind = site_is_behind_call(s, regs), interrupted = site_leave(s, regs, anew);
	t->platform->answered = false; /* its last answer came before that */
	if (behind && anew)
		go_on_writing(t, s, regs);
	return interrupted;
}

bool patch_in_slot(const struct task *t, const struct arch_regs *regs)
{
	const struct patches *p = t->platform->patches;
	return p && p->nsites && site_around(p, arch_pc(regs));
}

void patch_call_again(struct task *t, struct arch_regs *regs, bool anew)
{
	(void)leave_slot(t, site_around(t->platform->patches, arch_pc(regs)), regs, anew);
	(void)arch_set(t->host_tid, regs); /* killed: no matter */
}

/* A handler comes before the rest is written: the call ends with what it has done. */
static void end_partial(struct task *t)
{
	struct arch_regs regs;
	if (arch_get(t->host_tid, &regs) == 0) {
		const struct site *s = site_of_call(t->platform->patches, arch_pc(&regs));
		arch_end_call(&regs, (long)t->platform->partial);
		if (s)
			arch_set_pc(&regs, s->end);
		(void)arch_set(t->host_tid, &regs); /* killed: no matter */
	}
	t->platform->partial = 0;
}

bool patch_steps(const struct task *t)
{
	const struct patches *p = t->platform->patches;
	struct arch_regs regs;
	siginfo_t info;
	if (!p || !p->nsites || ptrace(PTRACE_GETSIGINFO, t->host_tid, NULL, &info) < 0 ||
	    info.si_code != TRAP_TRACE || arch_get(t->host_tid, &regs) < 0)
		return false;
	return site_around(p, arch_pc(&regs)) || handoff_where(&regs, p->page) != HANDOFF_OUTSIDE;
}

bool patch_leave(struct task *t, int sig)
{
	struct patches *p = t->platform->patches;
	struct arch_regs regs;
	if (!p || !p->nsites)
		return false;
	if (t->platform->partial) {
		if (trace_signal_caught(t, sig))
			end_partial(t);
		return false;
	}
	handoff_leave(t);
	if (arch_get(t->host_tid, &regs) < 0)
		return false;
	const struct site *s = site_around(p, arch_pc(&regs));
	if (!s)
		return false;
	/* Linux wakes nobody for a signal that is ignored; the host does so for us. */
	bool interrupted = leave_slot(t, s, &regs, !trace_signal_caught(t, sig));
	(void)arch_set(t->host_tid, &regs); /* killed: no matter */
	return interrupted;
}
