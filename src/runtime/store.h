/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where containers are remembered: ROOT/ID/, one directory each.
 *
 * Theory of operation.  A directory holds
 *
 *   config.json   the bundle's configuration, verbatim as it was at create
 *   state.json    what else later commands need (record.h); written before
 *                 anything is made outside the directory, and replaced as
 *                 a whole if at all
 *   init          pid, start time and phase of the container's first process
 *   start.sock    the level's: there while init waits for `start`
 *
 * mkdir(2) claims an id: it happens once for all who try.  A directory
 * without state.json is a claim whose owner was killed at once, and holds
 * nothing worth keeping.  A state.json whose `init` is missing may have a
 * cgroup, which it names.  So whatever instant a command was killed at, the
 * next one finds in the directory all that it has to clean.
 *
 * Nothing is synced to disk: ROOT is on a tmpfs by design (/run), and a state
 * that outlives the kernel it describes would be a false one.
 *
 * Commands that change a container's life (create, start, delete) hold
 * flock(2) on the directory; the others only look.  The lock goes away with
 * its owner.  No command but `list` ever looks at the directory of another
 * container.
 */
#pragma once

#include "base/fd.h"

/* runc's rule: letters, digits, "_+.-", not "." nor "..", and no longer than a file name. */
must_use int store_check_id(const char *id, struct err *err);
/* Makes and locks ROOT/ID; ROOT is made where it is not there.  -EEXIST: the id is in use. */
must_use int store_claim(const char *root, const char *id, struct err *err);
/* Opens ROOT/ID.  -ENOENT, "container does not exist", where there is none. */
must_use int store_open(const char *root, const char *id, struct err *err);
/* Waits for the lock.  -ENOENT where the directory was removed meanwhile. */
must_use int store_lock(int dirfd, struct err *err);
/* True where the lock was free and is ours now. */
bool store_try_lock(int dirfd);
/* True where another command holds the lock. */
bool store_busy(int dirfd);
void store_unlock(int dirfd);
/* Removes ROOT/ID with all that is in it; state.json goes last.  Missing is fine. */
must_use int store_remove(const char *root, const char *id, int dirfd, struct err *err);

/* The `init` file. */
enum store_phase {
	STORE_CREATING = 'n',
	STORE_CREATED = 'c',  /* init waits for `start` */
	STORE_STARTING = 's', /* a `start` is at it, or was killed while it was */
	STORE_STARTED = 'r',
};
struct store_init {
	pid_t pid;
	uint64_t start_time;
	enum store_phase phase;
};
must_use int store_write_init(int dirfd, const struct store_init *init, struct err *err);
/* Changes the phase in place. */
must_use int store_set_phase(int dirfd, enum store_phase phase, struct err *err);
/* -ENOENT where no process was started yet; no message. */
must_use int store_read_init(int dirfd, struct store_init *ret);
