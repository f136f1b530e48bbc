/* SPDX-License-Identifier: Apache-2.0 */
/* Files written so often that the guest does it by itself: what a write does besides must stay the same. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 100, BLOCK = 4096 };

static char block[BLOCK];

static int fresh(const char *name)
{
	(void)unlink(name);
	return open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
}

/* By all three calls; the file ends with BLOCK bytes and its position at 0. */
static int warm(int fd)
{
	struct iovec one = {block, 1};
	for (int i = 0; i < MANY; i++)
		if (pwrite(fd, block, BLOCK, 0) != BLOCK || lseek(fd, 0, SEEK_SET) ||
		    write(fd, block, 1) != 1 || writev(fd, &one, 1) != 1)
			return 1;
	return lseek(fd, 0, SEEK_SET) != 0;
}

static void in_child(const char *name, int (*child)(void))
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0)
		_exit(child());
	waitpid(pid, &status, 0);
	fact(name, status, 0);
}

static long size_of(const char *name)
{
	struct stat st;
	return stat(name, &st) < 0 ? -errno : (long)st.st_size;
}

static long mode_of(int fd)
{
	struct stat st;
	return fstat(fd, &st) < 0 ? -errno : (long)(st.st_mode & 07777);
}

static int hot;

static int child_writes(void)
{
	for (int i = 0; i < MANY; i++)
		if (write(hot, "c", 1) != 1)
			return 1;
	return 0;
}

static void data(void)
{
	char c = 0;
	void *volatile nowhere = (void *)8;
	struct iovec two[] = {{"ab", 2}, {"cd", 2}};
	hot = fresh("data");
	FACT("warm", warm(hot), 0);
	FACT("a write", write(hot, "hello", 5), 5);
	FACT("moves the position", lseek(hot, 0, SEEK_CUR), 5);
	int copy = dup(hot);
	FACT("a duplicate goes on there", write(copy, "!", 1), 1);
	FACT("... which moves both", lseek(hot, 0, SEEK_CUR), 6);
	FACT("at an offset", pwrite(hot, "x", 1, 2), 1);
	FACT("it is read", pread(hot, &c, 1, 2), 1);
	FACT("as it is", c, 'x');
	FACT("vectors", writev(hot, two, 2), 4);
	FACT("their end", pread(hot, &c, 1, 9), 1);
	FACT("is there", c, 'd');
	FACT("before the beginning", pwrite(hot, "x", 1, -1), -EINVAL);
	FACT("from nowhere", write(hot, nowhere, 1), -EFAULT);
	FACT("nothing", write(hot, "", 0), 0);
	FACT("a hole", pwrite(hot, "e", 1, 100000), 1);
	FACT("... ends there", size_of("data"), 100001);
	lseek(hot, 0, SEEK_END);
	in_child("a child writes on", child_writes);
	FACT("it has moved us", lseek(hot, 0, SEEK_CUR), 100001 + MANY);
	FACT("F_SETFL", fcntl(hot, F_SETFL, O_APPEND), 0);
	lseek(hot, 0, SEEK_SET);
	FACT("appends", write(hot, "a", 1), 1);
	FACT("... at the end", size_of("data"), 100002 + MANY);
	FACT("also at an offset", pwrite(hot, "a", 1, 0), 1);
	FACT("... as Linux has it", size_of("data"), 100003 + MANY);
	FACT("and no more", fcntl(hot, F_SETFL, 0), 0);
	FACT("writes where it is told", pwrite(hot, "z", 1, 0), 1);
	FACT("... again", size_of("data"), 100003 + MANY);
	FACT("another end", ftruncate(hot, 10), 0);
	FACT("... is seen", size_of("data"), 10);
	close(copy);
	close(hot);
	FACT("closed", write(hot, "x", 1), -EBADF);
	FACT("to be read only", open("data", O_RDONLY), hot);
	FACT("is not written", write(hot, "x", 1), -EBADF);
	close(hot);
}

/* ---- what else has the number ---- */

static void numbers(void)
{
	char c = 0;
	int fd = fresh("one"), other = fresh("two"), ends[2];
	FACT("one file", warm(fd), 0);
	FACT("another one at its number", dup2(other, fd), fd);
	FACT("... is written", pwrite(fd, "2", 1, 0), 1);
	FACT("... and is that", size_of("two"), 1);
	FACT("... warm", warm(fd), 0);
	FACT("a pipe", pipe(ends), 0);
	FACT("at the number", dup2(ends[1], fd), fd);
	for (int i = 0; i < MANY; i++)
		if (write(fd, "p", 1) != 1 || read(ends[0], &c, 1) != 1 || c != 'p')
			c = 0;
	FACT("takes all", c, 'p');
	FACT("has no offsets", pwrite(fd, "p", 1, 0), -ESPIPE);
	FACT("a file again", dup2(other, fd), fd);
	FACT("... warm again", warm(fd), 0);
	FACT("of that size", size_of("two"), BLOCK);
	close(fd);
	close(other);
	close(ends[0]);
	close(ends[1]);
}

static volatile int stop, shared;

static void *writes(void *arg)
{
	long n = 0;
	(void)arg;
	while (!stop)
		n += write(shared, "x", 1) == 1;
	return (void *)n;
}

/* A number that is one file's, then the other's, under a thread that writes: every byte goes to one of them.
 */
static void races(void)
{
	pthread_t t;
	void *written = NULL;
	int a = open("a", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600),
	    b = open("b", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
	shared = dup(a);
	pthread_create(&t, NULL, writes, NULL);
	for (int i = 0; i < 300; i++) {
		dup2(i % 2 ? a : b, shared);
		if (i % 50 == 0) {
			pid_t pid = fork();
			if (pid == 0)
				_exit(0);
			waitpid(pid, NULL, 0);
		}
		usleep(200);
	}
	stop = 1;
	pthread_join(t, &written);
	FACT("no byte is lost", size_of("a") + size_of("b"), (long)written);
	close(a);
	close(b);
	close(shared);
}

/* ---- what is known of the file ---- */

static void stats(void)
{
	struct stat st;
	long wrong = 0;
	int fd = fresh("grows");
	for (int i = 0; i < MANY; i++)
		(void)stat("grows", &st);
	for (long i = 1; i <= 20 * MANY; i++) {
		if (write(fd, "x", 1) != 1)
			wrong++;
		for (int k = 0; k < 3; k++)
			wrong += stat("grows", &st) < 0 || st.st_size != i;
	}
	FACT("its size is always told", wrong, 0);
	close(fd);
	FACT("... and behind its end", size_of("grows"), 20L * MANY);
	for (int i = 0; i < MANY; i++) {
		fd = open("grows", O_WRONLY | O_TRUNC);
		for (int k = 0; k < 8; k++)
			(void)write(fd, block, 10);
		close(fd);
		wrong += size_of("grows") != 80 || size_of("grows") != 80;
	}
	FACT("... of each that is made", wrong, 0);
	fd = open("grows", O_WRONLY);
	warm(fd);
	stat("grows", &st);
	usleep(20000);
	(void)write(fd, "x", 1);
	struct stat after;
	stat("grows", &after);
	TRUE("the time is another",
	     after.st_mtim.tv_sec != st.st_mtim.tv_sec || after.st_mtim.tv_nsec != st.st_mtim.tv_nsec);
	int watch = inotify_init1(IN_NONBLOCK);
	char events[512];
	inotify_add_watch(watch, "grows", IN_MODIFY);
	FACT("a write", pwrite(fd, "x", 1, 0), 1);
	TRUE("is told of", read(watch, events, sizeof(events)) > 0);
	close(watch);
	close(fd);
}

/* ---- who is told ---- */

static int ready[2];

/* Of the directory's files, by a process that has none of them open. */
static int watches(void)
{
	char events[4096];
	int watch = inotify_init1(0);
	close(hot);
	if (inotify_add_watch(watch, ".", IN_MODIFY) < 0 || write(ready[1], "r", 1) != 1)
		return 1;
	struct pollfd one = {watch, POLLIN, 0};
	return poll(&one, 1, 60000) != 1 || read(watch, events, sizeof(events)) <= 0;
}

static void watched(void)
{
	int status = -1;
	char c;
	hot = fresh("watched");
	FACT("warm", warm(hot), 0);
	FACT("a pipe", pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(watches());
	FACT("another process watches", read(ready[0], &c, 1), 1);
	FACT("a write", write(hot, "x", 1), 1);
	waitpid(pid, &status, 0);
	FACT("... is told of there", status, 0);
	close(hot);
	close(ready[0]);
	close(ready[1]);
}

/* ---- rights ---- */

static int writes_as_another(void)
{
	int fd = fresh("set-id");
	if (getuid() != 0)
		return 0;
	if (chmod("set-id", 0666) || warm(fd) || setresuid(1234, 1234, 1234) || pwrite(fd, "x", 1, 0) != 1 ||
	    warm(fd))
		return 1;
	return 0;
}

static int raises(void)
{
	return chmod("set-id", 06777);
}

/* Who may keep set-id bits keeps them, however they came there. */
static void set_ids(void)
{
	int fd = fresh("set-id");
	long kept = getuid() == 0 ? 06777 : 0777;
	FACT("without them", warm(fd), 0);
	FACT("set by itself", fchmod(fd, 06777), 0);
	FACT("then written", pwrite(fd, "x", 1, 0), 1);
	FACT("kept", mode_of(fd), kept);
	FACT("warm with them", warm(fd), 0);
	FACT("kept", mode_of(fd), kept);
	FACT("taken", fchmod(fd, 0600), 0);
	FACT("warm without", warm(fd), 0);
	in_child("set by a child", raises);
	FACT("then written", write(fd, "x", 1), 1);
	FACT("kept", mode_of(fd), kept);
	close(fd);
	in_child("written by root, then by another", writes_as_another);
}

static volatile sig_atomic_t too_large;

static void over(int sig)
{
	(void)sig;
	too_large++;
}

static int limits_itself(void)
{
	struct rlimit limit = {BLOCK + 10, RLIM_INFINITY};
	signal(SIGXFSZ, over);
	if (setrlimit(RLIMIT_FSIZE, &limit) || pwrite(hot, block, 100, BLOCK) != 10 || too_large)
		return 1;
	if (RESULT(pwrite(hot, block, 1, BLOCK + 10)) != -EFBIG || too_large != 1)
		return 2;
	for (int i = 0; i < MANY; i++)
		if (RESULT(pwrite(hot, block, 1, BLOCK + 10)) != -EFBIG || pwrite(hot, block, 1, 0) != 1)
			return 3;
	limit.rlim_cur = RLIM_INFINITY;
	if (setrlimit(RLIMIT_FSIZE, &limit) || warm(hot) || pwrite(hot, block, 1, BLOCK + 10) != 1)
		return 4;
	return ftruncate(hot, BLOCK);
}

/* It writes until it may not. */
static int is_limited(void)
{
	signal(SIGXFSZ, SIG_IGN);
	time_t end = time(NULL) + 60;
	while (time(NULL) < end)
		if (RESULT(pwrite(hot, "x", 1, BLOCK + 5)) == -EFBIG)
			return 0;
	return 1;
}

static void limits(void)
{
	struct rlimit limit = {BLOCK, BLOCK};
	int status = -1;
	hot = fresh("limited");
	FACT("without a limit", warm(hot), 0);
	in_child("one that it sets", limits_itself);
	FACT("is not ours", pwrite(hot, "x", 1, BLOCK + 20), 1);
	pid_t pid = fork();
	if (pid == 0)
		_exit(is_limited());
	usleep(50000);
	FACT("one that another sets", prlimit(pid, RLIMIT_FSIZE, &limit, NULL), 0);
	waitpid(pid, &status, 0);
	FACT("... is met", status, 0);
	close(hot);
}

static void seals(void)
{
	int fd = memfd_create("hot", MFD_ALLOW_SEALING);
	FACT("of memory", warm(fd), 0);
	FACT("a seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	FACT("holds", write(fd, "x", 1), -EPERM);
	close(fd);
}

/* ---- signals ---- */

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

static void signals(void)
{
	struct sigaction act = {.sa_handler = tick, .sa_flags = 0};
	struct itimerval every = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
	long n = 0, wrong = 0;
	int fd = fresh("ticks");
	time_t end = time(NULL) + 60;
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	while (ticks < 300 && time(NULL) < end) {
		uint64_t x = (uint64_t)n;
		wrong += write(fd, &x, sizeof(x)) != sizeof(x);
		n++;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	FACT("signals cut no write short", wrong, 0);
	FACT("none is made twice", size_of("ticks"), n * 8);
	for (long i = 0; i < n; i++) {
		uint64_t x = 0;
		if (pread(fd, &x, sizeof(x), i * 8) != sizeof(x) || x != (uint64_t)i)
			wrong++;
	}
	FACT("and all are in their order", wrong, 0);
	close(fd);
}

int main(void)
{
	memset(block, 'b', sizeof(block));
	data();
	numbers();
	stats();
	watched();
	set_ids();
	limits();
	seals();
	signals();
	races();
	return facts_end();
}
