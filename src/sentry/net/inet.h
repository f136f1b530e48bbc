/* SPDX-License-Identifier: Apache-2.0 */
/* AF_INET and AF_INET6, private to this room: host_socket.h says how they work. */
#pragma once

#include "sentry/net/host_socket.h"

/* ---- inet_options.c ---- */
int inet_set_option(struct task *t, struct socket *s, int level, int name, const void *value, int len);
int inet_get_option(struct task *t, struct socket *s, int level, int name, void *value, int *len);

/* ---- inet_control.c ---- */
/* Copies those of a sender's control messages that the host may see (as long as `control`).  0 or -errno. */
int inet_control_check(const uint8_t *control, size_t len, uint8_t *ret, size_t *ret_len);
/* Gives the guest those that the host gave. */
void inet_control_give(struct message *m, const uint8_t *control, size_t len);

/* ---- inet_ioctl.c ---- */
long inet_ioctl(struct task *t, struct socket *s, unsigned cmd, uint64_t arg);
/* SIOCGIF* and kin, of a socket of any family. */
long interface_ioctl(struct task *t, unsigned cmd, uint64_t arg);
