/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the platform, task.c and wait.c.
 */
#pragma once

#include "sentry/platform/arch.h"
#include "sentry/platform/platform.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

/* Numbers in each stub that no guest's file has: the stub's file, and the areas of the hand-off while they
 * are being mapped.  The last ones that need no bigger table. */
enum { STUB_FD = 63, AREAS_FD = 61 };

struct err;
struct file;
struct image;
struct remote;
struct patches;
struct handoff_area;
struct handoff_page;
struct site;

/* Something for the main thread to do; trace_request(). */
struct trace_request {
	void (*run)(struct trace_request *q);
	struct trace_request *next;
	bool queued;
};

/* What a stub thread runs. */
enum task_stage {
	STAGE_GUEST,   /* the guest's code */
	STAGE_LOADING, /* the stub, which loads the program: nothing of the guest's runs in this process */
	STAGE_LOADED,  /* the stub's last call has been let through */
};

/* mask.c */
struct mask_wait {
	enum {
		MASK_OWN,
		MASK_ASKED, /* to be lent */
		MASK_LENT,
		MASK_RETURNING, /* the call has its result; to be given back */
		MASK_ENTERING,	/* a handler is about to run */
	} state;
	uint64_t bits, own;
	uint64_t spared; /* signals of timers that are blocked while the thread does not ask for its mask */
};

/* The platform's part of a task. */
struct platform_task {
	struct task *task;
	struct kernel_timer deadline; /* of a parked call */
	enum task_stage stage;
	uint64_t last_ip; /* of the stub's last call */
	bool awaited;	  /* its first stop has not been seen */
	uint64_t sending; /* the notification whose answer is on its way, without the lock; 0 = none */
	bool answered; /* the last call's answer was sent, `result`: whether it arrived the next stop shows */
	bool undelivered; /* the call is done, but the thread was interrupted before it could be told `result`
			   */
	long result;
	bool resume;		   /* the call is made again on our behalf: it goes on */
	struct list_node doubtful; /* trace.c */
	unsigned doubts;
	bool asked_again; /* ... since it is in doubt: it has called again */
	bool held;	  /* in a signal stop that waits until its handler has come to an end */
	int held_signal;
	bool dead; /* it has ended while its handler ran; status */
	int status;
	struct mask_wait mask;
	struct arch_regs *before_clone; /* to be restored behind it */
	uint64_t pidfd_at;		/* where clone is to tell of a pidfd; 0 = nowhere */
	struct image *image;		/* to be loaded; exec.c */
	struct remote *remote;		/* platform_call under way; remote.c */
	struct trace_request start;	/* of a new process, once it is wholly set up */
	struct patches *patches;	/* of its memory; NULL = nothing is patched */
	bool filtered;			/* it has a filter of its own: nothing may pass by that */
	/* handoff.c */
	struct handoff_area *area; /* of its own; NULL = none */
	uint64_t gs;		   /* what we have put into its GS base, or its parent's, whose copy it is */
	bool gs_inherited;	   /* to be cleared at its first stop */
	bool handed;		   /* its last call came through the area */
	bool kicked;		   /* interrupted by us, its next stop is waited for (takeback.c) */
	struct list_node late;	   /* ... its call has ended with late_result, and is to be answered */
	long late_result;
	uint64_t partial;  /* bytes that a native write had moved when it was taken back; it goes on as a call
			    */
	bool barred;	   /* no call may: it is in one that stops in the tracer */
	int64_t last_trap; /* of a call that might have come through the area; ns */
	unsigned streak;   /* of such calls in quick succession */
	struct arch_regs *regs; /* while a handler runs for a call that traps to the tracer */
};

/* ---- task.c ---- */

struct task *task_by_host(pid_t host_tid);
/* A thread of `process`, or where that is NULL of a new one; takes its own references.  NULL = ENOMEM. */
struct task *task_new(struct process *process, pid_t host_tid, pid_t tid);
/* What clone makes of it; flags are CLONE_*. */
struct task *task_clone(struct task *parent, uint64_t flags, pid_t host_tid, pid_t tid);
void task_hash(struct task *t, pid_t host_tid, pid_t tid); /* it has (other) ids now */
void process_set_ids(struct process *p, pid_t host_pid, pid_t pid);
/* The thread is gone; with the last one goes the process, whose parent knows nothing yet. */
void task_end(struct task *t, int status);

/* ---- wait.c ---- */

/* Off all queues, no deadline. */
void task_unpark(struct task *t);

/* ---- notify.c ---- */

int notify_start(struct err *err);
/* To be run again by run_woken(). */
void task_wake(struct task *t);
/* Handlers of all tasks that were woken; lock held.  Whoever may have woken somebody calls it before letting
 * the lock go. */
void run_woken(void);
/* Forgets the call of a task: queues, data. */
void call_abandon(struct task *t);
void notify_send(uint64_t id, long result, uint32_t flags);
/* The handler of t->call has said this; t may be gone then. */
void run_settle(struct task *t, long result);
/* For a thread that runs handlers: 0, or -errno. */
int notify_start_thread(void *(*run)(void *data));
void notify_enter_thread(void);
/* What answer_call() has put off; `locked`: whether the lock is held, as it is then. */
void notify_send_later(bool locked);
/* Gives a descriptor to the process of a waiting notification: the number, or -errno.  at < 0: the lowest. */
int notify_add_fd(uint64_t id, int host_fd, int at, bool cloexec);
/* Whether nobody waits for its answer any more. */
bool notify_is_over(uint64_t id);
/* A signal stop is being dealt with, or a number becomes another thread's: lock held. */
void notify_settled(void);
/* Whether all that the host has asked between these two questions has been received; for who receives. */
bool notify_all_received(uint64_t after, uint64_t before);

/* ---- events.c ---- */

/* Before anything may be watched or timed; then the thread. */
int events_init(struct err *err);
int events_start(struct err *err);
/* Of the receiving worker, before it receives: waits for a call and tells of near events (events.c).  False:
 * no call yet. */
bool events_wait_near(void);

/* ---- zygote.c ---- */

struct zygote {
	pid_t pid;
	int pidns_fd;	    /* of the guest's pid namespace; -1 until there is one */
	uint64_t stub_base; /* where its stub is */
	bool waits;	    /* its question has been received, and nothing has disturbed it since */
};
extern struct zygote zygote;
int zygote_begin(struct err *err);
/* With kernel.boot and the profile: it has become the stub. */
int zygote_finish(struct err *err);
/* A new process in the guest's pid namespace, stopped before its first instruction; main thread only. */
pid_t zygote_fork(struct err *err);
/* A sentry's pid as the guest sees it, by any thread's outer id; -errno. */
pid_t guest_pid(pid_t host_pid);

/* ---- confine.c ---- */

/* Capabilities and system calls that the sentry needs no more; before its threads begin. */
int confine_self(struct err *err);

/* ---- filter.c ---- */

struct sock_fprog;
enum { FILTER_PROGRAM_MAX = 4096 };
struct filter_program {
	struct sock_filter insns[FILTER_PROGRAM_MAX];
	size_t n; /* more than there is room for: it does not fit */
	bool trap_all, native_files;
};
/*
 * Finds by number what is to be answered: a binary search over ranges.  The host runs a new filter once for
 * each number, and translates it, so that a list would cost a start half a millisecond.  UINT32_MAX: by the
 * stubs' guards.  -ENOMEM.
 */
must_use int filter_search(struct filter_program *p, const uint32_t *actions, int n);
/* The stubs' filter; the caller frees ret->filter. */
int filter_build(bool trap_all, bool native_files, struct sock_fprog *ret, struct err *err);

/* ---- trace.c ---- */

enum { SYSCALL_STOP = 5 /* SIGTRAP */ | 0x80 }; /* PTRACE_O_TRACESYSGOOD */

int trace_ptrace(int request, pid_t pid, uintptr_t data);
/* Runs `run` on the main thread, soon; lock held. */
void trace_request(struct trace_request *q);
void trace_request_drop(struct trace_request *q);
bool trace_is_main(void);
/* A thread's registers, in a stop: true = it waited for a signal, and is to do so again (the caller sets
 * them). */
bool trace_waits_again(struct arch_regs *regs, bool once);
/* Whether the thread's process has a handler for it; in a stop. */
bool trace_signal_caught(const struct task *t, int sig);
/* The zygote's question has come (again). */
void trace_zygote_asked(uint64_t id);
/* The handler of a task that is held, or has died, has come to its end. */
void trace_call_ended(struct task *t);
/* Ends a process as a fault does: the host spares the first one of a sandbox, which is killed, with `sig` as
 * its status. */
void trace_fault(struct task *t, int sig);

/* ---- mask.c ---- */

/* A call has its result: true = it gets to the thread by a stop, as an undelivered one. */
bool mask_answers(struct task *t);
/* In the stop that was asked for: true = the result may be put into the register now. */
bool mask_stopped(struct task *t);
/* The thread has its own mask again; in a stop. */
void mask_return(struct task *t);
/* Does the thread, whose wait is over, have another's mask? */
bool mask_is_lent(struct task *t);
/* Delivers a signal that has a handler under the lent mask, with another stop at the handler's begin. */
void mask_delivers(struct task *t, int sig);
/* In a stop by SIGTRAP: true = it was that one. */
bool mask_entered(struct task *t);
/*
 * The signal is of a timer and would be ignored, and there is the next one already: the thread goes on
 * without it.  Tracer, in the signal's stop.
 */
bool mask_spares(struct task *t, int sig);
/* The thread has its own mask again.  Tracer, in a stop of the thread's. */
void mask_spares_no_more(struct task *t);
/* A call's beginning or end, behind mask_spares(): the thread goes on to the next one. */
bool mask_still_spares(struct task *t);

/* ---- patch.c ---- */

/* A new image; the stub's is, or will be, at `page` and has room for slots.  false = nothing will be patched.
 */
bool patch_new_image(struct task *t, uint64_t page);
/* Of a child that shares or copies the parent's memory, while neither runs: 0, -ENOMEM: it must not run. */
int patch_birth(struct task *parent, struct task *child, uint64_t clone_flags);
void patch_unref(struct task *t);
/* A call has been trapped, and its handler has not run yet.  true: the thread will make the call anew. */
bool patch_trapped(struct task *t);
/* ... and has run: what the slots answer may not be true any more. */
void patch_handled(struct task *t);
/*
 * A signal is about to be delivered: its frame shall show the program where it would be without slots.  What
 * it has interrupted there is made anew where it has no handler.  True: that was a call that waited in the
 * host, which restarts it.
 */
bool patch_leave(struct task *t, int sig);
/* A SIGTRAP: the thread goes through a slot step by step, which are no steps of the program's. */
bool patch_steps(const struct task *t);
/* Whether the threads that have this memory are of one process. */
bool patch_is_private(const struct task *t);
bool patch_is_alone(const struct task *t); /* no other thread has it */
/* The slots are told: false = they are not. */
bool patch_set_native(struct task *t, unsigned shadow, bool native);

void patch_forget_native(struct task *t); /* of all descriptors */
/* A stopped thread, whose registers these are, is in a slot; it leaves it.  `anew`: what the stop has
 * interrupted there is made by its own instruction. */
bool patch_in_slot(const struct task *t, const struct arch_regs *regs);
void patch_call_again(struct task *t, struct arch_regs *regs, bool anew);
/* By what /proc/PID/syscall says. */
bool patch_may_be_in_slot(const char *text);
/* Whether there may be shadows; hand-off. */
bool patch_wants_files(void);
bool patch_wants_paths(void);
bool patch_wants_handoff(void);
bool patch_handoff_is_eager(void); /* for tests: also where it does not pay */

/* For handoff.c: the page of the memory's areas (NULL: no slots there), the site of a slot's tail, and
 * telling the slots of areas. */
struct handoff_page **patch_areas(const struct task *t);
struct handoff_page **patch_areas_of(const struct task *t); /* ... whether or not slots are used */
uint64_t patch_page(const struct task *t);
const struct site *patch_site_of_tail(const struct task *t, uint64_t tail);
/* A thread stands in front of the call itself, or in the slot's tail that leads there: its site; NULL. */
const struct site *patch_site_at_call(const struct task *t, uint64_t pc);
bool patch_tell_areas(struct task *t, uint64_t at, uint64_t size, uint64_t spins);
/* For known.c: where the memory's table is noted (NULL: slots are not used); whether the call that a task
 * makes comes from a slot that would look there; whether all who have the memory see the same tree with the
 * same rights; telling the slots.  The site where a thread looks for an answer; NULL. */
struct known **patch_known(const struct task *t);
/*
 * Where memory that is added to a program had best lie, `bytes` below its page of slots: the host would take
 * the highest gap, and that may be the hole that the program has just made, to be faulted for.  A hint: 0 =
 * none.  In this order: the tree's page, the areas of the hand-off, the table of known paths.
 */
uint64_t patch_below(const struct task *t, size_t bytes);
bool patch_call_may_know(const struct task *t);
bool patch_sees_alike(const struct task *t);
bool patch_tell_known(struct task *t, uint64_t known, uint64_t tree);
const struct site *patch_site_looking(const struct task *t, uint64_t pc);

/* ---- turn.c ---- */

/* Starts the workers, which run this, and who oversees them.  0 or -errno. */
int turn_start(void *(*work)(void *data));
/* Of a worker, without the lock: waits until it is to receive.  false: there are enough others, it ends. */
bool turn_take(void);
bool turn_is_mine(void);

/* ---- handoff.c ---- */

void handoff_init(void);
/* The listener's thread; also where it is never called, so that the sentry has as many as wire/sentry.h says.
 * 0, or -errno. */
int listener_start(void);
/* Whether a call of this number may come through an area. */
bool handoff_may(int nr);
/* Such a call has been trapped.  true: the thread is given an area, and makes the call anew. */
bool handoff_trapped(struct task *t);
/* The answer of a call that has no notification. */
void handoff_answer(struct task *t, long result);
/* It has another memory, or ends. */
void handoff_release(struct task *t);
void handoff_page_unref(struct handoff_page *page);
void handoff_birth(const struct task *parent, struct task *child, uint64_t clone_flags);
/* A thread's first stop. */
void handoff_born(struct task *t);
/* A signal is about to be delivered: its frame shall show the program before its call, or behind it. */
void handoff_leave(struct task *t);
/* ... and is the fault of a slot's copying: true = the thread has been sent on. */
bool handoff_fault(struct task *t, int sig);

/* ---- known.c ---- */

struct known; /* what the slots of one memory are told of paths */
void known_init(void);
bool known_is_on(void);
/* Such a call has come from a patched site.  true: the table is being mapped, and the thread makes it anew.
 */
bool known_trapped(struct task *t);
/* Of a memory that was copied; NULL: there is none, or no room for it. */
struct known *known_copy(const struct known *k);
/* A signal is about to be delivered, the fault of a slot's looking: true = the thread has been sent on. */
bool known_fault(struct task *t, int sig);

/* ---- shadow.c ---- */

int shadow_init(struct err *err);
/* The call that has been trapped is one that its descriptor's shadow could do. */
bool shadow_is_possible(const struct task *t);
/* ... and came from a patched site: there may be one from now on. */
void shadow_asked(struct task *t);
/* It is a write on a file of which nobody has looked yet whether it may be SHADOW_WRITTEN: shadow_asked will.
 */
bool shadow_is_due(const struct task *t);
/* A call has been trapped: the stub loses what could not be taken from it before. */
void shadow_tidy(struct task *t);
/* The stub may have one of this descriptor. */
bool shadow_may_be(const struct task *t, int fd);
/* Among the numbers of shadows: nothing else may be put there. */
bool shadow_number(int fd);
/* ... or another number of the stub's own. */
bool stub_number(int fd);
void shadow_put_nothing(struct task *t, int number);
void shadow_birth(struct task *parent, struct task *child, uint64_t clone_flags);

/* The file's shadows in the thread's process are no more believed in: whether there may be one. */
bool shadow_stale(struct task *t, const struct file *f);

/* ---- takeback.c ---- */

/* A thread has stopped (`interrupted`: not by a signal), or has ended. */
void takeback_stopped(struct task *t, bool interrupted);
void takeback_ended(void);
/* A call has ended: true = that is settled later (run_settle). */
bool takeback_delays(struct task *t, long result);

/* ---- births.c ---- */

/* A child that has been heard of, of a clone whose registers were changed, or which asks for a pidfd. */
void birth_finish(struct task *parent, struct task *child);
/* A call that makes a child is about to be made: `result`, or -EAGAIN with the registers as they came. */
long birth_judge(struct task *t, long result);
/* In the zygote, before the other filter: all births are asked about.  0 or -1. */
int birth_filter_install(void);
bool birth_counted_from_start(void); /* config.json limits the number of processes */
/* Puts back the registers of such a clone, in a stop behind it; false = there were none. */
bool birth_restore(struct task *t);

/* ---- spawn.c ---- */

/*
 * What limits the sandbox was started with: those of its processes.  From now on the sentry may have many
 * more files, since it has all of the guest's; and the stubs, who inherit it, may be given any number.
 */
void spawn_limits(void);

/* ---- exec.c ---- */

/* The sandbox's exec event: the stub's image is in place of the old program. */
void exec_done(struct task *t);
/* A notification of a stub that is loading; false: it is the program's first call. */
bool exec_loading(struct task *t, const struct seccomp_notif *n);
void image_free(struct image *image);

/* ---- remote.c ---- */

/* A stop or a notification of a task with a platform_call under way: true = it was part of it. */
void remote_free(struct task *t);
bool remote_stopped(struct task *t, int event, int sig);
void remote_notified(struct task *t, const struct seccomp_notif *n);
/* ... the registers that the thread will have. */
struct arch_regs *remote_regs(struct task *t);
/* ... with CALL_PARK: the trapped call is made again, and is a new one. */
void remote_begin_anew(struct task *t);
