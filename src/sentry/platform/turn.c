/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is to receive, and that nobody keeps it who waits for a host call.
 *
 * A worker lets its turn go before what is known to take long
 * (kernel_will_wait).  Any other call that touches a file may take long as
 * well, where the file is on a volume whose server does not answer; to wake
 * another worker each time would cost more than the call.  So there is an
 * *overseer*: a thread that looks at the receiving worker while the sandbox
 * makes calls, fifty times a second, and takes its turn away where it has been
 * in one host call for a whole period.  It also sees to it that somebody is
 * there to receive.  A sandbox that makes no calls has it asleep.
 */
#include "sentry/platform/platform_int.h"
#include "wire/sentry.h"

#include <pthread.h>
#include <time.h>

enum { MOST_WORKERS = 512 };
enum { IDLE_PERIODS = 50 }; /* without a host call, and the overseer sleeps */

static const int64_t period_ns = 20000000;

static struct {
	bool *holder; /* `receives` of who receives; NULL = nobody */
	pthread_cond_t passed;
	unsigned workers, waiting; /* ... for their turn */
	unsigned beginning;	   /* have been started and have not come that far */
	bool at_host;		   /* the one who receives is in a host call */
	uint64_t calls;		   /* such ones, so far */
	bool asleep;		   /* the overseer */
	bool told;		   /* that there is none to receive; until there is one */
	pthread_cond_t needed;
	void *(*work)(void *data);
} turn = {.passed = PTHREAD_COND_INITIALIZER, .needed = PTHREAD_COND_INITIALIZER};

static _Thread_local bool receives, begun;

bool turn_is_mine(void)
{
	return receives;
}

static void wake_overseer(void)
{
	if (!turn.asleep)
		return;
	turn.asleep = false;
	pthread_cond_signal(&turn.needed);
}

static void pass_turn(void)
{
	*turn.holder = false;
	turn.holder = NULL;
	turn.at_host = false;
	pthread_cond_signal(&turn.passed);
	if (!turn.waiting)
		wake_overseer(); /* which has the rights of nobody, as a new worker must */
}

void kernel_will_wait(void)
{
	notify_send_later(true); /* before anybody else receives */
	if (receives)
		pass_turn();
}

void kernel_host_begin(void)
{
	if (receives) {
		notify_send_later(true);
		turn.at_host = true;
		turn.calls++;
		wake_overseer();
	}
	kernel_unlock();
}

void kernel_host_end(void)
{
	kernel_lock();
	if (receives)
		turn.at_host = false;
}

bool turn_take(void)
{
	bool taken = false;

	kernel_lock();
	turn.beginning -= begun ? 0 : 1;
	begun = true;
	if (turn.waiting < sentry_workers()) {
		turn.waiting++;
		while (turn.holder)
			kernel_wait_for(&turn.passed);
		turn.waiting--;
		turn.holder = &receives;
		receives = taken = true;
		turn.told = false;
	} else {
		turn.workers--;
		creds_assume(NULL); /* what it has worn is counted */
	}
	kernel_unlock();
	return taken;
}

static int start_worker(void)
{
	int r = notify_start_thread(turn.work);

	if (r == 0) {
		turn.workers++;
		turn.beginning++;
	}
	return r;
}

/* Sees to it that somebody will receive. */
static void provide_worker(void)
{
	if (turn.holder || turn.waiting || turn.beginning)
		return;
	if ((turn.workers >= MOST_WORKERS || start_worker() < 0) && !turn.told) {
		turn.told = true;
		kernel_log("all %u workers wait for the host, and there is no other", turn.workers);
	}
}

static void sleep_period(void)
{
	const struct timespec period = {.tv_nsec = period_ns};

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &period, NULL); /* all signals are blocked */
}

static void *oversee(void *data unused)
{
	uint64_t last = 0;
	unsigned idle = 0;

	for (;;) {
		kernel_lock();
		if (turn.at_host && turn.calls == last)
			pass_turn();
		provide_worker();
		idle = turn.calls == last && turn.holder ? idle + 1 : 0;
		last = turn.calls;
		if (idle >= IDLE_PERIODS) {
			turn.asleep = true;
			while (turn.asleep)
				kernel_wait_for(&turn.needed);
			idle = 0;
		}
		kernel_unlock();
		sleep_period();
	}
	return NULL;
}

int turn_start(void *(*work)(void *data))
{
	int r = 0;

	turn.work = work;
	kernel_lock();
	for (unsigned i = sentry_workers(); !r && i > 0; i--)
		r = start_worker();
	kernel_unlock();
	return r ? r : notify_start_thread(oversee);
}
