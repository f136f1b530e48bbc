/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/sys.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

int proc_stat(pid_t pid, struct proc_stat *ret)
{
	char path[32], buf[1024];
	struct proc_stat st = {0};
	unsigned long long start = 0;
	int ppid = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid); /* always fits */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	ssize_t n = fd_read_full(fd, buf, sizeof(buf) - 1);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	/* The command name stands in parentheses and may hold anything, ')' included. */
	char *p = strrchr(buf, ')');
	if (!p ||
	    sscanf(p + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &st.state, &ppid, &start) != 3)
		return -EIO;
	st.ppid = ppid;
	st.start_time = start;
	*ret = st;
	return 0;
}

bool proc_alive(pid_t pid, uint64_t start_time)
{
	struct proc_stat st;

	if (pid <= 0 || proc_stat(pid, &st) < 0)
		return false;
	return st.start_time == start_time && st.state != 'Z' && st.state != 'X';
}

int proc_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

int proc_exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static _Noreturn void run_child(const struct proc_run *run, int in, int out)
{
	sigset_t none;
	static const char *const empty[] = {NULL};

	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(126);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	if (sys_close_range(3, ~0U, 0) < 0)
		_exit(126);
	if (run->cwd && chdir(run->cwd) < 0)
		_exit(126);
	const char *path = run->path ? run->path : run->argv[0];
	execve(path, (char **)(uintptr_t)run->argv, (char **)(uintptr_t)(run->envp ? run->envp : empty));
	char text[64];
	dprintf(2, "%s: %s", path, err_text_lower(errno, text));
	_exit(127);
}

struct pump {
	const char *input;
	size_t left;
	int in, out; /* our ends: what the program reads, what it writes */
	struct str *kept;
	size_t max;
};

/* One step of feeding and reading.  0 at the end of the output, 1 to go on, -errno. */
static int pump_step(struct pump *p, int wait_ms)
{
	struct pollfd fds[2] = {{.fd = p->out, .events = POLLIN}, {.fd = p->in, .events = POLLOUT}};
	char buf[4096];

	int n = poll(fds, 2, wait_ms);
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	if (fds[1].revents) {
		ssize_t w = p->left ? write(p->in, p->input, MIN_OF(p->left, sizeof(buf))) : 0;
		if (w > 0) {
			p->input += w;
			p->left -= (size_t)w;
		}
		/* A program that does not read its input (EPIPE) is within its rights. */
		if (p->left == 0 || (w < 0 && errno != EAGAIN && errno != EINTR))
			fd_drop(&p->in);
	}
	if (fds[0].revents) {
		ssize_t r = read(p->out, buf, sizeof(buf));
		if (r == 0)
			return 0;
		if (r < 0)
			return errno == EAGAIN || errno == EINTR ? 1 : -errno;
		if (p->kept->len < p->max)
			str_put_n(p->kept, buf, MIN_OF((size_t)r, p->max - p->kept->len));
	}
	return 1;
}

/* Feeds and reads until the program has ended.  Returns its status or -errno (the program is dead then). */
static int pump_run(struct pump *p, pid_t pid, int timeout_ms)
{
	int64_t end = timeout_ms > 0 ? clock_ms() + timeout_ms : INT64_MAX;

	for (;;) {
		int64_t left = end == INT64_MAX ? 1000 : end - clock_ms();
		int r = left <= 0 ? -ETIMEDOUT : pump_step(p, (int)MIN_OF(left, 50));
		int status;
		pid_t done = waitpid(pid, &status, WNOHANG);

		/* A grandchild may hold the output open for ever: the program's own end is what counts. */
		if (done == pid) {
			while (r == 1 && p->out >= 0 && (r = pump_step(p, 0)) == 1) {
				struct pollfd more = {.fd = p->out, .events = POLLIN};
				if (poll(&more, 1, 0) <= 0)
					break;
			}
			return status;
		}
		if (done < 0 && errno != EINTR) /* its end would never be seen */
			r = -errno;
		if (r == 0) { /* output closed; wait for the end without spinning */
			fd_drop(&p->out);
			if (end == INT64_MAX && p->in < 0)
				return proc_wait(pid);
			struct timespec nap = {.tv_nsec = 1000000};
			(void)nanosleep(&nap, NULL); /* a short nap is a short nap */
		} else if (r < 0) {
			(void)kill(pid, SIGKILL); /* ours, unreaped: cannot be another's */
			ignore_result(proc_wait(pid));
			return r;
		}
	}
}

int proc_run(const struct proc_run *run, char **ret_output, struct err *err)
{
	int in[2], out[2];
	struct str kept autostr = {0};

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe for %s", run->argv[0]);
	autoclose int in_r = in[0], in_w = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe for %s", run->argv[0]);
	autoclose int out_r = out[0], out_w = out[1];
	if (fd_set_nonblock(in_w, true) < 0 || fd_set_nonblock(out_r, true) < 0)
		return err_sys(err, "cannot set up pipes for %s", run->argv[0]);

	/* SIGPIPE must not end us when the program closes its input early. */
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	if (sigaction(SIGPIPE, &ignore, &before) < 0)
		return err_sys(err, "cannot ignore SIGPIPE");
	pid_t pid = fork();
	if (pid == 0) {
		(void)sigaction(SIGPIPE, &before, NULL); /* same arguments as above: cannot fail */
		run_child(run, in_r, out_w);
	}
	if (pid < 0)
		return err_sys(err, "cannot fork for %s", run->argv[0]);
	fd_drop(&in_r);
	fd_drop(&out_w);
	struct pump p = {.input = run->input,
			 .left = run->input ? run->input_len : 0,
			 .in = take_fd(&in_w),
			 .out = take_fd(&out_r),
			 .kept = &kept,
			 .max = run->output_max};
	int status = pump_run(&p, pid, run->timeout_ms);
	fd_drop(&p.in);
	fd_drop(&p.out);
	(void)sigaction(SIGPIPE, &before, NULL); /* as above */
	if (status < 0)
		return err_num(err, status, "cannot run %s", run->argv[0]);
	if (ret_output) {
		char *text = str_take(&kept);
		if (!text)
			return err_oom(err);
		*ret_output = text;
	}
	return status;
}
