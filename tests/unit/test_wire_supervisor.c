/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/fd.h"
#include "wire/supervisor.h"

#include <sys/mman.h>
#include <sys/socket.h>

static int parse(char **argv, int argc, int *fd, uint64_t *n, struct supervisor_args *a)
{
	const struct supervisor_key keys[] = {{"fd=", .fd = fd}, {"n=", .number = n}};
	struct err err = {0};

	return supervisor_parse(argc, argv, keys, ARRAY_LEN(keys), a, &err);
}

static void test_command_line(void)
{
	char *good[] = {"p", "run", "fd=1", "n=18446744073709551615", "keep=2", "--", "sh", "--", "x"};
	char *closed[] = {"p", "run", "fd=999", "--", "sh"}, *word[] = {"p", "run", "n=x", "--", "sh"};
	char *unknown[] = {"p", "run", "m=1", "--", "sh"}, *none[] = {"p", "run", "fd=1"};
	struct supervisor_args a;
	int fd = -1, copy = dup(1);
	uint64_t n = 0;

	CHECK_INT(parse(good, ARRAY_LEN(good), &fd, &n, &a), 0);
	CHECK_INT(fd, 1);
	CHECK(n == UINT64_MAX);
	CHECK_INT(a.keep, 2);
	CHECK_INT(a.argc, 3);
	CHECK_STR(a.argv[0], "sh");
	CHECK(fcntl(1, F_GETFD) == FD_CLOEXEC);
	CHECK_INT(parse(closed, ARRAY_LEN(closed), &fd, &n, &a), -EINVAL);
	CHECK_INT(parse(word, ARRAY_LEN(word), &fd, &n, &a), -EINVAL);
	CHECK_INT(parse(unknown, ARRAY_LEN(unknown), &fd, &n, &a), -EINVAL);
	CHECK_INT(parse(none, ARRAY_LEN(none), &fd, &n, &a), 0);
	CHECK_INT(a.argc, 0);
	(void)close(copy);
}

static void test_strings(void)
{
	static const char text[] = "a\0b\0E=1\0/cwd";
	const struct supervisor_request q = {.argc = 2, .envc = 1}, more = {.argc = 3, .envc = 1},
					huge = {.argc = UINT32_MAX, .envc = UINT32_MAX};
	int fd = memfd_create("strings", MFD_CLOEXEC);
	autofree char *bytes = NULL;
	autofree const char **v = NULL;
	struct err err = {0};

	CHECK_INT(fd_write_all(fd, text, sizeof(text)), 0);
	CHECK_INT(supervisor_strings(fd, &q, &bytes, &v, &err), 0);
	CHECK_STR(v[1], "b");
	CHECK_STR(v[3], "/cwd");
	char *other = NULL;
	const char **w = NULL;
	CHECK_INT(supervisor_strings(fd, &more, &other, &w, &err), -EBADMSG);
	CHECK_INT(supervisor_strings(fd, &huge, &other, &w, &err), -EBADMSG);
	/* The last one without its NUL. */
	CHECK(ftruncate(fd, (off_t)sizeof(text) - 1) == 0);
	CHECK_INT(supervisor_strings(fd, &q, &other, &w, &err), -EBADMSG);
	(void)close(fd);
}

static void test_replies(void)
{
	const struct err why = {.code = ENOENT, .exit_status = 127, .msg = "exec: \"x\": not found"};
	struct supervisor_reply reply;
	struct err err = {0};
	int s[2], fd = -1;

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) == 0);
	supervisor_reply_failed(s[0], &why);
	CHECK_INT(supervisor_receive(s[1], &reply, &fd, &err), 0);
	CHECK_INT(fd, -1);
	CHECK_INT(supervisor_refused(&reply, &err), -ENOENT);
	CHECK_INT(err.exit_status, 127);
	CHECK_STR(err.msg, why.msg);
	CHECK(send(s[0], "x", 1, 0) == 1);
	CHECK_INT(supervisor_receive(s[1], &reply, NULL, &err), -EBADMSG);
	(void)close(s[0]);
	CHECK_INT(supervisor_receive(s[1], &reply, NULL, &err), -ECONNRESET);
	(void)close(s[1]);
}

int main(void)
{
	test_command_line();
	test_strings();
	test_replies();
	return test_end();
}
