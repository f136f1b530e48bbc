/* SPDX-License-Identifier: Apache-2.0 */
/* SOL_SOCKET options that do not depend on the family. */
#include "sentry/net/socket.h"

#include <linux/capability.h>
#include <sys/time.h>

int option_bytes(const void *v, size_t n, void *value, int *len)
{
	*len = MIN_OF(*len, (int)n);
	memcpy(value, v, (size_t)*len);
	return 0;
}

int option_int(int v, void *value, int *len)
{
	return option_bytes(&v, sizeof(v), value, len);
}

/* A struct timeval as nanoseconds, by the kernel's rules: zero is "never", a negative time "at once". */
static int timeout_set(int64_t *to, const void *value, int len)
{
	struct timeval tv;

	if ((size_t)len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, value, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	if (tv.tv_sec < 0)
		*to = 0;
	else if ((tv.tv_sec == 0 && tv.tv_usec == 0) || tv.tv_sec >= INT64_MAX / 1000000000)
		*to = -1;
	else
		*to = tv.tv_sec * 1000000000 + tv.tv_usec * 1000;
	return 0;
}

/* The host's socket, where there is one, is told for a guest that waits in it by itself. */
static int timeout_option(struct socket *s, int name, int64_t *to, const void *value, int len)
{
	int r = timeout_set(to, value, len);

	if (r < 0 || s->file.host_fd < 0)
		return r;
	return setsockopt(s->file.host_fd, SOL_SOCKET, name, value, sizeof(struct timeval)) < 0 ? -errno : 0;
}

static int timeout_get(int64_t ns, void *value, int *len)
{
	struct timeval tv = {0};

	if (ns > 0) {
		tv.tv_sec = ns / 1000000000;
		tv.tv_usec = ns % 1000000000 / 1000;
	}
	return option_bytes(&tv, sizeof(tv), value, len);
}

static int buffer_size(int v, int least, int most, bool forced)
{
	if (!forced)
		v = (int)MIN_OF((unsigned)v, (unsigned)most);
	v = MIN_OF(MAX_OF(v, 0), INT_MAX / 2);
	return MAX_OF(v * 2, least);
}

bool socket_may_raw(const struct task *t)
{
	return creds_capable(t->creds, CAP_NET_RAW) || creds_capable(t->creds, CAP_NET_ADMIN);
}

int socket_option_set(struct task *t, struct socket *s, int name, const void *value, int len)
{
	bool admin = creds_capable(t->creds, CAP_NET_ADMIN);
	int v = 0;

	if ((size_t)len >= sizeof(v))
		memcpy(&v, value, sizeof(v));
	switch (name) {
	case SO_RCVTIMEO:
		return timeout_option(s, name, &s->receive_timeout, value, len);
	case SO_SNDTIMEO:
		return timeout_option(s, name, &s->send_timeout, value, len);
	case SO_RCVLOWAT:
		s->receive_low = v < 0 ? INT_MAX : MAX_OF(v, 1);
		return 1; /* poll is the family's: it knows too */
	case SO_SNDBUFFORCE:
	case SO_SNDBUF:
		if (name == SO_SNDBUFFORCE && !admin)
			return -EPERM;
		s->send_size =
			buffer_size(v, SOCKET_SEND_MIN, socket_limits()->send_most, name == SO_SNDBUFFORCE);
		return 1;
	case SO_RCVBUFFORCE:
	case SO_RCVBUF:
		if (name == SO_RCVBUFFORCE && !admin)
			return -EPERM;
		s->receive_size = buffer_size(v, SOCKET_RECEIVE_MIN, socket_limits()->receive_most,
					      name == SO_RCVBUFFORCE);
		return 1;
	case SO_DEBUG:
		return v && !admin ? -EACCES : 0;
	case SO_PRIORITY:
		return (v < 0 || v > 6) && !socket_may_raw(t) ? -EPERM : 1;
	case SO_MARK:
		return socket_may_raw(t) ? 1 : -EPERM;
	case SO_TYPE:
	case SO_PROTOCOL:
	case SO_DOMAIN:
	case SO_ERROR:
	case SO_ACCEPTCONN:
	case SO_PEERCRED:
		return -ENOPROTOOPT;
	default:
		return 1;
	}
}

int socket_option_get(struct socket *s, int name, void *value, int *len)
{
	switch (name) {
	case SO_RCVTIMEO:
		return timeout_get(s->receive_timeout, value, len);
	case SO_SNDTIMEO:
		return timeout_get(s->send_timeout, value, len);
	case SO_RCVLOWAT:
		return option_int(s->receive_low, value, len);
	case SO_SNDLOWAT:
		return option_int(1, value, len);
	case SO_TYPE:
		return option_int(s->type, value, len);
	case SO_DOMAIN:
		return option_int(s->domain, value, len);
	case SO_PROTOCOL:
		return option_int(s->protocol, value, len);
	case SO_ACCEPTCONN:
		return option_int(s->listening, value, len);
	case SO_DEBUG:
		return option_int(0, value, len);
	default:
		return 1;
	}
}

/* Booleans that mean nothing to a family without a wire, but are remembered. */
static const int plain_names[] = {
	SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE,   SO_BROADCAST, SO_OOBINLINE,	       SO_DONTROUTE,
	SO_NO_CHECK,  SO_TIMESTAMP, SO_TIMESTAMPNS, SO_RXQ_OVFL,  SO_SELECT_ERR_QUEUE, SO_WIFI_STATUS,
};

static int plain_bit(int name)
{
	for (size_t i = 0; i < ARRAY_LEN(plain_names); i++)
		if (plain_names[i] == name)
			return (int)i;
	return -1;
}

static int no_option(const char *what, const struct socket *s, int name)
{
	kernel_log("%s: SOL_SOCKET option %d of address family %d is not there", what, name, s->domain);
	return -ENOPROTOOPT;
}

int socket_plain_set(struct task *t unused, struct socket *s, int name, const void *value, int len)
{
	int v, bit = plain_bit(name);

	memcpy(&v, value, sizeof(v));
	if (bit >= 0) {
		s->plain = v ? s->plain | 1u << bit : s->plain & ~(1u << bit);
		return 0;
	}
	switch (name) {
	case SO_LINGER:
		if ((size_t)len < sizeof(s->linger))
			return -EINVAL;
		memcpy(&s->linger, value, sizeof(s->linger));
		return 0;
	case SO_PRIORITY:
		s->priority = v;
		return 0;
	case SO_MARK:
		s->mark = v;
		return 0;
	default:
		return no_option("setsockopt", s, name);
	}
}

int socket_plain_get(struct task *t unused, struct socket *s, int name, void *value, int *len)
{
	int bit = plain_bit(name);

	if (bit >= 0)
		return option_int(s->plain >> bit & 1, value, len);
	switch (name) {
	case SO_LINGER:
		return option_bytes(&s->linger, sizeof(s->linger), value, len);
	case SO_PRIORITY:
		return option_int(s->priority, value, len);
	case SO_MARK:
		return option_int(s->mark, value, len);
	default:
		return no_option("getsockopt", s, name);
	}
}
