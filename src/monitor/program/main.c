/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-monitor: the process beside each container.  A forker: one thread,
 * always.  Started by monitor_spawn() alone.
 */
#include "monitor/program/mon.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/sys.h"
#include "monitor/events.h"
#include "monitor/log_line.h"
#include "monitor/plan.h"
#include "monitor/run_dir.h"

#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { PLAN_MAX = 16 << 20 };

int64_t mon_clock(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t mon_wall(void)
{
	return clock_ns(CLOCK_REALTIME);
}

void mon_watch(struct mon *m, int fd, short events, watch_fn *fn, void *arg)
{
	if (fd < 0 || m->nfds == WATCH_MAX)
		return;
	m->fds[m->nfds] = (struct pollfd){.fd = fd, .events = events};
	m->on[m->nfds].fn = fn;
	m->on[m->nfds++].arg = arg;
}

void mon_event(struct mon *m, const char *action, int code)
{
	char number[16];
	struct oci_pair v[3];
	size_t n = 0;
	struct err lost = {0};

	if (!m->plan.events_path)
		return;
	if (m->plan.name)
		v[n++] = (struct oci_pair){"name", m->plan.name};
	if (m->plan.image)
		v[n++] = (struct oci_pair){"image", m->plan.image};
	(void)snprintf(number, sizeof(number), "%d", code); /* fits */
	if (code >= 0)
		v[n++] = (struct oci_pair){"exitCode", number};
	struct event_line e = {
		.type = "container", .action = action, .id = m->plan.id, .attributes = {.v = v, .n = n}};
	/* The container matters more than its diary. */
	ignore_result(event_append(m->plan.events_path, &e, &lost) < 0);
}

void child_prepare(const struct mon *m, unsigned first)
{
	char text[16];
	sigset_t none;

	sigemptyset(&none);
	ignore_result(sigprocmask(SIG_SETMASK, &none, NULL) < 0); /* cannot fail */
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	int n = snprintf(text, sizeof(text), "%d", m->oom_score);
	if (fd >= 0)
		ignore_result(write(fd, text, (size_t)n) < 0);	 /* raising it is allowed to everybody */
	ignore_result(fd_close_from(first, NULL, 0, false) < 0); /* all are close-on-exec anyway */
}

static void on_monitor_signal(struct mon *m, unused void *arg, int fd, unused short revents)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo == SIGTERM)
			life_stop(m);
	/* The report may stand in the socket still when who it tells of has ended already. */
	if (m->report >= 0 && !m->reported)
		life_report(m, NULL, m->report, POLLIN);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		life_child(m, pid, status);
		probe_child(m, pid, status);
	}
}

static void on_listen(struct mon *m, unused void *arg, int fd, unused short revents)
{
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn >= 0)
		clients_adopt(m, conn, false);
}

/* Milliseconds until the first deadline; -1 = none. */
static int time_left(const struct mon *m)
{
	const int64_t at[] = {m->restart_at, m->kill_at, m->probe_at, m->oom_at,
			      m->probe.runner ? m->probe.deadline : 0};
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		if (at[i] && at[i] < first)
			first = at[i];
	if (first == INT64_MAX)
		return -1;
	int64_t left = first - mon_clock();
	return left <= 0 ? 0 : (int)MIN_OF((left + 999999) / 1000000, (int64_t)INT_MAX);
}

static bool due(int64_t *at, int64_t now)
{
	if (*at == 0 || *at > now)
		return false;
	*at = 0;
	return true;
}

/*
 * What only the start has needed of the executable goes: its pages are clean,
 * and those of use in idling come back when they are touched.  Segments that
 * may be written hold relocations, and stay.
 */
static void release_startup_pages(void)
{
	const ElfW(Phdr) *ph = (const void *)(uintptr_t)getauxval(AT_PHDR);
	size_t n = getauxval(AT_PHNUM), page = getauxval(AT_PAGESZ);
	uintptr_t base = 0;

	for (size_t i = 0; i < n; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_offset == 0) /* the one with these headers in it */
			base = ((uintptr_t)ph & ~(page - 1)) - ph[i].p_vaddr;
	for (size_t i = 0; base && i < n; i++) {
		if (ph[i].p_type != PT_LOAD || (ph[i].p_flags & PF_W))
			continue;
		uintptr_t from = (base + ph[i].p_vaddr + page - 1) & ~(page - 1);
		uintptr_t to = (base + ph[i].p_vaddr + ph[i].p_memsz) & ~(page - 1);
		if (to > from)
			ignore_result(madvise((void *)from, to - from, MADV_DONTNEED) <
				      0); /* then they stay */
	}
}

static void run_deadlines(struct mon *m)
{
	int64_t now = mon_clock();

	if (due(&m->kill_at, now) && m->pid > 0 && !m->ended)
		(void)kill(m->pid, SIGKILL); /* our child, not reaped */
	if (due(&m->oom_at, now)) {
		oom_begin(m);
		release_startup_pages();
	}
	if (due(&m->probe_at, now))
		probe_start(m);
	if (m->probe.runner && m->probe.deadline <= now)
		probe_timeout(m);
	if (due(&m->restart_at, now))
		life_make_again(m);
}

static void one_turn(struct mon *m)
{
	m->nfds = 0;
	mon_watch(m, m->signals, POLLIN, on_monitor_signal, NULL);
	mon_watch(m, m->listen, POLLIN, on_listen, NULL);
	mon_watch(m, m->report, POLLIN, life_report, NULL);
	if (m->phase == RUNNING || m->phase == DRAINING)
		streams_watch(m);
	clients_watch(m);
	probe_watch(m);
	oom_watch(m);
	int timeout = time_left(m);
	names_watch(m, &timeout);
	int n = poll(m->fds, m->nfds, timeout);
	size_t all = m->nfds;
	if (n >= 0) /* a question may have expired, too */
		names_done(m);
	for (size_t i = 0; n > 0 && i < all; i++)
		if (m->fds[i].revents && m->on[i].fn)
			m->on[i].fn(m, m->on[i].arg, m->fds[i].fd, m->fds[i].revents);
	run_deadlines(m);
	life_step(m);
}

/* The kernel should take the container before its monitor; where that is not allowed, it is as it is. */
static void hide_from_oom_killer(struct mon *m)
{
	autoclose int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	char text[16] = "";
	int64_t score;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (str_to_i64(text, &score) < 0)
		return;
	m->oom_score = (int)score;
	ignore_result(write(fd, "-999", 4) < 0); /* see above */
}

static int read_plan(struct mon *m, struct err *err)
{
	autoclose int fd = PLAN_FD;
	autofree char *text = NULL;
	size_t len;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot read the plan");
	int r = fd_read_all(fd, PLAN_MAX, &text, &len);
	if (r < 0)
		return err_num(err, r, "cannot read the plan");
	return plan_decode(text, len, &m->doc, &m->plan, err);
}

static int fd_inherited(int fd)
{
	return fd_set_cloexec(fd, true) < 0 ? -1 : fd;
}

static int begin_log(struct mon *m, struct err *err)
{
	int fd = fd_inherited(PLAN_LOG_FD);
	char *attrs;

	switch (m->plan.log) {
	case MONITOR_LOG_NONE:
		break;
	case MONITOR_LOG_JOURNALD:
		m->journal = fd;
		m->source.id = m->plan.id;
		m->source.name = m->plan.name;
		m->source.image = m->plan.image;
		m->source.labels = m->plan.log_labels;
		return journal_prepare(&m->source, err);
	case MONITOR_LOG_JSON_FILE:
		m->log.path = m->plan.log_path;
		m->log.max_size = m->plan.log_max_size;
		m->log.max_files = m->plan.log_max_files;
		attrs = log_attrs(&m->plan.log_labels);
		return attrs ? log_file_begin(&m->log, fd, attrs, err) : err_oom(err);
	}
	return 0;
}

/* What can fail while the maker is at work already. */
static int begin_work(struct mon *m, struct err *err)
{
	const struct monitor_plan *p = &m->plan;

	m->restart = (struct restart){.policy = p->restart, .max = p->restart_max};
	m->health = (struct health){.interval = p->health_interval,
				    .timeout = p->health_timeout,
				    .start_period = p->health_start_period,
				    .start_interval = p->health_start_interval,
				    .retries = p->health_retries};
	m->dirfd = open(p->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->dirfd < 0)
		return err_sys(err, "cannot open \"%s\"", p->run_dir);
	m->lock = run_dir_lock(m->dirfd, p->run_dir, err);
	if (m->lock < 0)
		return m->lock;
	run_dir_clean(m->dirfd);
	int r = begin_log(m, err);
	if (r < 0)
		return r;
	m->listen = run_dir_listen(m->dirfd, err);
	return MIN_OF(m->listen, 0);
}

static int begin_signals(struct mon *m, struct err *err)
{
	sigset_t all, ours;

	sigfillset(&all);
	sigemptyset(&ours);
	sigaddset(&ours, SIGCHLD);
	sigaddset(&ours, SIGTERM);
	/*
	 * They are blocked since before the first child (spawn.c), and the
	 * kernel has kept what came.  No sigaction() here: setting SIGCHLD to its default drops a pending
	 * one.
	 */
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return err_sys(err, "cannot block signals");
	m->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signals < 0 ? err_sys(err, "cannot make a signal descriptor") : 0;
}

int main(int argc, unused char **argv)
{
	struct err err = {0};

	if (argc != 1 || fcntl(PLAN_CLIENT_FD, F_GETFD) < 0) {
		dprintf(2, "coffer-monitor: started by coffer for each container; of no use by itself\n");
		return 2;
	}
	struct mon *m = calloc(1, sizeof(*m));
	if (!m)
		return EXIT_OWN_FAILURE;
	m->dirfd = m->lock = m->listen = m->master = m->slave = m->root = m->journal = m->log.fd = -1;
	m->probe.output = -1;
	m->report = fd_inherited(PLAN_REPORT_FD);
	m->to_in = fd_inherited(PLAN_IN_FD);
	m->out.fd = fd_inherited(PLAN_OUT_FD);
	m->err.fd = fd_inherited(PLAN_ERR_FD);
	m->err.is_err = true;
	clients_init(m);
	clients_adopt(m, fd_inherited(PLAN_CLIENT_FD), true);
	ignore_result(fd_set_nonblock(m->report, true) < 0); /* then a broken maker could hold us: no worse */
	hide_from_oom_killer(m);
	if (begin_signals(m, &err) < 0 || read_plan(m, &err) < 0 || begin_work(m, &err) < 0)
		m->doomed = err;
	for (;;)
		one_turn(m);
}
