/* SPDX-License-Identifier: Apache-2.0 */
/* Of epoll.c, epoll_wait.c and epoll_host.c: what a set is. */
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
	int proxy; /* epoll_host.c; -1 = none */
	struct list_node in_shown;
};

struct epoll {
	struct file file;
	struct wait_queue queue; /* of those who wait */
	struct list_node ready;	 /* items that may be ready, in the order in which they became it */
	struct epoll_item **buckets;
	unsigned nbuckets, nitems, nsets; /* nsets: items that are sets */
	uint64_t ino;
	/* epoll_host.c */
	int twin;	    /* the host's epoll, which has the items of sockets and of proxies; -1 = none */
	bool ending, alone; /* it is about to have none; will have none any more */
	unsigned asked;
	struct host_watch watch; /* of the twin */
	bool watched;
};

/* NULL where it is another kind of file. */
struct epoll *epoll_of(const struct file *f);
/* What of the events wanted is there. */
uint32_t epoll_item_events(const struct epoll_item *i);
/* All items, for /proc/PID/fdinfo; begin with 0 and NULL. */
bool epoll_next(const struct epoll *ep, unsigned *bucket_at, const struct epoll_item **at);

/* ---- epoll.c, for epoll_host.c ---- */

struct epoll_item *epoll_find_item(const struct epoll *ep, const struct file *f, int fd);
int epoll_add_item(struct epoll *ep, struct file *f, int fd, const struct epoll_event *event);
int epoll_modify_item(struct epoll_item *i, const struct epoll_event *event);
void epoll_free_item(struct epoll_item *i);
/* Without a proxy: its file wakes the set itself. */
void epoll_keep_here(struct epoll_item *i);
void epoll_free_without_proxy(struct epoll *ep);

/* ---- epoll_host.c ---- */

/* file_ops.native and .taken_back of sets. */
int epoll_native(struct file *f);
void epoll_taken_back(struct file *f);
void epoll_drop_proxy(struct epoll_item *i);
void epoll_release_twin(struct epoll *ep);
/* What epoll_ctl, epoll_wait (0 = nothing yet; it is watched) and poll do where there is a twin. */
int epoll_control_twin(struct epoll *ep, struct file *f, int fd, int op, const struct epoll_event *event);
long epoll_deliver_twin(struct task *t, struct epoll *ep, uint64_t to, int max);
uint32_t epoll_poll_twin(struct epoll *ep);
int epoll_watch_twin(struct epoll *ep);
