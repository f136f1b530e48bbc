/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener of the hand-off (handoff.h): one thread, asleep but while calls
 * come through areas in quick succession.
 *
 * It looks only while it is of use.  Where it is not called for IDLE, it goes
 * to sleep.  Where it has not run itself for LATE, or a slot has waited in
 * vain, somebody else needs the processor: it goes to sleep, too.  If it has
 * answered few calls until then, it refuses to be called for a time that
 * doubles with each such failure.
 */
#include "sentry/platform/handoff_int.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#include <x86intrin.h>

enum { MOST = 4, USEFUL = 64 /* calls */, VAIN = 8, EAGER = 400 };

static const int64_t idle_ns = 50000, late_ns = 100000, pause_least = 1000000,
		     pause_most = INT64_C(1000000000);

static struct {
	pthread_cond_t called; /* with the lock of all state */
	bool awake;
	struct {
		struct handoff_page *page; /* a reference */
		unsigned i;
	} areas[MOST];
	_Atomic unsigned n;
	unsigned avoid; /* a processor */
	bool eager;
	int64_t pause, not_before;
	uint64_t idle, late; /* ticks */
} listener = {.called = PTHREAD_COND_INITIALIZER};

struct looking {
	unsigned answered, in_vain;
};

/* How many ticks there are in some time, by both clocks. */
static void learn_ticks(void)
{
	int64_t begin = now_monotonic(), end = begin;
	uint64_t ticks = handoff_clock();
	while (end - begin < idle_ns)
		end = now_monotonic();
	ticks = handoff_clock() - ticks;
	listener.idle = ticks;
	listener.late = ticks * (uint64_t)(late_ns / idle_ns);
	listener.eager = patch_handoff_is_eager();
	if (listener.eager) {
		listener.idle *= EAGER;
		listener.late *= EAGER;
	}
}

/* Away from the processor where the thread is that it is called for. */
static void step_aside(void)
{
	cpu_set_t set;
	if (handoff_cpu() != listener.avoid || sched_getaffinity(getpid(), sizeof(set), &set) < 0)
		return;
	CPU_CLR(sched_getcpu(), &set);
	(void)sched_setaffinity(0, sizeof(set), &set); /* there is no other: no call will come */
}

static void tell_areas(uint32_t who)
{
	for (unsigned k = 0; k < listener.n; k++)
		listener.areas[k].page->areas[listener.areas[k].i].listener = who;
}

/* Whether somebody has asked; *missed: a slot has waited and nobody has looked. */
static bool look_once(struct looking *x, bool *missed)
{
	bool any = false;
	for (unsigned k = 0; k < listener.n; k++) {
		struct handoff_page *page = listener.areas[k].page;
		struct handoff_area *a = &page->areas[listener.areas[k].i];
		uint32_t state = a->state;
		*missed |= state == AREA_FREE && !a->listener;
		if (state != AREA_ASKED)
			continue;
		/* The caller's processor has these lines: they come while the lock is taken. */
		__builtin_prefetch(&page->areas[listener.areas[k].i].tail);
		__builtin_prefetch(page->areas[listener.areas[k].i].path);
		kernel_lock();
		if (handoff_serve(page, listener.areas[k].i))
			x->answered++;
		else
			x->in_vain++;
		kernel_unlock();
		any = true;
	}
	return any;
}

static bool is_of_use(const struct looking *x)
{
	return listener.eager || x->in_vain < VAIN || x->in_vain * VAIN < x->answered;
}

/* Ends where it is of no use any more: whether it has been. */
static bool look_while_of_use(void)
{
	struct looking x = {0};
	bool missed = false;
	uint32_t cpu = 0;
	step_aside();
	uint64_t now = handoff_clock(), last = now, before;
	while (!missed && is_of_use(&x)) {
		before = now;
		now = handoff_clock();
		if (now - before > listener.late || now - last > listener.idle)
			break;
		if (handoff_cpu() + 1 != cpu) {
			cpu = handoff_cpu() + 1;
			tell_areas(cpu);
		}
		if (look_once(&x, &missed))
			now = last = handoff_clock();
		_mm_pause();
	}
	if (listener.eager)
		kernel_log("hand-off: %u calls, %u in vain", x.answered, x.in_vain);
	return listener.eager || (x.answered >= USEFUL && is_of_use(&x));
}

static void fall_asleep(bool useful)
{
	tell_areas(0);
	for (unsigned k = 0; k < listener.n; k++) {
		struct handoff_page *page = listener.areas[k].page;
		if (page->areas[listener.areas[k].i].state == AREA_ASKED)
			(void)handoff_serve(page, listener.areas[k].i); /* for the last time */
		handoff_page_unref(page);
	}
	listener.n = 0;
	if (useful)
		listener.pause = 0;
	else
		listener.pause = MIN_OF(MAX_OF(listener.pause * 2, pause_least), pause_most);
	listener.not_before = now_monotonic() + listener.pause;
	listener.awake = false;
}

static void *listen_for_calls(void *data unused)
{
	notify_enter_thread();
	kernel_lock();
	for (;;) {
		while (!listener.n)
			kernel_wait_for(&listener.called);
		kernel_unlock();
		if (!listener.idle)
			learn_ticks();
		bool useful = look_while_of_use();
		kernel_lock();
		fall_asleep(useful);
	}
	return NULL;
}

bool listener_is_willing(int64_t now)
{
	return now >= listener.not_before;
}

void listener_call(struct handoff_page *page, unsigned i)
{
	unsigned n = listener.n;
	for (unsigned k = 0; k < n; k++)
		if (listener.areas[k].page == page && listener.areas[k].i == i)
			return;
	if (n == MOST)
		return;
	listener.avoid = handoff_cpu(); /* we have been woken on its own */
	page->refs++;
	listener.areas[n].page = page;
	listener.areas[n].i = i;
	page->areas[i].state = AREA_FREE;     /* its thread is in a notification */
	page->areas[i].listener = UINT32_MAX; /* on no processor yet: that will be told */
	listener.n = n + 1;
	if (!listener.awake)
		pthread_cond_signal(&listener.called);
	listener.awake = true;
}

int listener_start(void)
{
	return notify_start_thread(listen_for_calls);
}
