/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-vm: the keeper of a container's virtual machine, isolation level
 * `vm`.  The runtime starts it inside of the container's namespaces
 * (isolate/vm), as the first process there; wire/supervisor.h says how, and
 * the keys below what with.
 *
 * It ends as the container's first process ends in the guest.  Whatever ends
 * it ends all: it is pid 1, so that the kernel kills the hypervisor and the
 * share server with it.
 */
#include "vm/keeper.h"

#include "base/clock.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/caps.h"
#include "vm/names.h"
#include "vm/share/share.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
	SHARE_ALONE_MS = 1000,
	GREET_MS = 10000, /* for a restored machine's first answer, which takes some 10 ms */
	LEAVE_MS = 5000,  /* for the guest to write what it holds, and power off */
	CONSOLE_IN_MESSAGE = 600,
};

/* ---- telling ---- */

void keeper_log(const struct keeper *k, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	int64_t us = (clock_ns(CLOCK_MONOTONIC) - k->began_ns) / 1000;
	va_list ap;

	if (k->log < 0)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0)
		(void)dprintf(k->log, "%lld.%03lld ms: %s\n", (long long)us / 1000, (long long)us % 1000,
			      text); /* a log that is full is no reason to end */
}

const char *keeper_stage_text(enum stage s)
{
	static const char *const texts[] = {
		[STAGE_HYPERVISOR] = "the hypervisor was not started",
		[STAGE_KERNEL] = "the guest's kernel did not boot (stage \"kernel\")",
		[STAGE_AGENT] = "the guest's kernel ran, but its agent did not report (stage \"agent\")",
		[STAGE_MOUNT] = "the guest could not be set up (stage \"mount\")",
		[STAGE_EXEC] = "the program was not executed (stage \"exec\")",
		[STAGE_RUNNING] = "the container ran",
		[STAGE_LEAVING] = "the container has ended",
	};

	return texts[s];
}

void keeper_fail(struct keeper *k, const struct err *err)
{
	if (k->over)
		return;
	keeper_log(k, "failed: %s", err->msg);
	if (k->starter)
		control_failed(k->starter, err);
	else
		(void)dprintf(STDERR_FILENO, "%s\n", err->msg); /* nobody else listens */
	k->starter = NULL;
	k->failed = k->over = true;
	k->status = err->exit_status ? err->exit_status : 1;
}

/* For who reads the console alone. */
static void note_in_console(struct keeper *k, const char *begin, const char *text)
{
	char line[ERR_MSG_MAX];
	int n = snprintf(line, sizeof(line), "%s%s\n", begin, text);

	if (n > 0)
		console_note(&k->console, line, strlen(line));
}

/* What went wrong, with what the machine said last; the console has it before anybody is told. */
static void fail_with_console(struct keeper *k, const char *what)
{
	char last[CONSOLE_IN_MESSAGE], own[CONSOLE_IN_MESSAGE / 2];
	struct err err = {0};

	/* Were it the template's fault, the next one would fail as well. */
	if (k->restored && !k->kept.version)
		vm_template_refuse(&k->template, &k->spec);
	console_drain(&k->console);
	console_drain(&k->hypervisor_log);
	console_last(&k->console, last, sizeof(last));
	console_last(&k->hypervisor_log, own, sizeof(own));
	note_in_console(k, "coffer: ", what);
	(void)err_set(&err, ETIMEDOUT, "%s: %s%s%s%s%s", keeper_stage_text(k->stage), what,
		      own[0] ? "; the hypervisor said: " : "", own,
		      last[0]	  ? "; the console's last lines: "
		      : k->member ? "; the machine's console is with the pod's first container"
				  : "; the console is empty",
		      last); /* told below */
	keeper_fail(k, &err);
}

void keeper_abort(struct keeper *k, const char *fmt, ...)
{
	char text[ERR_MSG_MAX / 2];
	va_list ap;

	if (k->over)
		return;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	keeper_log(k, "%s", text);
	if (k->stage < STAGE_RUNNING) {
		fail_with_console(k, text);
		return;
	}
	console_drain(&k->console);
	note_in_console(k, "\n" SUPERVISOR_END_NOTE, text); /* in a line of its own, the last */
	k->over = true;
	if (k->stage == STAGE_RUNNING)
		k->status = SIGKILL;
}

void keeper_leave(struct keeper *k, int status)
{
	if (k->stage == STAGE_LEAVING || k->over)
		return;
	k->status = status;
	k->stage = STAGE_LEAVING;
	k->leaving_ns = clock_ns(CLOCK_MONOTONIC);
	keeper_log(k, "the program has ended with wait status %d", status);
	session_send(k, GUEST_SHUTDOWN, 0, 0, NULL, 0);
}

/* ---- the machine ---- */

/* Of a helper process: its standard streams are the log, for the user's must not be held open there, and it
 * has no other descriptors but these. */
static int keep_alone(int log, int *keep, size_t n)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail */
	for (int i = 0; i < 3; i++)
		if (dup2(log, i) < 0)
			return -errno;
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			if (keep[j] < keep[i]) {
				int other = keep[i];
				keep[i] = keep[j];
				keep[j] = other;
			}
	return fd_close_from(3, keep, n, false);
}

static _Noreturn void share_main(const struct keeper *k, int sock, int log)
{
	const struct share share = {.sock = sock,
				    .root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
				    .proc_fd = k->proc,
				    .root_ttl_ms = (uint32_t)k->cache,
				    .volume_ttl_ms = (uint32_t)k->volume_cache,
				    .table_fd = k->table,
				    .told_fd = k->tell};
	int keep[] = {sock, k->proc, share.root_fd, k->table, k->tell};
	struct err err = {0};

	int r = share.root_fd < 0 ? err_sys(&err, "cannot open the container's root")
				  : keep_alone(log, keep, ARRAY_LEN(keep));
	if (r < 0 && !err.code)
		(void)err_num(&err, r, "cannot close descriptors"); /* told below */
	if (r == 0)
		r = share_serve(&share, &err);
	if (r < 0)
		(void)dprintf(STDERR_FILENO, "coffer: the file share has ended: %s\n",
			      err.msg); /* to the log */
	_exit(r < 0);
}

static int start_share(struct keeper *k, int log, int *ret_port, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a socket pair for the file share");
	autoclose int ours = pair[0], port = pair[1];
	k->share = fork();
	if (k->share < 0)
		return err_sys(err, "cannot fork the file share");
	if (k->share == 0)
		share_main(k, ours, log);
	fd_drop(&k->tell); /* the share's */
	*ret_port = take_fd(&port);
	return 0;
}

/* The share's table is of a memory file, for a machine that is saved or was. */
static int open_table(struct keeper *k, struct err *err)
{
	int told[2];

	k->table = memfd_create("share-table", MFD_CLOEXEC);
	if (k->table < 0 || pipe2(told, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a file for the share's table");
	k->told = told[0];
	k->tell = told[1];
	return 0;
}

/* What the machine was given before may be spoilt. */
static int open_memory(struct keeper *k, struct err *err)
{
	fd_drop(&k->memory_in.memory_fd);
	k->memory_in.memory_fd = vm_memory_new(k->memory);
	if (k->memory_in.memory_fd < 0)
		return err_num(err, k->memory_in.memory_fd, "cannot make a file for the machine's memory");
	k->spec.memory_in = &k->memory_in;
	return 0;
}

static int open_agent_port(struct keeper *k, int *ret_port, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a socket pair for the agent");
	k->agent = pair[0];
	*ret_port = pair[1];
	k->reader.max_payload = GUEST_ANSWER_MAX;
	int r = fd_set_nonblock(k->agent, true);
	return r < 0 ? err_num(err, r, "cannot set up the agent's socket") : 0;
}

/* A guest whose relay has ended runs on without names, and the console says so. */
static int start_names(struct keeper *k, const char *tap, int log, struct err *err)
{
	struct vm_names names;
	int r = vm_names_listen(tap, &names, err);

	if (r < 0)
		return r;
	int keep[] = {names.udp, names.tcp};
	pid_t pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_NAME, "coffer-vm-names", 0, 0, 0); /* for who looks */
		if (keep_alone(log, keep, ARRAY_LEN(keep)) == 0)
			vm_names_serve(&names, VM_NAMES_RESOLVER);
		_exit(1);
	}
	vm_names_close(&names);
	k->names = pid;
	return pid < 0 ? err_sys(err, "cannot fork the relay of names") : 0;
}

static int open_network(struct keeper *k, int log, struct vm_net *net, struct err *err)
{
	int named = k->ntuns ? vm_names_replace(err) : 0;
	int r = named < 0 ? named : vm_net_open(k->tuns, k->ntuns, named ? k->proc : -1, net, err);

	if (r == 0 && net->names_tap[0])
		r = start_names(k, net->names_tap, log, err);
	if (r < 0)
		return r;
	memcpy(k->spec.nics, net->nics, sizeof(k->spec.nics));
	k->spec.nnics = net->n;
	k->network = take_ptr(&net->json);
	return 0;
}

static const struct hypervisor *machine_driver(const struct keeper *k)
{
	return k->monitor >= 0 ? &hypervisor_vmm : &hypervisor_qemu;
}

/* A restored machine counts when it has answered. */
static int start_restored(struct keeper *k, const struct hypervisor *driver, int *agent, struct err *err)
{
	int r = driver->start(&k->spec, &k->vm, err);

	if (r < 0)
		return r;
	fd_drop(agent); /* or the port outlives the hypervisor */
	r = session_greet(k, MIN_OF((int64_t)GREET_MS, (int64_t)k->seconds * 500), err);
	if (r < 0)
		driver->stop(&k->vm);
	return r;
}

static int start_booting(struct keeper *k, const struct hypervisor *driver, struct err *err)
{
	int r = k->into < 0 ? 0 : vm_template_into(&k->template, k->into, err);

	return r < 0 ? r : driver->start(&k->spec, &k->vm, err);
}

/* From a template where there is one, and it is good.  *agent: the guest's end of the port. */
static int start_hypervisor(struct keeper *k, int *agent, struct err *err)
{
	const struct hypervisor *driver = machine_driver(k);
	struct err why = {0};

	if (k->from >= 0) {
		k->restored = true;
		int r = start_restored(k, driver, agent, err);
		if (r == 0 && k->kept.version && (r = snapshot_share_taken(k, err)) < 0)
			driver->stop(&k->vm);
		return r;
	}
	k->restored = vm_template_open(&k->template, k->templates, driver, &k->spec, &why) == 1;
	if (why.code)
		keeper_log(k, "no template: %s", why.msg);
	if (!k->restored)
		return start_booting(k, driver, err);
	int r = start_restored(k, driver, agent, err);
	if (r == 0 || k->over)
		return r;
	keeper_log(k, "the template is of no use: %s", err->msg);
	*err = (struct err){0};
	vm_template_refuse(&k->template, &k->spec);
	k->spec.usr_tree = k->usr2;
	k->restored = false;
	fd_drop(agent);
	fd_drop(&k->agent);
	r = open_agent_port(k, agent, err);
	if (r == 0)
		r = open_memory(k, err);
	k->spec.agent_fd = *agent;
	return r < 0 ? r : start_booting(k, driver, err);
}

int keeper_save_template(struct keeper *k, struct err *err)
{
	struct err why = {0};
	if (k->member)
		return 0;
	int r = vm_template_save(&k->template, &k->vm, &k->spec, &why);

	if (r == -EIO || (r < 0 && k->into >= 0)) {
		*err = why;
		return r;
	}
	if (r < 0)
		keeper_log(k, "no template was made: %s", why.msg);
	else if (k->templates >= 0)
		keeper_log(k, "past the template");
	return 0;
}

/* A further container of a pod: all but the machine. */
static int start_member(struct keeper *k, struct err *err)
{
	int agent = -1, share = -1, log = -1;
	int r = console_open(&k->hypervisor_log, k->console_file, &log, err);

	k->console = (struct console){.pipe = -1, .file = k->console_file};
	if (r == 0)
		r = vm_names_replace(err);
	if (r >= 0)
		r = open_agent_port(k, &agent, err);
	if (r == 0)
		r = start_share(k, log, &share, err);
	if (r == 0)
		r = pod_enter(k, agent, share, err);
	k->machine = r == 0;
	fd_drop(&agent);
	fd_drop(&share);
	fd_drop(&log);
	return r;
}

static int start_machine(struct keeper *k, struct err *err)
{
	struct vm_net net = {0};
	int agent = -1, share = -1, console = -1, log = -1, r;

	k->spec = (struct vm_spec){.kernel_fd = k->kernel,
				   .initramfs_fd = k->initramfs,
				   .memory = k->memory,
				   .vcpus = (unsigned)k->vcpus,
				   .usr_tree = k->usr,
				   .proc_fd = k->proc,
				   .kvm_fd = k->kvm,
				   .answer_ms = (int)MIN_OF(k->seconds * 1000, (uint64_t)INT_MAX),
				   .monitor_fd = k->monitor,
				   .acpi = k->acpi != 0};
	r = console_open(&k->console, k->console_file, &console, err);
	if (r == 0)
		r = console_open(&k->hypervisor_log, k->console_file, &log, err);
	if (r == 0)
		r = open_network(k, log, &net, err);
	if (r == 0)
		r = open_memory(k, err);
	if (r == 0)
		r = open_table(k, err);
	if (r == 0 && k->from >= 0)
		r = snapshot_open(k, machine_driver(k), err);
	if (r == 0)
		r = open_agent_port(k, &agent, err);
	if (r == 0)
		r = start_share(k, log, &share, err);
	if (r == 0) {
		k->spec.agent_fd = agent;
		k->spec.share_fd = share;
		k->spec.console_fd = console;
		k->spec.log_fd = log;
		r = start_hypervisor(k, &agent, err);
	}
	k->machine = r == 0;
	/* coffer-vmm maps what it begins with privately: who saves it has it write its memory. */
	if (r == 0 && k->restored && k->monitor >= 0)
		fd_drop(&k->memory_in.memory_fd);
	if (r < 0)
		(void)err_prefix(err, "%s", keeper_stage_text(STAGE_HYPERVISOR)); /* r tells */
	fd_drop(&agent);
	fd_drop(&share);
	fd_drop(&console);
	fd_drop(&log);
	vm_net_close(&net);
	return r;
}

/* It has been used up; what follows needs no more than to end the hypervisor, which is another user's. */
static int drop_keeper_rights(struct keeper *k, struct err *err)
{
	struct caps few = {.set = true, .permitted = CAP_BIT(5), .effective = CAP_BIT(5)}; /* CAP_KILL */

	for (size_t i = 0; i < k->ntuns; i++)
		fd_drop(&k->tuns[i]); /* of what is no card */
	fd_drop(&k->kernel);
	fd_drop(&k->initramfs);
	fd_drop(&k->usr);
	fd_drop(&k->usr2);
	fd_drop(&k->kvm);
	fd_drop(&k->monitor);
	fd_drop(&k->from);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "cannot set no_new_privs");
	int r = caps_apply(&few, 0, err);
	return r < 0 ? r : keeper_confine(err);
}

void keeper_begin(struct keeper *k)
{
	struct err err = {0};

	k->begun = true;
	k->began_ns = clock_ns(CLOCK_MONOTONIC);
	int r = k->member ? start_member(k, &err) : start_machine(k, &err);
	if (r == 0)
		r = drop_keeper_rights(k, &err);
	if (r < 0) {
		char last[CONSOLE_IN_MESSAGE];
		console_drain(&k->hypervisor_log);
		console_last(&k->hypervisor_log, last, sizeof(last));
		if (last[0])
			(void)err_set(&err, err.code, "%.400s: %s", err.msg, last); /* told below */
		keeper_fail(k, &err);
		return;
	}
	if (k->member) {
		k->stage = STAGE_AGENT; /* READY is the next that comes */
		return;
	}
	k->stage = STAGE_KERNEL;
	keeper_log(k, "the hypervisor runs: pid %d%s", k->vm.pid,
		   k->kept.version ? ", from a snapshot"
		   : k->restored   ? ", from a template"
				   : "");
	if (k->kept.version)
		session_continue(k);
	else if (k->restored)
		session_begin(k);
}

/* ---- ends ---- */

static void machine_ended(struct keeper *k, int status)
{
	k->machine = false;
	keeper_log(k, "the hypervisor has ended with wait status %d", status);
	if (k->stage == STAGE_LEAVING)
		k->over = true;
	else if (k->first && k->first->exited)
		keeper_leave(k, k->first->status);
	else
		keeper_abort(k, "the hypervisor ended (%s %d)",
			     WIFSIGNALED(status) ? "signal" : "exit status",
			     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void names_ended(struct keeper *k, int status)
{
	char text[80];

	k->names = 0;
	(void)snprintf(text, sizeof(text),
		       "the relay of names has ended (wait status %d): the guest has none",
		       status); /* fits */
	console_drain(&k->console);
	note_in_console(k, "\ncoffer: ", text);
}

/* Ours are looked at and left to their owners' waiting; orphans, which pid 1 inherits, are buried. */
static void reap_children(struct keeper *k)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		int status = 0;
		pid_t pid = waitpid(info.si_pid, &status, WNOHANG);
		if (pid <= 0)
			return;
		if (pid == k->vm.pid && k->machine)
			machine_ended(k, status);
		if (pid == k->names)
			names_ended(k, status);
		if (pid == k->share) {
			k->share_ended_ns = clock_ns(CLOCK_MONOTONIC);
			k->share_status = status;
		}
	}
}

static void keeper_signals(struct keeper *k, void *data unused, short revents unused)
{
	struct signalfd_siginfo info;

	while (read(k->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap_children(k);
		else if (info.ssi_signo == SIGPIPE || info.ssi_signo == SIGTTOU || info.ssi_signo == SIGTTIN)
			continue;
		else if (k->holding && info.ssi_signo <= 64)
			k->held_signals |= UINT64_C(1) << (info.ssi_signo - 1);
		else if (k->first && k->first->started && !k->first->exited)
			session_signal(k, k->first, info.ssi_signo);
		else if (k->stage < STAGE_RUNNING && info.ssi_signo != SIGWINCH && info.ssi_signo != SIGCONT)
			keeper_abort(k, "signal %u before the program ran", info.ssi_signo);
	}
}

static void look_at_clock(struct keeper *k, struct poll_set *p)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC);

	if (k->begun && k->stage < STAGE_RUNNING) {
		int64_t left = (int64_t)k->seconds * 1000 - (now - k->began_ns) / 1000000;
		if (k->stage == STAGE_KERNEL && k->console.heard)
			k->stage = STAGE_AGENT;
		if (left <= 0) {
			char what[64];
			(void)snprintf(what, sizeof(what), "nothing for %llu s",
				       (unsigned long long)k->seconds); /* fits */
			fail_with_console(k, what);
		}
		poll_within(p, left > 0 ? left : 0);
	}
	/* It ends with the hypervisor, whose own end tells more and may be heard of a moment later. */
	if (k->share_ended_ns && k->machine && k->stage != STAGE_LEAVING) {
		int64_t left = SHARE_ALONE_MS - (now - k->share_ended_ns) / 1000000;
		if (left <= 0)
			keeper_abort(k, "the file share ended (wait status %d)", k->share_status);
		poll_within(p, left > 0 ? left : 0);
	}
	if (k->stage == STAGE_LEAVING) {
		int64_t left = LEAVE_MS - (now - k->leaving_ns) / 1000000;
		if (left <= 0 || !k->machine)
			k->over = true;
		poll_within(p, left > 0 ? left : 0);
	}
}

/* ---- the loop ---- */

void poll_want(struct poll_set *p, int fd, short events,
	       void (*ready)(struct keeper *k, void *data, short revents), void *data)
{
	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 64;
		struct pollfd *fds = reallocarray(p->fds, room, sizeof(*fds));
		if (fds)
			p->fds = fds;
		struct poll_entry *entries = reallocarray(p->entries, room, sizeof(*entries));
		if (entries)
			p->entries = entries;
		if (!fds || !entries) {
			p->failed = true;
			return;
		}
		p->room = room;
	}
	p->fds[p->n] = (struct pollfd){.fd = fd, .events = events};
	p->entries[p->n++] = (struct poll_entry){.ready = ready, .data = data};
}

void poll_within(struct poll_set *p, int64_t ms)
{
	if (p->timeout_ms < 0 || ms < p->timeout_ms)
		p->timeout_ms = ms > INT_MAX ? INT_MAX : (int)ms;
}

static int keeper_turn(struct keeper *k, struct poll_set *p, struct err *err)
{
	p->n = 0;
	p->timeout_ms = -1;
	poll_want(p, k->signals, POLLIN, keeper_signals, NULL);
	if (k->begun) {
		console_poll(&k->console, p);
		console_poll(&k->hypervisor_log, p);
	}
	session_poll(k, p);
	pod_poll(k, p);
	control_poll(k, p);
	streams_poll(k, p);
	look_at_clock(k, p);
	if (p->failed)
		return err_oom(err);
	if (k->over)
		return 0;
	if (poll(p->fds, p->n, p->timeout_ms) < 0 && errno != EINTR)
		return err_sys(err, "cannot wait");
	for (size_t i = 0; i < p->n && !k->over; i++)
		if (p->fds[i].revents)
			p->entries[i].ready(k, p->entries[i].data, p->fds[i].revents);
	streams_sweep(k);
	control_sweep(k);
	session_flush(k);
	return 0;
}

static int keeper_set_up(struct keeper *k, struct err *err)
{
	struct rlimit files;
	sigset_t all;

	sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL); /* cannot fail */
	k->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->signals < 0)
		return err_sys(err, "cannot make a signalfd");
	/* The file share holds a descriptor for each file that the guest knows. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files); /* best effort */
	}
	int r = fd_set_nonblock(k->control, true);
	return r < 0 ? err_num(err, r, "cannot set up the control socket")
		     : supervisor_maker(k->control, &k->maker, err);
}

static int keeper_main(struct keeper *k, struct err *err)
{
	struct poll_set p = {0};
	int r = keeper_set_up(k, err);

	while (r == 0 && !k->over)
		r = keeper_turn(k, &p, err);
	if (k->machine && k->vm.driver)
		k->vm.driver->stop(&k->vm);
	if (r < 0)
		return r;
	return k->failed ? k->status : proc_exit_code(k->status);
}

static int keeper_parse(int argc, char **argv, struct keeper *k, struct supervisor_args *a, struct err *err)
{
	const struct supervisor_key keys[] = {
		{"config=", &k->config},
		{"control=", &k->control},
		{"proc=", &k->proc},
		{"kernel=", &k->kernel},
		{"initramfs=", &k->initramfs},
		{"usr=", &k->usr},
		{"usr2=", &k->usr2},
		{"kvm=", &k->kvm},
		{"monitor=", &k->monitor},
		{"console=", &k->console_file},
		{"oom=", &k->oom_file},
		{"log=", &k->log},
		{"request=", &k->request},
		{"templates=", &k->templates},
		{"from=", &k->from},
		{"into=", &k->into},
		{"cache=", .number = &k->cache},
		{"volume-cache=", .number = &k->volume_cache},
		{"memory=", .number = &k->memory},
		{"acpi=", .number = &k->acpi},
		{"vcpus=", .number = &k->vcpus},
		{"seconds=", .number = &k->seconds},
		{"beside=", .number = &k->beside},
		{"terminal=", .number = &k->terminal},
		{"pod=", .number = &k->member},
		{"pids=", .number = &k->shares_pids},
	};
	int r = argc < 2 ? 0 : supervisor_parse(argc, argv, keys, ARRAY_LEN(keys), a, err);

	if (r == 0 && (argc < 2 || a->argc == 0 || k->control < 0))
		r = err_set(err, EINVAL,
			    "coffer-vm is started by coffer, with descriptors that nobody else has; "
			    "type `coffer run --isolation=vm IMAGE`");
	return r;
}

int main(int argc, char **argv)
{
	struct keeper k = {.config = -1,
			   .control = -1,
			   .proc = -1,
			   .kernel = -1,
			   .initramfs = -1,
			   .usr = -1,
			   .usr2 = -1,
			   .kvm = -1,
			   .pod = -1,
			   .monitor = -1,
			   .templates = -1,
			   .template = {.file = -1},
			   .memory_in = {.memory_fd = -1, .state_fd = -1},
			   .from = -1,
			   .into = -1,
			   .save_in = -1,
			   .table = -1,
			   .told = -1,
			   .tell = -1,
			   .console_file = -1,
			   .oom_file = -1,
			   .log = -1,
			   .request = -1,
			   .agent = -1,
			   .signals = -1,
			   .seconds = 60};
	struct supervisor_args a = {0};
	struct err err = {0};
	int r = keeper_parse(argc, argv, &k, &a, &err);

	if (r == 0 && streq(argv[1], "run")) {
		r = keeper_main(&k, &err);
	} else if (r == 0 && streq(argv[1], "join")) {
		a.flags = k.beside ? SUPERVISOR_OUTSIDE : 0;
		r = supervisor_join(k.control, k.request, &a, true, &err);
	} else if (r == 0) {
		r = err_set(&err, EINVAL, "coffer-vm: unknown verb \"%s\"", argv[1]);
	}
	if (r >= 0)
		return r;
	if (err.msg[0])
		(void)fprintf(stderr, "%s\n", err.msg);
	return err.exit_status ? err.exit_status : 1;
}
