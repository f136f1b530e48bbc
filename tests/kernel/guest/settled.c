/* SPDX-License-Identifier: Apache-2.0 */
/* What must happen once, for one, or not at all. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	OFTEN = 300, /* microseconds */
	CLOSES = 3000,
	PROGRAMS = 150,
	FIRST_CLOSES = 100,
	SPLICED = 4 << 20,
	HOT = 64,
	NOBODY = 65534
};

static void ignore(int sig)
{
	(void)sig;
}

/* A file that was mapped is closed once, however often the call is interrupted. */
static int closes(int times, int flags, int every)
{
	struct sigaction act = {.sa_handler = ignore, .sa_flags = flags};
	struct itimerval often = {{0, every}, {0, every}}, never = {{0}};
	int wrong = 0;

	(void)sigaction(SIGALRM, &act, NULL);
	(void)setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < times; i++) {
		int fd = open("/proc/self/exe", O_RDONLY);
		void *at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

		wrong += fd < 0 || at == MAP_FAILED || close(fd) < 0 || munmap(at, PAGE) < 0;
	}
	(void)setitimer(ITIMER_REAL, &never, NULL);
	return wrong;
}

/* A program's first calls are interrupted while it is given a descriptor more often than later ones. */
static int closes_of_programs(void)
{
	int wrong = 0, status;

	for (int i = 0; i < PROGRAMS; i++) {
		if (fork() == 0) {
			(void)execl("/proc/self/exe", "closes", NULL);
			_exit(1);
		}
		wrong += wait(&status) < 0 || status;
	}
	return wrong;
}

static int splice_from, splice_to[2];

static void *drain(void *data)
{
	long total = 0, n;

	while ((n = splice(splice_from, NULL, splice_to[(intptr_t)data], NULL, 65536, 0)) > 0)
		total += n;
	return (void *)(intptr_t)(n < 0 ? -1 : total);
}

/* Two who take from one pipe get each byte once. */
static void splices(void)
{
	static uint32_t words[SPLICED / 4];
	static unsigned char seen[SPLICED / 4];
	pthread_t reader[2];
	int ends[2], wrong = 0;
	void *moved[2];
	long sum = 0;

	(void)pipe(ends);
	splice_from = ends[0];
	for (intptr_t i = 0; i < 2; i++) {
		splice_to[i] = open("/tmp", O_TMPFILE | O_RDWR, 0600);
		(void)pthread_create(&reader[i], NULL, drain, (void *)i);
	}
	for (uint32_t i = 0; i < SPLICED / 4; i++)
		words[i] = i;
	for (size_t at = 0; at < sizeof(words);)
		at += (size_t)write(ends[1], (char *)words + at, sizeof(words) - at);
	(void)close(ends[1]);
	for (int i = 0; i < 2; i++) {
		(void)pthread_join(reader[i], &moved[i]);
		sum += (long)(intptr_t)moved[i];
		long n = pread(splice_to[i], words, sizeof(words), 0);
		for (long k = 0; k < n / 4; k++)
			wrong += words[k] >= SPLICED / 4 || seen[words[k]]++;
	}
	fact("bytes spliced", sum, SPLICED);
	fact("words twice", wrong, 0);
}

static int connected(int ends[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(l, (struct sockaddr *)&a, len) < 0 || listen(l, 1) < 0 ||
	    getsockname(l, (struct sockaddr *)&a, &len) < 0)
		return -1;
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(ends[0], (struct sockaddr *)&a, len) < 0)
		return -1;
	ends[1] = accept(l, NULL, NULL);
	return ends[1];
}

/* Bytes that memory did not take come before those after them, whoever reads. */
static void stream_order(void)
{
	char byte, next = 0, want = 0;
	int ends[2] = {-1, -1}, wrong = 0;
	char *bad = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TRUE("a connection", connected(ends) >= 0);
	for (int i = 0; i < HOT; i++) {
		wrong += write(ends[0], &next, 1) != 1 || read(ends[1], &byte, 1) != 1 || byte != want;
		next++, want++;
	}
	for (int i = 0; i < HOT; i++) {
		wrong += write(ends[0], &next, 1) != 1;
		next++;
		wrong += read(ends[1], bad, 1) != -1 || errno != EFAULT;
		wrong += write(ends[0], &next, 1) != 1;
		next++;
		for (int k = 0; k < 2; k++, want++)
			wrong += read(ends[1], &byte, 1) != 1 || byte != want;
	}
	fact("reads out of order", wrong, 0);
}

static long attached(int id)
{
	struct shmid_ds ds;

	return shmctl(id, IPC_STAT, &ds) < 0 ? -errno : (long)ds.shm_nattch;
}

/* What munmap and mremap do to a segment. */
static void segments(void)
{
	int id = shmget(IPC_PRIVATE, 2 * PAGE, 0600);
	char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, 0), *c;

	fact("attached twice", attached(id), 2);
	FACT("one is unmapped", munmap(a, 2 * PAGE), 0);
	fact("attached once", attached(id), 1);
	FACT("it is not there to be detached", shmdt(a), -EINVAL);
	c = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TRUE("the other is moved", mremap(b, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, c) == c);
	fact("still once", attached(id), 1);
	FACT("it is detached where it is", shmdt(c), 0);
	fact("attached no more", attached(id), 0);
	a = shmat(id, NULL, 0);
	FACT("unmapped again", munmap(a, 2 * PAGE), 0);
	FACT("removed", shmctl(id, IPC_RMID, NULL), 0);
	fact("and gone", attached(id), -EINVAL);
}

static long send_rights(int s, int what)
{
	struct iovec v = {"x", 1};
	char room[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &what, sizeof(int));
	return RESULT(sendmsg(s, &m, MSG_DONTWAIT));
}

static long many_in_flight(int s)
{
	struct rlimit few = {12, 12};
	long r = 1;

	(void)setrlimit(RLIMIT_NOFILE, &few);
	for (int i = 0; i < 64 && r == 1; i++)
		r = send_rights(s, 0);
	return r;
}

/* Files in messages are counted for their sender, and are nobody else's affair. */
static void in_flight(void)
{
	int ends[2], status;

	(void)socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	for (uid_t uid = 40001; uid < 40003; uid++) {
		if (fork() == 0) {
			(void)setgroups(0, NULL);
			_exit(setresuid(uid, uid, uid) < 0 || many_in_flight(ends[0]) != -ETOOMANYREFS ||
			      send_rights(ends[0], 0) != -ETOOMANYREFS);
		}
		(void)wait(&status);
		fact("too many of one user", status, 0);
	}
	fact("another one's", send_rights(ends[0], 0), 1);
}

/* A file that open has just made is not emptied. */
static void made(void)
{
	char buf[4096] __attribute__((aligned(8)));
	uint32_t seen = 0;
	int fd = inotify_init1(IN_NONBLOCK);
	struct stat st;

	(void)mkdir("/tmp/settled", 0777);
	(void)inotify_add_watch(fd, "/tmp/settled", IN_ALL_EVENTS);
	char path[32], line[4096] = {0};
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	int info = open(path, O_RDONLY);
	TRUE("a watch is shown",
	     read(info, line, sizeof(line) - 1) > 0 && strstr(line, "\ninotify wd:1 ino:"));
	(void)close(info);
	int file = creat("/tmp/settled/new", 0666);
	for (ssize_t n = read(fd, buf, sizeof(buf)), at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(buf + at);
		seen |= e->mask;
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	TRUE("what is told of a new file", seen == (IN_CREATE | IN_OPEN));
	(void)close(file);
	(void)unlink("/tmp/settled/new");
	if (fork() == 0) {
		(void)setgroups(0, NULL);
		(void)chown("/tmp/settled", NOBODY, 0);
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		(void)umask(0);
		file = creat("/tmp/settled/new", 02777);
		_exit(fstat(file, &st) < 0 || !(st.st_mode & S_ISGID));
	}
	int status;
	(void)wait(&status);
	fact("a new file keeps its set-gid bit", status, 0);
	(void)unlink("/tmp/settled/new");
	(void)rmdir("/tmp/settled");
}

static long write_score(const char *text)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);
	long r = RESULT(write(fd, text, strlen(text)));

	(void)close(fd);
	return r;
}

/* A number ends with what was written. */
static void numbers(void)
{
	char text[16] = {0};
	int fd;

	fact("a long number that is refused", write_score("-1001"), -EINVAL);
	fact("a short one behind it", write_score("500"), 3);
	fd = open("/proc/self/oom_score_adj", O_RDONLY);
	TRUE("is as it was written", read(fd, text, sizeof(text) - 1) == 4 && strcmp(text, "500\n") == 0);
	(void)close(fd);
	fact("with something behind it", write_score("5x"), -EINVAL);
	fact("with a new line", write_score("600\n"), 4);
}

/* Where sendfile was is told, though nothing was sent. */
static void nothing_sent(void)
{
	off_t *at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int in = open("/tmp", O_TMPFILE | O_RDWR, 0600), out = open("/tmp", O_TMPFILE | O_RDWR, 0600);

	FACT("sendfile with an offset that cannot be written", sendfile(out, in, at, 1), -EFAULT);
	(void)close(in);
	(void)close(out);
}

int main(int argc, char **argv)
{
	if (argc > 0 && strcmp(argv[0], "closes") == 0)
		return closes(FIRST_CLOSES, 0, OFTEN / 2) != 0;
	nothing_sent();
	fact("closes of mapped files", closes(CLOSES, SA_RESTART, OFTEN), 0);
	fact("where nothing is restarted", closes(CLOSES, 0, OFTEN), 0);
	fact("by many who have just begun", closes_of_programs(), 0);
	splices();
	stream_order();
	segments();
	in_flight();
	made();
	numbers();
	return facts_end();
}
