/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy of a process that was executed in a running sandbox.
 *
 * Whoever started it knows this process: by its pid, its cgroup, its terminal.
 * It gives its standard streams to the supervisor, passes signals on, and ends as
 * the guest's process does.  It is killed: the connection ends, and the supervisor
 * kills the process.
 */
#include "wire/supervisor.h"

#include "base/fd.h"
#include "base/str.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

static int write_strings(int argc, char **argv, uint32_t *ret_envc, struct err *err)
{
	char cwd[PATH_MAX];
	autoclose int fd = memfd_create("strings", MFD_CLOEXEC);
	uint32_t envc = 0;
	int r = 0;

	if (fd < 0)
		return err_sys(err, "cannot make a memory file");
	if (!getcwd(cwd, sizeof(cwd)))
		return err_sys(err, "cannot read the current working directory");
	for (int i = 0; i < argc && r == 0; i++)
		r = fd_write_all(fd, argv[i], strlen(argv[i]) + 1);
	for (; environ[envc] && r == 0; envc++)
		r = fd_write_all(fd, environ[envc], strlen(environ[envc]) + 1);
	if (r == 0)
		r = fd_write_all(fd, cwd, strlen(cwd) + 1);
	if (r < 0)
		return err_num(err, r, "cannot write the process's arguments");
	*ret_envc = envc;
	return take_fd(&fd);
}

static int ask_supervisor(int control, int request, const struct supervisor_args *a, struct err *err)
{
	struct supervisor_request q = {.kind = SUPERVISOR_EXEC, .flags = a->flags, .argc = (uint32_t)a->argc};
	struct supervisor_reply reply;
	autoclose int strings = write_strings(a->argc, a->argv, &q.envc, err);

	if (strings < 0)
		return strings;
	int fds[SUPERVISOR_FDS_MAX + SUPERVISOR_KEPT_MAX] = {request, strings, 0, 1, 2};
	if (a->keep > SUPERVISOR_KEPT_MAX)
		return err_set(err, E2BIG,
			       "at most %d descriptors can be handed on to a further process at this level",
			       SUPERVISOR_KEPT_MAX);
	for (int i = 0; i < a->keep; i++)
		fds[SUPERVISOR_FDS_MAX + i] = 3 + i;
	int r = supervisor_send(control, &q, fds, SUPERVISOR_FDS_MAX + (size_t)a->keep, err);
	if (r == 0)
		r = supervisor_receive(control, &reply, NULL, err);
	if (r < 0)
		return r;
	return reply.kind == SUPERVISOR_STARTED ? 0 : supervisor_refused(&reply, err);
}

/* Ends by the same signal where it can: who waits for us sees what would be seen of the process itself. */
static int end_as_guest(int status)
{
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	sigset_t set;
	(void)prctl(PR_SET_DUMPABLE, 0); /* no core of ours */
	(void)signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, WTERMSIG(status));
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* cannot fail */
	(void)raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

static int wait_for_end(int control, int signals, struct err *err)
{
	for (;;) {
		struct pollfd p[] = {{.fd = control, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
		struct signalfd_siginfo info;
		struct supervisor_reply reply;

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the process");
		if ((p[1].revents & POLLIN) && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
			const struct supervisor_request q = {.kind = SUPERVISOR_SIGNAL,
							     .signal = info.ssi_signo};
			int r = supervisor_send(control, &q, NULL, 0, err);
			if (r < 0)
				return r;
		}
		if (!(p[0].revents & (POLLIN | POLLHUP)))
			continue;
		int r = supervisor_receive(control, &reply, NULL, err);
		if (r == -ECONNRESET) { /* the sandbox is gone, and everything in it */
			*err = (struct err){0};
			return 128 + SIGKILL;
		}
		if (r < 0)
			return r;
		if (reply.kind == SUPERVISOR_EXITED)
			return end_as_guest(reply.status);
	}
}

int supervisor_join(int control, int request, const struct supervisor_args *a, bool keep_terminal,
		    struct err *err)
{
	sigset_t all;

	/* Before the process can exist: none is lost. */
	sigfillset(&all);
	sigdelset(&all, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &all, NULL); /* cannot fail */
	/* The terminal, if it is ours, shall be the guest's. */
	if (!keep_terminal)
		(void)ioctl(0, TIOCNOTTY); /* none: nothing to give up */
	autoclose int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_sys(err, "cannot make a signalfd");
	struct signalfd_siginfo info;
	while (!keep_terminal && read(signals, &info, sizeof(info)) > 0)
		; /* the hang-up that giving up the terminal is */
	int r = ask_supervisor(control, request, a, err);
	if (r < 0)
		return r;
	for (int fd = 0; fd < 3 + a->keep; fd++)
		(void)close(fd);
	return wait_for_end(control, signals, err);
}
