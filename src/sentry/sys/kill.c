/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending signals.
 *
 * Signals are the host's own, and the stubs' pids are the guest's; but all
 * stubs are one user to the host, so that who may signal whom is decided
 * here, by the guest's ids, and then the host executes the call with the same
 * registers: sender, order and queueing are exact.  Where only some of a group
 * may be signalled, the sentry does it one by one.
 *
 * A pid that no living process has goes to the host as well: it knows about
 * zombies, which may be signalled without effect.
 */
#include "sentry/guest.h"
#include "sentry/io/io.h"
#include "sentry/platform/platform.h"
#include "sentry/sys/creds_int.h"
#include "sentry/sys/proc_text.h"

#include <signal.h>
#include <sys/syscall.h>

static bool valid_signal(int sig)
{
	return sig >= 0 && sig <= 64;
}

/* ---- descriptors of signals are told ---- */

static int recheck(struct process *p, void *data)
{
	(void)data;
	signalfd_recheck(p);
	return 0;
}

static long sent(struct task *t, struct call *c, long result, uint64_t scratch)
{
	(void)t;
	(void)c;
	(void)scratch;
	process_each(recheck, NULL);
	return result;
}

static int has_signalfd(struct process *p, void *data)
{
	(void)data;
	return !list_empty(&p->signalfds);
}

/* The host sends it; whoever has a descriptor of signals looks at what became pending.  `to`: NULL = many. */
static long by_host(struct task *t, struct call *c, struct process *to)
{
	bool listens = to ? has_signalfd(to, NULL) : process_each(has_signalfd, NULL);

	return listens ? platform_call(t, c, c->nr, c->args, NULL, 0, sent) : CALL_HOST;
}

long signal_by_host(struct task *t, struct call *c, const struct process *to, pid_t thread, int sig,
		    uint64_t info)
{
	const uint64_t of_thread[6] = {(uint64_t)to->pid, (uint64_t)thread, (uint64_t)sig, info};
	const uint64_t args[6] = {(uint64_t)to->pid, (uint64_t)sig, info};

	if (thread)
		return platform_call(t, c, info ? SYS_rt_tgsigqueueinfo : SYS_tgkill, of_thread, NULL, 0,
				     sent);
	return platform_call(t, c, info ? SYS_rt_sigqueueinfo : SYS_kill, args, NULL, 0, sent);
}

/* ---- who may ---- */

pid_t process_group(const struct process *p)
{
	const struct task *leader = process_task(p);
	char text[4096];

	if (!leader || task_host_proc(leader, "status", text, sizeof(text)) < 0)
		return 0;
	return (pid_t)status_last_number(text, "NSpgid");
}

struct many {
	struct task *sender;
	int sig;
	pid_t group; /* 0 = everybody but pid 1 and the sender's process */
	bool send;   /* the second pass */
	size_t members, allowed, sent;
};

/*
 * The first process of a pid namespace gets no signal from within that it has no handler for; for the host
 * the sentry is outside, and may kill it.
 */
static bool init_is_deaf(const struct process *p, int sig)
{
	char text[4096];

	if (p->pid != 1 || task_host_proc(process_task(p), "status", text, sizeof(text)) < 0)
		return false;
	return !(status_bits(text, "SigCgt") >> (sig - 1) & 1);
}

static int visit_many(struct process *p, void *data)
{
	struct many *m = data;
	const struct task *leader = process_task(p);

	if (!leader)
		return 0;
	if (m->group ? process_group(p) != m->group : p->pid == 1 || p == m->sender->process)
		return 0;
	m->members++;
	if (!may_signal(m->sender, leader, m->sig))
		return 0;
	m->allowed++;
	if (m->send && (m->sig == 0 || init_is_deaf(p, m->sig) || process_signal(p, m->sig) == 0))
		m->sent++;
	return 0;
}

/* One visit with the rights of the sender; the host's answer where all may be signalled, or none is there. */
static long kill_many(struct task *t, struct call *c, pid_t group, int sig)
{
	struct many m = {.sender = t, .sig = sig, .group = group};

	/* The common case costs no look at the groups. */
	if (task_capable(t, CAP_KILL))
		return by_host(t, c, NULL);
	process_each(visit_many, &m);
	if (m.allowed == m.members)
		return by_host(t, c, NULL);
	if (!m.allowed)
		return group ? -EPERM : 0; /* kill(-1) forgets about EPERM */
	m.send = true;
	process_each(visit_many, &m);
	process_each(recheck, NULL);
	return 0;
}

HANDLER(sys_kill)
{
	pid_t pid = (pid_t)c->args[0];
	int sig = (int)c->args[1];
	struct process *p;

	if (!valid_signal(sig))
		return CALL_HOST; /* EINVAL, or ESRCH where there is nobody */
	if (pid == INT_MIN)
		return -ESRCH;
	if (pid == -1)
		return kill_many(t, c, 0, sig);
	if (pid <= 0)
		return kill_many(t, c, pid ? -pid : process_group(t->process), sig);
	p = process_find(pid);
	/* The id of a thread that leads no process names the process to kill(2) as well. */
	if (!p) {
		const struct task *thread = task_find(pid);

		p = thread ? thread->process : NULL;
	}
	if (!p)
		return CALL_HOST;
	return may_signal(t, process_task(p), sig) ? by_host(t, c, p) : -EPERM;
}

/* tkill and tgkill; tgid 0 = any. */
static long kill_thread(struct task *t, struct call *c, pid_t tgid, pid_t tid, int sig)
{
	const struct task *to = task_find(tid);

	if (!to || !valid_signal(sig) || (tgid && to->process->pid != tgid))
		return CALL_HOST; /* the host knows which error comes first */
	return may_signal(t, to, sig) ? by_host(t, c, to->process) : -EPERM;
}

HANDLER(sys_tkill)
{
	pid_t tid = (pid_t)c->args[0];

	return tid <= 0 ? -EINVAL : kill_thread(t, c, 0, tid, (int)c->args[1]);
}

HANDLER(sys_tgkill)
{
	pid_t tgid = (pid_t)c->args[0], tid = (pid_t)c->args[1];

	return tgid <= 0 || tid <= 0 ? -EINVAL : kill_thread(t, c, tgid, tid, (int)c->args[2]);
}

/* The siginfo is checked by the host, which takes a forged sender from nobody but the process itself. */
HANDLER(sys_rt_sigqueueinfo)
{
	return kill_thread(t, c, 0, (pid_t)c->args[0], (int)c->args[1]);
}

HANDLER(sys_rt_tgsigqueueinfo)
{
	pid_t tgid = (pid_t)c->args[0], tid = (pid_t)c->args[1];

	return tgid <= 0 || tid <= 0 ? -EINVAL : kill_thread(t, c, tgid, tid, (int)c->args[2]);
}
