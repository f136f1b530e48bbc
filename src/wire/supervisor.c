/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/supervisor.h"

#include "base/fd.h"
#include "base/str.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The state directory may lie deeper than sun_path reaches. */
static void address(int state_dirfd, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/control.sock",
		       state_dirfd); /* fits */
}

int supervisor_listen(int state_dirfd, struct err *err)
{
	struct sockaddr_un sa;
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	address(state_dirfd, &sa);
	/* The mode first, so that the file is never open to others. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 64) < 0)
		return err_sys(err, "cannot listen on control.sock in the container's state directory");
	return take_fd(&fd);
}

int supervisor_connect(int state_dirfd, struct err *err)
{
	struct sockaddr_un sa;
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	address(state_dirfd, &sa);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return take_fd(&fd);
	if (errno == ECONNREFUSED || errno == ENOENT)
		return err_set(err, ESRCH, "container not running");
	return err_sys(err, "cannot reach the container's kernel on control.sock");
}

int supervisor_send(int sock, const struct supervisor_request *q, const int *fds, size_t nfds,
		    struct err *err)
{
	int r = fd_send(sock, q, sizeof(*q), fds, nfds);

	return r < 0 ? err_num(err, r, "cannot ask the container's kernel") : 0;
}

int supervisor_receive(int sock, struct supervisor_reply *ret, int *ret_fd, struct err *err)
{
	size_t nfds = 0;
	int fd = -1;
	ssize_t n = fd_recv(sock, ret, sizeof(*ret), ret_fd ? &fd : NULL, ret_fd ? 1 : 0, &nfds);
	autoclose int received = fd;

	if (n == 0 || n == -ECONNRESET)
		return err_set(err, ECONNRESET, "the container's kernel ended before it answered");
	if (n < 0)
		return err_num(err, (int)n, "cannot hear from the container's kernel");
	if (n != (ssize_t)sizeof(*ret))
		return err_set(err, EBADMSG, "the container's kernel sent %zd bytes of nonsense", n);
	ret->text[sizeof(ret->text) - 1] = '\0';
	if (ret_fd)
		*ret_fd = take_fd(&received);
	return 0;
}

int supervisor_refused(const struct supervisor_reply *reply, struct err *err)
{
	if (reply->kind != SUPERVISOR_FAILED)
		return err_set(err, EBADMSG, "the container's kernel sent message %u", reply->kind);
	int r = err_set(err, reply->code > 0 ? reply->code : EIO, "%s", reply->text);
	err->exit_status = reply->status;
	return r;
}

/* Is it this key's?  0 = no, 1 = yes, and taken; -EINVAL = yes, but no number of its kind. */
static int take_key(const struct supervisor_key *k, const char *arg)
{
	uint64_t n;

	if (!str_starts(arg, k->name))
		return 0;
	if (str_to_u64(arg + strlen(k->name), 10, &n) < 0)
		return -EINVAL;
	if (k->number) {
		*k->number = n;
		return 1;
	}
	if (n > INT_MAX || fd_set_cloexec((int)n, true) < 0)
		return -EINVAL;
	*k->fd = (int)n;
	return 1;
}

int supervisor_parse(int argc, char **argv, const struct supervisor_key *keys, size_t n,
		     struct supervisor_args *ret, struct err *err)
{
	uint64_t keep = 0;
	const struct supervisor_key keep_key = {.name = "keep=", .number = &keep};
	int i = 2;

	for (; i < argc && !streq(argv[i], "--"); i++) {
		int known = take_key(&keep_key, argv[i]);
		for (size_t k = 0; k < n && known == 0; k++)
			known = take_key(&keys[k], argv[i]);
		if (known <= 0 || keep > INT_MAX)
			return err_set(err, EINVAL, "%s: \"%s\" is no descriptor of its", argv[0], argv[i]);
	}
	*ret = (struct supervisor_args){
		.keep = (int)keep, .argc = MAX_OF(argc - i - 1, 0), .argv = argv + MIN_OF(i + 1, argc)};
	return 0;
}

int supervisor_maker(int listener, uid_t *ret, struct err *err)
{
	struct ucred own;
	socklen_t len = sizeof(own);

	/* A listening socket's peer is who called listen(): our maker. */
	if (getsockopt(listener, SOL_SOCKET, SO_PEERCRED, &own, &len) < 0)
		return err_sys(err, "cannot tell who made the container");
	*ret = own.uid;
	return 0;
}

int supervisor_accept(int listener, uid_t maker)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	autoclose int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock < 0)
		return -errno;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != maker)
		return -EPERM;
	return take_fd(&sock);
}

void supervisor_reply(int sock, const struct supervisor_reply *r)
{
	/* Who does not listen for the answer does not get it. */
	(void)send(sock, r, sizeof(*r), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void supervisor_reply_failed(int sock, const struct err *err)
{
	struct supervisor_reply r = {.kind = SUPERVISOR_FAILED,
				     .status = err->exit_status ? err->exit_status : 126,
				     .code = err->code};

	memcpy(r.text, err->msg, sizeof(r.text));
	supervisor_reply(sock, &r);
}

int supervisor_strings(int fd, const struct supervisor_request *q, char **ret_text, const char ***ret,
		       struct err *err)
{
	autofree char *text = NULL;
	size_t len = 0, n = (size_t)q->argc + q->envc + 1, at = 0;
	int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_read_all(fd, 64 << 20, &text, &len);

	if (r < 0)
		return err_num(err, r, "cannot read the process's arguments");
	autofree const char **v = n > len ? NULL : calloc(n + 1, sizeof(*v));
	if (!v)
		return err_set(err, EBADMSG, "the runtime sent %zu strings in %zu bytes", n, len);
	for (size_t i = 0; i < n; i++) {
		size_t left = len - at, size = strnlen(text + at, left) + 1;
		if (size > left)
			return err_set(err, EBADMSG, "the runtime sent too few strings");
		v[i] = text + at;
		at += size;
	}
	*ret_text = take_ptr(&text);
	*ret = take_ptr(&v);
	return 0;
}
