/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a monitor.
 *
 *	caller --vfork--> M --fork--> B (the maker)
 *
 * M is a leader of a session and a subreaper before B is there, so that what
 * B leaves behind becomes M's.  M executes coffer-monitor while B is at work:
 * on two processors the monitor's own start costs nothing, and neither does
 * what M does before it (`beside`).  Until then it borrows the caller's memory,
 * which waits: the caller has nothing else to do, and a copy of its memory
 * costs as much as half of the monitor's start.  The plan goes along in sealed memory, descriptors at fixed
 *numbers (plan.h); the caller's end of the first connection tells when the container runs.
 */
#include "base/fd.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/helper.h"
#include "host/sealed_exe.h"
#include "monitor/conn.h"
#include "monitor/plan.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* All that M and B need, made before the fork. */
struct nest {
	const struct monitor_spawn *q;
	char *program;
	int plan, log;
	struct plan_stdio stdio;
	int report[2], client[2]; /* [0]: M's ends */
};
#define autonest __attribute__((cleanup(nest_free)))

static void nest_free(struct nest *n)
{
	free(n->program);
	plan_close_stdio(&n->stdio);
	fd_drop(&n->plan);
	fd_drop(&n->log);
	for (int i = 0; i < 2; i++) {
		fd_drop(&n->report[i]);
		fd_drop(&n->client[i]);
	}
}

static int make_plan(const struct monitor_plan *p, struct err *err)
{
	autofree char *text = plan_encode(p);

	if (!text)
		return err_oom(err);
	autoclose int fd = memfd_create("coffer-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* before 6.3 */
		fd = memfd_create("coffer-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(err, "cannot make memory for the monitor's plan");
	int r = fd_write_all(fd, text, strlen(text));
	if (r < 0)
		return err_num(err, r, "cannot write the monitor's plan");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(err, "cannot seal the monitor's plan");
	return take_fd(&fd);
}

static int nest_make(struct nest *n, struct err *err)
{
	const struct monitor_spawn *q = n->q;
	struct frame hello =
		conn_hello(q->attach_stdin, q->attach_stdout, q->attach_stderr, q->client_finishes);
	int r = helper_path("coffer-monitor", &n->program, err);

	if (r < 0)
		return r;
	n->log = plan_open_log(q->plan, err);
	if (n->log < 0 && q->plan->log != MONITOR_LOG_NONE)
		return n->log;
	n->plan = make_plan(q->plan, err);
	if (n->plan < 0)
		return n->plan;
	r = plan_open_stdio(q->plan, &n->stdio, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, n->report) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, n->client) < 0)
		return err_sys(err, "cannot make a pair of sockets for the monitor");
	r = frame_send(n->client[1], &hello, NULL, 0);
	return r < 0 ? err_num(err, r, "cannot talk to the monitor") : 0;
}

/* M tells the caller itself that it cannot become the monitor. */
static _Noreturn void monitor_failed(const struct nest *n, pid_t maker, const struct err *err)
{
	struct frame f = {.type = FRAME_FAILED, .a = err->code, .b = 125};

	memcpy(f.text, err->msg, sizeof(f.text));
	if (maker > 0)
		(void)kill(maker, SIGKILL); /* our child; what it left is found by its state on disk */
	ignore_result(frame_send(n->client[0], &f, NULL, 0) < 0); /* nobody left to tell */
	_exit(125);
}

static _Noreturn void be_maker(const struct nest *n)
{
	struct err err = {0};

	if (plan_become_maker(&n->stdio, n->report[1], true, &err) < 0) {
		struct monitor_made m = {MONITOR_MADE_NOTHING, .error = err.code, .exit_status = 125};
		memcpy(m.message, err.msg, sizeof(m.message));
		ignore_result(monitor_report(&m, &err)); /* an end without a word is told too */
		_exit(125);
	}
	n->q->make(n->q->data);
	_exit(0);
}

/* Descriptors to the numbers that coffer-monitor knows; none of them stands in the way of another. */
static int place_fds(const struct nest *n, struct err *err)
{
	const int from[PLAN_FDS_END] = {
		[PLAN_FD] = n->plan,
		[PLAN_REPORT_FD] = n->report[0],
		[PLAN_CLIENT_FD] = n->client[0],
		[PLAN_IN_FD] = n->stdio.to_in,
		[PLAN_OUT_FD] = n->stdio.from_out,
		[PLAN_ERR_FD] = n->stdio.from_err,
		[PLAN_LOG_FD] = n->log,
	};
	int high[PLAN_FDS_END];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);

	for (int i = PLAN_FD; i < PLAN_FDS_END; i++) {
		high[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, PLAN_FDS_END);
		if (from[i] >= 0 && high[i] < 0)
			return err_sys(err, "cannot duplicate the monitor's descriptors");
	}
	for (int i = 0; i < 3; i++)
		if (null < 0 || dup2(null, i) < 0)
			return err_sys(err, "cannot make /dev/null the monitor's descriptor %d", i);
	for (int i = PLAN_FD; i < PLAN_FDS_END; i++) {
		if (high[i] < 0)
			(void)close(i); /* mostly not open */
		else if (dup2(high[i], i) < 0)
			return err_sys(err, "cannot make the monitor's descriptor %d", i);
	}
	int r = fd_close_from(PLAN_FDS_END, NULL, 0, false);
	return r < 0 ? err_num(err, r, "cannot close the monitor's other descriptors") : 0;
}

static _Noreturn void be_monitor(const struct nest *n)
{
	struct err err = {0};
	char title[64];
	char *argv[] = {title, NULL};

	(void)snprintf(title, sizeof(title), "coffer-monitor: %.40s", n->q->plan->id); /* cut on purpose */
	/* The end of a child must not be missed while nobody listens: blocked, it waits through exec. */
	struct sigaction usual = {.sa_handler = SIG_DFL};
	sigset_t all, before;
	sigfillset(&all);
	if (setsid() < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1L) < 0 || sigaction(SIGCHLD, &usual, NULL) < 0 ||
	    sigprocmask(SIG_BLOCK, &all, &before) < 0)
		monitor_failed(n, 0, (err_sys(&err, "cannot make the monitor's session"), &err));
	pid_t maker = fork();
	if (maker < 0)
		monitor_failed(n, 0, (err_sys(&err, "cannot fork for the container"), &err));
	if (maker == 0) {
		(void)sigprocmask(SIG_SETMASK, &before, NULL); /* as it was: cannot fail */
		be_maker(n);
	}
	if (n->q->beside)
		n->q->beside(n->q->data);
	if (place_fds(n, &err) < 0) {
		/* The descriptors are as they may be: the caller sees the end of the connection. */
		(void)kill(maker, SIGKILL);
		_exit(125);
	}
	(void)umask(022);
	if (chdir("/") < 0)
		_exit(125);
	(void)execve(n->program, argv, environ); /* it returns on failure only */
	err_sys(&err, "cannot execute \"%s\"", n->program);
	struct nest placed = {.client = {PLAN_CLIENT_FD, -1}};
	monitor_failed(&placed, maker, &err);
}

int monitor_spawn(const struct monitor_spawn *q, struct monitor_conn *ret, struct err *err)
{
	autonest struct nest n = {.q = q,
				  .plan = -1,
				  .log = -1,
				  .stdio = {{-1, -1, -1}, -1, -1, -1},
				  .report = {-1, -1},
				  .client = {-1, -1}};
	int r = nest_make(&n, err);

	if (r == 0)
		r = sealed_exe_settle(err);
	if (r < 0)
		return r;
	pid_t pid = vfork(); /* be_monitor() never returns, and changes nothing that we look at */
	if (pid < 0)
		return err_sys(err, "cannot fork for the container's monitor");
	if (pid == 0)
		be_monitor(&n);
	int client = take_fd(&n.client[1]);
	plan_close_stdio(&n.stdio);
	/* Or their ends would never be seen, not by us, not by the monitor and not by the maker. */
	if (q->beside_fd)
		fd_drop(q->beside_fd);
	fd_drop(&n.client[0]);
	fd_drop(&n.report[0]);
	fd_drop(&n.report[1]);
	r = conn_welcome(client, ret, err);
	if (r < 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) /* it is gone, or about to be */
			;
		if (!err->exit_status)
			err->exit_status = 125;
		return r;
	}
	ret->monitor = pid;
	return 0;
}
