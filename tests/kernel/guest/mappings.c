/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that map files and System V segments at the same time: each gets its own, whatever numbers are
 * used. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 4096, SECONDS = 2, HIGH = 200 };

static volatile int stop, wrong, failed;
static int number; /* of the file that is mapped; in a table of the thread's own it is another's */

/* A file whose every byte says whose it is. */
static int file_of(char who)
{
	char text[SIZE], name[] = "mapped-XXXXXX";
	int fd = mkstemp(name);

	memset(text, who, sizeof(text));
	if (fd < 0 || write(fd, text, sizeof(text)) != (ssize_t)sizeof(text))
		failed = 1;
	(void)unlink(name);
	return fd;
}

static void map_once(int fd, char who)
{
	char *at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED) {
		failed = errno;
		return;
	}
	if (at[0] != who)
		wrong++;
	(void)munmap(at, SIZE);
}

static void *map_files(void *data)
{
	while (!stop)
		map_once(number, (char)(intptr_t)data);
	return NULL;
}

static void *attach(void *data)
{
	int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	char *at = shmat(id, NULL, 0);

	if (at == (void *)-1) {
		failed = errno;
		return NULL;
	}
	at[0] = 's';
	(void)shmdt(at);
	while (!stop) {
		at = shmat(id, NULL, 0);
		if (at == (void *)-1) {
			failed = errno;
			continue;
		}
		if (at[0] != 's')
			wrong++;
		(void)shmdt(at);
	}
	(void)shmctl(id, IPC_RMID, NULL);
	return data;
}

/* With a table of its own: the same number is another file there. */
static void *map_own(void *data)
{
	char who = (char)(intptr_t)data;

	if (unshare(CLONE_FILES) < 0 || dup2(file_of(who), number) < 0)
		failed = errno;
	return map_files(data);
}

static void run(const char *name, void *(*one)(void *), void *(*other)(void *))
{
	pthread_t threads[2];
	char text[64];

	stop = wrong = 0;
	(void)pthread_create(&threads[0], NULL, one, (void *)(intptr_t)'a');
	(void)pthread_create(&threads[1], NULL, other, (void *)(intptr_t)'b');
	sleep(SECONDS);
	stop = 1;
	(void)pthread_join(threads[0], NULL);
	(void)pthread_join(threads[1], NULL);
	(void)snprintf(text, sizeof(text), "%s: another's", name);
	fact(text, wrong, 0);
	(void)snprintf(text, sizeof(text), "%s: errors", name);
	fact(text, failed, 0);
}

int main(void)
{
	number = file_of('a'); /* the lowest that is free, which the host would give as well */
	run("a segment beside a file", map_files, attach);
	run("one number in two tables", map_files, map_own);
	number = dup2(number, HIGH);
	run("a high number in two tables", map_files, map_own);
	return facts_end();
}
