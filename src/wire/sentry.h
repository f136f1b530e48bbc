/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime and the sentry of level `kernel` say to each other.
 *
 * The command line of `coffer-sentry`, whose descriptors are open in it:
 *
 *	coffer-sentry run  config=N control=N proc=N [log=N] [trace=N] keep=COUNT -- ARGS...
 *	coffer-sentry join control=N request=N keep=COUNT -- ARGS...
 *
 * keep: descriptors 3, 4 ... are the user's program's.
 *
 * `run` is the sandbox: first process of the container's namespaces.  `join`
 * is a further process's proxy there: it hands its standard streams over,
 * passes signals on, and ends as the guest's process ends.
 *
 * The control socket is SOCK_SEQPACKET; a message is one struct below and its
 * descriptors.  The sentry believes nobody whose uid is not that of its maker.
 * Both are of one build: there is no version but the size.
 */
#pragma once

#include "base/err.h"

enum sentry_request_kind {
	/* The runtime's `start`: descriptors of the cgroup's memory and cpu directories, as `flags` say. One
	 * answer: STARTED or FAILED. */
	SENTRY_BEGIN = 1,
	/* `join`: fds are the process's JSON (struct oci_process, without args and env), a file of strings,
	 * and standard input, output, error.  STARTED or FAILED, then EXITED.  The connection's end kills the
	 * process. */
	SENTRY_EXEC,
	/* On the connection of EXEC: to that process; on one of its own: to the container's first process.
	   DONE. */
	SENTRY_SIGNAL,
};

enum { SENTRY_HAS_MEMORY = 1, SENTRY_HAS_CPU = 2, SENTRY_CGROUP2 = 4 };

struct sentry_request {
	uint32_t kind;
	uint32_t flags;
	uint32_t signal;
	uint32_t argc,
		envc; /* EXEC: how many strings of the file are arguments, environment; cwd is the last */
};

enum sentry_reply_kind { SENTRY_STARTED = 1, SENTRY_FAILED, SENTRY_EXITED, SENTRY_DONE };

struct sentry_reply {
	uint32_t kind;
	int32_t status; /* EXITED: as waitpid; DONE: 0 or -errno; FAILED: the exit status to end with */
	int32_t code;	/* FAILED: errno */
	char text[ERR_MSG_MAX]; /* FAILED */
};

enum { SENTRY_FDS_MAX = 5, SENTRY_KEPT_MAX = 59 /* more, for EXEC: descriptors 3, 4 ... */ };

/* The sentry's own threads and processes, which count against the container's pids limit, and its workers
 * among them. */
unsigned sentry_workers(void);
unsigned sentry_own_tasks(void);

/* "control.sock" in the container's state directory. */
must_use int sentry_listen(int state_dirfd, struct err *err);
must_use int sentry_connect(int state_dirfd, struct err *err);
must_use int sentry_send(int sock, const struct sentry_request *q, const int *fds, size_t nfds,
			 struct err *err);
/* -ECONNRESET where the other side has gone. */
must_use int sentry_receive(int sock, struct sentry_reply *ret, struct err *err);
