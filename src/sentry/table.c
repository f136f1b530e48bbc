/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of system calls, by number, put together from the families' rows.
 */
#include "sentry/call.h"

#include <errno.h>
#include <sys/syscall.h>

/* Handlers first: a row's handler needs no other declaration. */
#define CALL(name, handler, support, reason, returns, types) call_handler handler;
#define GUARDED(name, handler, reason, returns, types) call_handler handler;
#define NATIVE(name, reason, returns, types)
#define REFUSED(name, error, reason, returns, types)
#include "sentry/calls_all.h"
#undef CALL
#undef GUARDED
#undef NATIVE
#undef REFUSED

#define ROW(nr) [nr]
#define CALL(name, handler, support, reason, returns, types)                                                   \
	ROW(SYS_##name) = {#name, handler, ROUTE_TRAP, support, 0, reason, (returns)[0], types},
#define GUARDED(name, handler, reason, returns, types)                                                         \
	ROW(SYS_##name) = {#name, handler, ROUTE_GUARDED, FULL, 0, reason, (returns)[0], types},
#define NATIVE(name, reason, returns, types)                                                                   \
	ROW(SYS_##name) = {#name, NULL, ROUTE_NATIVE, FULL, 0, reason, (returns)[0], types},
#define REFUSED(name, error, reason, returns, types)                                                           \
	ROW(SYS_##name) = {#name, NULL, ROUTE_REFUSED, FULL, error, reason, (returns)[0], types},

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
