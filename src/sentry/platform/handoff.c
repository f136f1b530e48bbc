/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hand-off (handoff.h): who gets an area, and the calls that come through one.
 *
 * A call that does not end at once (CALL_PARK) stays parked, as it is, and the
 * slot is told to make it by its own instruction: to the worker that receives
 * that notification it is the parked call, restarted.
 */
#include "sentry/platform/handoff_int.h"

#include "sentry/file.h"
#include "sentry/fs/hostfile.h"
#include "sentry/fs/tree.h"

#include "base/fd.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

/*
 * How long a slot waits, in turns of its loop: some 20 microseconds on
 * processors where `pause` takes 20 to 40 ns.  Who calls less often than every
 * QUICK, STREAK times in a row, is not worth a listener.
 */
enum { SPINS = 600, STREAK = 16, QUICK = 60000 /* ns */, EAGER_SPINS = 100000 };

/* The sentry maps each: it may have 65530 mappings. */
enum { PAGES_MAX = 4096 };

static bool possible, eager;
static unsigned pages;

void handoff_init(void)
{
	eager = patch_handoff_is_eager();
	possible = (eager || kernel.cpus > 1) && handoff_possible() && patch_wants_handoff();
}

/* What ends at once or can wait by its notification as well, and needs of the thread no more than its memory.
 */
bool handoff_may(int nr)
{
	switch (nr) {
	case SYS_stat:
	case SYS_lstat:
	case SYS_fstat:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_access:
	case SYS_faccessat:
	case SYS_faccessat2:
	case SYS_readlink:
	case SYS_readlinkat:
	case SYS_open:
	case SYS_openat:
	case SYS_close:
	case SYS_dup:
	case SYS_fcntl:
	case SYS_lseek:
	case SYS_read:
	case SYS_pread64:
	case SYS_write:
	case SYS_pwrite64:
	case SYS_getdents64:
	case SYS_getcwd:
	case SYS_umask:
	case SYS_uname:
	case SYS_epoll_ctl:
	case SYS_accept:
	case SYS_accept4:
	case SYS_setsockopt:
	case SYS_getsockopt:
	case SYS_sendfile:
	case SYS_mkdir:
	case SYS_mkdirat:
	case SYS_rmdir:
	case SYS_unlink:
	case SYS_unlinkat:
	case SYS_rename:
	case SYS_utimensat:
	case SYS_fchmod:
	case SYS_fchmodat:
	case SYS_fchown:
	case SYS_fchownat:
		return possible;
	default:
		return false;
	}
}

/* Where the call writes its result, if that may be copied by the slot: only where it can be made twice. */
static uint64_t result_at(const struct call *c)
{
	switch (c->nr) {
	case SYS_stat:
	case SYS_lstat:
	case SYS_fstat:
	case SYS_readlink:
		return c->args[1];
	case SYS_newfstatat:
	case SYS_readlinkat:
		return c->args[2];
	case SYS_statx:
		return c->args[4];
	case SYS_getcwd:
		return c->args[0];
	default:
		return 0;
	}
}

/* With these arguments: a file's data only where nobody waits for it, or is woken by it. */
static bool is_quick(struct task *t, const struct call *c)
{
	const struct file *f;
	unsigned fd = (unsigned)c->args[0];

	switch (c->nr) {
	case SYS_write:
	case SYS_pwrite64:
		if (shadow_is_due(t)) /* by the notification, too */
			return false;
		/* fall through */
	case SYS_read:
	case SYS_pread64:
		f = fd_get(t, (int)fd);
		return f && hostfile_is_regular(f);
	case SYS_close: /* what the stub has is taken away by the notification (shadow.c, mem.c) */
		return !shadow_may_be(t, (int)fd) && !fd_is_injected(t, (int)fd);
	default:
		return true;
	}
}

/* ---- calls ---- */

static bool may_serve(const struct task *t)
{
	const struct platform_task *pt = t->platform;
	struct handoff_page **page = pt->patches ? patch_areas(t) : NULL;
	return page && *page && !(*page)->broken && t->state == CALL_IDLE && pt->stage == STAGE_GUEST &&
	       !pt->remote && !pt->held && !pt->dead && !pt->barred && !pt->undelivered &&
	       !pt->before_clone && !pt->resume && !pt->partial &&
	       !fd_table_shadows(t->files)->any_stale; /* to be tidied by a call that traps */
}

/* A copy of the call, which the guest may change at any time: false = it is none that is made here. */
static bool copy_call(struct task *t, const struct handoff_area *a, struct guest_window *w)
{
	const volatile struct handoff_area *v = a;
	const struct site *s = patch_site_of_tail(t, v->tail);
	if (!s)
		return false;
	t->call = (struct call){.nr = s->nr, .ip = s->end, .deadline = INT64_MAX};
	for (int i = 0; i < 6; i++)
		t->call.args[i] = v->args[i];
	if (!handoff_may(s->nr) || !is_quick(t, &t->call))
		return false;
	int path = site_path(s->nr);
	w->task = t;
	w->put_size = 0;
	w->put_at = result_at(&t->call);
	w->path_size = v->path_size;
	w->path_at = path ? t->call.args[path - 1] : 0;
	if (!path || w->path_size > sizeof(w->path))
		w->path_size = 0;
	memcpy(w->path, a->path, w->path_size);
	if (w->path_size && memchr(w->path, 0, w->path_size) != w->path + w->path_size - 1)
		w->path_size = 0;
	return true;
}

/* The listener's, which serves one call at a time. */
static struct guest_window served;
static bool in_time; /* the call being served is answered before the slot has given it up */

/* What is kept for the slot goes to where it belongs. */
static long flush_window(struct task *t, long result)
{
	struct guest_window *w = &served;
	size_t n = w->task == t ? w->put_size : 0;
	w->put_size = 0;
	return n && guest_write(t, w->put_at, w->put, n) < 0 ? -EFAULT : result;
}

void handoff_answer(struct task *t, long result)
{
	struct platform_task *pt = t->platform;
	struct handoff_area *a = pt->area;
	uint32_t taken = AREA_TAKEN;

	pt->result = result;
	if (a) {
		size_t n = served.task == t ? served.put_size : 0; /* nothing is read back from there */
		a->result = result;
		a->out_size = (uint32_t)n;
		a->out_to = served.put_at;
		memcpy(a->out, served.put, n);
	}
	if (a && atomic_compare_exchange_strong(&a->state, &taken, AREA_ANSWERED)) {
		in_time = true;
		return;
	}
	/* The slot has given it up: its notification comes, or has come. */
	pt->result = flush_window(t, result);
	pt->undelivered = true;
}

/* What a call has closed, and the caller need not wait for: there is but one, in the call of that. */
static int left_open = -1;

bool platform_close_later(int host_fd)
{
	if (!served.task || call_current() != served.task || left_open >= 0)
		return false;
	left_open = host_fd;
	return true;
}

static void close_what_was_left(void)
{
	if (left_open >= 0)
		(void)close(left_open); /* of a file that was only read */
	left_open = -1;
}

static void refuse_call(struct handoff_area *a, uint32_t from)
{
	/* Where it is something else by now: then nobody waits for this. */
	(void)atomic_compare_exchange_strong(&a->state, &from, AREA_REFUSED);
}

bool handoff_serve(struct handoff_page *page, unsigned i)
{
	struct handoff_area *a = &page->areas[i];
	struct task *t = page->owner[i];
	uint32_t asked = AREA_ASKED;

	if (!t || !may_serve(t)) {
		refuse_call(a, AREA_ASKED);
		return false;
	}
	/* First of all: if it is withdrawn, the thread may have made another call, of which t->call tells. */
	if (!atomic_compare_exchange_strong(&a->state, &asked, AREA_TAKEN))
		return false;
	t->platform->answered = false;
	t->platform->sending = 0; /* it has arrived */
	if (!copy_call(t, a, &served)) {
		refuse_call(a, AREA_TAKEN);
		return false;
	}
	in_time = false;
	t->platform->handed = true;
	t->state = CALL_RUNNING;
	guest_use_window(&served);
	long result = call_dispatch(t);
	guest_use_window(NULL);
	if (result == CALL_HOST) {
		close_what_was_left();
		t->state = CALL_IDLE;
		refuse_call(a, AREA_TAKEN);
		return false;
	}
	if (t->call.id)
		result = flush_window(t, result);
	if (result == CALL_PARK && !t->call.id)
		refuse_call(a, AREA_TAKEN);
	run_settle(t, result);
	close_what_was_left();
	served.task = NULL;
	run_woken();
	return in_time;
}

/* ---- areas ---- */

static struct handoff_page *make_page(void)
{
	struct handoff_page *page = pages < PAGES_MAX ? calloc(1, sizeof(*page)) : NULL;
	if (!page)
		return NULL;
	/* /proc/PID/maps does not show what has this name. */
	page->fd = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (page->fd >= 0 && ftruncate(page->fd, HANDOFF_SIZE) == 0 &&
	    fcntl(page->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0) {
		page->areas = mmap(NULL, HANDOFF_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
				   page->fd, 0);
		page->refs = 1;
		page->broken = true;
		if (page->areas != MAP_FAILED) {
			pages++;
			return page;
		}
	}
	fd_drop(&page->fd);
	free(page);
	return NULL;
}

/* Both have mapped it: from now on nobody can, nor take memory out of it (MADV_REMOVE), which we would have
 * to get anew when we look there. */
static bool seal_page(struct handoff_page *page)
{
	bool sealed = fcntl(page->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0;
	fd_drop(&page->fd);
	return sealed;
}

void handoff_page_unref(struct handoff_page *page)
{
	if (!page || --page->refs)
		return;
	fd_drop(&page->fd);
	(void)munmap(page->areas, HANDOFF_SIZE); /* cannot fail: as it was mapped */
	free(page);
	pages--;
}

void handoff_release(struct task *t)
{
	struct platform_task *pt = t->platform;
	struct handoff_page *page = pt->area ? *patch_areas_of(t) : NULL;
	for (unsigned i = 0; page && i < HANDOFF_AREAS; i++)
		if (page->owner[i] == t)
			page->owner[i] = NULL;
	pt->area = NULL;
	pt->gs = 0;
	pt->handed = false;
}

/* The thread's registers will be those of the trapped call, which it makes anew. */
static long give_area(struct task *t, struct handoff_page *page)
{
	struct arch_regs *regs = remote_regs(t);
	struct platform_task *pt = t->platform;
	unsigned i = 0;
	remote_begin_anew(t);
	if (arch_gs(regs) && arch_gs(regs) != pt->gs) { /* the program's own */
		pt->gs = UINT64_MAX;
		return CALL_PARK;
	}
	while (i < HANDOFF_AREAS && page->owner[i])
		i++;
	if (i == HANDOFF_AREAS)
		return CALL_PARK;
	page->owner[i] = t;
	pt->area = &page->areas[i];
	pt->area->state = AREA_FREE;
	pt->area->listener = 0;
	pt->gs = page->at + i * sizeof(struct handoff_area);
	arch_set_gs(regs, pt->gs);
	return CALL_PARK;
}

static long areas_closed(struct task *t, struct call *c unused, long result unused, uint64_t at unused)
{
	struct handoff_page **page = patch_areas(t);
	remote_begin_anew(t);
	if (!page || !*page || !(*page)->at || (*page)->forked || !seal_page(*page))
		return CALL_PARK;
	if (!patch_tell_areas(t, (*page)->at, HANDOFF_SIZE, eager ? EAGER_SPINS : SPINS))
		return CALL_PARK;
	(*page)->broken = false;
	return give_area(t, *page);
}

static long areas_advised(struct task *t, struct call *c unused, long result, uint64_t at unused)
{
	struct handoff_page **page = patch_areas(t);
	if (page && *page && result < 0)
		(*page)->at = 0; /* children would have it, too */
	platform_next(t, SYS_close, (const uint64_t[6]){AREAS_FD}, areas_closed);
	return 0;
}

static long areas_mapped(struct task *t, struct call *c, long result, uint64_t at)
{
	struct handoff_page **page = patch_areas(t);
	if (!page || !*page || result < 0)
		return areas_advised(t, c, -ENOMEM, at);
	(*page)->at = (uint64_t)result;
	platform_next(t, SYS_madvise, (const uint64_t[6]){(uint64_t)result, HANDOFF_SIZE, MADV_DONTFORK},
		      areas_advised);
	return 0;
}

static long area_given(struct task *t, struct call *c unused, long result unused, uint64_t at unused)
{
	struct handoff_page **page = patch_areas(t);
	if (page && *page && !(*page)->broken)
		return give_area(t, *page);
	remote_begin_anew(t);
	return CALL_PARK;
}

static bool map_areas(struct task *t, struct handoff_page **page)
{
	if (fd_table_shadows(t->files)->off)
		return false; /* number AREAS_FD may be another memory's at the same time */
	*page = make_page();
	if (!*page)
		return false;
	if (notify_add_fd(t->call.id, (*page)->fd, AREAS_FD, true) < 0) {
		fd_drop(&(*page)->fd); /* broken for ever */
		return false;
	}
	const uint64_t args[6] = {patch_below(t, TREE_PAGE + HANDOFF_SIZE),
				  HANDOFF_SIZE,
				  PROT_READ | PROT_WRITE,
				  MAP_SHARED,
				  AREAS_FD,
				  0};
	return platform_call(t, &t->call, SYS_mmap, args, NULL, 0, areas_mapped) == CALL_GONE;
}

static bool prepare_area(struct task *t)
{
	struct handoff_page **page = patch_areas(t);
	bool begun = false;
	if (!page || t->platform->gs == UINT64_MAX)
		return false;
	if (!*page)
		begun = map_areas(t, page);
	else if (!(*page)->broken)
		begun = platform_call(t, &t->call, SYS_getpid, (const uint64_t[6]){0}, NULL, 0, area_given) ==
			CALL_GONE;
	if (begun) {
		t->platform->answered = false;
		t->state = CALL_IDLE;
	}
	return begun;
}

bool handoff_trapped(struct task *t)
{
	struct platform_task *pt = t->platform;
	int64_t now = now_monotonic();
	bool quick = eager || now - pt->last_trap < QUICK;
	pt->last_trap = now;
	pt->streak = quick ? pt->streak + 1 : 0;
	if (pt->streak < STREAK || !listener_is_willing(now))
		return false;
	pt->streak = 0;
	if (!pt->area)
		return prepare_area(t);
	const struct handoff_page *page = *patch_areas(t);
	listener_call(*patch_areas(t), (unsigned)(pt->area - page->areas));
	return false;
}

/* ---- births, signals ---- */

void handoff_birth(const struct task *parent, struct task *child, uint64_t clone_flags)
{
	if (parent->platform->gs == UINT64_MAX)
		return;
	child->platform->gs = parent->platform->gs;
	child->platform->gs_inherited = parent->platform->gs && clone_flags & CLONE_VM;
}

void handoff_born(struct task *t)
{
	if (!t->platform->gs_inherited)
		return;
	arch_clear_gs(t->host_tid);
	t->platform->gs_inherited = false;
	t->platform->gs = 0;
}

/* The result of a call that came through the area, as it is now that a signal comes: false = it begins anew.
 */
static bool take_result(struct task *t, bool answered, long *ret)
{
	struct platform_task *pt = t->platform;
	if (!pt->handed || t->call.id)
		return false;
	*ret = pt->result;
	if (t->state == CALL_PARKED) {
		*ret = (long)t->call.done;
		call_abandon(t);
		return *ret != 0;
	}
	if (pt->undelivered) {
		pt->undelivered = false;
		return true;
	}
	/* What the slot would have copied it gets by asking again. */
	return answered && !pt->area->out_size;
}

void handoff_leave(struct task *t)
{
	struct platform_task *pt = t->platform;
	struct handoff_area *a = pt->area;
	struct arch_regs regs;
	if (!a || arch_get(t->host_tid, &regs) < 0)
		return;
	enum handoff_at at = handoff_where(&regs, patch_page(t));
	const struct site *s = at == HANDOFF_OUTSIDE
				       ? patch_site_at_call(t, arch_pc(&regs))
				       : patch_site_of_tail(t, handoff_tail(&regs, patch_page(t), a));
	bool seen = handoff_has_seen(&regs, at);
	long result;
	if (!s)
		return; /* elsewhere; or it has scribbled there itself */
	if (at == HANDOFF_DONE) {
		a->state = AREA_FREE;
		arch_set_pc(&regs, s->end);
	} else if (at == HANDOFF_OUTSIDE) {
		bool waits = t->state == CALL_PARKED || pt->undelivered;
		if (!pt->handed || !waits || !take_result(t, false, &result))
			return;
		arch_end_call(&regs, result);
		arch_set_pc(&regs, s->end);
	} else {
		handoff_restore(&regs, at, a);
		seen |= atomic_exchange(&a->state, AREA_FREE) == AREA_ANSWERED;
		if (take_result(t, seen, &result)) {
			arch_end_call(&regs, result);
			arch_set_pc(&regs, s->end);
		} else {
			arch_set_pc(&regs, s->copied ? s->call : s->at);
		}
	}
	pt->handed = false;
	(void)arch_set(t->host_tid, &regs); /* killed: no matter */
}

bool handoff_fault(struct task *t, int sig)
{
	struct handoff_area *a = t->platform->area;
	struct arch_regs regs;
	siginfo_t info;
	if (!a || (sig != SIGSEGV && sig != SIGBUS) || arch_get(t->host_tid, &regs) < 0)
		return false;
	enum handoff_at at = handoff_where(&regs, patch_page(t));
	const struct site *s = patch_site_of_tail(t, handoff_tail(&regs, patch_page(t), a));
	if (!s || (at != HANDOFF_COPYING && at != HANDOFF_TAKING) ||
	    ptrace(PTRACE_GETSIGINFO, t->host_tid, NULL, &info) < 0 || info.si_code <= 0)
		return false;
	handoff_restore(&regs, at, a);
	a->state = AREA_FREE;
	t->platform->handed = false;
	arch_end_call(&regs, s->nr); /* the number is where the result will be */
	arch_set_pc(&regs, s->call);
	(void)arch_set(t->host_tid, &regs); /* killed: no matter */
	(void)trace_ptrace(PTRACE_CONT, t->host_tid, 0);
	return true;
}
