/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/sdnotify.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

/* A service manager's socket. */
static int manager(const char *name, struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(name);

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(addr->sun_path, name, len);
	if (*name == '@')
		addr->sun_path[0] = '\0';
	CHECK(bind(fd, (struct sockaddr *)addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*name == '/'))) == 0);
	return fd;
}

static const char *receive(int fd, int *ret_fd)
{
	static char buf[512];
	size_t n = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 5000) != 1)
		return "nothing";
	ssize_t len = fd_recv(fd, buf, sizeof(buf) - 1, ret_fd, 1, &n);
	buf[len > 0 ? len : 0] = '\0';
	if (n == 0)
		*ret_fd = -1;
	return buf;
}

/* The container's service: says several things to the socket of the state directory. */
static void say(const char *dir, const char *text)
{
	struct err err = {0};
	autofree char *path = str_format("%s/notify/notify.sock", dir);

	CHECK_INT(sdnotify_send(path, text, &err), 0);
	CHECK_STR(err.msg, "");
}

static void test_forward(const char *dir, const char *host)
{
	struct sockaddr_un addr;
	struct err err = {0};
	struct stat st;
	int fd = -1;
	autoclose int d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int m = manager(host, &addr);
	autoclose int sock = sdnotify_listen(d, &err);

	CHECK(sock >= 0);
	CHECK(fstatat(d, "notify/notify.sock", &st, 0) == 0 && S_ISSOCK(st.st_mode) &&
	      (st.st_mode & 0777) == 0777);
	pid_t pid = fork();
	if (pid == 0)
		_exit(sdnotify_forward(sock, host, 4711, -1, &err) == 0 ? 0 : 1);
	say(dir, "STATUS=loading\n");
	say(dir, "STATUS=done\nREADY=1\nMAINPID=1");
	CHECK_STR(receive(m, &fd), "READY=1\n");
	CHECK_STR(receive(m, &fd), "MAINPID=4711\n");
	CHECK_STR(receive(m, &fd), "BARRIER=1");
	CHECK(fd >= 0);
	CHECK_INT(waitpid(pid, NULL, WNOHANG), 0); /* it waits until the manager has come to the barrier */
	if (fd >= 0)
		close(fd);
	CHECK_INT(proc_exit_code(proc_wait(pid)), 0);
}

static void test_end_of_process(const char *dir)
{
	struct err err = {0};
	autoclose int d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	CHECK_INT(file_remove_tree_at(d, "notify"), 0);
	autoclose int sock = sdnotify_listen(d, &err);
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	autoclose int pidfd = sys_pidfd_open(pid, 0);
	CHECK_INT(sdnotify_forward(sock, "/no/such", 1, pidfd, &err), 0);
	CHECK_INT(proc_wait(pid), 0);
	CHECK_INT(sdnotify_send("relative", "x", &err), -EINVAL);
	CHECK_STR(err.msg, "NOTIFY_SOCKET \"relative\" is neither a path nor an abstract socket");
	CHECK_INT(sdnotify_send("/no/such", "x", &err), -ENOENT);
}

int main(void)
{
	char dir[] = "/tmp/coffer-notify-XXXXXX";

	CHECK(mkdtemp(dir) != NULL);
	autofree char *path = str_format("%s/manager", dir);
	autofree char *abstract = str_format("@%s", dir);
	test_forward(dir, path);
	autoclose int d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(d, "notify"), 0);
	test_forward(dir, abstract);
	test_end_of_process(dir);
	autoclose int tmp = open("/tmp", O_PATH | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, dir + strlen("/tmp/")), 0);
	return test_end();
}
