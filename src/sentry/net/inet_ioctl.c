/* SPDX-License-Identifier: Apache-2.0 */
/* ioctls of inet sockets, and the old interface to network devices: to read only. */
#include "sentry/net/host_socket.h"
#include "sentry/net/inet.h"

#include <linux/capability.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

enum { CONF_MAX = 64 << 10 };

/* The host's answer to an int's ioctl. */
static long int_ioctl(struct task *t, struct socket *s, unsigned cmd, uint64_t arg)
{
	int v = 0;

	if (ioctl(s->file.host_fd, cmd, &v) < 0)
		return -errno;
	if (cmd == SIOCINQ)
		v += (int)host_socket_of(s)->back_len;
	return guest_put(t, arg, &v);
}

/* When the last packet came: a struct timeval or timespec, both of two words. */
static long stamp_ioctl(struct task *t, struct socket *s, unsigned cmd, uint64_t arg)
{
	int64_t v[2] = {0};

	return ioctl(s->file.host_fd, cmd, v) < 0 ? -errno : guest_put(t, arg, &v);
}

long inet_ioctl(struct task *t, struct socket *s, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case SIOCINQ:
	case SIOCOUTQ:
	case SIOCOUTQNSD:
	case SIOCATMARK:
		return int_ioctl(t, s, cmd, arg);
	case SIOCGSTAMP_OLD:
	case SIOCGSTAMPNS_OLD:
	case SIOCGSTAMP_NEW:
	case SIOCGSTAMPNS_NEW:
		return stamp_ioctl(t, s, cmd, arg);
	default:
		return interface_ioctl(t, cmd, arg);
	}
}

/* A socket for questions about devices. */
static int question_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* The list of interfaces with addresses: the only one with a pointer in it. */
static long conf_ioctl(struct task *t, int fd, uint64_t arg)
{
	struct {
		int32_t len;
		uint32_t pad;
		uint64_t buf;
	} guest;
	struct ifconf c = {0};

	if (guest_get(t, &guest, arg) < 0)
		return -EFAULT;
	if (guest.len < 0)
		return -EINVAL;
	autofree char *buf = NULL;
	if (guest.buf) {
		c.ifc_len = MIN_OF(guest.len, (int)CONF_MAX);
		buf = calloc(1, (size_t)c.ifc_len + 1);
		if (!buf)
			return -ENOMEM;
		c.ifc_buf = buf;
	}
	if (ioctl(fd, SIOCGIFCONF, &c) < 0)
		return -errno;
	if (guest.buf && c.ifc_len > 0 && guest_write(t, guest.buf, buf, (size_t)c.ifc_len) < 0)
		return -EFAULT;
	guest.len = c.ifc_len;
	return guest_put(t, arg, &guest);
}

static long request_ioctl(struct task *t, int fd, unsigned cmd, uint64_t arg)
{
	struct ifreq r;

	if (guest_get(t, &r, arg) < 0)
		return -EFAULT;
	r.ifr_name[IFNAMSIZ - 1] = '\0';
	if (ioctl(fd, cmd, &r) < 0)
		return -errno;
	return guest_put(t, arg, &r);
}

/* Of what is changed by name the host reads what it is told first. */
static long refuse_change(struct task *t, unsigned cmd, uint64_t arg)
{
	bool by_name = cmd != SIOCADDRT && cmd != SIOCDELRT && cmd != SIOCSARP && cmd != SIOCDARP;
	struct ifreq r;

	if (by_name && guest_get(t, &r, arg) < 0)
		return -EFAULT;
	if (creds_capable(t->creds, CAP_NET_ADMIN))
		kernel_log("ioctl 0x%x: network devices are the runtime's to change at this level", cmd);
	return -EPERM;
}

long interface_ioctl(struct task *t, unsigned cmd, uint64_t arg)
{
	int fd = question_fd();

	if (fd < 0)
		return fd;
	switch (cmd) {
	case SIOCGIFCONF:
		return conf_ioctl(t, fd, arg);
	case SIOCGIFNAME:
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFMETRIC:
	case SIOCGIFMTU:
	case SIOCGIFHWADDR:
	case SIOCGIFINDEX:
	case SIOCGIFTXQLEN:
	case SIOCGIFMAP:
		return request_ioctl(t, fd, cmd, arg);
	case SIOCETHTOOL:
		return -EOPNOTSUPP; /* a driver's own */
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFBRDADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFMETRIC:
	case SIOCSIFMTU:
	case SIOCSIFHWADDR:
	case SIOCSIFNAME:
	case SIOCSIFTXQLEN:
	case SIOCADDRT:
	case SIOCDELRT:
	case SIOCADDMULTI:
	case SIOCDELMULTI:
	case SIOCSARP:
	case SIOCDARP:
		return refuse_change(t, cmd, arg);
	default:
		return -ENOTTY;
	}
}
