/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/proc.h"
#include "base/str.h"
#include "host/tty.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

static int devpts;

static void test_open(void)
{
	struct tty_pair p;
	struct winsize size;
	struct err err = {0};
	char buf[16];

	CHECK_INT(tty_open(devpts, &p, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK(isatty(p.master) && isatty(p.slave));
	CHECK((fcntl(p.master, F_GETFD) & FD_CLOEXEC) && (fcntl(p.slave, F_GETFD) & FD_CLOEXEC));
	CHECK_INT(tty_set_size(p.master, 24, 81, &err), 0);
	CHECK(ioctl(p.slave, TIOCGWINSZ, &size) == 0 && size.ws_row == 24 && size.ws_col == 81);
	CHECK(write(p.slave, "a\n", 2) == 2 && read(p.master, buf, sizeof(buf)) == 3 &&
	      memcmp(buf, "a\r\n", 3) == 0);
	CHECK_INT(tty_clear_onlcr(p.master, &err), 0);
	CHECK(write(p.slave, "a\n", 2) == 2 && read(p.master, buf, sizeof(buf)) == 2);
	close(p.master);
	close(p.slave);
}

/* A "devpts" that is none, and one whose ptmx is something else: nothing of it is opened. */
static int fakes(void)
{
	struct tty_pair p;
	struct err err = {0};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
		return 77;
	if (mkdir("/tmp/pts", 0755) < 0 || symlink("/dev/null", "/tmp/pts/ptmx") < 0)
		return 1;
	int dir = open("/tmp/pts", O_PATH | O_CLOEXEC);
	if (tty_open(dir, &p, &err) != -EXDEV)
		return 2;
	if (unlink("/tmp/pts/ptmx") < 0 || mknod("/tmp/pts/ptmx", S_IFCHR | 0666, 5 << 8 | 2) < 0)
		return 77;
	if (tty_open(dir, &p, &err) != -EXDEV)
		return 3;
	if (mount("/dev/null", "/dev/pts/ptmx", NULL, MS_BIND, NULL) == 0) {
		int pts = open("/dev/pts", O_PATH | O_CLOEXEC);
		if (tty_open(pts, &p, &err) != -EXDEV)
			return 4;
	}
	return 0;
}

static int taken(void)
{
	struct tty_pair p;
	struct err err = {0};
	char name[64];

	if (tty_open(devpts, &p, &err) < 0)
		return 1;
	setsid();
	if (tty_take(p.slave, &err) < 0)
		return 2;
	int ctty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (ctty < 0)
		return 3;
	if (!isatty(0) || !isatty(2) || fcntl(1, F_GETFD) != 0)
		return 4;
	return ttyname_r(0, name, sizeof(name)) == 0 && str_starts(name, "/dev/pts/") ? 0 : 5;
}

static void test_send(void)
{
	char dir[] = "/tmp/coffer-tty-XXXXXX", buf[64];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct tty_pair p;
	struct err err = {0};
	int fds[2];
	size_t n = 0;

	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	autoclose int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(listener, 1) == 0);
	autoclose int s = tty_connect_socket(addr.sun_path, &err);
	CHECK(s >= 0);
	autoclose int peer = accept(listener, NULL, NULL);
	CHECK_INT(tty_open(devpts, &p, &err), 0);
	CHECK_INT(tty_send_master(s, p.master, &err), 0);
	CHECK_INT(fd_recv(peer, buf, sizeof(buf), fds, 2, &n), 13);
	CHECK(n == 1 && memcmp(buf, "/dev/pts/ptmx", 13) == 0 && isatty(fds[0]));
	close(fds[0]);
	close(p.master);
	close(p.slave);
	unlink(addr.sun_path);
	CHECK_INT(tty_connect_socket(addr.sun_path, &err), -ENOENT);
	CHECK(str_starts(err.msg, "cannot connect to console socket \"/tmp/coffer-tty-"));
	rmdir(dir);
	autofree char *longer = calloc(1, 200);
	memset(longer, 'x', 199);
	CHECK_INT(tty_connect_socket(longer, &err), -ENAMETOOLONG);
}

/* ---- The relay: we are the user, a child runs it, another is the container. ---- */

struct ended {
	pid_t pid;
	int calls;
};

static int on_event(void *data, struct err *err unused)
{
	struct ended *e = data;

	e->calls++;
	ignore_result(proc_wait(e->pid));
	return 1;
}

static int relay(int in, int out, void (*container)(void))
{
	struct tty_pair p;
	struct err err = {0};

	if (tty_open(devpts, &p, &err) < 0)
		return 1;
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		if (tty_take(p.slave, &err) < 0)
			_exit(1);
		close(p.master);
		close(p.slave);
		container();
		_exit(0);
	}
	close(p.slave);
	struct ended e = {.pid = pid};
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct tty_relay r = {.master = p.master,
			      .in = in,
			      .out = out,
			      .event_fd = pidfd,
			      .on_event = on_event,
			      .data = &e};
	if (tty_relay(&r, &err) < 0 || e.calls != 1)
		return 2;
	return 0;
}

enum { BULK = 300000 };

static void container_bulk(void)
{
	char line[100];

	memset(line, 'y', sizeof(line));
	for (int i = 0; i < BULK / (int)sizeof(line); i++)
		if (write(1, line, sizeof(line)) < 0)
			_exit(1);
	if (write(1, "END", 3) < 0)
		_exit(1);
}

static void container_echo(void)
{
	char line[64];

	for (;;) {
		ssize_t n = read(0, line, sizeof(line));
		if (n <= 0 || line[0] == 'q')
			return;
		if (write(1, "got:", 4) < 0 || write(1, line, (size_t)n) < 0)
			return;
	}
}

/* Leaves a process behind that holds the terminal: the relay must end all the same. */
static void container_orphan(void)
{
	if (fork() == 0) {
		signal(SIGHUP, SIG_IGN);
		sleep(3);
		_exit(0);
	}
	if (write(1, "bye", 3) < 0)
		_exit(1);
}

static size_t run_relay(const char *typed, void (*container)(void), char *buf, size_t size, int *ret_code)
{
	int in[2], out[2];
	size_t got = 0;

	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(relay(in[0], out[1], container));
	close(in[0]);
	close(out[1]);
	if (typed)
		CHECK(write(in[1], typed, strlen(typed)) > 0);
	close(in[1]); /* the end of what is typed is not the end */
	ssize_t n;
	while (got < size && (n = read(out[0], buf + got, size - got)) > 0)
		got += (size_t)n;
	close(out[0]);
	*ret_code = proc_exit_code(proc_wait(pid));
	return got;
}

static void test_relay(void)
{
	static char buf[BULK * 2];
	int code;

	size_t n = run_relay(NULL, container_bulk, buf, sizeof(buf), &code);
	CHECK_INT(code, 0);
	CHECK_INT(n, BULK + 3);
	CHECK(n > 3 && memcmp(buf + n - 3, "END", 3) == 0);
	n = run_relay("hello\nq\n", container_echo, buf, sizeof(buf) - 1, &code);
	buf[n] = '\0';
	CHECK_INT(code, 0);
	CHECK(strstr(buf, "got:hello\r\n") != NULL);
	n = run_relay(NULL, container_orphan, buf, sizeof(buf) - 1, &code);
	buf[n] = '\0';
	CHECK_STR(buf, "bye");
	CHECK_INT(code, 0);
}

static int in_child(int (*body)(void))
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(body());
	return proc_exit_code(proc_wait(pid));
}

int main(void)
{
	devpts = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
	test_open();
	CHECK_INT(in_child(taken), 0);
	if (geteuid() == 0) {
		int r = in_child(fakes);
		CHECK(r == 0 || r == 77);
		if (r)
			printf("fakes: %d\n", r);
	}
	test_send();
	fflush(stdout);
	test_relay();
	return test_end();
}
