/* SPDX-License-Identifier: Apache-2.0 */
/* Of epoll.c and epoll_wait.c: what a set is. */
#pragma once

#include "sentry/io/io.h"

struct epoll_item {
	struct epoll_item *next; /* in its bucket */
	struct epoll *ep;
	struct file *target;
	int fd;
	bool queued;	 /* its entry is on the file's queue */
	uint32_t events; /* wanted, with EPOLLET and its kin */
	uint64_t data;
	struct wait_entry entry;
	struct list_node of_target, ready;
};

struct epoll {
	struct file file;
	struct wait_queue queue; /* of those who wait */
	struct list_node ready;	 /* items that may be ready, in the order in which they became it */
	struct epoll_item **buckets;
	unsigned nbuckets, nitems, nsets; /* nsets: items that are sets */
	uint64_t ino;
};

/* NULL where it is another kind of file. */
struct epoll *epoll_of(const struct file *f);
/* What of the events wanted is there. */
uint32_t epoll_item_events(const struct epoll_item *i);
/* All items, for /proc/PID/fdinfo; begin with 0 and NULL. */
bool epoll_next(const struct epoll *ep, unsigned *bucket_at, const struct epoll_item **at);
