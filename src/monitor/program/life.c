/* SPDX-License-Identifier: Apache-2.0 */
/* From the maker's report to the last thing done; and again, where it is to be started again. */
#include "monitor/program/mon.h"

#include "base/file.h"
#include "base/proc.h"
#include "monitor/plan.h"
#include "monitor/report.h"
#include "monitor/run_dir.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { STOP_TIMEOUT = 10 }; /* s; where the plan says none */

static const char no_word[] = "the container's maker ended without a word (was it killed?)";

static void set_failure(struct mon *m, const struct monitor_made *made)
{
	m->failure = (struct err){.code = made->error, .exit_status = made->exit_status};
	memcpy(m->failure.msg, made->message, sizeof(m->failure.msg));
}

/* The container's first process is there. */
static void started(struct mon *m)
{
	struct run_running running = {.pid = m->pid, .started_at = mon_wall(), .restarts = m->restart.count};
	struct proc_stat st;

	m->phase = RUNNING;
	m->started_mono = mon_clock();
	m->started_at = running.started_at;
	/* 0 where it has ended already: then nothing is that process any more, which is right. */
	if (proc_stat(m->pid, &st) == 0)
		running.start_time = st.start_time;
	int r = run_dir_write_running(m->dirfd, &running);
	if (r < 0)
		err_num(&m->doomed, r, "cannot write \"%s/running\"", m->plan.run_dir);
	if (m->doomed.code) {
		(void)kill(m->pid, SIGKILL); /* our child, or about to be */
		return;
	}
	if (m->plan.tty && m->master >= 0) {
		ignore_result(fd_set_nonblock(m->master, true) < 0); /* of ours: cannot fail */
		/*
		 * A slave of our own: without it the terminal would hang up
		 * whenever the container's processes close theirs for a moment.
		 */
		m->slave = ioctl(m->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	}
	streams_begin(m);
	clients_welcome(m);
	if (m->restart.count > 0)
		mon_event(m, "start", -1);
	m->oom_at = m->started_mono + 100 * INT64_C(1000000); /* what ends before is none the wiser for it */
	probe_begin(m);
}

/* There will be no container this time. */
static void not_started(struct mon *m)
{
	m->ended = true;
	m->code = m->failure.exit_status ? m->failure.exit_status : EXIT_OWN_FAILURE;
	m->pid = 0;
	m->phase = DRAINING; /* of what the maker itself may have written */
}

static void ports_release(const int *held, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)close(held[i]); /* nothing was ever read or written */
}

static void ports_hold(struct mon *m, const struct monitor_made *made)
{
	free(m->held);
	m->held = made->n_held ? malloc(made->n_held * sizeof(*m->held)) : NULL;
	m->n_held = m->held ? made->n_held : 0;
	if (m->held)
		memcpy(m->held, made->held, made->n_held * sizeof(*m->held));
	else
		ports_release(made->held, made->n_held); /* published all the same, and leased */
}

void life_report(struct mon *m, unused void *arg, int fd, unused short revents)
{
	struct monitor_made made;
	struct err err = {0};

	if (fd != m->report)
		return;
	if (m->pid > 0 && m->reported) {
		if (layers_receive(m))
			fd_drop(&m->report);
		return;
	}
	int r = report_recv(fd, &made, &err);
	if (r == -EAGAIN)
		return;
	if (r == 1 && !m->reported) {
		m->reported = true;
		if (made.error > 0) { /* told when the maker is gone: nothing of it is left then */
			set_failure(m, &made);
			fd_drop(&made.root);
			fd_drop(&made.master);
			fd_drop(&made.dns_udp);
			fd_drop(&made.dns_tcp);
			ports_release(made.held, made.n_held);
		} else {
			m->pid = made.pid;
			fd_drop(&m->root);
			m->root = made.root;
			m->master = made.master;
			names_begin(m, made.dns_udp, made.dns_tcp);
			ports_hold(m, &made);
			started(m);
		}
		return;
	}
	fd_drop(&m->report);
	if (!m->reported)
		err_set(&m->failure, r < 0 ? -r : ECHILD, "%s", r < 0 ? err.msg : no_word);
	if (m->pid == 0 && m->phase == MAKING)
		not_started(m);
}

void life_child(struct mon *m, pid_t pid, int status)
{
	if (pid != m->pid || m->ended)
		return; /* a maker, a health check, an orphan */
	m->ended = true;
	m->code = proc_exit_code(status);
	/* A container's kernel ends with its init's code, and by a signal only where that was meant for it.
	 */
	m->kernel_signal = m->plan.isolation && !streq(m->plan.isolation, "ns") && WIFSIGNALED(status) &&
					   !m->restart.stopped
				   ? WTERMSIG(status)
				   : 0;
	if (m->phase == RUNNING)
		m->phase = DRAINING;
}

void life_stop(struct mon *m)
{
	int seconds = m->plan.stop_timeout > 0 ? m->plan.stop_timeout : STOP_TIMEOUT;

	m->restart.stopped = true;
	if (m->phase == WAITING)
		m->restart_at = mon_clock();
	if (m->pid <= 0 || m->ended)
		return;
	(void)kill(m->pid, m->plan.stop_signal > 0 ? m->plan.stop_signal : SIGTERM); /* our child */
	m->kill_at = mon_clock() + seconds * INT64_C(1000000000);
}

static char **list_argv(const str_list *l)
{
	char **v = calloc(l->n + 1, sizeof(*v));

	for (size_t i = 0; v && i < l->n; i++)
		v[i] = (char *)(uintptr_t)l->v[i];
	return v;
}

static _Noreturn void be_restart_maker(const struct mon *m, struct plan_stdio *s, int report)
{
	char **argv = list_argv(&m->plan.maker);
	struct err err = {0};

	/* Its descriptor for reports must be open before the others are closed. */
	int r = plan_become_maker(s, report, false, &err);
	int keep = MONITOR_REPORT_FD;
	if (r == 0)
		r = fd_close_from(3, &keep, 1, false);
	if (r == 0) {
		child_prepare(m, MONITOR_REPORT_FD + 1);
		if (argv)
			(void)execve(argv[0], argv, environ); /* it returns on failure only */
		err_sys(&err, "cannot execute \"%s\" to start the container again", m->plan.maker.v[0]);
	}
	struct monitor_made made = {MONITOR_MADE_NOTHING, .error = err.code, .exit_status = 125};
	memcpy(made.message, err.msg, sizeof(made.message));
	ignore_result(monitor_report(&made, &err)); /* an end without a word is told too */
	_exit(125);
}

static int make_again(struct mon *m, struct err *err)
{
	struct plan_stdio s;
	int report[2];
	int r = plan_open_stdio(&m->plan, &s, err);

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) < 0) {
		plan_close_stdio(&s);
		return err_sys(err, "cannot make a pair of sockets for the maker");
	}
	pid_t pid = fork();
	if (pid == 0)
		be_restart_maker(m, &s, report[1]);
	if (pid < 0)
		r = err_sys(err, "cannot fork to start the container again");
	(void)close(report[1]); /* the maker's */
	m->report = report[0];
	ignore_result(fd_set_nonblock(m->report, true) < 0); /* cannot fail */
	m->to_in = take_fd(&s.to_in);
	m->out.fd = take_fd(&s.from_out);
	m->err.fd = take_fd(&s.from_err);
	plan_close_stdio(&s);
	return r;
}

static void write_exit(struct mon *m, bool restarting)
{
	char why[96] = "";
	if (m->kernel_signal && !m->failure.code)
		(void)snprintf(why, sizeof(why), MONITOR_KERNEL_ENDED " %d (%s)", m->kernel_signal,
			       strsignal(m->kernel_signal)); /* cut is fine */
	struct run_exit e = {.code = m->code,
			     .oom = m->oom_killed,
			     .finished_at = m->finished_at,
			     .restarting = restarting,
			     .error = *why ? why : m->failure.msg};

	ignore_result(run_dir_write_exit(m->dirfd, &e) < 0); /* the clients are told in any case */
}

/* No run follows: whoever says that it will cleans up, and otherwise we see to it. */
static void finish_or_wait(struct mon *m)
{
	bool finisher = clients_tell_exit(m, false);

	m->phase = FINISHING;
	fd_drop(&m->listen);
	if (!finisher)
		life_finish(m);
	clients_end_output(m); /* now: a client that waits would be woken for each of them */
	groups_remove(m);
}

void life_make_again(struct mon *m)
{
	if (m->phase != WAITING)
		return;
	if (m->restart.stopped) { /* while it was waited for */
		write_exit(m, false);
		finish_or_wait(m);
		return;
	}
	m->phase = MAKING;
	m->pid = 0;
	m->ended = m->reported = m->oom_killed = false;
	m->kernel_signal = 0;
	m->failure = (struct err){0};
	if (make_again(m, &m->failure) < 0)
		not_started(m);
}

/*
 * Becomes the program that cleans up; where there is none, the container's
 * state stays for the engine's next command, which does the same.
 */
_Noreturn void life_finish(struct mon *m)
{
	char **argv = list_argv(&m->plan.finish);

	if (m->plan.finish.n == 0 || !argv)
		_exit(0);
	ignore_result(unlinkat(m->dirfd, "attach.sock", 0) < 0); /* nobody listens any more */
	child_prepare(m, 3);
	(void)execve(argv[0], argv, environ);
	_exit(EXIT_OWN_FAILURE);
}

/*
 * A client has cleaned up.  What takes time on a disk it has only moved aside:
 * nobody waits for us to remove it.  What is too deep for us is the engine's.
 */
_Noreturn void life_finished(struct mon *m)
{
	fd_drop(&m->root); /* what is to be removed is not in use any more */
	int dir = m->plan.trash ? open(m->plan.trash, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (dir >= 0 && file_remove_tree_at(dir, m->plan.id) < 0)
		life_finish(m);
	_exit(0);
}

/* A container that the monitor itself did not want, or the first that could not be made: the engine undoes
 * it. */
static _Noreturn void give_up(struct mon *m)
{
	clients_tell_failure(m, m->doomed.code ? &m->doomed : &m->failure, no_word);
	run_dir_clean(m->dirfd);
	_exit(EXIT_OWN_FAILURE);
}

/*
 * The first process is gone: that is written down at once, whatever is still
 * to be read by a client that takes its time.
 */
static void begin_end(struct mon *m)
{
	int64_t ran = m->started_mono ? mon_clock() - m->started_mono : 0;
	bool first_failed = m->failure.code && m->restart.count == 0;

	m->told = true;
	m->kill_at = m->probe_at = m->oom_at = 0;
	probe_cancel(m);
	clients_tell_checked(m, 0, "the container has just ended");
	if (m->pid > 0 && !m->failure.code)
		oom_look(m);
	oom_free(m);
	if (m->doomed.code || first_failed) /* for the engine it has never been there */
		return;
	m->delay = m->plan.maker.n > 0 ? restart_after(&m->restart, m->code, ran) : -1;
	m->finished_at = mon_wall();
	write_exit(m, m->delay >= 0);
	m->pid = 0;
}

/* Its last byte is out, too. */
static void end_run(struct mon *m)
{
	bool again = m->delay >= 0 && !m->restart.stopped;

	if (m->doomed.code || (m->failure.code && m->restart.count == 0))
		give_up(m);
	streams_close(m);
	names_end(m);
	/* Before the next run, which takes the same ports. */
	ports_release(m->held, m->n_held);
	m->n_held = 0;
	if (again)
		mon_event(m, "die", m->code);
	m->started_mono = 0;
	m->told = false;
	if (!again) {
		finish_or_wait(m);
		return;
	}
	fd_drop(&m->root);		  /* the next one is another mount of the same directories */
	(void)clients_tell_exit(m, true); /* nobody finishes now */
	m->phase = WAITING;
	m->restart_at = mon_clock() + m->delay;
}

/* After each turn of the loop: the phases that go on by themselves. */
void life_step(struct mon *m)
{
	if (m->phase == RUNNING && m->ended)
		m->phase = DRAINING;
	if (m->phase == DRAINING) {
		if (!m->told)
			begin_end(m);
		if (streams_drain(m))
			end_run(m);
	} else if (m->phase == FINISHING) {
		for (size_t i = 0; i < CLIENTS_MAX; i++)
			if (m->clients[i].fd >= 0 && (m->clients[i].wants & FRAME_FINISHES))
				return;
		life_finish(m); /* it is gone without having said that it is done */
	}
}
