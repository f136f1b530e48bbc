/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor: one process, one thread, one poll(2), one struct.
 *
 * Theory of operation.  Phases, and what ends them:
 *
 *   MAKING     the maker is at work                  report -> RUNNING, or failure -> DRAINING
 *   RUNNING    the container's first process lives   its end, written down -> DRAINING
 *   DRAINING   what it left in pipes goes out        clients are told -> WAITING, or FINISHING
 *   WAITING    for the restart's time               -> MAKING, or told to stop -> FINISHING
 *   FINISHING  a client cleans up                   "finished" -> exit; its end -> exec plan.finish
 *
 * Output is read into a buffer a stream, logged by lines, and written to the
 * pipes of who is attached.  Input does not pass here: a client gets the
 * container's own pipe, or its terminal.  The first client (the one that
 * started the container) is waited for when its pipe is full, so that `run` loses
 * nothing and a slow reader slows the container as it would in a pipeline;
 * the others are dropped when a megabyte of theirs is not read, so that a
 * forgotten `attach` never stops a service.
 *
 * With neither log nor more than one listener bytes are spliced from pipe to
 * pipe and are not seen at all.
 *
 * Nothing here polls: no event, no wake-up.  Memory is touched when it is
 * first needed, and the executable is shared among all monitors.
 *
 * SIGTERM asks for what `stop` does.  Every other signal but SIGKILL is blocked.
 */
#pragma once

#include "base/fd.h"
#include "host/held_mounts.h"
#include "monitor/frames.h"
#include "monitor/health.h"
#include "monitor/journal.h"
#include "monitor/log_file.h"
#include "monitor/monitor.h"
#include "monitor/restart.h"

#include <poll.h>

enum phase { MAKING, RUNNING, DRAINING, WAITING, FINISHING };
enum {
	CLIENTS_MAX = 64,
	STREAM_BUF = 65536,
	WATCH_MAX = 2 * CLIENTS_MAX + 96,
	EXIT_OWN_FAILURE = 125,
};

/* A process that talks to us. */
struct client {
	int fd;	      /* -1 = a free slot */
	int out, err; /* our ends of its pipes; -1 = none */
	uint32_t wants;
	bool greeted;  /* HELLO came */
	bool welcomed; /* it has been told that the container runs */
	bool first;    /* came with the plan: it is waited for */
	bool checks;   /* waits for what a health check finds */
};

/* One of the container's outputs. */
struct stream {
	int fd; /* -1 = closed */
	bool is_err;
	bool blocked; /* the first client's pipe is full */
	char *buf;    /* STREAM_BUF bytes, from the first use on */
	size_t line;  /* where the line begins that is not logged yet */
	size_t end;
	size_t owed; /* from here on the first client has not got it yet */
};

struct probe {
	pid_t runner;  /* 0 = none is at work */
	pid_t process; /* in the container, our child once the runner has ended; 0 = not known yet */
	int output;
	char *text;
	size_t len;
	int64_t start, deadline; /* wall clock; monotonic */
};

struct oom_watch; /* watch.c */
struct dns;

struct mon;
typedef void watch_fn(struct mon *m, void *arg, int fd, short revents);

struct mon {
	struct monitor_plan plan;
	struct json_doc doc; /* of the plan */
	enum phase phase;
	int dirfd, lock, listen, signals;
	int report; /* -1: no maker is at work any more */
	pid_t pid;  /* of the container's first process; 0 = none */
	bool reported, ended;
	bool told;	    /* the end is written down */
	int64_t delay;	    /* from it to the restart, ns; -1 = there is none */
	int code;	    /* exit code, once ended */
	struct err failure; /* why there is none */
	int kernel_signal;  /* what has ended who stands for a container with a kernel of its own; 0 = none */
	struct err doomed;  /* set: the container must not be, it is killed as soon as it is there */
	int64_t started_at; /* wall clock */
	int64_t started_mono; /* monotonic */
	int64_t finished_at;  /* wall clock */
	struct restart restart;
	int oom_score; /* what children get back */

	struct stream out, err; /* with a terminal: out alone */
	int to_in, master, slave, root;
	struct client clients[CLIENTS_MAX];
	struct log_file log;
	struct journal_source source;
	int journal;

	struct health health;
	struct probe probe;
	struct oom_watch *oom;
	bool oom_killed;
	struct dns *dns;
	int *held; /* sockets that hold the published ports; owned */
	size_t n_held;
	struct held_mounts layers; /* what the container's root stands on, for others */
	size_t dns_at, dns_n;	   /* its part of fds[] */

	/* Deadlines on the monotonic clock; 0 = none. */
	int64_t restart_at, kill_at, probe_at, oom_at;

	struct pollfd fds[WATCH_MAX];
	struct {
		watch_fn *fn;
		void *arg;
	} on[WATCH_MAX];
	size_t nfds;
};

int64_t mon_clock(void); /* monotonic, ns */
int64_t mon_wall(void);
void mon_watch(struct mon *m, int fd, short events, watch_fn *fn, void *arg);
/* Writes an event of this container; `code` >= 0 goes along. */
void mon_event(struct mon *m, const char *action, int code);

/* streams.c */
void streams_begin(struct mon *m);
void streams_watch(struct mon *m);
/* All that is there now; true where no more is owed to anybody. */
bool streams_drain(struct mon *m);
void streams_close(struct mon *m);

/* clients.c */
void clients_init(struct mon *m);
void clients_adopt(struct mon *m, int fd, bool first);
void clients_watch(struct mon *m);
void clients_welcome(struct mon *m);
void client_drop(struct mon *m, struct client *c);
/* Closes the pipes; `reached` the end of output. */
void clients_end_output(struct mon *m);
/* Tells the end to all, drops them but for the one that finishes.  True where there is such a one. */
bool clients_tell_exit(struct mon *m, bool follows);
void clients_tell_failure(struct mon *m, const struct err *why, const char *otherwise);
/* To who has asked for a health check: its exit code (-1: none); or `why` there is none. */
void clients_tell_checked(struct mon *m, int code, const char *why);

/* life.c */
void life_report(struct mon *m, void *arg, int fd, short revents);
void life_child(struct mon *m, pid_t pid, int status);
void life_make_again(struct mon *m);
void life_stop(struct mon *m);
void life_step(struct mon *m);
_Noreturn void life_finish(struct mon *m);
_Noreturn void life_finished(struct mon *m);

/* probe.c */
void probe_begin(struct mon *m);
void probe_start(struct mon *m);
/* Whether a check is at work now, or begins at once. */
bool probe_now(struct mon *m);
void probe_watch(struct mon *m);
void probe_child(struct mon *m, pid_t pid, int status);
void probe_timeout(struct mon *m);
void probe_cancel(struct mon *m);

/* watch.c */
void oom_begin(struct mon *m);
void oom_watch(struct mon *m);
/* At the end, for what was not told yet: m->oom_killed. */
void oom_look(struct mon *m);
void oom_free(struct mon *m);

/* groups.c: those that are empty, while the engine is on its way to the rest. */
void groups_remove(const struct mon *m);

/* layers.c: the second message of the maker; false: it may still come. */
bool layers_receive(struct mon *m);

/* names.c.  Takes the descriptors over. */
void names_begin(struct mon *m, int udp, int tcp);
void names_watch(struct mon *m, int *timeout_ms);
void names_done(struct mon *m);
void names_end(struct mon *m);

/* In a child before exec: signals, oom score, no descriptors from `first` on. */
void child_prepare(const struct mon *m, unsigned first);
