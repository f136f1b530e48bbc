/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor, its clients and a plain child process in a container's place. */
#include "test.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "monitor/monitor.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

static char dir[] = "/tmp/test_monitor.XXXXXX";

struct fake {
	const char *script; /* for /bin/sh -c; NULL = the maker fails */
	int exit_status;
	int master;
};

/* What runtime_run() does with a container: its process is ours, and becomes the monitor's when we end. */
static void make(void *data)
{
	const struct fake *f = data;
	struct monitor_made m = {.root = -1, .master = f->master, .dns_udp = -1, .dns_tcp = -1};
	struct err err = {0};

	if (!f->script) {
		m.error = ENOENT;
		m.exit_status = f->exit_status;
		(void)snprintf(m.message, sizeof(m.message), "exec: \"nothing\": not found");
	} else {
		m.pid = fork();
		if (m.pid == 0) {
			sigset_t none;
			sigemptyset(&none);
			(void)sigprocmask(SIG_SETMASK, &none, NULL);
			(void)signal(SIGPIPE, SIG_DFL);
			execl("/bin/sh", "sh", "-c", f->script, (char *)NULL);
			_exit(127);
		}
	}
	if (monitor_report(&m, &err) < 0)
		_exit(1);
}

static struct monitor_plan plan_in(const char *name, char **ret_run_dir, char **ret_log)
{
	*ret_run_dir = str_format("%s/%s", dir, name);
	*ret_log = str_format("%s/%s.log", dir, name);
	CHECK(mkdir(*ret_run_dir, 0700) == 0);
	return (struct monitor_plan){.id = "0123456789abcdef0123456789abcdef",
				     .name = "web",
				     .image = "nginx",
				     .run_dir = *ret_run_dir,
				     .log = MONITOR_LOG_JSON_FILE,
				     .log_path = *ret_log};
}

static char *slurp(const char *path)
{
	char *text = NULL;

	return file_read_at(AT_FDCWD, path, 1 << 30, &text, NULL) == 0 ? text : NULL;
}

/* Standard output (and input) for the time of a relay. */
static int relay_to(struct monitor_conn *c, struct monitor_relay *q, const char *in, const char *out,
		    int *ret_status, struct err *err)
{
	int was_in = dup(0), was_out = dup(1), was_err = dup(2);
	int i = open(in, O_RDONLY), o = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	(void)fflush(stdout);
	dup2(i, 0);
	dup2(o, 1);
	dup2(o, 2);
	int r = monitor_relay(c, q, ret_status, err);
	dup2(was_in, 0);
	dup2(was_out, 1);
	dup2(was_err, 2);
	close(i), close(o), close(was_in), close(was_out), close(was_err);
	return r;
}

/* The monitor of the directory has gone. */
static bool gone(const char *run_dir)
{
	struct monitor_status s;
	struct err err = {0};

	for (int i = 0; i < 200; i++) {
		if (monitor_status(run_dir, &s, &err) == 0 && !s.monitor_alive)
			return true;
		(void)poll(NULL, 0, 10);
	}
	return false;
}

static void test_foreground(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("fg", &run, &log);
	struct fake f = {.script = "echo hello; echo oops >&2; exit 7", .master = -1};
	struct monitor_spawn q = {.plan = &p,
				  .make = make,
				  .data = &f,
				  .attach_stdout = true,
				  .attach_stderr = true,
				  .client_finishes = true};
	struct monitor_relay relay = {.sig_proxy = true};
	struct monitor_status s;
	struct monitor_conn c;
	struct err err = {0};
	int status = -1;
	autofree char *out = str_format("%s/out", dir);

	int r = monitor_spawn(&q, &c, &err);
	CHECK_INT(r, 0);
	if (r < 0) {
		printf("%s\n", err.msg);
		return;
	}
	CHECK_INT(relay_to(&c, &relay, "/dev/null", out, &status, &err), 0);
	CHECK_INT(status, 7);
	CHECK(c.must_finish);
	autofree char *got = slurp(out);
	CHECK(got && strstr(got, "hello\n") && strstr(got, "oops\n"));
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK(s.ended && !s.running && s.monitor_alive);
	CHECK_INT(s.exit_code, 7);
	/* It is to be gone after its client, and not to be in the way of the client's end. */
	monitor_finished(&c);
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK(s.monitor_alive);
	monitor_close(&c);
	CHECK(gone(run));
	autofree char *lines = slurp(log);
	CHECK(lines && strstr(lines, "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"20"));
	CHECK(lines && strstr(lines, "{\"log\":\"oops\\n\",\"stream\":\"stderr\",\"time\":\"20"));
}

static void test_failure(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("fail", &run, &log);
	struct fake f = {.exit_status = 127, .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f};
	struct monitor_conn c;
	struct err err = {0};

	CHECK_INT(monitor_spawn(&q, &c, &err), -ENOENT);
	CHECK_INT(err.exit_status, 127);
	CHECK_STR(err.msg, "exec: \"nothing\": not found");
	CHECK(gone(run));
	p.log = MONITOR_LOG_JOURNALD;
	err = (struct err){0};
	if (access("/run/systemd/journal/socket", F_OK) < 0) {
		CHECK(monitor_spawn(&q, &c, &err) < 0);
		CHECK(strstr(err.msg, "there is no journal"));
	}
}

/* A gigabyte would take too long under a sanitizer; what matters is that not a byte is lost or doubled. */
static void test_much(enum monitor_log kind, const char *name)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in(name, &run, &log);
	struct fake f = {.script = "seq 1 400000", .master = -1};
	struct monitor_spawn q = {
		.plan = &p, .make = make, .data = &f, .attach_stdout = true, .client_finishes = true};
	struct monitor_relay relay = {0};
	struct monitor_conn c;
	struct err err = {0};
	int status = -1;
	autofree char *out = str_format("%s/much", dir);

	p.log = kind;
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	CHECK_INT(relay_to(&c, &relay, "/dev/null", out, &status, &err), 0);
	CHECK_INT(status, 0);
	monitor_finished(&c);
	monitor_close(&c);
	autofree char *got = slurp(out);
	size_t n = 0;
	bool right = got != NULL;
	for (char *s = got; right && *s; n++) {
		right = strtoul(s, &s, 10) == n + 1 && *s == '\n';
		s++;
	}
	CHECK(right);
	CHECK_INT(n, 400000);
}

static void test_input(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("in", &run, &log);
	struct fake f = {.script = "cat; echo end", .master = -1};
	struct monitor_spawn q = {.plan = &p,
				  .make = make,
				  .data = &f,
				  .attach_stdin = true,
				  .attach_stdout = true,
				  .client_finishes = true};
	struct monitor_relay relay = {.stdin_open = true};
	struct monitor_conn c;
	struct err err = {0};
	int status = -1;
	autofree char *out = str_format("%s/out-in", dir), *in = str_format("%s/in-in", dir);
	autofree char *big = malloc(300001);

	memset(big, 'x', 300000);
	big[300000] = '\0';
	CHECK_INT(file_replace_at(AT_FDCWD, in, big, 300000, 0600, false), 0);
	p.open_stdin = p.stdin_once = true;
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	CHECK_INT(relay_to(&c, &relay, in, out, &status, &err), 0);
	CHECK_INT(status, 0);
	monitor_finished(&c);
	monitor_close(&c);
	autofree char *got = slurp(out);
	CHECK(got && strlen(got) == 300004 && str_ends(got, "xend\n"));
}

static void test_finish(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("finish", &run, &log);
	autofree char *mark = str_format("%s/finish-mark", dir);
	const char *argv[] = {"/bin/touch", mark};
	struct fake f = {.script = "read x; exit 3", .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f};
	struct monitor_conn c, w;
	struct monitor_status s;
	struct err err = {0};
	int status = -1;

	p.finish = (str_list){argv, 2};
	p.open_stdin = true;
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	monitor_close(&c);
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK(s.running && s.monitor_alive && !s.ended && s.pid > 0);
	CHECK_INT(monitor_connect(run, true, false, false, false, &w, &err), 0);
	CHECK(w.in >= 0 && w.out < 0);
	CHECK(write(w.in, "go\n", 3) == 3);
	CHECK_INT(monitor_wait(&w, &status, &err), 0);
	CHECK_INT(status, 3);
	CHECK(!w.must_finish);
	monitor_close(&w);
	CHECK(gone(run));
	for (int i = 0; i < 100 && access(mark, F_OK) < 0; i++)
		(void)poll(NULL, 0, 10);
	CHECK(access(mark, F_OK) == 0);
	CHECK_INT(monitor_connect(run, true, false, false, false, &w, &err), -ENOENT);
}

/* kill -9 of the monitor: what is left is told as it is. */
static void test_killed(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("killed", &run, &log);
	struct fake f = {.script = "exec sleep 1000", .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f};
	struct monitor_conn c;
	struct monitor_status s;
	struct err err = {0};
	int status;

	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	CHECK_INT(kill(c.monitor, SIGKILL), 0);
	CHECK_INT(monitor_wait(&c, &status, &err), -EPIPE);
	CHECK(gone(run));
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK(s.running && !s.monitor_alive && !s.ended);
	CHECK_INT(kill(s.pid, SIGKILL), 0);
	monitor_close(&c);
}

static void test_restart(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("again", &run, &log);
	autofree char *events = str_format("%s/events", dir);
	autofree char *self = realpath("/proc/self/exe", NULL);
	autofree char *counter = str_format("%s/counter", dir);
	const char *argv[] = {self, "--make-again", counter};
	struct fake f = {.script = "exit 9", .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f};
	struct monitor_conn c;
	struct monitor_status s;
	struct err err = {0};
	int status;

	p.restart = MONITOR_RESTART_ON_FAILURE;
	p.restart_max = 3;
	p.maker = (str_list){argv, 3};
	p.events_path = events;
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	CHECK_INT(monitor_wait(&c, &status, &err), 0);
	CHECK_INT(status, 9);
	CHECK(c.another_follows && !c.must_finish);
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK(s.monitor_alive);
	monitor_close(&c);
	CHECK(gone(run));
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK_INT(s.restarts, 3);
	CHECK_INT(s.exit_code, 4);
	CHECK(s.ended && !s.restarting);
	autofree char *count = slurp(counter), *told = slurp(events);
	CHECK_STR(count, "again\nagain\nagain\n");
	size_t starts = 0, dies = 0;
	for (const char *t = told; t && (t = strstr(t, "\"action\":\"start\"")); t++)
		starts++;
	for (const char *t = told; t && (t = strstr(t, "\"action\":\"die\"")); t++)
		dies++;
	CHECK_INT(starts, 3);
	CHECK_INT(dies, 3);
}

static int make_again(const char *counter)
{
	autofree char *script = str_format("echo again >> %s; exit 4", counter);
	struct fake f = {.script = script, .master = -1};

	make(&f);
	return 0;
}

static void test_stop_restarts(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("always", &run, &log);
	const char *argv[] = {"/bin/false"};
	struct fake f = {.script = "exec sleep 1000", .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f};
	struct monitor_conn c;
	struct monitor_status s;
	struct err err = {0};
	int status;

	p.restart = MONITOR_RESTART_ALWAYS;
	p.maker = (str_list){argv, 1};
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	CHECK_INT(monitor_set_restart(run, MONITOR_RESTART_UNLESS_STOPPED, 0, &err), 0);
	CHECK_INT(monitor_resize(run, 24, 80, &err), -ENOTTY);
	CHECK_INT(monitor_no_restart(run, &err), 0);
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK_INT(kill(s.pid, SIGTERM), 0);
	CHECK_INT(monitor_wait(&c, &status, &err), 0);
	CHECK_INT(status, 143);
	CHECK(!c.another_follows);
	monitor_close(&c);
	CHECK(gone(run));
	/* A maker that fails is tried again by the policy: here once. */
	p.restart = MONITOR_RESTART_ON_FAILURE;
	p.restart_max = 1;
	f.script = "exit 1";
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	monitor_close(&c);
	CHECK(gone(run));
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK_INT(s.exit_code, 125);
	CHECK(strstr(s.error, "without a word"));
}

/* Stopped while it waits for a restart: who asks is answered at once, and told the last end. */
static void test_stop_between(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("between", &run, &log);
	autofree char *self = realpath("/proc/self/exe", NULL);
	autofree char *counter = str_format("%s/counter-between", dir);
	const char *argv[] = {self, "--make-again", counter};
	struct fake f = {.script = "exit 9", .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f};
	struct monitor_conn c;
	struct monitor_status s = {0};
	struct err err = {0};
	int status;

	p.restart = MONITOR_RESTART_ALWAYS;
	p.maker = (str_list){argv, 3};
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	monitor_close(&c);
	/* After four restarts the pause is longer than a second. */
	for (int i = 0; i < 1000 && !(s.restarts == 4 && s.restarting); i++) {
		(void)poll(NULL, 0, 10);
		CHECK_INT(monitor_status(run, &s, &err), 0);
	}
	CHECK(s.monitor_alive && s.restarting && !s.running);
	CHECK_INT(monitor_connect(run, false, true, true, false, &c, &err), -EAGAIN);
	CHECK_INT(monitor_connect(run, false, false, false, true, &c, &err), 0);
	CHECK_INT(monitor_no_restart(run, &err), 0);
	CHECK_INT(monitor_wait(&c, &status, &err), 0);
	CHECK_INT(status, 4);
	CHECK(c.must_finish && !c.another_follows);
	monitor_finished(&c);
	monitor_close(&c);
	CHECK(gone(run));
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK(s.ended && !s.restarting);
	CHECK_INT(s.restarts, 4);
}

/* SIGTERM to the monitor is `stop`. */
static void test_term(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("term", &run, &log);
	struct fake f = {.script = "trap 'exit 5' USR1; while :; do sleep 0.01; done", .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f, .attach_stdout = true};
	struct monitor_conn c;
	struct err err = {0};
	int status;

	p.stop_signal = SIGUSR1;
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	(void)poll(NULL, 0, 100); /* the shell sets its trap */
	CHECK_INT(kill(c.monitor, SIGTERM), 0);
	CHECK_INT(monitor_wait(&c, &status, &err), 0);
	CHECK_INT(status, 5);
	monitor_close(&c);
	CHECK(gone(run));
}

static void test_terminal(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("tty", &run, &log);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(master >= 0 && unlockpt(master) == 0);
	autofree char *script = str_format("exec < %s > %s 2>&1; read a; stty size; echo got $a; exit 6",
					   ptsname(master), ptsname(master));
	struct fake f = {.script = script, .master = master};
	struct monitor_spawn q = {
		.plan = &p, .make = make, .data = &f, .attach_stdin = true, .attach_stdout = true};
	struct monitor_conn c;
	struct err err = {0};
	char text[256] = "";
	int status;

	p.tty = p.open_stdin = true;
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	CHECK(c.terminal >= 0 && c.in >= 0 && c.out >= 0 && c.err < 0);
	CHECK_INT(monitor_resize(run, 11, 22, &err), 0);
	CHECK(write(c.in, "word\n", 5) == 5);
	CHECK_INT(monitor_wait(&c, &status, &err), 0);
	CHECK_INT(status, 6);
	CHECK(fd_read_full(c.out, text, sizeof(text) - 1) > 0);
	CHECK(strstr(text, "11 22\r\ngot word\r\n"));
	monitor_close(&c);
	CHECK(gone(run));
	close(master);
}

/* A second client that does not read is dropped; the first one misses nothing. */
static void test_slow(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("slow", &run, &log);
	struct fake f = {.script = "read x; seq 1 400000; read x", .master = -1};
	struct monitor_spawn q = {
		.plan = &p, .make = make, .data = &f, .attach_stdin = true, .attach_stdout = true};
	struct monitor_relay relay = {0};
	struct monitor_conn c, late, quick;
	struct err err = {0};
	int status;
	autofree char *out = str_format("%s/slow-out", dir);

	p.open_stdin = p.stdin_once = true;
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	CHECK_INT(monitor_connect(run, false, true, true, false, &late, &err), 0);
	CHECK_INT(monitor_connect(run, false, false, false, false, &quick, &err), 0);
	CHECK(write(c.in, "go\n", 3) == 3);
	CHECK_INT(relay_to(&c, &relay, "/dev/null", out, &status, &err), 0);
	autofree char *got = slurp(out);
	CHECK(got && str_ends(got, "\n400000\n") && strlen(got) == 2688895);
	CHECK_INT(monitor_wait(&late, &status, &err), -EPIPE);
	CHECK_INT(monitor_wait(&quick, &status, &err), 0);
	monitor_close(&late);
	monitor_close(&quick);
	monitor_close(&c);
	CHECK(gone(run));
}

/* ---- the relay at a terminal: a child that has a pty for its own, and types what we write ---- */

struct user {
	pid_t pid;
	int keyboard; /* master of the user's terminal */
};

/* Exit status of the child: the container's, 100 + errno, 99 detached; +50 where the mode was not restored.
 */
static _Noreturn void be_user(struct monitor_conn *c, const char *slave, struct monitor_relay q)
{
	struct termios before, after;
	struct err err = {0};
	int status = 0, detached = 0;
	int fd = (setsid(), open(slave, O_RDWR));

	(void)ioctl(fd, TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	q.ret_detached = &detached;
	(void)tcgetattr(0, &before);
	int r = monitor_relay(c, &q, &status, &err);
	(void)tcgetattr(0, &after);
	status = r < 0 ? 100 - r : detached ? 99 : status;
	if (before.c_lflag != after.c_lflag || before.c_oflag != after.c_oflag)
		status += 50;
	_exit(status);
}

static struct user user_start(struct monitor_conn *c, struct monitor_relay q)
{
	struct user u = {.keyboard = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
	struct winsize size = {.ws_row = 33, .ws_col = 44};

	CHECK(u.keyboard >= 0 && unlockpt(u.keyboard) == 0);
	CHECK(ioctl(u.keyboard, TIOCSWINSZ, &size) == 0);
	autofree char *slave = strdup(ptsname(u.keyboard));
	u.pid = fork();
	if (u.pid == 0)
		be_user(c, slave, q);
	monitor_close(&(struct monitor_conn){.fd = c->fd,
					     .in = c->in,
					     .out = c->out,
					     .err = c->err,
					     .terminal = c->terminal}); /* the child's now */
	return u;
}

/* Reads the user's screen until `text` is on it. */
static bool user_sees(const struct user *u, const char *text)
{
	char screen[8192];
	size_t n = 0;

	while (n < sizeof(screen) - 1) {
		struct pollfd p = {.fd = u->keyboard, .events = POLLIN};
		if (poll(&p, 1, 5000) <= 0)
			break;
		ssize_t got = read(u->keyboard, screen + n, sizeof(screen) - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		screen[n] = '\0';
		if (strstr(screen, text))
			return true;
	}
	return false;
}

static int user_end(struct user *u)
{
	int status = proc_wait(u->pid);

	close(u->keyboard);
	return proc_exit_code(status);
}

static void test_detach_keys(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("keys", &run, &log);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(master >= 0 && unlockpt(master) == 0);
	autofree char *script = str_format(
		"exec < %s > %s 2>&1; echo ready; read a; stty size; echo got $a; read b; echo bye; exit 6",
		ptsname(master), ptsname(master));
	struct fake f = {.script = script, .master = master};
	struct monitor_spawn q = {
		.plan = &p, .make = make, .data = &f, .attach_stdin = true, .attach_stdout = true};
	struct monitor_relay relay = {
		.tty = true, .stdin_open = true, .sig_proxy = true, .detach_keys = "ctrl-p,ctrl-q"};
	struct monitor_conn c;
	struct err err = {0};

	p.tty = p.open_stdin = true;
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	struct user u = user_start(&c, relay);
	CHECK(user_sees(&u, "ready"));
	CHECK(write(u.keyboard, "one\r", 4) == 4);
	CHECK(user_sees(&u, "33 44\r\ngot one\r\n"));
	CHECK(write(u.keyboard, "\x10\x11", 2) == 2);
	CHECK_INT(user_end(&u), 99);
	/* A second one comes and sees it to its end. */
	CHECK_INT(monitor_connect(run, true, true, true, false, &c, &err), 0);
	u = user_start(&c, relay);
	struct winsize size = {.ws_row = 50, .ws_col = 60}, is;
	(void)poll(NULL, 0, 200);
	CHECK(ioctl(u.keyboard, TIOCSWINSZ, &size) == 0);
	for (int i = 0; i < 200; i++) {
		CHECK(ioctl(master, TIOCGWINSZ, &is) == 0);
		if (is.ws_row == 50)
			break;
		(void)poll(NULL, 0, 10);
	}
	CHECK(is.ws_row == 50 && is.ws_col == 60);
	CHECK(write(u.keyboard, "two\r", 4) == 4);
	CHECK(user_sees(&u, "bye\r\n"));
	CHECK_INT(user_end(&u), 6);
	CHECK(gone(run));
	close(master);
}

/* A signal to the client is the container's; a killed client leaves it running. */
static void test_signals(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("signals", &run, &log);
	struct fake f = {.script = "trap 'exit 21' USR1; echo ready; while :; do sleep 0.01; done",
			 .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f, .attach_stdout = true};
	struct monitor_relay relay = {.sig_proxy = true};
	struct monitor_conn c, w;
	struct monitor_status s;
	struct err err = {0};
	int status;

	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	struct user u = user_start(&c, relay);
	CHECK(user_sees(&u, "ready"));
	CHECK_INT(kill(u.pid, SIGKILL), 0);
	CHECK_INT(user_end(&u), 137);
	(void)poll(NULL, 0, 50);
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK(s.running && s.monitor_alive);
	CHECK_INT(monitor_connect(run, false, true, true, false, &c, &err), 0);
	CHECK_INT(monitor_connect(run, false, false, false, false, &w, &err), 0);
	u = user_start(&c, relay);
	(void)poll(NULL, 0, 200);
	CHECK_INT(kill(u.pid, SIGUSR1), 0);
	CHECK_INT(user_end(&u), 21);
	CHECK_INT(monitor_wait(&w, &status, &err), 0);
	CHECK_INT(status, 21);
	monitor_close(&w);
	CHECK(gone(run));
}

/* Follows over a rotation, and ends with the container. */
static void test_follow(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("follow", &run, &log);
	struct fake f = {.script = "i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.01; done",
			 .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f};
	struct monitor_log_query l = {
		.path = log, .run_dir = run, .follow = true, .out = true, .err_too = true, .tail = -1};
	struct monitor_conn c;
	struct err err = {0};
	autofree char *out = str_format("%s/follow-out", dir);

	p.log_max_size = 1000;
	p.log_max_files = 20;
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	l.out_fd = l.err_fd = open(out, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK_INT(monitor_logs(&l, &err), 0);
	close(l.out_fd);
	monitor_close(&c);
	autofree char *got = slurp(out);
	int n = 0;
	for (char *t = got; t && str_starts(t, "line ") && strtol(t + 5, NULL, 10) == n;
	     t = strchr(t, '\n') + 1)
		n++;
	CHECK_INT(n, 60);
	autofree char *rotated = str_format("%s.3", log);
	CHECK(access(rotated, F_OK) == 0);
	CHECK(gone(run));
}

/* What it costs; told, and held against a bound that is far away. */
static void test_memory(void)
{
	autofree char *run = NULL, *log = NULL;
	struct monitor_plan p = plan_in("memory", &run, &log);
	struct fake f = {.script = "exec sleep 1000", .master = -1};
	struct monitor_spawn q = {.plan = &p, .make = make, .data = &f};
	struct timespec a, b;
	struct monitor_conn c;
	struct monitor_status s;
	struct err err = {0};
	int status;

	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	CHECK_INT(monitor_spawn(&q, &c, &err), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	(void)poll(NULL, 0, 300);
	autofree char *path = str_format("/proc/%d/smaps_rollup", c.monitor);
	autofree char *text = slurp(path);
	const char *pss = text ? strstr(text, "\nPss:") : NULL, *rss = text ? strstr(text, "\nRss:") : NULL;
	long kb = pss ? strtol(pss + 5, NULL, 10) : -1;
	printf("spawn %.3f ms, rss %ld KB, pss %ld KB\n",
	       (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6,
	       rss ? strtol(rss + 5, NULL, 10) : -1, kb);
#ifndef __SANITIZE_ADDRESS__
	CHECK(kb > 0 && kb <= 1024);
#endif
	CHECK_INT(monitor_status(run, &s, &err), 0);
	CHECK_INT(kill(s.pid, SIGKILL), 0);
	CHECK_INT(monitor_wait(&c, &status, &err), 0);
	CHECK_INT(status, 137);
	monitor_close(&c);
	CHECK(gone(run));
}

/* Helper programs stand in the build's top folder. */
static void find_helpers(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	for (int up = 0; n > 0 && up < 3; up++) {
		while (n > 0 && self[n - 1] != '/')
			n--;
		n--;
	}
	if (n > 0) {
		self[n] = '\0';
		(void)setenv("COFFER_LIBEXECDIR", self, 0);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && streq(argv[1], "--make-again"))
		return make_again(argv[2]);
	find_helpers();
	CHECK(mkdtemp(dir) != NULL);
	test_foreground();
	test_failure();
	test_much(MONITOR_LOG_NONE, "much-none");
	test_much(MONITOR_LOG_JSON_FILE, "much-json");
	test_input();
	test_finish();
	test_killed();
	test_restart();
	test_stop_restarts();
	test_stop_between();
	test_term();
	test_terminal();
	test_slow();
	test_detach_keys();
	test_signals();
	test_follow();
	test_memory();
	autoclose int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, dir + strlen("/tmp/")), 0);
	return test_end();
}
