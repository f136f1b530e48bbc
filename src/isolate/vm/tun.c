/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * A tap is made in the network namespace where its /dev/net/tun was opened,
 * and by whoever has CAP_NET_ADMIN there.  The keeper has that, but may not
 * open the device: it is 0600 on many machines, and belongs to nobody in a
 * container's user namespace.  The runtime may, but stands elsewhere.  So a
 * child of the runtime visits the container's network namespace with the
 * runtime's own rights, opens the device once for each card that the guest is
 * to have, and the keeper makes taps of them.
 *
 * A runtime without root may visit as the owner of the user namespace alone;
 * then the device must be everybody's.
 */
#include "isolate/vm/vm.h"

#include "base/fd.h"
#include "base/proc.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int open_namespace(pid_t pid, const char *which, struct err *err)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, which); /* fits */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open %s", path) : fd;
}

static int enter_network(pid_t pid, struct err *err)
{
	autoclose int net = open_namespace(pid, "net", err);
	autoclose int user = net < 0 ? -1 : open_namespace(pid, "user", err);

	if (user < 0)
		return -err->code;
	if (setns(net, CLONE_NEWNET) == 0)
		return 0;
	if (setns(user, CLONE_NEWUSER) < 0 || setns(net, CLONE_NEWNET) < 0)
		return err_sys(err, "cannot enter the container's network namespace");
	return 0;
}

/* Interfaces that the keeper makes cards of (vm/net.h): what it finds to be none is one descriptor too many.
 */
static int count_cards(struct err *err)
{
	struct if_nameindex *all = if_nameindex();
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n = 0;

	if (!all || fd < 0) {
		int r = err_sys(err, "cannot list the interfaces of the container's network");
		if_freenameindex(all);
		return r;
	}
	for (size_t i = 0; all[i].if_name; i++) {
		struct ifreq q = {0};
		(void)snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", all[i].if_name); /* fits */
		n += ioctl(fd, SIOCGIFHWADDR, &q) == 0 && q.ifr_hwaddr.sa_family == ARPHRD_ETHER;
	}
	if_freenameindex(all);
	return MIN_OF(n, (int)SUPERVISOR_TUNS_MAX); /* the keeper refuses more */
}

static int open_tuns(pid_t pid, int fds[static SUPERVISOR_TUNS_MAX], struct err *err)
{
	int r = enter_network(pid, err);
	int cards = r < 0 ? r : count_cards(err);

	for (int i = 0; i < cards; i++) {
		fds[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fds[i] >= 0)
			continue;
		if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
			return err_set(err, ENODEV,
				       "the container has a network, and /dev/net/tun is not there for it; "
				       "type `modprobe tun`");
		return err_sys(err, "cannot open /dev/net/tun for the container's network");
	}
	return cards;
}

static _Noreturn void visit(pid_t pid, int sock)
{
	struct err err = {0};
	int fds[SUPERVISOR_TUNS_MAX];
	int n = open_tuns(pid, fds, &err);

	if (n >= 0)
		err.code = 0;
	_exit(fd_send(sock, &err, sizeof(err), fds, n > 0 ? (size_t)n : 0) < 0);
}

int vm_open_tuns(pid_t pid, int ret[static SUPERVISOR_TUNS_MAX], struct err *err)
{
	struct err told = {0};
	size_t n = 0;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a pair of sockets");
	pid_t child = fork();
	if (child == 0)
		visit(pid, pair[1]);
	autoclose int ours = pair[0];
	(void)close(pair[1]); /* the child's */
	if (child < 0)
		return err_sys(err, "cannot fork");
	ssize_t len = fd_recv(ours, &told, sizeof(told), ret, SUPERVISOR_TUNS_MAX, &n);
	ignore_result(proc_wait(child)); /* it told us */
	told.msg[sizeof(told.msg) - 1] = '\0';
	if (len != (ssize_t)sizeof(told))
		return err_set(err, EIO, "nobody came back from the container's network namespace");
	if (told.code) {
		*err = told;
		return -told.code;
	}
	return (int)n;
}
