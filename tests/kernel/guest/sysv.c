/* SPDX-License-Identifier: Apache-2.0 */
/* System V shared memory, semaphores, messages; POSIX message queues. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEY = 0x5e577e57 };

static int child(int (*run)(int), int arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run(arg));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- shared memory ---- */

/* What the limits' files say is what the calls say; and an index may be a whole id. */
static void memory_of_all(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600), again;
	FILE *f = fopen("/proc/sys/kernel/shmall", "r");
	unsigned long all = 0;
	struct shminfo info;
	struct shmid_ds ds;

	FACT("limits", shmctl(0, IPC_INFO, (void *)&info) >= 0, 1);
	TRUE("of all memory", f && fscanf(f, "%lu", &all) == 1 && all == info.shmall);
	(void)shmctl(id, IPC_RMID, NULL);
	again = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	TRUE("another id", again > id);
	fact("found by its index", shmctl(again, SHM_STAT, &ds), again);
	FACT("no such index", shmctl(-1, SHM_STAT, &ds), -EINVAL);
	(void)shmctl(again, IPC_RMID, NULL);
	if (f)
		(void)fclose(f);
}

static int add_one(int id)
{
	int *x = shmat(id, NULL, 0);

	if (x == (void *)-1)
		return 1;
	x[0]++;
	return shmdt(x) != 0;
}

static void memory(void)
{
	int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600), key, *x, *y;
	struct shmid_ds ds;

	TRUE("shmget", id >= 0);
	FACT("of nothing", shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600), -EINVAL);
	FACT("of a key that is not there", shmget(KEY, 4096, 0600), -ENOENT);
	x = shmat(id, NULL, 0);
	TRUE("shmat", x != (void *)-1);
	x[0] = 40;
	FACT("another process adds", child(add_one, id), 0);
	FACT("what this one sees", x[0], 41);
	y = shmat(id, NULL, SHM_RDONLY);
	TRUE("shmat for reading", y != (void *)-1 && y != x && y[0] == 41);
	FACT("which stays so", mprotect(y, 4096, PROT_READ | PROT_WRITE), -EACCES);
	FACT("stat", shmctl(id, IPC_STAT, &ds), 0);
	TRUE("size and count", ds.shm_segsz == 10000 && ds.shm_nattch == 2);
	FACT("mode", ds.shm_perm.mode & 0777, 0600);
	FACT("where something is", (long)shmat(id, x, 0), -EINVAL);
	FACT("at an odd address", (long)shmat(id, (char *)x + 1, 0), -EINVAL);
	FACT("detach", shmdt(y), 0);
	FACT("detach again", shmdt(y), -EINVAL);
	FACT("remove", shmctl(id, IPC_RMID, NULL), 0);
	FACT("it lives while it is attached", shmctl(id, IPC_STAT, &ds), 0);
	TRUE("as doomed", ds.shm_perm.mode & SHM_DEST && ds.shm_nattch == 1);
	FACT("memory is still there", x[0], 41);
	FACT("detach the last", shmdt(x), 0);
	TRUE("then it is gone", shmctl(id, IPC_STAT, &ds) == -1 && (errno == EINVAL || errno == EIDRM));
	key = shmget(KEY, 4096, IPC_CREAT | IPC_EXCL | 0600);
	TRUE("with a key", key >= 0);
	FACT("exclusive", shmget(KEY, 4096, IPC_CREAT | IPC_EXCL | 0600), -EEXIST);
	FACT("found", shmget(KEY, 4096, 0600) == key, 1);
	FACT("larger than it is", shmget(KEY, 8192, 0600), -EINVAL);
	FACT("removed", shmctl(key, IPC_RMID, NULL), 0);
	FACT("no more by key", shmget(KEY, 4096, 0600), -ENOENT);
}

/* ---- semaphores ---- */

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static int op(int id, int number, int value, int flags)
{
	struct sembuf b = {(unsigned short)number, (short)value, (short)flags};

	return semop(id, &b, 1);
}

static int with_undo(int id)
{
	return op(id, 0, -3, SEM_UNDO) == 0 && semctl(id, 0, GETVAL) == 2 ? 0 : 1;
}

static int release_later(int id)
{
	(void)usleep(50000);
	return op(id, 1, 1, 0);
}

static int remove_later(int id)
{
	(void)usleep(50000);
	return semctl(id, 0, IPC_RMID);
}

static void semaphores(void)
{
	struct sembuf both[2] = {{0, -1, IPC_NOWAIT}, {1, -1, IPC_NOWAIT}};
	struct timespec limit = {.tv_nsec = 30000000};
	unsigned short values[3];
	struct semid_ds ds;
	int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600), status;
	pid_t pid;

	TRUE("semget", id >= 0);
	FACT("of none", semget(IPC_PRIVATE, 0, IPC_CREAT | 0600), -EINVAL);
	FACT("set", semctl(id, 0, SETVAL, (union semun){.val = 5}), 0);
	FACT("get", semctl(id, 0, GETVAL), 5);
	FACT("too large", semctl(id, 0, SETVAL, (union semun){.val = 40000}), -ERANGE);
	FACT("no such one", semctl(id, 3, GETVAL), -EINVAL);
	FACT("operation on no such one", op(id, 3, 1, 0), -EFBIG);
	FACT("all or none", semop(id, both, 2), -EAGAIN);
	FACT("none", semctl(id, 0, GETVAL), 5);
	FACT("over the largest", op(id, 0, 32767, 0), -ERANGE);
	FACT("undo at an end", child(with_undo, id), 0);
	FACT("has given back", semctl(id, 0, GETVAL), 5);
	FACT("time-out", semtimedop(id, &(struct sembuf){1, -1, 0}, 1, &limit), -EAGAIN);
	pid = fork();
	if (pid == 0)
		_exit(release_later(id));
	FACT("a wait", op(id, 1, -1, 0), 0);
	(void)waitpid(pid, &status, 0);
	pid = fork();
	if (pid == 0)
		_exit(op(id, 0, 0, 0));
	for (int i = 0; i < 500 && semctl(id, 0, GETZCNT) == 0; i++)
		(void)usleep(10000); /* on a busy machine it begins late */
	FACT("who waits for zero", semctl(id, 0, GETZCNT), 1);
	FACT("set all", semctl(id, 0, SETALL, (union semun){.array = (unsigned short[]){0, 7, 8}}), 0);
	(void)waitpid(pid, &status, 0);
	FACT("zero it is", WEXITSTATUS(status), 0);
	FACT("get all", semctl(id, 0, GETALL, (union semun){.array = values}), 0);
	TRUE("as set", values[0] == 0 && values[1] == 7 && values[2] == 8);
	FACT("stat", semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}), 0);
	FACT("number", (long)ds.sem_nsems, 3);
	pid = fork();
	if (pid == 0)
		_exit(remove_later(id));
	FACT("removed under a wait", op(id, 0, -1, 0), -EIDRM);
	(void)waitpid(pid, &status, 0);
	TRUE("gone", semctl(id, 0, GETVAL) == -1 && (errno == EINVAL || errno == EIDRM));
}

/* ---- messages ---- */

struct text {
	long type;
	char text[16];
};

static int send_later(int id)
{
	struct text m = {3, "later"};

	(void)usleep(50000);
	return msgsnd(id, &m, 6, 0);
}

static void messages(void)
{
	int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600), status;
	struct text m = {2, "two"};
	struct msqid_ds ds;
	pid_t pid;

	TRUE("msgget", id >= 0);
	FACT("type of none", msgsnd(id, &(struct text){0, ""}, 1, 0), -EINVAL);
	FACT("too large", msgsnd(id, &m, 100000, 0), -EINVAL);
	FACT("send two", msgsnd(id, &m, 4, 0), 0);
	FACT("send one", msgsnd(id, &(struct text){1, "one"}, 4, 0), 0);
	FACT("too short for it", msgrcv(id, &m, 2, 0, 0), -E2BIG);
	FACT("a copy that is too short", msgrcv(id, &m, 2, 0, MSG_COPY | IPC_NOWAIT), -E2BIG);
	FACT("a copy cut off", msgrcv(id, &m, 2, 0, MSG_COPY | IPC_NOWAIT | MSG_NOERROR), -EINVAL);
	FACT("a copy", msgrcv(id, &m, 16, 1, MSG_COPY | IPC_NOWAIT), 4);
	FACT("by type", msgrcv(id, &m, 16, 5, IPC_NOWAIT), -ENOMSG);
	FACT("lowest type first", msgrcv(id, &m, 16, -5, 0), 4);
	FACT("is one", m.type, 1);
	FACT("all but this type", msgrcv(id, &m, 16, 2, MSG_EXCEPT | IPC_NOWAIT), -ENOMSG);
	FACT("cut off", msgrcv(id, &m, 2, 0, MSG_NOERROR), 2);
	pid = fork();
	if (pid == 0)
		_exit(send_later(id));
	FACT("a wait", msgrcv(id, &m, 16, 0, 0), 6);
	(void)waitpid(pid, &status, 0);
	FACT("stat", msgctl(id, IPC_STAT, &ds), 0);
	TRUE("empty", ds.msg_qnum == 0 && ds.msg_qbytes >= 16384 && ds.msg_lspid == pid);
	FACT("remove", msgctl(id, IPC_RMID, NULL), 0);
	FACT("gone", msgsnd(id, &m, 1, 0) == -1 && (errno == EINVAL || errno == EIDRM), 1);
}

static volatile sig_atomic_t told;

static void tell(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	told = info->si_value.sival_int;
}

static void queue_reads(mqd_t q, int size, int sig, pid_t pid, const char *name)
{
	char want[100], got[100] = {0};
	int n = snprintf(want, sizeof(want), "QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", size, 0,
			 sig, pid);

	FACT(name, pread(q, got, sizeof(got), 0), n);
	TRUE("says so", strcmp(got, want) == 0);
}

static void queues(void)
{
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16};
	struct sigaction act = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO};
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 77};
	struct timespec past = {.tv_sec = 1};
	unsigned priority;
	char buf[16];
	mqd_t q;

	(void)mq_unlink("/queue-of-test");
	FACT("not there", mq_open("/queue-of-test", O_RDWR), -ENOENT);
	q = mq_open("/queue-of-test", O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	TRUE("mq_open", q >= 0);
	FACT("exclusive", mq_open("/queue-of-test", O_RDWR | O_CREAT | O_EXCL, 0600, &attr), -EEXIST);
	(void)sigaction(SIGUSR2, &act, NULL);
	FACT("notify", mq_notify(q, &event), 0);
	FACT("notify twice", mq_notify(q, &event), -EBUSY);
	queue_reads(q, 0, SIGUSR2, getpid(), "an empty queue as a file");
	FACT("send", mq_send(q, "low", 4, 1), 0);
	FACT("told of", told, 77);
	FACT("send of a higher priority", mq_send(q, "high", 5, 9), 0);
	queue_reads(q, 9, 0, 0, "a queue as a file");
	FACT("as it has been sent to", lseek(q, 0, SEEK_CUR), 0);
	FACT("its end", lseek(q, 0, SEEK_END), 80);
	FACT("nothing there", read(q, buf, sizeof(buf)), 0);
	FACT("its start", lseek(q, 0, SEEK_SET), 0);
	FACT("before it", lseek(q, -1, SEEK_SET), -EINVAL);
	FACT("some of it", read(q, buf, 6), 6);
	FACT("that much", lseek(q, 0, SEEK_CUR), 6);
	FACT("is not written", write(q, "x", 1), -EINVAL);
	FACT("full", mq_timedsend(q, "x", 1, 0, &past), -ETIMEDOUT);
	FACT("too long", mq_send(q, "12345678901234567", 17, 0), -EMSGSIZE);
	FACT("priority of none", mq_send(q, "x", 1, 32768), -EINVAL);
	FACT("attributes", mq_getattr(q, &attr), 0);
	TRUE("as made", attr.mq_maxmsg == 2 && attr.mq_msgsize == 16 && attr.mq_curmsgs == 2);
	FACT("too small a buffer", mq_receive(q, buf, 15, &priority), -EMSGSIZE);
	FACT("highest first", mq_receive(q, buf, 16, &priority), 5);
	FACT("its priority", priority, 9);
	FACT("then the other", mq_receive(q, buf, 16, &priority), 4);
	FACT("empty", mq_timedreceive(q, buf, 16, &priority, &past), -ETIMEDOUT);
	attr.mq_flags = O_NONBLOCK;
	FACT("set flags", mq_setattr(q, &attr, NULL), 0);
	FACT("empty, not waiting", mq_receive(q, buf, 16, &priority), -EAGAIN);
	FACT("unlink", mq_unlink("/queue-of-test"), 0);
	FACT("unlink again", mq_unlink("/queue-of-test"), -ENOENT);
	FACT("still open", mq_send(q, "x", 1, 0), 0);
	FACT("close", mq_close(q), 0);
}

static int told_by_thread[2];

static void by_thread(union sigval value)
{
	(void)!write(told_by_thread[1], &value.sival_int, sizeof(int));
}

/* What the C library's thread reads of its socket, without the library: the cookie, its last byte the reason.
 */
static void queue_tells_a_socket(mqd_t q)
{
	char cookie[32] = "what the thread shall be told", got[64];
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD, .sigev_signo = s, .sigev_value.sival_ptr = cookie};
	struct pollfd p = {.fd = s, .events = POLLIN};

	FACT("a thread's notice", syscall(SYS_mq_notify, q, &event), 0);
	FACT("and another", syscall(SYS_mq_notify, q, &event), -EBUSY);
	FACT("nothing yet", poll(&p, 1, 0), 0);
	FACT("send for it", mq_send(q, "x", 1, 0), 0);
	FACT("there is something", poll(&p, 1, 20000), 1);
	FACT("the cookie", recv(s, got, sizeof(got), MSG_WAITALL), 32);
	TRUE("with a message's reason", memcmp(got, cookie, 31) == 0 && got[31] == 1);
	FACT("once more", syscall(SYS_mq_notify, q, &event), 0);
	FACT("taken back", syscall(SYS_mq_notify, q, NULL), 0);
	FACT("that is told, too", recv(s, got, sizeof(got), MSG_DONTWAIT), 32);
	TRUE("with its reason", got[31] == 2);
	event.sigev_value.sival_ptr = NULL;
	FACT("no cookie", syscall(SYS_mq_notify, q, &event), -EFAULT);
	event.sigev_value.sival_ptr = cookie;
	event.sigev_signo = 99;
	FACT("no socket", syscall(SYS_mq_notify, q, &event), -EBADF);
	event.sigev_signo = (int)q;
	FACT("a queue is none", syscall(SYS_mq_notify, q, &event), -ENOTSOCK);
	event.sigev_signo = socket(AF_UNIX, SOCK_STREAM, 0);
	FACT("nor will another socket do", syscall(SYS_mq_notify, q, &event), -EINVAL);
	FACT("the message", mq_receive(q, got, 16, NULL), 1);
	(void)close(event.sigev_signo);
	(void)close(s);
}

static void queue_tells_a_thread(void)
{
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD,
				 .sigev_notify_function = by_thread,
				 .sigev_value.sival_int = 55};
	mqd_t q = mq_open("/queue-of-threads", O_RDWR | O_CREAT, 0600, &attr);
	int value = 0;

	(void)mq_unlink("/queue-of-threads");
	(void)!pipe(told_by_thread);
	queue_tells_a_socket(q);
	FACT("notify by a thread", mq_notify(q, &event), 0);
	FACT("send to it", mq_send(q, "x", 1, 0), 0);
	FACT("the thread runs", read(told_by_thread[0], &value, sizeof(value)), sizeof(value));
	FACT("with its value", value, 55);
	(void)mq_close(q);
}

int main(void)
{
	memory();
	memory_of_all();
	semaphores();
	messages();
	queues();
	queue_tells_a_thread();
	return facts_end();
}
