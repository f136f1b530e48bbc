/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets in flight that nobody can receive any more.
 *
 * A socket sent over a socket that is itself only in flight keeps itself alive.
 * A *candidate* is a socket all of whose file's references are in messages.
 * From every other socket the messages that can still be received are
 * followed; what is found is alive, and so is what lies in its messages.  The
 * candidates that nobody found lose their messages, and end with them.
 *
 * Runs when a unix socket is released while sockets are in flight: only a
 * release can make garbage.  Cost: all unix sockets and messages in flight, of
 * one sandbox, paid by it.
 */
#include "sentry/net/unix.h"

static struct unix_socket *to_scan;

static void alive(struct unix_socket *u)
{
	u->candidate = false;
	u->next_scan = to_scan;
	to_scan = u;
}

static void scan_packets(struct unix_socket *u)
{
	struct unix_packet *p;

	list_each(p, &u->packets, struct unix_packet, node) for (size_t i = 0;
								 p->rights && i < p->rights->count; i++)
	{
		struct unix_socket *v = unix_socket_of(p->rights->files[i]);
		if (v && v->candidate)
			alive(v);
	}
}

static void scan_all(void)
{
	while (to_scan) {
		struct unix_socket *u = to_scan, *n;
		to_scan = u->next_scan;
		scan_packets(u);
		list_each(n, &u->embryos, struct unix_socket, embryo_node) scan_packets(n);
	}
}

void unix_collect(void)
{
	static bool at_work;
	struct unix_socket *u, *n, *doomed = NULL;

	if (at_work)
		return; /* a release within; what it leaves is found at the next one */
	at_work = true;
	list_each(u, unix_all(), struct unix_socket, all) u->candidate =
		u->inflight > 0 && u->s.file.refs == u->inflight;
	list_each(u, unix_all(), struct unix_socket, all) if (!u->candidate && !u->embryo_of) alive(u);
	scan_all();
	/* Held, since what is dropped may release any other. */
	list_each(u, unix_all(), struct unix_socket, all)
	{
		if (!u->candidate)
			continue;
		u->candidate = false;
		ignore_result(file_ref(&u->s.file)); /* until it is ended below */
		u->next_scan = doomed;
		doomed = u;
	}
	while (doomed) {
		u = doomed;
		doomed = u->next_scan;
		unix_drop_packets(u);
		list_each(n, &u->embryos, struct unix_socket, embryo_node) unix_drop_packets(n);
		file_unref(&u->s.file);
	}
	at_work = false;
}
