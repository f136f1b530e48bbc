/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tracer: the main thread, asleep in waitid.
 *
 * It hears of births, execs, ends, of each signal just before its delivery,
 * and of calls that need other registers (SECCOMP_RET_TRACE).  Nothing else
 * stops a guest's thread.  Events are looked at before they are taken
 * (WNOWAIT): an end must be dealt with before the guest's own parent can see
 * it, and that it can as soon as we have taken it.  A stop is taken only
 * where the thread stays in it.
 *
 * Other threads reach the tracer by trace_request(), which signals the
 * zygote: its stop is an event like any other.  Waiting in waitid instead of
 * a poll matters: the host wakes the waiter on the processor of the stopping
 * thread, which is cheap.
 */
#include "sentry/fs/tree.h"
#include "sentry/platform/platform_int.h"

#include "base/err.h"
#include "sentry/boot.h"
#include "sentry/sys/proc_text.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { DOUBTS_MAX = 2 };

enum { ORPHAN_LOOKS = 20 };
static const int64_t orphan_interval = INT64_C(200000000);

/* Stopped at birth, and its parent has not told of it yet. */
struct orphan {
	pid_t pid;
	unsigned looks;
};

static struct {
	pid_t main_tid;
	struct trace_request *requests;
	struct orphan *orphans;
	size_t norphans, orphans_size;
	struct kernel_timer orphan_timer;
	struct list_node doubtful; /* platform_task: held until the zygote has asked */
	bool zygote_sent;	   /* to ask, since the last one came in doubt */
	bool ended;
	int status; /* of the guest's first process */
	int fault;  /* the signal that it should have ended by; 0 = none */
} tracer = {.doubtful = {&tracer.doubtful, &tracer.doubtful}};

int trace_ptrace(int request, pid_t pid, uintptr_t data)
{
	return ptrace(request, pid, NULL, data) < 0 ? -errno : 0; /* ESRCH: killed; its end is heard of */
}

bool trace_is_main(void)
{
	return syscall(SYS_gettid) == tracer.main_tid;
}

static void go_on(pid_t pid, int sig)
{
	(void)trace_ptrace(PTRACE_CONT, pid, (uintptr_t)sig);
}

/* It stays stopped: the event is taken, so that the next one can be seen. */
static void keep_stopped(pid_t pid)
{
	int status;
	(void)waitpid(pid, &status, __WALL | WNOHANG | WSTOPPED);
}

/* ---- requests of other threads ---- */

/*
 * Stops the zygote, which wakes the tracer, and then has it ask again.  Not while its question is on its way:
 * interrupted there, its number would be missing, and look like another's call (is_doubtful).  What is to be
 * done then is seen when it has come.
 */
static void ring_zygote(void)
{
	if (!zygote.waits)
		return;
	zygote.waits = false;
	(void)kill(zygote.pid, SIGUSR1); /* where it has gone, the sandbox ends */
}

void trace_request(struct trace_request *q)
{
	if (q->queued)
		return;
	q->queued = true;
	q->next = NULL;
	struct trace_request **end = &tracer.requests;
	bool ring = !*end;
	while (*end)
		end = &(*end)->next;
	*end = q;
	if (ring && !trace_is_main())
		ring_zygote();
}

void trace_request_drop(struct trace_request *q)
{
	if (!q->queued)
		return;
	struct trace_request **at = &tracer.requests;
	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	q->queued = false;
}

static void run_requests(void)
{
	while (tracer.requests) {
		struct trace_request *q = tracer.requests;
		tracer.requests = q->next;
		q->queued = false;
		q->run(q);
	}
}

/* ---- births ---- */

static bool orphan_take(pid_t pid)
{
	for (size_t i = 0; i < tracer.norphans; i++) {
		if (tracer.orphans[i].pid == pid) {
			tracer.orphans[i] = tracer.orphans[--tracer.norphans];
			return true;
		}
	}
	return false;
}

static void arm_orphan_timer(void)
{
	if (!tracer.orphan_timer.armed &&
	    timer_arm(&tracer.orphan_timer, now_monotonic() + orphan_interval) < 0)
		kernel_log("no memory for a timer");
}

/*
 * A parent that was killed before it could tell of its child takes it along, as if it had been killed just
 * before.  Looks are counted, and not time: a sandbox that was frozen, or had no processor for long, has a
 * parent that will tell.
 */
static void orphans_kill(struct kernel_timer *timer unused)
{
	for (size_t i = 0; i < tracer.norphans; i++)
		if (++tracer.orphans[i].looks >= ORPHAN_LOOKS)
			(void)kill(tracer.orphans[i].pid, SIGKILL); /* its end is heard of */
	if (tracer.norphans)
		arm_orphan_timer();
}

static void orphan_add(pid_t pid)
{
	if (tracer.norphans == tracer.orphans_size) {
		size_t size = tracer.orphans_size + 64;
		struct orphan *more = realloc(tracer.orphans, size * sizeof(*more));
		if (!more) {
			(void)kill(pid, SIGKILL);
			return;
		}
		tracer.orphans = more;
		tracer.orphans_size = size;
	}
	tracer.orphans[tracer.norphans++] = (struct orphan){pid, 0};
	tracer.orphan_timer.fire = orphans_kill;
	arm_orphan_timer();
}

static uint64_t clone_flags_of(const struct arch_regs *regs)
{
	uint64_t args[6];
	switch (arch_call_nr(regs)) {
	case SYS_clone:
		arch_call_args(regs, args);
		return (uint32_t)args[0];
	case SYS_vfork:
		return CLONE_VFORK | CLONE_VM | SIGCHLD;
	default:
		return SIGCHLD;
	}
}

/* A clone whose registers were changed is stopped once more at its end. */
static void go_on_cloning(const struct task *t)
{
	(void)trace_ptrace(t->platform->before_clone ? PTRACE_SYSCALL : PTRACE_CONT, t->host_tid, 0);
}

/* What a child does not take over of its parent's registers. */
static void first_stop(struct task *t)
{
	(void)birth_restore(t); /* it need not be of a clone with other registers */
	if (t->platform->awaited)
		mask_spares_no_more(t);
	t->platform->awaited = false;
	handoff_born(t);
}

static void on_birth(struct task *parent)
{
	unsigned long pid = 0;
	struct arch_regs regs;
	if (ptrace(PTRACE_GETEVENTMSG, parent->host_tid, NULL, &pid) < 0 ||
	    arch_get(parent->host_tid, &regs) < 0)
		return; /* killed */
	pid_t child = (pid_t)pid, inner = guest_pid(child);
	struct task *t = inner > 0 ? task_clone(parent, clone_flags_of(&regs), child, inner) : NULL;
	if (!t || patch_birth(parent, t, clone_flags_of(&regs)) < 0)
		(void)kill(child, SIGKILL); /* no memory for it: as if it had been the OOM killer's choice */
	if (t) {
		shadow_birth(parent, t, clone_flags_of(&regs));
		handoff_birth(parent, t, clone_flags_of(&regs));
		t->platform->mask.spared = parent->platform->mask.spared;
		t->platform->awaited = true;
		birth_finish(parent, t);
	}
	if (orphan_take(child)) {
		if (t)
			first_stop(t);
		go_on(child, 0);
	}
	go_on_cloning(parent);
}

/* ---- signals ---- */

bool trace_signal_caught(const struct task *t, int sig)
{
	char text[4096];
	if (task_host_proc(t, "status", text, sizeof(text)) < 0)
		return true;
	return !status_line(text, "SigCgt") || status_bits(text, "SigCgt") >> (sig - 1) & 1;
}

/* The host shows an interrupted notification as this call having returned -ERESTARTSYS. */
static bool shows_interrupted(const struct task *t, const struct arch_regs *regs)
{
	return arch_result(regs) == RESTART_SYS && arch_call_nr(regs) == t->call.nr;
}

static void set_result(struct task *t, struct arch_regs *regs, long result)
{
	if (result > RESTART_SYS || result < RESTART_NOHAND)
		arch_end_call(regs, result);
	else
		arch_change_result(regs, result);
	(void)arch_set(t->host_tid, regs); /* killed: no matter */
}

/* A signal is about to be delivered to a thread whose call waits. */
static void interrupt_parked(struct task *t, struct arch_regs *regs, int sig)
{
	struct call *c = &t->call;
	/* No handler: the host restarts the call, and it must find its deadline and what it has done. */
	bool matters = c->deadline != INT64_MAX || c->done || c->data || t->platform->mask.state != MASK_OWN;
	if (matters && !trace_signal_caught(t, sig))
		return;
	const struct call_row *row = call_row(c->nr);
	long result = c->done			? (long)c->done
		      : c->timed		? -EINTR
		      : row && row->interrupted ? row->interrupted
						: RESTART_SYS;
	call_abandon(t);
	call_trace(t, c, result);
	set_result(t, regs, result);
}

/*
 * Of all that the host does by itself this alone is not restarted where nobody has a handler.  With a limit
 * of time, which would begin anew each time, it is not either, but `once`.
 */
bool trace_waits_again(struct arch_regs *regs, bool once)
{
	uint64_t args[6];
	arch_call_args(regs, args);
	if (arch_call_nr(regs) != SYS_rt_sigtimedwait || arch_result(regs) != -EINTR || (args[2] && !once))
		return false;
	arch_change_result(regs, RESTART_NOHAND);
	return true;
}

/*
 * The signal came before the call reached us.  On Linux it would have come before or after the call: calls
 * that do not wait know no EINTR, and those that do wait from now on.
 */
static void begin_again(const struct task *t)
{
	struct arch_regs regs;
	const struct call_row *row;
	if (arch_get(t->host_tid, &regs) < 0)
		return;
	row = call_row(arch_call_nr(&regs));
	if (arch_result(&regs) != RESTART_SYS) {
		if (!trace_waits_again(&regs, false))
			return;
	} else {
		/* What the host may be at by itself has its own rules; mmap, which may be as well, does not
		 * wait there. */
		if (!row || (row->route != ROUTE_TRAP && arch_call_nr(&regs) != SYS_mmap))
			return;
		arch_change_result(&regs, RESTART_NOINTR);
	}
	(void)arch_set(t->host_tid, &regs); /* killed: no matter */
}

/*
 * The answer to the last call was sent, and the thread stands there with the
 * very same call interrupted.  Either it has got the answer and called again,
 * and this was interrupted before anybody took it; or the signal came between
 * the host's taking the answer and the thread's waking for it, and the answer
 * is lost.  The host numbers what it asks: if nothing is missing between the
 * answered call and a question that is asked now (the zygote's), there has
 * been no second call.
 */
static bool is_doubtful(struct task *t, int sig)
{
	struct platform_task *pt = t->platform;
	struct arch_regs r;
	const struct call *c = &t->call;
	uint64_t args[6];
	if (!pt->answered || arch_get(t->host_tid, &r) < 0 || !shows_interrupted(t, &r))
		return false;
	arch_call_args(&r, args);
	if (arch_pc(&r) != c->ip || memcmp(args, c->args, sizeof(args)) != 0)
		return false;
	pt->held = true;
	pt->held_signal = sig;
	pt->answered = false;
	keep_stopped(t->host_tid);
	pt->doubts = 0;
	pt->asked_again = false;
	list_append(&tracer.doubtful, &pt->doubtful);
	tracer.zygote_sent = false;
	ring_zygote();
	return true;
}

static void judge_doubtful(uint64_t id)
{
	struct platform_task *pt;
	list_each(pt, &tracer.doubtful, struct platform_task, doubtful)
	{
		bool lost = !pt->asked_again && notify_all_received(pt->task->call.id, id);
		/* The host need not show them in their order. */
		if (!lost && !pt->asked_again && pt->doubts++ < DOUBTS_MAX)
			continue;
		list_remove(&pt->doubtful);
		pt->undelivered = lost;
		trace_call_ended(pt->task);
	}
}

void trace_zygote_asked(uint64_t id)
{
	zygote.waits = true;
	if (tracer.zygote_sent) /* else it is an older question */
		judge_doubtful(id);
	if (tracer.requests || !list_empty(&tracer.doubtful))
		ring_zygote();
}

/* The stubs have one id: whose signal it is, only the sentry knows. */
static void name_sender(const struct task *t, int sig)
{
	siginfo_t info;
	if (ptrace(PTRACE_GETSIGINFO, t->host_tid, NULL, &info) < 0)
		return;
	if (info.si_code != SI_USER && info.si_code != SI_TKILL && !(sig == SIGCHLD && info.si_code > 0))
		return;
	if (!info.si_pid)
		return; /* from outside */
	const struct task *sender = task_find(info.si_pid);
	info.si_uid =
		sender ? sender->creds->uid : t->creds->uid; /* a child that has ended had most likely ours */
	(void)ptrace(PTRACE_SETSIGINFO, t->host_tid, NULL, &info); /* killed: no matter */
}

/* A fault without a handler, which would come again for ever: the host spares the first process. */
static bool ends_first(const struct task *t, int sig)
{
	siginfo_t info;
	if (t->process->pid != 1 ||
	    !(sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP))
		return false;
	return ptrace(PTRACE_GETSIGINFO, t->host_tid, NULL, &info) == 0 && info.si_code > 0 &&
	       !trace_signal_caught(t, sig);
}

void trace_fault(struct task *t, int sig)
{
	if (t->process->pid == 1) {
		tracer.fault = sig;
		sig = SIGKILL;
	}
	platform_kill(t->process, sig);
}

static void deliver(struct task *t, int sig)
{
	struct platform_task *pt = t->platform;
	struct arch_regs regs;
	if (handoff_fault(t, sig) || known_fault(t, sig))
		return;
	if (sig == SIGTRAP && patch_steps(t)) {
		go_on(t->host_tid, 0);
		return;
	}
	bool in_host = patch_leave(t, sig);
	if (ends_first(t, sig)) {
		trace_fault(t, sig);
		return;
	}
	if (!in_host && t->state == CALL_IDLE && !pt->undelivered) {
		if (is_doubtful(t, sig))
			return;
		begin_again(t);
	}
	name_sender(t, sig);
	if ((t->state == CALL_PARKED || pt->undelivered) && arch_get(t->host_tid, &regs) == 0 &&
	    shows_interrupted(t, &regs)) {
		if (t->state == CALL_PARKED) {
			interrupt_parked(t, &regs, sig);
		} else {
			pt->undelivered = false;
			set_result(t, &regs, pt->result);
		}
	}
	if (t->state != CALL_PARKED && mask_is_lent(t)) {
		if (trace_signal_caught(t, sig)) {
			mask_delivers(t, sig);
			return;
		}
		mask_return(t);
	}
	if (mask_spares(t, sig))
		return;
	mask_spares_no_more(t);
	go_on(t->host_tid, sig);
}

/* A stop that was asked for, or nothing of note. */
static void on_interrupt(struct task *t)
{
	struct platform_task *pt = t->platform;
	struct arch_regs regs;
	if (mask_stopped(t) && pt->undelivered && arch_get(t->host_tid, &regs) == 0 &&
	    shows_interrupted(t, &regs)) {
		pt->undelivered = false;
		set_result(t, &regs, pt->result);
	}
	(void)trace_ptrace(pt->mask.spared ? PTRACE_SYSCALL : PTRACE_CONT, t->host_tid, 0);
}

static void on_delivery(struct task *t, int sig)
{
	notify_settled();
	if (sig == SIGTRAP && mask_entered(t))
		return;
	if (t->platform->remote && remote_stopped(t, 0, sig))
		return;
	if (sig == SYSCALL_STOP) {
		(void)birth_restore(t);
		if (!mask_still_spares(t))
			go_on(t->host_tid, 0);
		return;
	}
	if (t->state != CALL_RUNNING && !t->platform->sending) {
		deliver(t, sig);
		return;
	}
	t->platform->held = true;
	t->platform->held_signal = sig;
	keep_stopped(t->host_tid);
}

struct ended_call {
	struct trace_request request;
	pid_t host_tid;
};

static void deliver_held(struct trace_request *q)
{
	struct ended_call *x = container_of(q, struct ended_call, request);
	struct task *t = task_by_host(x->host_tid);
	if (t && t->platform->held && t->state != CALL_RUNNING && !t->platform->sending) {
		int sig = t->platform->held_signal;
		t->platform->held = false;
		/* The handler has asked for a call in the place of its own: that is not begun (remote.c). */
		if (!t->platform->remote || !remote_stopped(t, 0, sig))
			deliver(t, sig);
	}
	free(x);
}

void trace_call_ended(struct task *t)
{
	if (t->platform->dead) {
		task_end(t, t->platform->status);
		return;
	}
	struct ended_call *x = calloc(1, sizeof(*x));
	if (!x) {
		platform_kill(t->process, SIGKILL); /* it would stay stopped for ever */
		return;
	}
	x->request.run = deliver_held;
	x->host_tid = t->host_tid;
	trace_request(&x->request);
}

/* ---- calls that need other registers ---- */

static void on_traced_call(struct task *t)
{
	struct arch_regs regs;
	struct platform_task *pt = t->platform;
	if (pt->stage == STAGE_LOADING) { /* the very exec that we asked for */
		go_on(t->host_tid, 0);
		return;
	}
	if (arch_get(t->host_tid, &regs) < 0)
		return;			/* killed */
	if (t->state == CALL_RUNNING) { /* it has forged a call in its area, or another thread has */
		platform_kill(t->process, SIGKILL);
		return;
	}
	call_abandon(t);
	pt->sending = 0; /* it has arrived */
	pt->barred = true;
	pt->handed = false;
	t->call = (struct call){.nr = arch_call_nr(&regs), .ip = arch_pc(&regs), .deadline = INT64_MAX};
	arch_call_args(&regs, t->call.args);
	t->state = CALL_RUNNING;
	pt->undelivered = pt->answered = false;
	pt->regs = &regs;
	long result = birth_judge(t, call_dispatch(t));
	pt->regs = NULL;
	t->state = CALL_IDLE;
	call_trace(t, &t->call, result);
	if (result != CALL_HOST)
		arch_end_call(&regs, result);
	(void)arch_set(t->host_tid, &regs); /* killed: no matter */
	go_on_cloning(t);
}

/* ---- exec and exit ---- */

/* A worker may be using it: nobody finds it by its number any more, which may soon be another's. */
static void end_task(struct task *t, int status)
{
	t->platform->kicked = false;
	if (t->state != CALL_RUNNING) {
		task_end(t, status);
		takeback_ended();
		return;
	}
	t->platform->dead = true;
	t->platform->status = status;
	task_hash(t, -t->host_tid, -t->tid);
	takeback_ended();
}

static void on_exec(pid_t pid)
{
	unsigned long former = 0;
	keep_stopped(pid); /* while nobody has taken the event, the host takes this pid for that of the old
			      leader */
	if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &former) < 0)
		return;
	struct task *t = task_by_host((pid_t)former);
	if (t && (pid_t)former != pid) { /* a thread that has become its process */
		struct task *leader = task_by_host(pid);
		notify_settled(); /* a call of its that a worker has just received is not the new one's */
		if (leader)
			end_task(leader, 0);
		task_hash(t, pid, t->process->pid);
	}
	if (t) {
		mask_spares_no_more(t); /* timers end with the old program */
		exec_done(t);
	}
	go_on(pid, 0);
}

static void on_end(pid_t pid, int status)
{
	struct task *t = task_by_host(pid);
	if (pid == zygote.pid && !tracer.ended) {
		tracer.ended = true;
		tracer.status = SIGKILL;
	}
	if (t && t->tid == 1) {
		tracer.ended = true;
		tracer.status = t->process->forbidden ? SIGSYS : status;
	}
	if (t)
		end_task(t, status);
	(void)orphan_take(pid);
	(void)waitpid(pid, &status, __WALL | WNOHANG);
}

static void on_stop(pid_t pid, int code)
{
	int event = code >> 8, sig = code & 0xff;
	struct task *t = task_by_host(pid);
	if (t)
		takeback_stopped(t, event == PTRACE_EVENT_STOP);
	if (t && event == PTRACE_EVENT_STOP) {
		notify_settled(); /* the call that it interrupts is made again, whoever has received it */
		first_stop(t);
	}
	if (!t && pid == zygote.pid) {
		tracer.zygote_sent = true;
		go_on(pid, 0); /* requests are run in any case */
	} else if (!t) {
		orphan_add(pid);
		keep_stopped(pid);
	} else if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
		on_birth(t);
	} else if (event == PTRACE_EVENT_SECCOMP) {
		on_traced_call(t);
	} else if (event == PTRACE_EVENT_EXEC) {
		on_exec(pid);
	} else if (event == 0) {
		on_delivery(t, sig);
	} else if (t->platform->remote && remote_stopped(t, event, sig)) {
		return;
	} else if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
		(void)trace_ptrace(PTRACE_LISTEN, pid, 0);
	} else {
		on_interrupt(t);
	}
}

void platform_kill(struct process *p, int sig)
{
	(void)process_signal(p, sig); /* it has ended: fine */
}

int platform_begin(struct err *err)
{
	tracer.main_tid = (pid_t)syscall(SYS_gettid);
	spawn_limits();
	return zygote_begin(err);
}

int platform_init(const struct boot *boot, struct err *err)
{
	kernel.boot = boot;
	int r = events_init(err);
	handoff_init();
	if (!r)
		r = tree_init(err);
	known_init();
	if (!r)
		r = shadow_init(err);
	return r ? r : zygote_finish(err);
}

int platform_run(struct err *err)
{
	int r = confine_self(err);
	if (!r)
		r = events_start(err);
	if (!r)
		r = notify_start(err);
	if (!r && fchdir(kernel.self_fd_fd) < 0)
		return err_sys(err, "cannot enter /proc/self/fd");
	return r;
}

int platform_loop(void)
{
	kernel_lock();
	run_requests();
	kernel_unlock();
	while (!tracer.ended) {
		siginfo_t info = {0};
		if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | __WALL | WNOWAIT) < 0) {
			if (errno == EINTR)
				continue;
			break; /* no child is left */
		}
		kernel_lock();
		if (info.si_code == CLD_EXITED)
			on_end(info.si_pid, (info.si_status & 0xff) << 8);
		else if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED)
			on_end(info.si_pid, info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0));
		else
			on_stop(info.si_pid, info.si_status);
		do { /* who was woken may ask for more, and nobody rings for it on this thread */
			run_requests();
			run_woken();
		} while (tracer.requests);
		kernel_unlock();
	}
	return tracer.fault && WIFSIGNALED(tracer.status) ? tracer.fault : tracer.status;
}
