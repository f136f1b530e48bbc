/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-agent: pid 1 of a virtual machine, or, with --socket FD, the same
 * without a machine of its own (for tests): then it mounts nothing by itself,
 * leaves clock and entropy alone, and removes the container at its end.  DIR
 * in --ports DIR has sockets for the ports that a machine would get later.
 *
 * A forker.  It trusts the keeper, who made the machine, but not its mistakes:
 * a request that makes no sense is answered with an error; a stream of bytes
 * that makes none ends the machine.
 */
#include "agent/agent.h"
#include "agent/job.h"

#include "base/str.h"
#include "host/sysctl.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

enum { EVENTS_AT_ONCE = 32 };

int watch_add(struct agent *a unused, int epoll, struct source *s, uint32_t events)
{
	struct epoll_event e = {.events = events, .data = {.ptr = s}};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &e) < 0)
		return -errno;
	s->watched = true;
	return 0;
}

void watch_drop(int epoll, struct source *s)
{
	/* A child in the making may have the same pipe: closing alone would not end the watch. */
	if (s->fd >= 0 && s->watched)
		(void)epoll_ctl(epoll, EPOLL_CTL_DEL, s->fd, NULL); /* it is there */
	s->watched = false;
	fd_drop(&s->fd);
}

void agent_warn(const struct agent *a, const char *text)
{
	(void)dprintf(a->log, "coffer-agent: %s\n", text); /* nobody else to tell */
}

void agent_leave(struct agent *a, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut if long */
	va_end(ap);
	if (!a->leaving)
		agent_warn(a, text);
	a->leaving = true;
}

static void on_warning(void *data, const char *text)
{
	agent_warn(data, text);
}

static void children_ready(struct agent *a, struct source *s)
{
	struct signalfd_siginfo info[8];

	ignore_result(read(s->fd, info, sizeof(info)) < 0); /* that there was one is all that is to know */
	live_reap(a);
}

static void take_events(struct agent *a, int epoll, int timeout)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int n = epoll_wait(epoll, events, EVENTS_AT_ONCE, timeout);

	for (int i = 0; i < n && !a->leaving; i++) {
		struct source *s = events[i].data.ptr;
		/* Dropped by an event before it in this turn; or it says what a frozen machine must not. */
		if (s->fd < 0 || (a->frozen && !s->always))
			continue;
		s->ready(a, s);
	}
}

static void outputs_ready(struct agent *a, struct source *s)
{
	take_events(a, s->fd, 0);
}

static int agent_set_up(struct agent *a, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return err_sys(err, "cannot set signals");
	a->epoll = epoll_create1(EPOLL_CLOEXEC);
	a->readers = epoll_create1(EPOLL_CLOEXEC);
	a->signals = (struct source){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
				     .ready = children_ready};
	a->outputs = (struct source){.fd = a->readers, .ready = outputs_ready};
	a->port.ready = channel_ready;
	a->port.always = true;
	a->oom = (struct source){.fd = -1, .ready = live_oom};
	if (a->epoll < 0 || a->readers < 0 || a->signals.fd < 0 ||
	    watch_add(a, a->epoll, &a->signals, EPOLLIN) < 0 ||
	    watch_add(a, a->epoll, &a->outputs, EPOLLIN) < 0 || watch_add(a, a->epoll, &a->port, EPOLLIN) < 0)
		return err_sys(err, "cannot watch what there is to be watched");
	a->port.watched = false; /* of the port: whether its room is waited for (channel.c) */
	const struct runtime_flags flags = {.root = "/run/coffer/state", .rootless = "false"};
	int r = runtime_setup(&flags, &a->rt, err);
	a->rt.warn = on_warning;
	a->rt.warn_data = a;
	return r;
}

static void agent_loop(struct agent *a)
{
	while (!a->leaving) {
		take_events(a, a->epoll, -1);
		live_sweep(a);
		job_sweep(a);
		channel_flush(a);
	}
}

/*
 * Nothing of a test stays on its machine.  A child removes the container: a
 * pid namespace has not ended before all that were in it are reaped, and what
 * was executed in it is ours to reap.
 */
static void wind_up(struct agent *a)
{
	struct err err = {0};
	members_end(a);
	pid_t pid = a->main_id ? fork() : 0, ended;

	if (a->main_id && pid == 0) {
		if (runtime_delete(&a->rt, a->id, true, &err) < 0 && err.code != ENOENT)
			agent_warn(a, err.msg);
		_exit(0);
	}
	for (size_t i = 0; i < LIVE_BUCKETS; i++)
		for (const struct live *l = a->live[i]; l; l = l->next)
			if (l->pid > 0)
				(void)kill(l->pid, SIGKILL); /* our child, not reaped */
	do
		ended = pid > 0 ? wait(NULL) : waitpid(-1, NULL, WNOHANG);
	while (ended > 0 && ended != pid);
}

int agent_serve(struct agent *a, struct err *err)
{
	int r = boot_ready(a, err);

	if (r == 0)
		r = agent_set_up(a, err);
	if (r == 0)
		agent_loop(a);
	return r;
}

/* The keeper ends the machine's process in any case; a reset makes the hypervisor end by itself. */
static _Noreturn void power_off(void)
{
	sync();
	(void)reboot(RB_AUTOBOOT); /* as pid 1 of a machine: does not return */
	_exit(1);		   /* the kernel's panic resets it as well */
}

int main(int argc, char **argv)
{
	struct agent a = {.id = "guest",
			  .share_port = -1,
			  .log = STDERR_FILENO,
			  .port = {.fd = -1},
			  .in = {.max_payload = GUEST_PAYLOAD_MAX}};
	struct err err = {0};
	uint64_t fd;
	int r;

	bool ports = argc == 5 && streq(argv[3], "--ports");
	if ((argc == 3 || ports) && streq(argv[1], "--socket") && str_to_u64(argv[2], 10, &fd) == 0 &&
	    fd <= INT_MAX) {
		a.ports = ports ? argv[4] : "/nonexistent";
		a.port.fd = (int)fd;
		a.log = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		r = fd_set_cloexec(a.port.fd, true);
		if (r == 0 && (a.log < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0))
			r = -errno;
		if (r < 0)
			(void)err_num(&err, r, "cannot use descriptor %d", a.port.fd); /* told below */
	} else if (getpid() == 1) {
		a.guest = true;
		sysctl_own_machine();
		r = boot_guest(&a, &err);
	} else {
		(void)fprintf(stderr, "coffer-agent is /init of a virtual machine that coffer makes; type "
				      "`coffer run --isolation=vm IMAGE`\n");
		return 1;
	}
	if (r == 0)
		r = agent_serve(&a, &err);
	if (r < 0)
		agent_warn(&a, err.msg);
	if (a.guest)
		power_off();
	wind_up(&a);
	return r < 0;
}
