/* SPDX-License-Identifier: Apache-2.0 */
/* The file share is asked for its table by a signal that may come once too often (share.h). */
#include "test.h"

#include "base/fd.h"
#include "vm/share/share.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

static _Noreturn void serve(int sock, int table, int tell)
{
	const struct share s = {.sock = sock,
				.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
				.proc_fd = -1,
				.table_fd = table,
				.told_fd = tell};
	struct err err = {0};

	if (share_serve(&s, &err) < 0)
		(void)dprintf(2, "%s\n", err.msg);
	_exit(0);
}

/* Asks until there is an answer. */
static struct share_told ask(pid_t share, int number, int told)
{
	const union sigval v = {.sival_int = number};
	struct pollfd p = {.fd = told, .events = POLLIN};
	struct share_told t = {.number = -1};

	do
		CHECK(sigqueue(share, SIGUSR1, v) == 0);
	while (poll(&p, 1, 20) == 0);
	CHECK_INT(read(told, &t, sizeof(t)), sizeof(t));
	return t;
}

int main(void)
{
	int sock[2], told[2], table = memfd_create("table", MFD_CLOEXEC), status;
	const union sigval first = {.sival_int = 1};
	struct share_told t;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) == 0 && pipe2(told, O_CLOEXEC) == 0);
	/* It comes before there is a handler: none of ours may. */
	sigset_t usr1, was;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	CHECK(sigprocmask(SIG_BLOCK, &usr1, &was) == 0);
	pid_t share = fork();
	if (share == 0) {
		(void)close(sock[0]);
		struct sigaction ignore = {.sa_handler = SIG_IGN};
		(void)sigaction(SIGUSR1, &ignore, NULL);
		(void)sigprocmask(SIG_SETMASK, &was, NULL);
		serve(sock[1], table, told[1]);
	}
	(void)close(sock[1]);
	(void)close(told[1]);
	CHECK(sigprocmask(SIG_SETMASK, &was, NULL) == 0);
	t = ask(share, 1, told[0]);
	CHECK_INT(t.number, 1);
	CHECK_INT(t.result, 0);
	/* The file is the asker's now. */
	CHECK(ftruncate(table, 0) == 0);
	for (int i = 0; i < 50; i++) {
		CHECK(sigqueue(share, SIGUSR1, first) == 0);
		(void)usleep(1000);
	}
	CHECK_INT(lseek(table, 0, SEEK_END), 0);
	t = ask(share, 2, told[0]);
	CHECK_INT(t.number, 2);
	CHECK(lseek(table, 0, SEEK_END) > 0);
	(void)close(sock[0]);
	CHECK(waitpid(share, &status, 0) == share && WIFEXITED(status));
	(void)close(told[0]);
	(void)close(table);
	return test_end();
}
