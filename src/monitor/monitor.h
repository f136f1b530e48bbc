/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process beside each container: its parent, its log, its ear.
 *
 * Theory of operation.  monitor_spawn() forks a process that leaves the
 * caller's session, becomes a subreaper and executes coffer-monitor, which is
 * small because it links no database, no image store and no registry client.  Beside it runs the *maker*: on
 * the first start a forked copy of the engine (no exec, so that nothing is
 * parsed twice), on a restart the program that plan.maker names.  The maker
 * has the container's standard descriptors as its own 0, 1, 2, makes and starts the
 * container, reports over its descriptor MONITOR_REPORT_FD (struct
 * monitor_made, with the terminal's master end and sockets for names) and ends, whereby the
 * container's first process becomes the monitor's child.
 *
 * From then on one loop copies output to the log and to who is attached,
 * answers names (net/dns.h), runs health checks (coffer-probe), sees the
 * out-of-memory killer at work, and waits for the end.  Input does not pass
 * through it: an attached client gets the container's own pipe, or its terminal.  Then: exit file, the
 * last output, clients are told, restart or not, and `finish`, which is an
 * attached client's if it says so (it saves a program's start) and otherwise
 * the program that plan.finish names, which the monitor becomes.
 *
 * The first client is waited for when it does not read; a later one is dropped
 * when a megabyte waits for it.  SIGTERM to the monitor is `stop`: the stop
 * signal, SIGKILL after the time for it, no restart.
 *
 * What it leaves on disk, all below RUN_DIR (on a tmpfs), each written by rename:
 *   monitor      "PID START_TIME" of the monitor; locked (F_OFD_SETLK) as long as it lives
 *   running      "PID START_TIME STARTED_AT(ns, wall clock) RESTARTS" of the container's first process
 *   exit         "CODE OOM(0|1) FINISHED_AT(ns) RESTARTING(0|1) [ERROR…]": the last end
 *   health       JSON as in State.Health of `docker inspect`
 *   attach.sock  0600
 *
 * A monitor that was killed leaves `running` without a lock on `monitor`: the
 * container's processes may still be there, and get SIGPIPE or EPIPE for what
 * they write, as nobody reads it any more; the engine's next command says so
 * and repairs it.  After a restart of the machine RUN_DIR is gone as a whole.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

struct held_mounts;

enum monitor_log { MONITOR_LOG_NONE, MONITOR_LOG_JSON_FILE, MONITOR_LOG_JOURNALD };
enum monitor_restart {
	MONITOR_RESTART_NO,
	MONITOR_RESTART_ON_FAILURE,
	MONITOR_RESTART_ALWAYS,
	MONITOR_RESTART_UNLESS_STOPPED
};

struct monitor_plan {
	const char *id, *name, *image; /* the last two for journald's fields */
	const char *run_dir;	       /* RUN_ROOT/containers/ID, exists, 0700 */
	const char *runtime_root; /* struct runtime's root, for exec of health checks and the cgroup's name */
	const char *isolation;
	bool rootless, systemd_cgroup;
	bool tty, open_stdin,
		stdin_once; /* -t, -i, and: end of the first client's input is the end of the container's */
	enum monitor_log log;
	const char *log_path;	/* json-file */
	uint64_t log_max_size;	/* bytes; 0 = no limit */
	uint32_t log_max_files; /* 1 = cut in place */
	str_list log_labels;	/* "key=value" that go into each line's attrs, and journald */
	enum monitor_restart restart;
	uint32_t restart_max; /* on-failure; 0 = no limit */
	str_list health_test; /* "CMD", … | "CMD-SHELL", "…"; empty = none */
	int64_t health_interval, health_timeout, health_start_period, health_start_interval; /* ns */
	uint32_t health_retries;
	int stop_signal, stop_timeout;
	str_list dns_networks, dns_servers; /* for struct dns_options */
	const char *events_path; /* where "oom", "health_status: …" and the events of restarts are written
				    (monitor/events.h); NULL = nowhere */
	const char *trash;	 /* TRASH/ID is removed after the client's monitor_finished(); NULL = none */
	str_list maker,
		finish; /* argv, absolute program first: make the container again; clean up after it */
};

/* Not 3: in the forked maker that may be a descriptor of the engine's. */
enum { MONITOR_REPORT_FD = 100 };
/* What the maker reports with monitor_report(). */
enum { MONITOR_HELD_MAX = 200 };
struct monitor_made {
	pid_t pid;
	uint64_t start_time;
	int root; /* of a container that goes with --rm: its root's mount, or the namespace that it is in, so
		     that what is behind it is taken down when the monitor ends, and nobody waits; -1 */
	int master;	      /* of the terminal; -1 */
	int dns_udp, dns_tcp; /* -1 */
	/* Sockets that hold the published ports against other programs; the monitor keeps copies until the
	 * end. */
	int held[MONITOR_HELD_MAX];
	size_t n_held;
	int error;	 /* > 0: it failed */
	int exit_status; /* 125, 126, 127 where it failed */
	char message[ERR_MSG_MAX];
};
#define MONITOR_MADE_NOTHING .root = -1, .master = -1, .dns_udp = -1, .dns_tcp = -1
must_use int monitor_report(const struct monitor_made *m, struct err *err);
/* Then: the mounts of the container's layers, which the monitor holds and offers (host/held_mounts.h). */
void monitor_report_layers(const struct held_mounts *held);

/*
 * An open connection of a client.  Bytes do not pass through the socket: with
 * the welcome come the ends of pipes that carry output, and what carries
 * input: the container's own end of a pipe, or its terminal.
 */
struct monitor_conn {
	int fd;		  /* messages; -1 = not open, and then nothing else is */
	int in;		  /* what the container reads from; -1 = no input was asked for, or it has none */
	int out, err;	  /* output; -1 = not asked for */
	int terminal;	  /* master end, for sizes; -1 = none */
	pid_t monitor;	  /* a child of this process, reaped by monitor_close() where it has ended; 0 = not */
	bool late;	  /* attached to a container that was running already */
	bool must_finish; /* after the end: it is this client that has to clean up (client_finishes) */
	bool another_follows; /* after the end: the container will be started again */
};

struct monitor_spawn {
	const struct monitor_plan *plan;
	/* Runs in the forked maker; descriptors 0-2 are the container's.  Must monitor_report(), then return.
	 */
	void (*make)(void *data);
	/*
	 * Beside the maker, in what becomes the monitor when this has returned: the caller's memory, and
	 * descriptors of its own.  Of `beside_fd` the caller keeps no copy.  NULL = nothing.
	 */
	void (*beside)(void *data);
	int *beside_fd;
	void *data;
	bool attach_stdin, attach_stdout,
		attach_stderr; /* what the returned connection wants to see, from the first byte on */
	bool client_finishes;  /* this client will clean up at the end (monitor_finished()) */
};
/* Returns when the container runs, or failed to start (err, exit_status 125-127; the monitor is gone then).
 */
must_use int monitor_spawn(const struct monitor_spawn *q, struct monitor_conn *ret, struct err *err);
/* `attach`: to a running container's monitor.  -ENOENT where there is none. */
must_use int monitor_connect(const char *run_dir, bool in, bool out, bool err_too, bool client_finishes,
			     struct monitor_conn *ret, struct err *err);
void monitor_close(struct monitor_conn *c);

/* Keys that detach, as "ctrl-p,ctrl-q": are they some? */
must_use int monitor_detach_check(const char *text, struct err *err);

struct monitor_relay {
	bool tty; /* raw mode and sizes of the caller's terminal */
	bool stdin_open;
	bool sig_proxy;		 /* signals that come are the container's */
	const char *detach_keys; /* "ctrl-p,ctrl-q"; "" = none */
	int *ret_detached;	 /* set to 1 where the keys were typed */
};
/* Copies until the container ends; *ret_status is its exit code. */
must_use int monitor_relay(struct monitor_conn *c, const struct monitor_relay *q, int *ret_status,
			   struct err *err);
/* Waits for the end without copying (`wait` with a connection of its own). */
must_use int monitor_wait(struct monitor_conn *c, int *ret_status, struct err *err);
/* This client has cleaned up: the monitor may just go, when the connection is closed (by the end of the
 * program at the latest). */
void monitor_finished(struct monitor_conn *c);

/* Requests to the monitor of RUN_DIR; each is one message over attach.sock and its answer. */
must_use int monitor_resize(const char *run_dir, uint16_t height, uint16_t width, struct err *err);
/* No restart after the next end (`stop`, `kill` by hand as Docker counts it). */
must_use int monitor_no_restart(const char *run_dir, struct err *err);
/* `update --restart`. */
must_use int monitor_set_restart(const char *run_dir, enum monitor_restart policy, uint32_t max,
				 struct err *err);

/* Runs the health check now; *ret_code is its exit code, -1 where it could not run or took too long. */
must_use int monitor_check_health(const char *run_dir, int *ret_code, struct err *err);

/* What RUN_DIR's files say. */
/* How monitor_status.error begins where a container's own kernel was ended by the signal that follows. */
#define MONITOR_KERNEL_ENDED "the container's kernel was ended by signal"

struct monitor_status {
	bool monitor_alive, running; /* running: the first process is there, or its end is not told yet */
	pid_t pid;
	uint64_t start_time;
	int64_t started_at, finished_at; /* ns */
	uint32_t restarts;
	bool restarting; /* between two runs */
	bool ended;	 /* `exit` is there and newer than `running` */
	int exit_code;
	bool oom_killed;
	char error[256];
	char health[16]; /* "", "starting", "healthy", "unhealthy" */
};
must_use int monitor_status(const char *run_dir, struct monitor_status *ret, struct err *err);

/* Reading json-file logs (rotated ones first), or what systemd's journal has: `logs`. */
struct monitor_log_query {
	const char *path;
	const char
		*journal_id; /* the container's id: its entries in the journal, and not `path`; else NULL */
	const char *run_dir; /* for --follow: ends with the container */
	bool follow, timestamps, details, out, err_too, tty;
	bool plain;	      /* `path` is no log of entries: its bytes are printed as they are */
	int64_t since, until; /* ns; 0 = open */
	int64_t tail;	      /* -1 = all */
	int out_fd, err_fd;
};
must_use int monitor_logs(const struct monitor_log_query *q, struct err *err);
