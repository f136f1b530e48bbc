/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages, out of hostile memory and back into it.
 *
 * A guest's control buffer is copied once and walked here by offset; a length
 * in it is believed only as far as the buffer goes.  The rules are those of
 * the kernel's CMSG_OK and CMSG_NXTHDR: a header whose length is below its own
 * size or leads beyond the buffer makes the call fail with EINVAL; what is too
 * short for another header at the end is not looked at.
 */
#include "sentry/net/socket.h"

bool control_next(const uint8_t *control, size_t len, size_t *at, struct cmsghdr *ret,
		  const uint8_t **ret_data, size_t *ret_len, int *error)
{
	if (*at > len || len - *at < sizeof(*ret))
		return false;
	memcpy(ret, control + *at, sizeof(*ret));
	size_t n = ret->cmsg_len;
	if (n < sizeof(*ret) || n > len - *at) {
		*error = -EINVAL;
		return false;
	}
	*ret_data = control + *at + sizeof(*ret);
	*ret_len = n - sizeof(*ret);
	*at += MIN_OF((size_t)CMSG_ALIGN(n), len - *at);
	return true;
}

void control_put(struct message *m, int level, int type, const void *data, size_t len)
{
	size_t room = m->control ? m->control_room - m->control_len : 0;
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};

	if (room < sizeof(h)) {
		m->result |= MSG_CTRUNC;
		return;
	}
	if (h.cmsg_len > room) {
		m->result |= MSG_CTRUNC;
		h.cmsg_len = room;
	}
	uint8_t *p = m->control + m->control_len;
	size_t used = MIN_OF((size_t)CMSG_ALIGN(h.cmsg_len), room);
	memset(p, 0, used); /* no byte of ours between messages */
	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), data, h.cmsg_len - sizeof(h));
	m->control_len += used;
}

void io_skip(struct io *io, size_t n)
{
	n = MIN_OF(n, io->left);
	io->left -= n;
	while (n > 0 && io->niov > 0) {
		size_t k = MIN_OF(n, io->iov->iov_len);
		io->iov->iov_base = (char *)io->iov->iov_base + k;
		io->iov->iov_len -= k;
		n -= k;
		if (io->iov->iov_len == 0 && io->niov > 1) {
			io->iov++;
			io->niov--;
		} else if (n > 0 && io->iov->iov_len == 0) {
			break;
		}
	}
}
