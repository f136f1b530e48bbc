/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime and the supervisor of a container say to each other: the
 * sentry of level `kernel`, the keeper of level `vm`.
 *
 * The command line has the supervisor's descriptors, which are open in it,
 * and numbers:
 *
 *	PROGRAM run  KEY=NUMBER ... keep=COUNT -- ARGS...
 *	PROGRAM join control=N request=N keep=COUNT -- ARGS...
 *
 * keep: descriptors 3, 4 ... are the user's program's.
 *
 * `run` is the sandbox: first process of the container's namespaces.  `join`
 * is a further process's proxy there: it hands its standard streams over,
 * passes signals on, and ends as the guest's process ends.
 *
 * The control socket is SOCK_SEQPACKET; a message is one struct below and its
 * descriptors.  The supervisor believes nobody whose uid is not that of its
 * maker.  Both are of one build: there is no version but the size.
 */
#pragma once

#include "base/err.h"

/* How the last line begins that a keeper writes on a running machine's console, at its end; what ended it
 * follows. */
#define SUPERVISOR_END_NOTE "coffer: the machine has ended: "

enum supervisor_request_kind {
	/* The runtime's `start`: descriptors of the cgroup's memory and cpu directories, as `flags` say; then
	 * /dev/net/tun, opened in the container's network namespace, for each card that the guest is to have;
	 * or, for a further container of a pod, a connection to the control socket of the pod's keeper.
	 * One answer: STARTED or FAILED. */
	SUPERVISOR_BEGIN = 1,
	/* `join`: fds are the process's JSON (an OCI process), a file of strings, and standard input, output,
	 * error.  STARTED or FAILED, then EXITED.  The connection's end kills the process. */
	SUPERVISOR_EXEC,
	/* On the connection of EXEC: to that process; on one of its own: to the container's first process.
	   DONE. */
	SUPERVISOR_SIGNAL,
	/* What follows the keeper knows alone. */
	SUPERVISOR_UPDATE,    /* one fd: OCI resources (JSON).  DONE or FAILED. */
	SUPERVISOR_PROCESSES, /* DONE with one fd, a file of struct guest_process_row, or FAILED */
	SUPERVISOR_STATS,     /* DONE with one fd, a file of one struct guest_stats, or FAILED */
	SUPERVISOR_TIME,      /* the machine stood still: its clock is to be set.  DONE or FAILED. */
	SUPERVISOR_SAVE,      /* one fd: an empty file, for reading and writing.  DONE: the machine is in it,
			       * and stands still until the connection ends; or FAILED. */
	SUPERVISOR_JOIN,  /* of the keeper of a further container, to that of its pod's machine: two fds, what
			   * the hypervisor is to have of its ports (wire/guest.h).  DONE or FAILED.  Where
			   * the connection ends on one side, the container is over on the other. */
	SUPERVISOR_PAUSE, /* of a pod's container: its processes in the guest.  DONE or FAILED. */
	SUPERVISOR_RESUME,
};

enum {
	SUPERVISOR_HAS_MEMORY = 1,
	SUPERVISOR_HAS_CPU = 2,
	SUPERVISOR_CGROUP2 = 4,
	SUPERVISOR_OUTSIDE = 8,	     /* EXEC: in the machine, beside its container */
	SUPERVISOR_SHARES_PIDS = 16, /* JOIN: with the pod's first container */
};

struct supervisor_request {
	uint32_t kind;
	uint32_t flags;
	uint32_t signal;
	uint32_t argc,
		envc; /* EXEC: how many strings of the file are arguments, environment; cwd is the last */
};

enum supervisor_reply_kind { SUPERVISOR_STARTED = 1, SUPERVISOR_FAILED, SUPERVISOR_EXITED, SUPERVISOR_DONE };

struct supervisor_reply {
	uint32_t kind;
	int32_t status; /* EXITED: as waitpid; DONE: 0 or -errno; FAILED: the exit status to end with */
	int32_t code;	/* FAILED: errno */
	char text[ERR_MSG_MAX]; /* FAILED */
};

enum {
	SUPERVISOR_FDS_MAX = 5,
	SUPERVISOR_TUNS_MAX = 8, /* of BEGIN */
	SUPERVISOR_KEPT_MAX = 59 /* more, for EXEC: descriptors 3, 4 ... */
};

/* "control.sock" in the container's state directory. */
must_use int supervisor_listen(int state_dirfd, struct err *err);
must_use int supervisor_connect(int state_dirfd, struct err *err);
must_use int supervisor_send(int sock, const struct supervisor_request *q, const int *fds, size_t nfds,
			     struct err *err);
/* -ECONNRESET where the other side has gone.  ret_fd (may be NULL): the descriptor that came along, or -1. */
must_use int supervisor_receive(int sock, struct supervisor_reply *ret, int *ret_fd, struct err *err);
/* A reply that is no answer to a wish for STARTED or DONE, as an error. */
must_use int supervisor_refused(const struct supervisor_reply *reply, struct err *err);

/* ---- the supervisor's side ---- */

/* One KEY=NUMBER of the command line. */
struct supervisor_key {
	const char *name; /* "control=" */
	int *fd;	  /* close-on-exec from now on; or NULL: */
	uint64_t *number;
};
struct supervisor_args {
	int keep;
	uint32_t flags; /* of a proxy's EXEC; 0 until the caller sets it */
	int argc;
	char **argv; /* behind "--" */
};
must_use int supervisor_parse(int argc, char **argv, const struct supervisor_key *keys, size_t n,
			      struct supervisor_args *ret, struct err *err);

/* Who made the listening socket. */
must_use int supervisor_maker(int listener, uid_t *ret, struct err *err);
/* A connection of the maker's, not blocking; -EPERM: it was somebody else's. */
must_use int supervisor_accept(int listener, uid_t maker);
void supervisor_reply(int sock, const struct supervisor_reply *r);
void supervisor_reply_failed(int sock, const struct err *err);
/* The strings of an EXEC: arguments, environment, working directory.  The caller frees both. */
must_use int supervisor_strings(int fd, const struct supervisor_request *q, char **ret_text,
				const char ***ret, struct err *err);

/*
 * `join`: returns the exit status; with err set where the process did not start.
 * keep_terminal: the proxy stays the session leader of its terminal, and passes SIGWINCH on.
 */
int supervisor_join(int control, int request, const struct supervisor_args *a, bool keep_terminal,
		    struct err *err);
