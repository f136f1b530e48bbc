/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that wait, and signals: what is restarted, what is not, and that nothing is lost or done twice. */
#include "fact.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	(void)sig;
	caught++;
}

static void handle(int sig, int flags)
{
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = flags};
	sigaction(sig, &act, NULL);
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void alarm_ms(int first, int every)
{
	struct itimerval t = {{every / 1000, every % 1000 * 1000}, {first / 1000, first % 1000 * 1000}};
	setitimer(ITIMER_REAL, &t, NULL);
}

/* A child that sends `count` signals to us, `gap` ms apart, then writes a byte. */
static pid_t sender(int fd, int sig, int count, int gap)
{
	pid_t parent = getpid(), pid = fork();
	if (pid)
		return pid;
	for (int i = 0; i < count; i++) {
		usleep((unsigned)gap * 1000);
		kill(parent, sig);
	}
	usleep(20000);
	if (fd >= 0)
		write(fd, "x", 1);
	_exit(0);
}

static void end_sender(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

enum { MANY = 400 }; /* signals: a machine that is busy may have one come before the call, or behind it */

static void reads(void)
{
	int p[2];
	char c;
	pipe(p);
	handle(SIGUSR1, 0);
	pid_t pid = sender(-1, SIGUSR1, MANY, 300);
	FACT("read ends with EINTR", read(p[0], &c, 1), -EINTR);
	end_sender(pid);
	TRUE("its handler ran", caught >= 1);
	write(p[1], "x", 1);
	FACT("then the byte comes", read(p[0], &c, 1), 1);
	handle(SIGUSR1, SA_RESTART);
	caught = 0;
	pid = sender(p[1], SIGUSR1, 3, 20);
	FACT("read is restarted", read(p[0], &c, 1), 1);
	TRUE("after its handlers",
	     caught >= 1 && caught <= 3); /* one that is pending still takes the next in */
	waitpid(pid, NULL, 0);
	signal(SIGUSR1, SIG_IGN);
	pid = sender(p[1], SIGUSR1, 3, 20);
	FACT("an ignored signal does not end a read", read(p[0], &c, 1), 1);
	waitpid(pid, NULL, 0);
}

static void polls(void)
{
	int p[2];
	pipe(p);
	struct pollfd x = {.fd = p[0], .events = POLLIN};
	handle(SIGUSR1, SA_RESTART);
	caught = 0;
	pid_t pid = sender(-1, SIGUSR1, MANY, 300);
	FACT("poll ends with EINTR in spite of SA_RESTART", poll(&x, 1, 60000), -EINTR);
	end_sender(pid);
	signal(SIGUSR1, SIG_IGN);
	int64_t begin = now_ms();
	pid = sender(-1, SIGUSR1, MANY, 30);
	FACT("poll under ignored signals times out", poll(&x, 1, 400), 0);
	int64_t took = now_ms() - begin;
	TRUE("when it should", took >= 395 && took < MANY * 30);
	end_sender(pid);
	handle(SIGUSR1, 0);
	pid = sender(-1, SIGUSR1, 3, 50); /* fewer arrive where two are pending at once */
	int tries = 0, left;
	do {
		begin = now_ms();
		left = poll(&x, 1, 1500);
		tries += left < 0 && errno == EINTR;
	} while (left < 0 && errno == EINTR);
	took = now_ms() - begin;
	TRUE("a poll that is called anew has all its time",
	     left == 0 && tries >= 1 && tries <= 3 && took >= 1495);
	waitpid(pid, NULL, 0);
}

static void stops(void)
{
	int p[2], status;
	char c;
	pipe(p);
	pid_t pid = fork();
	if (pid == 0) {
		struct pollfd x = {.fd = p[0], .events = POLLIN};
		int64_t begin = now_ms();
		int r = poll(&x, 1, 600);
		int64_t took = now_ms() - begin;
		_exit(r == 0 && took >= 590 ? 7 : 8);
	}
	usleep(50000);
	kill(pid, SIGSTOP);
	FACT("a stop is told", waitpid(pid, &status, WUNTRACED), pid);
	TRUE("as stopped by SIGSTOP", WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	usleep(50000);
	kill(pid, SIGCONT);
	FACT("its end is told", waitpid(pid, &status, 0), pid);
	TRUE("poll has gone on over the stop", WIFEXITED(status) && WEXITSTATUS(status) == 7);
	pid = fork();
	if (pid == 0)
		_exit(read(p[0], &c, 1) == 1 ? 5 : 6);
	usleep(20000);
	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	write(p[1], "y", 1);
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	TRUE("a byte that came during the stop is read", WIFEXITED(status) && WEXITSTATUS(status) == 5);
}

/* A stream of numbers under a storm of signals: no number may be missing or come twice. */
static void *write_numbers(void *data)
{
	int fd = *(int *)data;
	sigset_t set;
	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (uint32_t i = 0; i < 20000; i++)
		while (write(fd, &i, sizeof(i)) != (ssize_t)sizeof(i))
			continue;
	close(fd);
	return NULL;
}

static void storm(int flags, const char *name)
{
	int p[2], wrong = 0;
	uint32_t want = 0, got;
	pthread_t thread;
	ssize_t r;
	pipe(p);
	handle(SIGALRM, flags);
	caught = 0;
	pthread_create(&thread, NULL, write_numbers, &p[1]);
	struct itimerval t = {{0, 300}, {0, 300}};
	setitimer(ITIMER_REAL, &t, NULL);
	while ((r = read(p[0], &got, sizeof(got))) != 0) {
		if (r < 0 && errno == EINTR)
			continue;
		if (r != (ssize_t)sizeof(got) || got != want)
			wrong++;
		want = got + 1;
	}
	alarm_ms(0, 0);
	pthread_join(thread, NULL);
	close(p[0]);
	FACT(name, wrong, 0);
	TRUE("all numbers have come", want == 20000);
	TRUE("under signals", caught > 5);
}

static volatile pid_t sender_pid;
static volatile uid_t sender_uid;

static void on_info(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	sender_pid = info->si_pid;
	sender_uid = info->si_uid;
}

static int sender_told(int sig, uid_t uid)
{
	struct sigaction act = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};
	sigaction(sig, &act, NULL);
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		if (sig != SIGCHLD)
			kill(parent, sig);
		_exit(0);
	}
	while (waitpid(pid, NULL, 0) != pid)
		continue;
	return sender_pid == pid && sender_uid == uid;
}

static void senders(void)
{
	int status;
	uid_t uid = getuid();
	TRUE("a signal tells who sent it", sender_told(SIGUSR2, uid));
	TRUE("and SIGCHLD whose child it was", sender_told(SIGCHLD, uid));
	pid_t pid = fork();
	if (pid == 0)
		_exit(setgid(1000) || setuid(1000)				 ? 9
		      : sender_told(SIGUSR2, 1000) && sender_told(SIGCHLD, 1000) ? 0
										 : 1);
	signal(SIGCHLD, SIG_DFL);
	waitpid(pid, &status, 0);
	if (WEXITSTATUS(status) == 9)
		printf("skip another user: not root\n");
	else
		TRUE("also as another user", status == 0);
}

/* A timer whose signal nobody wants is no burden, however often it ends. */
static void unheard_timer(int sig, const char *name)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig};
	struct itimerspec often = {{0, 1}, {0, 1}}, now;
	struct timespec zero = {0, 0};
	sigset_t set, old;
	timer_t timer;
	int status, ends[2];
	char byte;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, NULL);
	FACT(name, timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	FACT("is set", timer_settime(timer, 0, &often, NULL), 0);
	usleep(20000);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	TRUE("has ended often", timer_getoverrun(timer) > 1000000);
	sigprocmask(SIG_BLOCK, NULL, &old);
	TRUE("is not blocked", !sigismember(&old, sig));
	FACT("its interval", timer_gettime(timer, &now) < 0 ? -1 : now.it_interval.tv_nsec, 1);
	(void)!pipe(ends);
	if (fork() == 0) {
		sigprocmask(SIG_BLOCK, NULL, &old);
		usleep(2000);
		(void)!write(ends[1], "x", 1);
		_exit(sigismember(&old, sig));
	}
	FACT("reads beside it", read(ends[0], &byte, 1), 1);
	FACT("waits beside it", wait(&status) > 0 ? status : -1, 0);
	caught = 0;
	handle(SIGUSR2, 0);
	kill(getpid(), SIGUSR2);
	FACT("other signals", caught, 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	FACT("can be waited for", sigtimedwait(&set, NULL, &zero) < 0 && errno != EAGAIN, 0);
	FACT("is deleted", timer_delete(timer), 0);
	signal(sig, SIG_IGN);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(sig, SIG_DFL);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	reads();
	polls();
	stops();
	senders();
	storm(SA_RESTART, "a stream under restarting signals");
	storm(0, "a stream under interrupting signals");
	unheard_timer(SIGCONT, "a timer of what is ignored");
	signal(SIGUSR1, SIG_IGN);
	unheard_timer(SIGUSR1, "a timer of what it ignores");
	return facts_end();
}
