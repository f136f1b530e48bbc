/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that open, close, duplicate, read and lock the same descriptors under one another's hands. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 6, FIRST = 100, FDS = 8, SECONDS = 3 };

static volatile int stop, wrong;

/* What may go wrong when somebody else has closed or replaced it, and nothing else. */
static void expect(long r)
{
	if (r < 0 && errno != EBADF && errno != EBUSY && errno != EAGAIN && errno != ENOTDIR &&
	    errno != EISDIR && errno != EINVAL && errno != ESPIPE && errno != EDEADLK && errno != ENOENT &&
	    errno != EEXIST) {
		wrong = errno;
	}
}

static void *work(void *data)
{
	unsigned seed = (unsigned)(size_t)data;
	char buf[3000], name[32];
	struct stat st;

	while (!stop) {
		int fd = FIRST + rand_r(&seed) % FDS, other = FIRST + rand_r(&seed) % FDS, made;
		struct flock fl = {
			.l_type = (short)(rand_r(&seed) % 3), .l_start = rand_r(&seed) % 10, .l_len = 3};

		(void)snprintf(name, sizeof(name), "r%d", rand_r(&seed) % 4);
		switch (rand_r(&seed) % 10) {
		case 0:
			made = open(name, O_CREAT | O_RDWR, 0600);
			expect(made);
			expect(dup2(made, fd));
			close(made);
			break;
		case 1:
			expect(close(fd));
			break;
		case 2:
			expect(dup2(fd, other));
			break;
		case 3:
			expect(write(fd, buf, sizeof(buf)));
			break;
		case 4:
			expect(pread(fd, buf, sizeof(buf), 0));
			break;
		case 5:
			expect(fstat(fd, &st));
			expect(ftruncate(fd, 10000));
			break;
		case 6:
			expect(fcntl(fd, F_SETLK, &fl));
			expect(flock(fd, LOCK_EX | LOCK_NB));
			break;
		case 7:
			made = open(".", O_RDONLY | O_DIRECTORY);
			expect(dup2(made, fd));
			expect(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
			close(made);
			break;
		case 8:
			expect(openat(fd, "none", O_RDONLY));
			expect(sendfile(fd, other, NULL, 1000));
			break;
		default:
			expect(unlink(name));
			expect(lseek(fd, 0, SEEK_END));
		}
	}
	return NULL;
}

int main(void)
{
	char top[] = "races-XXXXXX";
	pthread_t t[THREADS];
	int fd;

	if (!mkdtemp(top) || chdir(top) < 0) {
		perror(top);
		return 1;
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, work, (void *)(i + 1));
	sleep(SECONDS);
	stop = 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	fact("no errors but the expected", wrong, 0);
	for (int i = 3; i < 200; i++)
		close(i);
	fd = open("after", O_CREAT | O_RDWR, 0600);
	fact("the table is whole", fd, 3);
	FACT("and works", write(fd, "x", 1), 1);
	return facts_end();
}
