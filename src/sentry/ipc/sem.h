/* SPDX-License-Identifier: Apache-2.0 */
/* Of sem.c and sem_ctl.c: what a set of semaphores is. */
#pragma once

#include "sentry/ipc/ids.h"

#include <sys/sem.h>

enum { SEM_VALUE = 32767 };

struct sem {
	int value;
	pid_t pid; /* who changed it last */
};

struct sem_set {
	struct ipc_object object;
	struct wait_queue queue;
	struct list_node undos, waiters;
	time_t otime, ctime;
	int n;
	struct sem sems[];
};

/* What a process's end gives back. */
struct sem_undo {
	struct list_node of_process, of_set;
	struct sem_set *set;
	struct process *process;
	int adjust[];
};

/* A semop that waits. */
struct sem_waiter {
	struct list_node of_set;
	int id;
	unsigned short number; /* the semaphore that it waits for */
	bool for_zero;
};

struct sem_table {
	struct ipc_table ids;
	int total; /* semaphores in all sets */
};
extern struct sem_table sems;

/*
 * All operations or none: 0; > 0 = it must wait, for operation (result - 1); -EAGAIN, -ERANGE.  `adjust`: the
 * undo values, NULL where no operation has SEM_UNDO.
 */
int sem_perform(struct sem_set *s, const struct sembuf *ops, size_t n, int *adjust, pid_t pid);
void sem_remove(struct sem_set *s);
/* Of a value that is set outright: what processes were to undo is void. */
void sem_forget_undo(struct sem_set *s, int number);
