/* SPDX-License-Identifier: Apache-2.0 */
/* What System V objects have in common (ids.h). */
#include "sentry/ipc/ids.h"

#include <linux/capability.h>

struct ipc_object *ipc_slot(const struct ipc_table *x, int id)
{
	unsigned slot = (unsigned)id & (IPC_SLOTS_MAX - 1);

	return id >= 0 && slot < x->size ? x->slots[slot] : NULL;
}

struct ipc_object *ipc_find_key(const struct ipc_table *x, key_t key)
{
	for (unsigned i = 0; i < x->size; i++) {
		if (x->slots[i] && x->slots[i]->key == key)
			return x->slots[i];
	}
	return NULL;
}

int ipc_find(const struct ipc_table *x, int id, struct ipc_object **ret)
{
	struct ipc_object *o = ipc_slot(x, id);

	if (!o)
		return -EINVAL;
	if (o->id != id)
		return -EIDRM;
	*ret = o;
	return 0;
}

int ipc_highest(const struct ipc_table *x)
{
	unsigned i = x->size;

	while (i > 0 && !x->slots[i - 1])
		i--;
	return i > 0 ? (int)i - 1 : 0;
}

static int grow_slots(struct ipc_table *x)
{
	unsigned size = MIN_OF(x->size ? x->size * 2 : 8, (unsigned)IPC_SLOTS_MAX);
	struct ipc_object **more = reallocarray(x->slots, size, sizeof(struct ipc_object *));

	if (!more)
		return -ENOMEM;
	for (unsigned i = x->size; i < size; i++)
		more[i] = NULL;
	x->slots = more;
	x->size = size;
	return 0;
}

int ipc_add(struct ipc_table *x, struct ipc_object *o, key_t key, unsigned mode, const struct creds *creds)
{
	unsigned slot = 0;

	if (x->used >= x->limit)
		return -ENOSPC;
	while (slot < x->size && x->slots[slot])
		slot++;
	if (slot == x->size && grow_slots(x) < 0)
		return -ENOMEM;
	if (x->added && slot <= x->last_slot) /* this one, or one before it, is used again */
		x->sequence = (x->sequence + 1) & (INT_MAX >> IPC_SLOT_BITS);
	x->added = true;
	x->last_slot = slot;
	x->slots[slot] = o;
	x->used++;
	o->key = key;
	o->id = (int)(x->sequence << IPC_SLOT_BITS | slot);
	o->mode = mode & 0777;
	o->uid = o->cuid = creds->euid;
	o->gid = o->cgid = creds->egid;
	return 0;
}

void ipc_remove(struct ipc_table *x, struct ipc_object *o)
{
	x->slots[o->id & (IPC_SLOTS_MAX - 1)] = NULL;
	x->used--;
}

int ipc_may(const struct creds *creds, const struct ipc_object *o, unsigned wanted)
{
	unsigned granted = o->mode;

	wanted |= wanted >> 6 | wanted >> 3;
	if (creds->euid == o->cuid || creds->euid == o->uid)
		granted >>= 6;
	else if (creds_in_group(creds, o->cgid) || creds_in_group(creds, o->gid))
		granted >>= 3;
	return !(wanted & ~granted & 7) || creds_capable(creds, CAP_IPC_OWNER) ? 0 : -EACCES;
}

int ipc_may_control(const struct creds *creds, const struct ipc_object *o)
{
	return creds->euid == o->cuid || creds->euid == o->uid || creds_capable(creds, CAP_SYS_ADMIN)
		       ? 0
		       : -EPERM;
}

void ipc_perm_out(const struct ipc_object *o, struct ipc_perm *ret)
{
	*ret = (struct ipc_perm){
		.__key = o->key,
		.uid = o->uid,
		.gid = o->gid,
		.cuid = o->cuid,
		.cgid = o->cgid,
		.mode = (__typeof__(ret->mode))o->mode,
		.__seq = (unsigned short)(o->id >> IPC_SLOT_BITS),
	};
}

void ipc_perm_in(struct ipc_object *o, const struct ipc_perm *from)
{
	o->uid = from->uid;
	o->gid = from->gid;
	o->mode = (o->mode & ~0777U) | (from->mode & 0777U);
}

int ipc_lookup(const struct ipc_table *x, key_t key, int flags, struct ipc_object **ret)
{
	struct ipc_object *o = key == IPC_PRIVATE ? NULL : ipc_find_key(x, key);

	if (key == IPC_PRIVATE)
		return 1;
	if (!o)
		return flags & IPC_CREAT ? 1 : -ENOENT;
	if ((flags & IPC_CREAT) && (flags & IPC_EXCL))
		return -EEXIST;
	*ret = o;
	return 0;
}
