/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CVE-2019-5736: a container opens /proc/PID/exe of the runtime that works
 * in it, waits until the runtime is gone, and overwrites the host's binary.
 * After sealed_exe_ensure() /proc/self/exe is a file that nobody can open for
 * writing, whatever capabilities they have.
 */
#pragma once

#include "base/err.h"

enum sealed_exe {
	SEALED_EXE_NOT,	     /* /proc/self/exe is a plain file */
	SEALED_EXE_READONLY, /* it is on a private read-only mount which nobody can change any more */
	SEALED_EXE_MEMFD,    /* it is a copy in sealed memory */
	SEALED_EXE_UNLINKED, /* it is a copy that has no name */
	SEALED_EXE_FOREIGN, /* we have no capabilities and the file is root's: no process of ours can write it
			     */
};

/*
 * Call first thing in create, run, exec and restore, single-threaded.
 * `argv` is main's.  Returns 0 when the process is protected (it may have been all along),
 * or executes itself again from a sealed copy and does not return.
 */
must_use int sealed_exe_ensure(char **argv, struct err *err);
/* Waits for what sealed_exe_ensure() left going on beside us: before a process is cloned that enters a
 * container, and before a fork of ours that will do so.  Cheap when there is nothing to wait for. */
must_use int sealed_exe_settle(struct err *err);
/*
 * This program is root's, and nobody else may write it: then no process of a user namespace without root of
 * ours can, whatever its capabilities (they do not reach files of who has no id there), and nothing has to be
 * done where all who may see this process are of such namespaces.  Opens fail before the file counts as being
 * written.
 */
bool sealed_exe_is_roots(void);
/* What protects this process now. */
enum sealed_exe sealed_exe_state(void);
