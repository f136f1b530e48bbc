/* SPDX-License-Identifier: Apache-2.0 */
/* The device loop: epoll and what is to be done.  One thread runs it. */
#pragma once

#include "base/err.h"

#include <sys/epoll.h>

struct loop {
	int epoll;
};

/* Embedded in what it is of; fd is borrowed. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *s, uint32_t events);
	uint32_t events; /* as registered; managed here */
	bool added;
};

must_use int loop_open(struct loop *l, struct err *err);
/* events == 0 takes the source out (an error condition alone would wake the loop for ever). */
void loop_want(struct loop *l, struct loop_source *s, uint32_t events);
/* Waits (ms; -1: until something happens) and runs what is ready.  The count, or -errno. */
must_use int loop_once(struct loop *l, int timeout_ms);

#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
