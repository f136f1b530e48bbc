/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper's files share.
 *
 * The keeper is one process with one loop over poll(2): what is waited for
 * is asked of each file anew in every turn (`*_poll`), so that nothing can be
 * forgotten, and a stream that has no room is simply not in the set.  A
 * handler frees nothing that another one of the same turn may still name:
 * that is the sweep's at the turn's end.
 *
 *	main.c	    arguments, the machine's start and end, the loop
 *	control.c   the runtime's orders and the proxies (wire/supervisor.h)
 *	session.c   the agent: frames, requests, the stages of the start (wire/guest.h)
 *	streams.c   standard streams of the guest's processes
 *	snapshot.c  the machine in a file, and from one
 *	pod.c	    further containers of a machine, on both sides
 *	console.c   what the guest's console and the hypervisor say
 *
 * It is a forker: the share server and the hypervisor are its children.
 */
#pragma once

#include "base/fd.h"
#include "vm/net.h"
#include "vm/template.h"
#include "wire/guest.h"
#include "wire/supervisor.h"

#include <poll.h>

struct keeper;

/* One turn's descriptors. */
struct poll_entry {
	void (*ready)(struct keeper *k, void *data, short revents);
	void *data;
};
struct poll_set {
	struct pollfd *fds; /* owned */
	struct poll_entry *entries;
	size_t n, room;
	int timeout_ms; /* -1: none */
	bool failed;	/* no memory */
};
void poll_want(struct poll_set *p, int fd, short events,
	       void (*ready)(struct keeper *k, void *data, short revents), void *data);
void poll_within(struct poll_set *p, int64_t ms);

/* ---- console.c ---- */

enum { TAIL_MAX = 4096 };
/* A pipe that somebody else writes to, and its last bytes. */
struct console {
	int pipe;   /* our end; owned */
	int file;   /* console.log; borrowed */
	bool heard; /* anything at all */
	char tail[TAIL_MAX];
	size_t len;
};
/* *ret_writer is the other end; the caller closes. */
must_use int console_open(struct console *c, int file, int *ret_writer, struct err *err);
void console_poll(struct console *c, struct poll_set *p);
/* Reads what is there by now. */
void console_drain(struct console *c);
void console_note(struct console *c, const void *text, size_t len);
/* The last lines, printable, in one line of at most `max` bytes with the NUL. */
void console_last(const struct console *c, char *ret, size_t max);

/* ---- streams.c ---- */

struct stream_in {
	int fd; /* owned; -1 = ended */
	size_t window;
};
struct stream_out {
	int fd;		    /* owned; -1 = nobody reads any more */
	unsigned char *buf; /* GUEST_WINDOW bytes; owned; NULL while empty */
	size_t at, len;
	uint32_t owed; /* consumed, and no CREDIT sent yet */
	bool ended;    /* by the guest */
};

/* A process in the guest, which the keeper asked for. */
struct inmate {
	struct inmate *next;
	uint32_t id;
	struct connection *connection; /* the proxy's; NULL: the first process, or the proxy has gone */
	bool first, terminal, started, exited, told, dead;
	bool outside; /* of the container, in the machine */
	int tty;      /* of in and out; -1 = none; borrowed of them */
	int status;
	int64_t exited_ns;
	struct stream_in in;
	struct stream_out out[2];
};

/* fds: three, taken over.  NULL and the error set. */
struct inmate *inmate_new(struct keeper *k, int *fds, bool terminal, struct err *err);
void inmate_size(const struct inmate *i, uint16_t *rows, uint16_t *columns);
void inmate_resized(struct keeper *k, const struct inmate *i);
struct inmate *inmate_find(const struct keeper *k, uint32_t id);
void streams_poll(struct keeper *k, struct poll_set *p);
/* 0, or -EBADMSG: more than it may. */
must_use int streams_output(struct keeper *k, struct inmate *i, unsigned stream, const void *data,
			    size_t len);
void streams_credit(struct inmate *i, uint32_t bytes);
/* Its proxy has gone: nobody reads, nobody types. */
void streams_abandon(struct keeper *k, struct inmate *i);
/* Tells the ends of those whose output is out; frees those that are done with. */
void streams_sweep(struct keeper *k);

/* ---- session.c ---- */

enum stage {
	STAGE_HYPERVISOR,
	STAGE_KERNEL,
	STAGE_AGENT,
	STAGE_MOUNT,
	STAGE_EXEC,
	STAGE_RUNNING,
	STAGE_LEAVING,
};

/* Waits for a REPLY of the agent's. */
struct question {
	struct question *next;
	uint32_t id;
	void (*answered)(struct keeper *k, const struct question *q, const struct guest_reply *reply,
			 const void *rest, size_t len);
	struct inmate *inmate;	       /* whose start it is; or NULL */
	int64_t asked_ms;	       /* of k->awake_ms */
	struct connection *connection; /* who asked; NULL: the keeper itself, or who has gone */
	void *rows;		       /* GUEST_PROCESSES: what came so far; owned */
	size_t nrows;
};

/*
 * HELLO to a restored machine, and its answer, which also proves that its timer wakes it.  -ETIMEDOUT where
 * none comes within so many ms, else why not; then nothing is left of the session, and another machine can be
 * begun.
 */
must_use int session_greet(struct keeper *k, int64_t within_ms, struct err *err);
/* The agent is there: sends it all that the start takes. */
void session_begin(struct keeper *k);
/* The same of a machine that begins with a snapshot, and was greeted. */
void session_continue(struct keeper *k);
void session_poll(struct keeper *k, struct poll_set *p);
void session_flush(struct keeper *k);
bool session_is_full(const struct keeper *k);
/* A frame without REPLY. */
void session_send(struct keeper *k, enum guest_frame_type type, uint32_t process, unsigned stream,
		  const void *payload, size_t len);
/* One with: `more` goes behind `payload`.  NULL where memory lacks. */
struct question *session_ask(struct keeper *k, enum guest_frame_type type, uint32_t process,
			     const void *payload, size_t len, const void *more, size_t nmore);
void session_signal(struct keeper *k, struct inmate *i, uint32_t sig);
void session_set_time(struct keeper *k, struct connection *c);
void session_processes(struct keeper *k, struct connection *c);
void session_stats(struct keeper *k, struct connection *c);
/* GUEST_PAUSE, GUEST_RESUME. */
void session_stand(struct keeper *k, struct connection *c, enum guest_frame_type type);
void session_update(struct keeper *k, struct connection *c, const void *json, size_t len);
/* RUN and EXEC: `json` is what the agent makes the process of. */
must_use int session_start(struct keeper *k, struct inmate *i, const void *json, size_t len, struct err *err);
void session_forget(struct keeper *k, const struct connection *c);

/* ---- control.c ---- */

struct connection {
	struct connection *next;
	int sock; /* owned; -1: closed, to be swept away */
	struct inmate *inmate;
};

void control_poll(struct keeper *k, struct poll_set *p);
void control_sweep(struct keeper *k);
void control_done(struct connection *c, int status, int fd);
void control_failed(struct connection *c, const struct err *err);
void control_started(struct connection *c);
void control_exited(struct connection *c, int status);

void control_close(struct keeper *k, struct connection *c);

/* ---- pod.c ---- */

/* JOIN: a further container's keeper.  fds are taken over. */
must_use int pod_admit(struct keeper *k, struct connection *c, uint32_t flags, int *fds, size_t nfds,
		       struct err *err);
/* Its connection has ended. */
void pod_dismiss(struct keeper *k, const struct connection *c);
/* LEFT. */
void pod_left(struct keeper *k, uint32_t number);

/* The other side: this one is a further container's; BEGIN has brought k->pod. */
must_use int pod_enter(struct keeper *k, int port, int share, struct err *err);
void pod_poll(struct keeper *k, struct poll_set *p);

/* ---- snapshot.c ---- */

/* Of the saved machine's keeper.  The table of the file share follows in the file. */
struct vm_kept {
	uint32_t version, flags;
	uint32_t process, last_id; /* the first process, and the last number that was given to anything */
	uint64_t in_window, owed[2], age_ns, table_len;
};
/* k->from, once k->spec is complete: it is checked, spec.from is set, and the file share's table is taken. */
must_use int snapshot_open(struct keeper *k, const struct hypervisor *driver, struct err *err);
/* The file share has found its files. */
must_use int snapshot_share_taken(const struct keeper *k, struct err *err);
/* The machine stands where templates are made, and k->into is to have one: that is all that it was for. */
void snapshot_of_template(struct keeper *k);
/* The first process as it was, with the streams of this one. */
must_use int snapshot_inmate(struct keeper *k, struct err *err);
/* An order: `file` is taken over where it succeeds. */
must_use int snapshot_begin(struct keeper *k, struct connection *c, int *file, struct err *err);
/* Who asked has gone: the machine goes on. */
void snapshot_end(struct keeper *k);

/* ---- main.c ---- */

struct keeper {
	/* as given */
	int config, control, proc, kernel, initramfs, usr, usr2, kvm, templates, console_file, oom_file, log,
		request;
	int monitor;		       /* coffer-vmm, to be executed; -1: the hypervisor is QEMU */
	int tuns[SUPERVISOR_TUNS_MAX]; /* came with BEGIN */
	size_t ntuns;
	uint64_t memory, vcpus, seconds, terminal, acpi, beside, member, shares_pids;
	uint64_t cache,
		volume_cache; /* ms that the guest may believe what the file share said of root, volumes */

	uid_t maker;
	int signals;
	int pod;		/* of a further container: the connection to its pod's keeper; -1 = gone */
	struct member *members; /* of a pod's first container */
	uint32_t last_member;
	int64_t unplug_ns; /* when ports were last taken away, or tried to be */
	struct connection *connections;
	struct connection *starter; /* BEGIN's, until it is answered */
	bool begun;

	struct vm vm;
	struct vm_spec spec;
	struct vm_template template; /* until the program runs */
	struct vm_snapshot
		memory_in;   /* memory_fd: the machine's memory; owned; -1 = it is in no file of ours */
	int from;	     /* the snapshot, or template by name, that it begins with; -1 = none */
	int into;	     /* for a template by name, which is all that is wanted; -1 = none */
	struct vm_kept kept; /* what that says; version 0 = there is none */
	struct vm_snapshot snapshot; /* where its memory and devices are */
	struct connection *saver;    /* for whom the machine is saved; NULL = nobody, or who has gone */
	int save_in;		     /* the file that he gave; -1 = none */
	bool holding; /* nothing is said to the agent but what THAW takes: the machine is, or will be, frozen
		       */
	bool frozen;  /* the agent has said so */
	uint64_t held_signals;	/* bits of those that came meanwhile */
	int table, told, tell;	/* of the file share: its table, and the two ends of a pipe (share.h) */
	int table_number;	/* of the last question for it */
	bool restored;		/* from it, so that it says no READY, and was greeted already */
	bool greeted;		/* of session_greet() */
	bool machine;		/* vm is a machine that runs, as far as is known; or the pod's does */
	pid_t share, names;	/* names: the relay of names; 0 = there is none, or it has ended */
	int64_t share_ended_ns; /* 0 = it runs */
	int share_status;	/* as waitpid */
	struct console console, hypervisor_log;
	char *network; /* JSON for the guest; owned */

	enum stage stage;
	int64_t began_ns, leaving_ns;
	int agent; /* our end of the agent's port; not blocking */
	struct guest_reader reader;
	unsigned char *out;
	size_t out_at, out_len, out_room;
	uint32_t last_id;
	int64_t awake_ms,
		turned_ms;  /* how long it has not been paused, nor the machine saved; its last turn */
	int64_t booted_ns;  /* when the guest's clock of boot began, since 1970; 0 = unknown */
	int64_t started_ns; /* when the program was started, likewise */
	struct question *questions;

	struct inmate *inmates;
	struct inmate *first;
	bool failed; /* the start did: the exit status is `status` */
	bool over;   /* the loop ends */
	int status;  /* as waitpid */
};

/* The start has failed: tells the runtime, and ends. */
void keeper_fail(struct keeper *k, const struct err *err);
/* The machine cannot be trusted or is gone; `status`, as waitpid, is the end of the container. */
void keeper_abort(struct keeper *k, const char *fmt, ...) printf_like(2, 3);
/* The first process has ended, and all its output is out. */
void keeper_leave(struct keeper *k, int status);
/* The agent is ready: a machine that is to be a template becomes one, before it hears of a container. */
must_use int keeper_save_template(struct keeper *k, struct err *err);
/* BEGIN came. */
void keeper_begin(struct keeper *k);
/* confine.c: nothing but moving bytes from here on; what the machine needs has been made. */
must_use int keeper_confine(struct err *err);
void keeper_log(const struct keeper *k, const char *fmt, ...) printf_like(2, 3);
/* "the guest's kernel did not ...": which stage was not reached. */
const char *keeper_stage_text(enum stage s);
