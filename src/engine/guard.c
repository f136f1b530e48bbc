/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This program out of the reach of the container that it is about to enter (host/sealed_exe.h).
 *
 * Theory of operation.  A container with ids of its own has none for the host's root.  What is root's and not
 * to be written by others stays so for its processes, with every capability that they may have over their own
 * namespace: the program itself behind /proc/PID/exe as any other file of the host's.  That is the usual
 * case, and nothing has to be done in it.  Otherwise (ids of the host's, here or in any other container that
 * runs, a namespace that is joined, an ordinary user's container, a program that is not root's alone) the
 * file behind this process is replaced, which costs a sixth of an `exec`.
 */
#include "engine/engine_int.h"

#include "engine/spec.h"
#include "host/sealed_exe.h"

bool engine_users_host(const struct engine *e, const struct engine_create *q)
{
	if (e->o.rootless)
		return false;
	return engine_mode_is(q->userns_mode, "host") || q->privileged ||
	       (e->o.userns_host && (!q->userns_mode || !*q->userns_mode));
}

static bool joins(const char *mode)
{
	return mode && str_starts(mode, "container:");
}

/* Who has the host's ids may do anything to processes of the others' namespaces that it sees, their
 * /proc/PID/exe included. */
static int guard(struct engine *e, bool ids_apart, struct err *err)
{
	return ids_apart && sealed_exe_is_roots() && !engine_host_ids_used(e)
		       ? 0
		       : sealed_exe_ensure(e->o.main_argv, err);
}

int engine_guard(struct engine *e, const struct engine_create *q, struct err *err)
{
	bool joined = joins(q->network_mode) || joins(q->pid_mode) || joins(q->ipc_mode);

	return guard(e, !e->o.rootless && !joined && !engine_users_host(e, q), err);
}

int engine_guard_container(struct engine *e, const struct engine_container *c, struct err *err)
{
	return guard(e, !e->o.rootless && c->record.user_base != 0, err);
}
