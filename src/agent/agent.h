/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent's files share.
 *
 * The agent is one process with one epoll loop, and forks a child for
 * whatever may take long or change the process that does it (job.h): making
 * a container, joining one, reading the memory of hostile processes.  What
 * such a child leaves behind (the container's first process, an exec'd one)
 * becomes the agent's own child when the job ends: pid 1, or the subreaper
 * that it is outside of a guest, adopts orphans.
 *
 *	main.c	    arguments, the loop, the end
 *	boot.c	    the guest: mounts, modules, ports
 *	channel.c   frames out and in
 *	orders.c    what the keeper asks for
 *	job.c	    forked children and their results
 *	container.c bodies of jobs: run, exec, update, signal
 *	freeze.c    body of a job: the machine is to be saved; it, or its copy, goes on
 *	rows.c	    body of a job: the table of processes
 *	live.c	    the keeper's processes, their ends
 *	streams.c   their standard streams, windows and credits
 *	member.c    agents of further containers, where the machine is a pod
 */
#pragma once

#include "base/fd.h"
#include "base/json.h"
#include "runtime/container.h"
#include "runtime/runtime.h"
#include "wire/guest.h"

struct agent;

/* Something that epoll watches.  fd < 0: gone; its event, if one is still under way, means nothing. */
struct source {
	int fd; /* owned */
	void (*ready)(struct agent *a, struct source *s);
	bool watched;
	bool always; /* also heard while the machine is frozen */
};

/* A stream of a process; the memory of `buf` is there only while something waits in it. */
struct stream_out {
	struct source source;
	struct live *live; /* whose */
	uint16_t number;
	uint32_t window;
	bool last; /* a terminal whose process has ended: what is in it now is all */
	bool ended;
};
struct stream_in {
	struct source source;
	struct live *live;
	unsigned char *buf;
	size_t at, len;
	uint32_t owed; /* consumed, and no CREDIT sent yet */
	bool closing;
};

/* A process of the keeper's. */
struct live {
	struct live *next;
	uint32_t id;
	pid_t pid; /* 0 = not there yet, or reaped */
	bool terminal, exited;
	struct stream_in in;
	struct stream_out out[2];
};

enum { LIVE_BUCKETS = 64 };

struct agent {
	bool guest;	   /* of a machine; else a test's */
	const char *ports; /* a test's: where its ports are, as sockets; NULL = there are none */
	uint32_t member;   /* the number of a further container's; 0 = the first */
	char id[24];	   /* of the container in `rt` */
	struct member *members;
	bool pod_shm; /* there is a /dev/shm for these (member.c) */
	int share_port;
	pid_t relay;  /* of the file share; 0 = none.  Without it nothing in the machine has files */
	char *shared; /* where the file share is mounted: the container's root; NULL = not yet; owned */
	int log;      /* where warnings go */
	int epoll, readers;
	bool readers_held; /* the channel is full: no more output is read */
	struct source port, signals, oom, outputs;
	struct guest_reader in;
	struct {
		unsigned char *buf;
		size_t at, len, size;
	} out;
	bool greeted, leaving;
	bool shut_down;		/* leaving, because it was told to */
	bool freezing, frozen;	/* GUEST_FREEZE: asked for, done */
	struct container still; /* the container that is frozen; valid while freezing or frozen */
	uint32_t main_id;	/* the container's process; 0 = no RUN yet */
	bool main_there;	/* the container is made */
	struct runtime rt;
	struct container container; /* for `oom`; valid while oom.fd >= 0 */
	uint64_t oom_kills;
	struct live *live[LIVE_BUCKETS];
	size_t nlive, ended; /* of these so many are to be swept away */
	struct job *jobs, *done;
};

/* ---- main.c ---- */
must_use int watch_add(struct agent *a, int epoll, struct source *s, uint32_t events);
/* Not watched any more, and closed. */
void watch_drop(int epoll, struct source *s);
/* The stream to the keeper makes no sense any more: ends the loop. */
void agent_leave(struct agent *a, const char *fmt, ...) printf_like(2, 3);
void agent_warn(const struct agent *a, const char *text);

/* ---- boot.c ---- */
/* Makes a guest of the bare kernel's process.  a->port and a->share_port are open after it. */
must_use int boot_guest(struct agent *a, struct err *err);
/* The two ports of these names; they may come a little later, but within so many ms (-1: as long as it
 * takes).
 */
must_use int boot_ports(struct agent *a, const char *agent, const char *share, int within_ms,
			struct err *err);
must_use int boot_ready(struct agent *a, struct err *err);
/* GUEST_HELLO and GUEST_TIME: the clock, and new entropy, which is used at once. */
must_use int boot_hello(const struct agent *a, const struct guest_hello *h, struct err *err);

/* ---- channel.c ---- */
enum { OUT_HIGH = 128 << 10 }; /* bytes waiting for the port from which on no output is read */
void channel_send(struct agent *a, const struct guest_frame *f, const void *payload, const void *more,
		  size_t nmore);
/* Room for a frame's payload, to be filled in place; NULL: no memory.  Then the frame, which is in place. */
unsigned char *channel_room(struct agent *a, size_t len);
void channel_put(struct agent *a, const struct guest_frame *f);
void channel_reply(struct agent *a, uint32_t id, int code, const struct err *err);
void channel_flush(struct agent *a);
void channel_ready(struct agent *a, struct source *s);

/* ---- main.c, of a further container ---- */
/* READY, and all that follows, until the keeper or the agent has enough. */
must_use int agent_serve(struct agent *a, struct err *err);

/* ---- member.c ---- */
/* A child that is the agent of a further container; its ports may come a little later. */
must_use int member_start(struct agent *a, const struct guest_admission *m, struct err *err);
/* Was it one?  Then what it left is removed, and the keeper told. */
bool member_reaped(struct agent *a, pid_t pid);
/* Of a test's agent: kills them, and removes what they left. */
void members_end(struct agent *a);

/* ---- orders.c ---- */
void orders_take(struct agent *a, const struct guest_frame *f, const void *payload);

/* ---- freeze.c ---- */
must_use int freeze_prepare(struct agent *a, struct err *err);
must_use int freeze_end(struct agent *a, const char *name, size_t len, struct err *err);
void freeze_failed(struct agent *a);

/* ---- live.c ---- */
struct live *live_find(const struct agent *a, uint32_t id);
/* NULL and the error where there is one or are too many. */
struct live *live_add(struct agent *a, uint32_t id, struct err *err);
void live_reap(struct agent *a);
/* Marks one that has nothing to say any more; live_sweep() frees these. */
void live_settle(struct agent *a, struct live *l);
void live_sweep(struct agent *a);
/* It did not come to be. */
void live_forget(struct agent *a, struct live *l);
void live_watch_memory(struct agent *a);
void live_oom(struct agent *a, struct source *s);

/* ---- streams.c ---- */
/* What a process to be gets as 0, 1 and 2, and the agent's ends; a terminal's come later. */
struct stdio {
	int child[3]; /* owned; -1 = /dev/null */
};
must_use int streams_make(struct agent *a, struct live *l, bool has_input, struct stdio *ret,
			  struct err *err);
void stdio_close(struct stdio *s);
/* The process is there: its output flows.  master: -1, or its terminal, taken. */
must_use int streams_begin(struct agent *a, struct live *l, int master, struct err *err);
void streams_input(struct agent *a, struct live *l, const void *data, size_t len);
void streams_credit(struct agent *a, struct live *l, unsigned number, uint32_t bytes);
void streams_process_ended(struct agent *a, struct live *l);
void streams_drop(struct agent *a, struct live *l);
