/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of system calls, by number, put together from the families' rows,
 * and the way from a trapped call to its handler.
 */
#include "sentry/file.h"
#include "sentry/fs/tree.h"
#include "sentry/numbers.h"
#include "sentry/sys/profile.h"
#include "sentry/task.h"

#include <errno.h>

/* Handlers first: a row's handler needs no other declaration. */
#define CALL(name, handler, support, reason, returns, types) call_handler handle_##handler;
#define GUARDED(name, handler, reason, returns, types)	     call_handler handle_##handler;
#define NATIVE(name, reason, returns, types)
#define REFUSED(name, error, reason, returns, types)
#include "sentry/calls_all.h"
#undef CALL
#undef GUARDED
#undef NATIVE
#undef REFUSED

/*
 * How a signal ends a wait in these, where it is not SA_RESTART's choice
 * (signal(7), "Interruption of system calls"): INTERRUPTED(poll) picks the
 * second of `~, RESTART_NOHAND`, and of a name that is no macro the default.
 */
#define INTERRUPTED_poll	  ~, RESTART_NOHAND
#define INTERRUPTED_ppoll	  ~, RESTART_NOHAND
#define INTERRUPTED_select	  ~, RESTART_NOHAND
#define INTERRUPTED_pselect6	  ~, RESTART_NOHAND
#define INTERRUPTED_epoll_wait	  ~, RESTART_NOHAND
#define INTERRUPTED_epoll_pwait	  ~, RESTART_NOHAND
#define INTERRUPTED_epoll_pwait2  ~, RESTART_NOHAND
#define INTERRUPTED_io_getevents  ~, RESTART_NOHAND
#define INTERRUPTED_io_pgetevents ~, RESTART_NOHAND
#define INTERRUPTED_semop	  ~, RESTART_NOHAND
#define INTERRUPTED_semtimedop	  ~, RESTART_NOHAND
#define INTERRUPTED_msgsnd	  ~, RESTART_NOHAND
#define INTERRUPTED_msgrcv	  ~, RESTART_NOHAND
#define SECOND(a, b, ...)	  b
#define PICK(...)		  SECOND(__VA_ARGS__, RESTART_SYS, 0)
#define INTERRUPTED(name)	  PICK(INTERRUPTED_##name)

#define ROW(name, handler, route, support, error, reason, returns, types)                                    \
	[SYS_##name] = {#name,	handler,      route, support,	       error,                                \
			reason, (returns)[0], types, INTERRUPTED(name)},
#define CALL(name, handler, support, reason, returns, types)                                                 \
	ROW(name, handle_##handler, ROUTE_TRAP, support, 0, reason, returns, types)
#define GUARDED(name, handler, reason, returns, types)                                                       \
	ROW(name, handle_##handler, ROUTE_GUARDED, FULL, 0, reason, returns, types)
#define NATIVE(name, reason, returns, types) ROW(name, NULL, ROUTE_NATIVE, FULL, 0, reason, returns, types)
#define REFUSED(name, error, reason, returns, types)                                                         \
	ROW(name, NULL, ROUTE_REFUSED, FULL, error, reason, returns, types)

static const struct call_row rows[] = {
#include "sentry/calls_all.h"
};

int call_count(void)
{
	return (int)(sizeof(rows) / sizeof(rows[0]));
}

const struct call_row *call_row(int nr)
{
	return nr >= 0 && nr < call_count() && rows[nr].name ? &rows[nr] : NULL;
}

/* What a program may depend on and does not get is worth a line for who looks for the reason. */
static void tell_refused(const struct task *t, const struct call *c, const struct call_row *row)
{
	if (row)
		kernel_log("%s[%d] calls %s(), which is refused: %s", t->comm, t->tid, row->name,
			   row->reason);
	else
		kernel_log("%s[%d] calls system call %d, which is unknown", t->comm, t->tid, c->nr);
}

static _Thread_local const struct task *current;

const struct task *call_current(void)
{
	return current;
}

long call_dispatch(struct task *t)
{
	struct call *c = &t->call;
	long r;
	const struct call_row *row = call_row(c->nr);
	long verdict = c->resumed ? 0 : profile_judge(t, c);

	if (verdict)
		return verdict;
	if (row && row->route == ROUTE_NATIVE)
		return CALL_HOST; /* it came to be traced or judged */
	if (row && row->handler) {
		creds_assume(t->creds);
		current = t;
		bool changes = tree_call_changes(c);
		if (changes)
			tree_change_begin();
		r = row->handler(t, c);
		if (changes)
			tree_change_end();
		current = NULL;
		return r;
	}
	tell_refused(t, c, row);
	return row && row->route == ROUTE_REFUSED ? -row->error : -ENOSYS;
}

/* POSIX locks end with a descriptor: who waits for one must see that it was closed. */
void call_hold(struct task *t)
{
	const struct call_row *row = call_row(t->call.nr);

	for (int i = 0; row && t->call.nr != SYS_fcntl && i < CALL_FDS && row->types[i]; i++) {
		struct file *f = row->types[i] == 'f' ? fd_get_any(t, (int)t->call.args[i]) : NULL;

		if (f && !t->call.held[i])
			t->call.held[i] = file_ref(f);
	}
}

void call_let_go(struct task *t)
{
	for (int i = 0; i < CALL_FDS; i++) {
		struct file *f = t->call.held[i];

		t->call.held[i] = NULL;
		file_unref(f);
	}
}
