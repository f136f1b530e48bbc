/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/criu_root.h"

#include "base/proc.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

struct answer {
	int code; /* errno, or 0 with the descriptors */
};

static int make_namespace(const char *from, const char *at, const char *const *dirs, size_t ndirs, int *fds)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_SLAVE | MS_REC, NULL) < 0 ||
	    mount(from, at, NULL, MS_BIND | MS_REC, NULL) < 0)
		return errno;
	fds[0] = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (fds[0] < 0)
		return errno;
	for (size_t i = 0; i < ndirs; i++) {
		fds[i + 1] = open(dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fds[i + 1] < 0)
			return errno;
	}
	return 0;
}

static _Noreturn void helper(int sock, const char *from, const char *at, const char *const *dirs,
			     size_t ndirs)
{
	int fds[CRIU_ROOT_DIRS_MAX + 1];
	struct answer a = {.code = make_namespace(from, at, dirs, ndirs, fds)};

	_exit(fd_send(sock, &a, sizeof(a), fds, a.code ? 0 : ndirs + 1) < 0);
}

int criu_root_make(const char *from, const char *at, const char *const *dirs, size_t ndirs, int *ret_ns,
		   int *ret_dirs, struct err *err)
{
	int s[2], fds[CRIU_ROOT_DIRS_MAX + 1];
	struct answer a = {0};
	size_t nfds = 0;

	if (ndirs > CRIU_ROOT_DIRS_MAX)
		return err_set(err, EINVAL, "too many directories for criu");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
		return err_sys(err, "cannot make a socket pair");
	autoclose int ours = s[0], theirs = s[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork");
	if (pid == 0)
		helper(theirs, from, at, dirs, ndirs);
	fd_drop(&theirs);
	ssize_t n = fd_recv(ours, &a, sizeof(a), fds, ARRAY_LEN(fds), &nfds);
	ignore_result(proc_wait(pid)); /* it has said all that it had to say */
	if (n == sizeof(a) && a.code == 0 && nfds == ndirs + 1) {
		*ret_ns = fds[0];
		memcpy(ret_dirs, fds + 1, ndirs * sizeof(*fds));
		return 0;
	}
	for (size_t i = 0; n >= 0 && i < nfds; i++)
		(void)close(fds[i]); /* of no use without the rest */
	return err_num(err, n == sizeof(a) && a.code ? a.code : EIO,
		       "cannot bind the root file system \"%s\" for criu", from);
}
