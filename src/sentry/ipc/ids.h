/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What System V objects have in common: keys, ids, owners, rights.
 *
 * An id is a slot's number and, above it, a sequence number, so that the id of
 * a removed object means nothing when the slot is used again.
 */
#pragma once

#include "sentry/task.h"

#include <sys/ipc.h>

enum { IPC_SLOT_BITS = 15, IPC_SLOTS_MAX = 1 << IPC_SLOT_BITS };

struct ipc_object {
	key_t key;
	int id;
	uid_t uid, cuid;
	gid_t gid, cgid;
	unsigned mode; /* rights, and above them a kind's own bits */
};

struct ipc_table {
	struct ipc_object **slots;
	unsigned size, used;
	unsigned limit; /* of objects */
	unsigned sequence, last_slot;
	bool added; /* there has been an object */
};

/* NULL = none with this key. */
struct ipc_object *ipc_find_key(const struct ipc_table *x, key_t key);
/* -EINVAL: no such id; -EIDRM: it was another's. */
int ipc_find(const struct ipc_table *x, int id, struct ipc_object **ret);
/* Slot by number, of which an id may be more: what is beyond the slots is its sequence. NULL = free. */
struct ipc_object *ipc_slot(const struct ipc_table *x, int id);
/* The highest slot in use; 0 where there is none, as IPC_INFO says it. */
int ipc_highest(const struct ipc_table *x);
/* Gives it an id and its owner: 0, -ENOSPC, -ENOMEM. */
int ipc_add(struct ipc_table *x, struct ipc_object *o, key_t key, unsigned mode, const struct creds *creds);
void ipc_remove(struct ipc_table *x, struct ipc_object *o);
/* Rights for reading (0444) and writing (0222): 0 or -EACCES.  Owners only: 0 or -EPERM. */
int ipc_may(const struct creds *creds, const struct ipc_object *o, unsigned wanted);
int ipc_may_control(const struct creds *creds, const struct ipc_object *o);
void ipc_perm_out(const struct ipc_object *o, struct ipc_perm *ret);
/* IPC_SET: -EINVAL is never said here, any owner is. */
void ipc_perm_in(struct ipc_object *o, const struct ipc_perm *from);
/* The ...get family's choice: > 0 = make a new one; 0 = *ret; -ENOENT, -EEXIST. */
int ipc_lookup(const struct ipc_table *x, key_t key, int flags, struct ipc_object **ret);
