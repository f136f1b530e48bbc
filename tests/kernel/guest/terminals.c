/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo-terminals: their making, line discipline, sessions, job control, hang-up. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t last_signal;

static void note(int sig)
{
	last_signal = sig;
}

static int open_pair(int *ret_slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return -1;
	*ret_slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	return master;
}

/* What only who configures terminals may do. */
static void forbidden(void)
{
	int slave = -1, master = open_pair(&slave), status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setuid(1000) < 0)
			_exit(1);
		FACT("hanging up by anybody", ioctl(slave, TIOCVHANGUP), -EPERM);
		FACT("the console's output taken by anybody", ioctl(slave, TIOCCONS), -EPERM);
		_exit(facts_end());
	}
	waitpid(pid, &status, 0);
	fact("refused to an ordinary user", status, 0);
	close(slave);
	close(master);
}

static void lines(void)
{
	int slave = -1, master = open_pair(&slave), n = 0;
	struct winsize size = {.ws_row = 33, .ws_col = 77}, seen = {0};
	char buf[64], name[64] = "";
	struct termios tio;
	struct stat a, b;

	TRUE("a pair", master >= 0 && slave >= 0);
	FACT("isatty", isatty(slave), 1);
	FACT("ttyname_r", ttyname_r(slave, name, sizeof(name)), 0);
	TRUE("is the slave's", strcmp(name, ptsname(master)) == 0);
	TRUE("the same node",
	     fstat(slave, &a) == 0 && stat(name, &b) == 0 && a.st_rdev == b.st_rdev && a.st_ino == b.st_ino);
	FACT("input", write(master, "ab\n", 3), 3);
	FACT("a line", read(slave, buf, sizeof(buf)), 3);
	FACT("echo", read(master, buf, sizeof(buf)), 4);
	TRUE("with a carriage return", memcmp(buf, "ab\r\n", 4) == 0);
	(void)write(master, "xy", 2);
	FACT("no line, nothing to read", poll(&(struct pollfd){slave, POLLIN, 0}, 1, 0), 0);
	(void)tcgetattr(slave, &tio);
	cfmakeraw(&tio);
	FACT("raw", tcsetattr(slave, TCSANOW, &tio), 0);
	FACT("then it can be read", read(slave, buf, sizeof(buf)), 2);
	(void)read(master, buf, sizeof(buf));
	FACT("output", write(slave, "out\n", 4), 4);
	FACT("poll", poll(&(struct pollfd){master, POLLIN, 0}, 1, 1000), 1);
	FACT("FIONREAD", ioctl(master, FIONREAD, &n) == 0 ? n : -1, 4);
	FACT("as it is", read(master, buf, sizeof(buf)), 4);
	tio.c_cc[VMIN] = 0;
	tio.c_cc[VTIME] = 1;
	(void)tcsetattr(slave, TCSANOW, &tio);
	FACT("a read that ends by time", read(slave, buf, sizeof(buf)), 0);
	FACT("set the size", ioctl(master, TIOCSWINSZ, &size), 0);
	FACT("get it", ioctl(slave, TIOCGWINSZ, &seen), 0);
	TRUE("the same", seen.ws_row == 33 && seen.ws_col == 77);
	FACT("an ioctl that is none", ioctl(slave, 0x5499, 0), -ENOTTY);
	FACT("not my terminal", tcgetpgrp(slave), -ENOTTY);
	(void)close(slave);
	TRUE("hang-up at the master", poll(&(struct pollfd){master, POLLIN, 0}, 1, 1000) == 1);
	FACT("read at the master", read(master, buf, sizeof(buf)), -EIO);
	(void)close(master);
}

static void gone_master(void)
{
	int slave = -1, master = open_pair(&slave);
	char c;

	(void)close(master);
	FACT("end at the slave", read(slave, &c, 1), 0);
	FACT("write at the slave", write(slave, "x", 1), -EIO);
	(void)close(slave);
}

/* In the child of forkpty: the terminal is its own. */
static int in_session(void)
{
	int tty = open("/dev/tty", O_RDWR), status;
	char buf[32];
	pid_t pid;

	(void)signal(SIGINT, note);
	(void)siginterrupt(SIGINT, 1);
	if (tty < 0 || tcgetpgrp(0) != getpgrp() || tcgetsid(tty) != getpid())
		return 1;
	if (write(tty, "ready\n", 6) != 6 || read(0, buf, sizeof(buf)) != -1 || errno != EINTR ||
	    last_signal != SIGINT)
		return 2;
	pid = fork();
	if (pid == 0) {
		(void)setpgid(0, 0);
		_exit(read(0, buf, sizeof(buf)) == 5 ? 0 : 3);
	}
	(void)setpgid(pid, pid);
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTTIN)
		return 3;
	if (tcsetpgrp(0, pid) < 0 || kill(pid, SIGCONT) < 0 || write(tty, "go\n", 3) != 3)
		return 4;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return 5;
	(void)signal(SIGTTOU, SIG_IGN);
	if (tcsetpgrp(0, getpgrp()) < 0)
		return 6;
	(void)signal(SIGTTOU, SIG_DFL);
	(void)signal(SIGHUP, note);
	(void)siginterrupt(SIGHUP, 1);
	(void)write(tty, "end\n", 4);
	while (last_signal != SIGHUP)
		if (read(0, buf, sizeof(buf)) == 0)
			(void)usleep(1000);
	return 42;
}

static int expect(int master, const char *word)
{
	char buf[256];
	size_t len = 0;

	while (len < sizeof(buf) - 1) {
		ssize_t n;

		if (poll(&(struct pollfd){master, POLLIN, 0}, 1, 5000) != 1)
			return -1;
		n = read(master, buf + len, sizeof(buf) - 1 - len);
		if (n <= 0)
			return -1;
		len += (size_t)n;
		buf[len] = '\0';
		if (strstr(buf, word))
			return 0;
	}
	return -1;
}

static void sessions(void)
{
	int master, status;
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	if (pid == 0)
		_exit(in_session());
	TRUE("forkpty", pid > 0);
	FACT("its output", expect(master, "ready"), 0);
	(void)usleep(50000);
	(void)write(master, "\003", 1);
	FACT("job control", expect(master, "go"), 0);
	(void)write(master, "line\n", 5);
	FACT("to its end", expect(master, "end"), 0);
	(void)close(master);
	(void)waitpid(pid, &status, 0);
	FACT("each step", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), 42);
}

/* A slave that its master opens is the terminal of a session without one, unless it is told not to be. */
static int peers(void)
{
	int slave, peer, master = open_pair(&slave);

	if (setsid() < 0 || master < 0)
		return 1;
	(void)signal(SIGHUP, SIG_IGN);
	(void)close(slave);
	peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	FACT("TIOCGPTPEER with O_NOCTTY", open("/dev/tty", O_RDWR), -ENXIO);
	(void)close(peer);
	peer = ioctl(master, TIOCGPTPEER, O_RDWR);
	TRUE("TIOCGPTPEER", peer >= 0);
	TRUE("is the session's terminal", open("/dev/tty", O_RDWR) >= 0);
	FACT("which can be given up", ioctl(peer, TIOCNOTTY), 0);
	FACT("a break", ioctl(peer, TIOCSBRK), 0);
	FACT("and its end", ioctl(peer, TIOCCBRK), 0);
	struct termios locked = {.c_iflag = 1, .c_lflag = 1};
	FACT("what of it is locked", ioctl(peer, TIOCGLCKTRMIOS, &locked), 0);
	TRUE("is nothing", locked.c_iflag == 0 && locked.c_lflag == 0);
	if (getuid() != 0 || setresuid(1000, 1000, 1000) == 0)
		FACT("to lock it is root's", ioctl(peer, TIOCSLCKTRMIOS, &locked), -EPERM);
	return facts_end();
}

static void peers_apart(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(peers());
	(void)waitpid(pid, &status, 0);
	fact("opened by masters", status, 0);
}

/* A session's leader, which a signal reaches while it opens its terminal: it has it, under the lowest number.
 */
static int leader(const char *name, int after)
{
	struct itimerval often = {{0, 4000}, {0, 1 + after}}, never = {0};
	struct sigaction act = {.sa_handler = note};
	int lowest = dup(0), fd, wrong;
	pid_t session = 0;

	close(lowest);
	if (setsid() < 0)
		return 1;
	signal(SIGHUP, SIG_IGN);
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	fd = open(name, O_RDWR);
	setitimer(ITIMER_REAL, &never, NULL);
	wrong = fd != lowest ? 2 : ioctl(fd, TIOCGSID, &session) || session != getpid() ? 4 : 0;
	if (fd >= 0)
		(void)ioctl(fd, TIOCNOTTY);
	return wrong;
}

static void leaders(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), wrong = 0, status;

	FACT("another pair", grantpt(master) || unlockpt(master), 0);
	for (int i = 0; i < 300; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(leader(ptsname(master), i * 7 % 900));
		wrong |= waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 8;
	}
	FACT("a leader under signals gets its terminal, once", wrong, 0);
	close(master);
}

static volatile sig_atomic_t timers_seen;

static void on_timer(int sig)
{
	(void)sig;
	timers_seen++;
}

/* A session's terminal is opened while timers fire faster than anything could be begun anew. */
static void beside_timers(void)
{
	const struct itimerval fast = {{0, 60}, {0, 60}}, none = {0};
	int slave = -1, master = open_pair(&slave), status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		const struct sigaction seen = {.sa_handler = on_timer, .sa_flags = SA_RESTART};

		(void)close(slave);
		if (setsid() < 0 || sigaction(SIGALRM, &seen, NULL) < 0 ||
		    setitimer(ITIMER_REAL, &fast, NULL) < 0)
			_exit(1);
		slave = open(ptsname(master), O_RDWR);
		while (timers_seen < 20)
			; /* they come all the same */
		(void)setitimer(ITIMER_REAL, &none, NULL);
		if (slave < 0)
			_exit(2);
		_exit(tcgetsid(slave) == getpid() ? 0 : 3);
	}
	(void)waitpid(pid, &status, 0);
	fact("a terminal that is opened beside timers", status, 0);
	(void)close(slave);
	(void)close(master);
}

int main(void)
{
	forbidden();
	lines();
	gone_master();
	sessions();
	peers_apart();
	leaders();
	beside_timers();
	return facts_end();
}
