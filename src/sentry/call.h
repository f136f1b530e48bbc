/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls: the table, and what a handler is.
 *
 * The table is the truth: the filter, ENOSYS, --trace, the documentation and
 * the fuzzer all come from it.  Rows are in calls_*.def, one file a family:
 *
 *   CALL(name, handler, FULL, NULL, RETURN, "types")
 *   CALL(name, handler, PARTIAL, "what is missing and why", RETURN, "types")
 *   NATIVE(name, "why the host may answer it itself", RETURN, "types")
 *   GUARDED(name, handler, "which arguments pass natively", RETURN, "types")
 *	the filter lets some arguments pass (platform/filter.c), the rest comes to the handler
 *   REFUSED(name, errno, "why", RETURN, "types")
 *
 * A call without a row is ENOSYS and one line in the log.
 *
 * types: one letter an argument, for tracing and for the fuzzer:
 *   d int   u unsigned   l long   x flags, in hex   o mode, octal   z size
 *   f descriptor   D directory descriptor   s path   S string   p pointer
 *   b buffer in (its size is the next argument)   B buffer out (likewise)
 *   v iovec   t timespec   g signal number   a socket address   n pid
 * RETURN: one of those, or '-' where it does not return.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct task;
struct file;

enum { CALL_FDS = 3 };

/* One system call of a guest thread, while it is being answered. */
struct call {
	uint64_t id; /* of the notification */
	int nr;
	uint64_t args[6];
	uint64_t ip;
	bool resumed;	  /* the handler runs again after a park */
	bool timed_out;	  /* ... because the deadline has passed */
	int64_t deadline; /* CLOCK_MONOTONIC, ns; INT64_MAX = none; kept over parks and host restarts */
	bool timed;    /* waits with a time of its own (SO_RCVTIMEO): a handler ends it with EINTR, whatever
			  SA_RESTART */
	uint64_t done; /* progress of a partly done transfer: what an interruption returns instead of EINTR */
	struct file *held[CALL_FDS]; /* what descriptors among the first arguments were when it parked: waits
					go on though another thread closes them (call_hold) */
	void *data;		     /* what a handler keeps over parks; freed by release */
	void (*release)(struct task *t, void *data);
};

/*
 * A call that parks keeps the files of its descriptors, as Linux' do: fd_get() of them gives the same ones
 * when it is resumed, whatever has become of the numbers.  Until call_let_go().
 */
void call_hold(struct task *t);
void call_let_go(struct task *t);

/* Whose call this thread of the sentry answers just now; NULL = it is at something else. */
const struct task *call_current(void);

/* What a handler may return besides a result or -errno (>= -4095). */
enum {
	CALL_PARK = -5000, /* waits; it has put itself on queues (wait.h), or waits for its deadline only */
	CALL_HOST = -5001, /* the host executes it with the same registers: only where no pointer matters */
	CALL_GONE = -5002, /* nothing to answer: the thread has been given a new image, is dying, or was
			     interrupted and makes its call anew */
};

/* How an interruption by a signal ends a parked call: the host's own restart codes (include/linux/errno.h).
 */
enum {
	RESTART_SYS = -512,    /* again if SA_RESTART, else EINTR: read, write, accept, flock ... */
	RESTART_NOINTR = -513, /* always again */
	RESTART_NOHAND = -514, /* EINTR if a handler runs, else again: poll, select, epoll_wait, semop ... */
};

typedef long call_handler(struct task *t, struct call *c);

enum call_route { ROUTE_TRAP, ROUTE_NATIVE, ROUTE_GUARDED, ROUTE_REFUSED };
enum call_support { FULL, PARTIAL };

struct call_row {
	const char *name;
	call_handler *handler; /* NULL for NATIVE and REFUSED */
	enum call_route route;
	enum call_support support;
	int error;	    /* of REFUSED, positive */
	const char *reason; /* NULL = nothing to say */
	char returns;
	const char *types;
	int interrupted; /* RESTART_*; by default RESTART_SYS, see table.c's exceptions */
};

/* NULL = not in the table. */
const struct call_row *call_row(int nr);
int call_count(void); /* numbers below this may have rows */

/* Runs the handler of t->call, with creds assumed.  Called by the platform with kernel_lock held. */
long call_dispatch(struct task *t);
/* --trace: a line like strace's; does nothing where tracing is off. */
void call_trace(struct task *t, const struct call *c, long result);

/* The table as Markdown: docs/kernel-calls.md; written by trace.c.  0 or -errno. */
int call_table_print(FILE *to);

/* The rows' `sys_read` is handle_sys_read() in C: base/sys.h has functions of such names. */
#define HANDLER(name)                                                                                        \
	call_handler handle_##name;                                                                          \
	long handle_##name(struct task *t __attribute__((__unused__)),                                       \
			   struct call *c __attribute__((__unused__)))
