/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct job {
	struct source source;
	struct job *next;
	uint32_t id;
	uint16_t type;	   /* of the request */
	struct live *live; /* NULL = none */
};

/* ---- in the child ---- */

/* What the kernel gives to processes of a machine without an agent, as far as the agent took more. */
static int be_ordinary(const struct agent *a, const struct stdio *s, struct err *err)
{
	const struct rlimit files = {.rlim_cur = 1024, .rlim_max = 524288};
	sigset_t none;

	sigemptyset(&none);
	if (signal(SIGPIPE, SIG_DFL) == SIG_ERR || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return err_sys(err, "cannot reset signals");
	if (a->guest) {
		/* Not inherited by what is to be killed for want of memory. */
		autoclose int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || fd_write_all(fd, "0", 1) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
			return err_sys(err, "cannot reset the process's scores and limits");
	}
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_sys(err, "cannot open /dev/null");
	for (int i = 0; i < 3; i++)
		if (dup2(s->child[i] >= 0 ? s->child[i] : null, i) < 0)
			return err_sys(err, "cannot set standard stream %d", i);
	return 0;
}

static int send_answer(int sock, const struct job_result *result, const struct job_answer *answer)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec v[] = {
		{.iov_base = (void *)(uintptr_t)result, .iov_len = sizeof(*result)},
		{.iov_base = answer->more, .iov_len = answer->nmore},
	};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	if (answer->master >= 0) {
		m.msg_control = control.buf;
		m.msg_controllen = sizeof(control.buf);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &answer->master, sizeof(int));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static _Noreturn void job_main(struct agent *a, job_body *body, const struct job_order *o, int sock)
{
	struct job_result result = {0};
	struct job_answer answer = {.master = -1};
	struct err err = {0};

	int r = be_ordinary(a, &o->stdio, &err);
	if (r == 0)
		r = body(a, o, &answer, &err);
	result.pid = answer.pid;
	if (r < 0) {
		result.reply = (struct guest_reply){.code = r, .exit_status = err.exit_status};
		memcpy(result.text, err.msg, sizeof(result.text));
	}
	if (send_answer(sock, &result, &answer) < 0 && answer.pid > 0)
		(void)kill(answer.pid, SIGKILL); /* nobody would ever hear of it */
	_exit(0);
}

/* ---- in the agent ---- */

static void answer_failure(struct agent *a, const struct job *j, int code, const char *text, int exit_status)
{
	struct err err = {.exit_status = exit_status};

	(void)err_set(&err, code < 0 ? -code : EIO, "%s", text);
	channel_reply(a, j->id, -err.code, &err);
	if (j->type == GUEST_RUN)
		a->main_id = 0; /* there is no container: another may be tried */
	if (j->type == GUEST_FREEZE)
		freeze_failed(a);
	if (j->live)
		live_forget(a, j->live);
}

static void answer_process(struct agent *a, const struct job *j, const struct job_result *result, int *master)
{
	const struct err none = {0};
	struct err err = {0};

	channel_reply(a, j->id, 0, &none);
	j->live->pid = result->pid;
	if (streams_begin(a, j->live, take_fd(master), &err) < 0)
		agent_leave(a, "%s", err.msg);
	if (j->type == GUEST_RUN) {
		a->main_there = true;
		live_watch_memory(a);
	}
}

static void give_answer(struct agent *a, const struct job *j, const struct job_result *result, size_t len,
			int *master)
{
	const struct guest_frame f = {.type = GUEST_REPLY, .id = j->id, .len = sizeof(struct guest_reply)};
	bool whole = len >= sizeof(*result) && memchr(result->text, '\0', sizeof(result->text));

	if (!whole)
		answer_failure(a, j, -EIO, "the request's process ended without an answer", 0);
	else if (result->reply.code < 0)
		answer_failure(a, j, result->reply.code, result->text, result->reply.exit_status);
	else if (j->live)
		answer_process(a, j, result, master);
	else
		channel_send(a, &f, &result->reply, result + 1, len - sizeof(*result));
	/* From the next event on nothing is said (main.c). */
	if (whole && result->reply.code == 0 && j->type == GUEST_FREEZE) {
		a->frozen = true;
		a->freezing = false;
	}
}

/* -EAGAIN: nothing yet. */
static int receive_result(struct agent *a, struct job *j)
{
	static const size_t size = sizeof(struct job_result) + GUEST_ANSWER_MAX;
	autofree struct job_result *result = malloc(size);
	size_t nfds = 0;
	int fd = -1;

	if (!result)
		return -EAGAIN; /* the next turn */
	ssize_t n = fd_recv(j->source.fd, result, size, &fd, 1, &nfds);
	autoclose int master = nfds ? fd : -1;
	if (n == -EAGAIN || n == -EINTR)
		return -EAGAIN;
	give_answer(a, j, result, n < 0 ? 0 : (size_t)n, &master);
	return 0;
}

static void job_end(struct agent *a, struct job *j)
{
	watch_drop(a->epoll, &j->source);
	for (struct job **p = &a->jobs; *p; p = &(*p)->next) {
		if (*p == j) {
			*p = j->next;
			break;
		}
	}
	/* Not freed yet: the loop may have an event of it in hand. */
	j->next = a->done;
	a->done = j;
}

void job_sweep(struct agent *a)
{
	for (struct job *j; (j = a->done);) {
		a->done = j->next;
		free(j);
	}
}

static void job_ready(struct agent *a, struct source *s)
{
	(void)s;
	ignore_result(job_collect(a)); /* all that are there */
}

bool job_collect(struct agent *a)
{
	bool any = false;

	for (struct job *j = a->jobs, *next; j; j = next) {
		next = j->next;
		if (receive_result(a, j) == 0) {
			job_end(a, j);
			any = true;
		}
	}
	return any;
}

void job_start(struct agent *a, job_body *body, const struct job_order *o, struct live *live)
{
	struct job *j = calloc(1, sizeof(*j));
	struct job none = {.id = o->frame->id, .type = o->frame->type, .live = live};
	struct err err = {0};
	int s[2] = {-1, -1};
	pid_t pid = -1;

	if (!j)
		(void)err_oom(&err); /* told below */
	else if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0 ||
		 fd_set_nonblock(s[0], true) < 0 || (pid = fork()) < 0)
		(void)err_sys(&err, "cannot start the request's process"); /* told below */
	autoclose int ours = s[0], theirs = s[1];
	if (pid == 0)
		job_main(a, body, o, theirs);
	if (pid > 0) {
		*j = (struct job){.source = {.fd = take_fd(&ours), .ready = job_ready, .always = true},
				  .next = a->jobs,
				  .id = o->frame->id,
				  .type = o->frame->type,
				  .live = live};
		if (watch_add(a, a->epoll, &j->source, EPOLLIN) == 0) {
			a->jobs = j;
			return;
		}
		(void)err_sys(&err, "cannot watch the request's process"); /* told below */
		(void)kill(pid, SIGKILL);				   /* our child, not reaped */
		watch_drop(a->epoll, &j->source);
	}
	free(j);
	answer_failure(a, &none, -err.code, err.msg, 0);
}
