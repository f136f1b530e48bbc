/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User and group ids of a thread.
 *
 * Each call has Linux' order: what may not be changed is refused before
 * anything changes.  All ids of the guest are valid ones: its user namespace
 * maps them all; those that the host does not map fail where a file is made
 * with them (creds.c).
 */
#include "sentry/guest.h"
#include "sentry/platform/platform.h"
#include "sentry/sys/creds_int.h"

#include <linux/securebits.h>

#define NO_ID ((uint32_t)-1)

void creds_fix_caps(struct creds *c, const struct creds *old)
{
	bool was_root = old->uid == 0 || old->euid == 0 || old->suid == 0;
	bool is_root = c->uid == 0 || c->euid == 0 || c->suid == 0;

	if (c->securebits & SECBIT(SECURE_NO_SETUID_FIXUP))
		return;
	if (was_root && !is_root) {
		if (!(c->securebits & SECBIT(SECURE_KEEP_CAPS)))
			c->cap_permitted = c->cap_effective = 0;
		c->cap_ambient = 0;
	}
	if (old->euid == 0 && c->euid != 0)
		c->cap_effective = 0;
	if (old->euid != 0 && c->euid == 0)
		c->cap_effective = c->cap_permitted;
}

/* After a change: another user's dumps and its parent's death signal are not this one's business. */
static void ids_changed(struct task *t, const struct creds *old)
{
	const struct creds *c = t->creds;

	if (c->euid != old->euid || c->egid != old->egid || c->fsuid != old->fsuid || c->fsgid != old->fsgid)
		t->process->dumpable = false;
	if (c->fsuid != old->fsuid || c->cap_effective != old->cap_effective)
		platform_writes_end(t, t->process);
	if (c->uid != old->uid)
		t->too_many = platform_too_many(t, c, 0);
}

HANDLER(sys_getuid)
{
	return t->creds->uid;
}

HANDLER(sys_geteuid)
{
	return t->creds->euid;
}

HANDLER(sys_getgid)
{
	return t->creds->gid;
}

HANDLER(sys_getegid)
{
	return t->creds->egid;
}

static long put_three_ids(struct task *t, const struct call *c, uint32_t a, uint32_t b, uint32_t d)
{
	const uint32_t ids[3] = {a, b, d};

	for (int i = 0; i < 3; i++)
		if (guest_put(t, c->args[i], &ids[i]))
			return -EFAULT;
	return 0;
}

HANDLER(sys_getresuid)
{
	return put_three_ids(t, c, t->creds->uid, t->creds->euid, t->creds->suid);
}

HANDLER(sys_getresgid)
{
	return put_three_ids(t, c, t->creds->gid, t->creds->egid, t->creds->sgid);
}

HANDLER(sys_setuid)
{
	const struct creds old = *t->creds;
	uint32_t id = (uint32_t)c->args[0];
	bool capable = task_capable(t, CAP_SETUID);
	struct creds *now;

	if (id == NO_ID)
		return -EINVAL;
	if (!capable && id != old.uid && id != old.suid)
		return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	if (capable)
		now->uid = now->suid = id;
	now->euid = now->fsuid = id;
	creds_fix_caps(now, &old);
	ids_changed(t, &old);
	return 0;
}

HANDLER(sys_setgid)
{
	const struct creds old = *t->creds;
	uint32_t id = (uint32_t)c->args[0];
	bool capable = task_capable(t, CAP_SETGID);
	struct creds *now;

	if (id == NO_ID)
		return -EINVAL;
	if (!capable && id != old.gid && id != old.sgid)
		return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	if (capable)
		now->gid = now->sgid = id;
	now->egid = now->fsgid = id;
	ids_changed(t, &old);
	return 0;
}

HANDLER(sys_setreuid)
{
	const struct creds old = *t->creds;
	uint32_t r = (uint32_t)c->args[0], e = (uint32_t)c->args[1];
	bool capable = task_capable(t, CAP_SETUID);
	struct creds *now;

	if (r != NO_ID && r != old.uid && r != old.euid && !capable)
		return -EPERM;
	if (e != NO_ID && e != old.uid && e != old.euid && e != old.suid && !capable)
		return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	now->uid = r != NO_ID ? r : old.uid;
	now->euid = e != NO_ID ? e : old.euid;
	if (r != NO_ID || (e != NO_ID && e != old.uid))
		now->suid = now->euid;
	now->fsuid = now->euid;
	creds_fix_caps(now, &old);
	ids_changed(t, &old);
	return 0;
}

HANDLER(sys_setregid)
{
	const struct creds old = *t->creds;
	uint32_t r = (uint32_t)c->args[0], e = (uint32_t)c->args[1];
	bool capable = task_capable(t, CAP_SETGID);
	struct creds *now;

	if (r != NO_ID && r != old.gid && r != old.egid && !capable)
		return -EPERM;
	if (e != NO_ID && e != old.gid && e != old.egid && e != old.sgid && !capable)
		return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	now->gid = r != NO_ID ? r : old.gid;
	now->egid = e != NO_ID ? e : old.egid;
	if (r != NO_ID || (e != NO_ID && e != old.gid))
		now->sgid = now->egid;
	now->fsgid = now->egid;
	ids_changed(t, &old);
	return 0;
}

static bool one_of(uint32_t id, const uint32_t of[3])
{
	return id == NO_ID || id == of[0] || id == of[1] || id == of[2];
}

HANDLER(sys_setresuid)
{
	const struct creds old = *t->creds;
	const uint32_t have[3] = {old.uid, old.euid, old.suid};
	const uint32_t want[3] = {(uint32_t)c->args[0], (uint32_t)c->args[1], (uint32_t)c->args[2]};
	struct creds *now;

	for (int i = 0; i < 3; i++)
		if (!one_of(want[i], have) && !task_capable(t, CAP_SETUID))
			return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	now->uid = want[0] != NO_ID ? want[0] : old.uid;
	now->euid = want[1] != NO_ID ? want[1] : old.euid;
	now->suid = want[2] != NO_ID ? want[2] : old.suid;
	now->fsuid = now->euid;
	creds_fix_caps(now, &old);
	ids_changed(t, &old);
	return 0;
}

HANDLER(sys_setresgid)
{
	const struct creds old = *t->creds;
	const uint32_t have[3] = {old.gid, old.egid, old.sgid};
	const uint32_t want[3] = {(uint32_t)c->args[0], (uint32_t)c->args[1], (uint32_t)c->args[2]};
	struct creds *now;

	for (int i = 0; i < 3; i++)
		if (!one_of(want[i], have) && !task_capable(t, CAP_SETGID))
			return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	now->gid = want[0] != NO_ID ? want[0] : old.gid;
	now->egid = want[1] != NO_ID ? want[1] : old.egid;
	now->sgid = want[2] != NO_ID ? want[2] : old.sgid;
	now->fsgid = now->egid;
	ids_changed(t, &old);
	return 0;
}

/* setfsuid and setfsgid return the old id, whether they did it or not. */
HANDLER(sys_setfsuid)
{
	const struct creds old = *t->creds;
	uint32_t id = (uint32_t)c->args[0];
	struct creds *now;

	if (id == NO_ID || id == old.fsuid)
		return old.fsuid;
	if (id != old.uid && id != old.euid && id != old.suid && !task_capable(t, CAP_SETUID))
		return old.fsuid;
	now = creds_edit(t);
	if (!now)
		return old.fsuid;
	now->fsuid = id;
	if (!(now->securebits & SECBIT(SECURE_NO_SETUID_FIXUP))) {
		if (old.fsuid == 0)
			now->cap_effective &= ~CREDS_FILE_CAPS;
		else if (id == 0)
			now->cap_effective |= now->cap_permitted & CREDS_FILE_CAPS;
	}
	ids_changed(t, &old);
	return old.fsuid;
}

HANDLER(sys_setfsgid)
{
	const struct creds old = *t->creds;
	uint32_t id = (uint32_t)c->args[0];
	struct creds *now;

	if (id == NO_ID || id == old.fsgid)
		return old.fsgid;
	if (id != old.gid && id != old.egid && id != old.sgid && !task_capable(t, CAP_SETGID))
		return old.fsgid;
	now = creds_edit(t);
	if (!now)
		return old.fsgid;
	now->fsgid = id;
	ids_changed(t, &old);
	return old.fsgid;
}

/* ---- supplementary groups ---- */

HANDLER(sys_getgroups)
{
	const struct creds *now = t->creds;
	int room = (int)c->args[0];

	if (room < 0)
		return -EINVAL;
	if (room == 0)
		return (long)now->ngroups;
	if ((size_t)room < now->ngroups)
		return -EINVAL;
	if (now->ngroups && guest_write(t, c->args[1], now->groups, now->ngroups * sizeof(*now->groups)))
		return -EFAULT;
	return (long)now->ngroups;
}

static int compare_gids(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return x < y ? -1 : x > y;
}

HANDLER(sys_setgroups)
{
	int count = (int)c->args[0];
	autofree gid_t *groups = NULL;
	struct creds *now;

	if (!task_capable(t, CAP_SETGID))
		return -EPERM;
	if (count < 0 || count > GROUPS_MAX)
		return -EINVAL;
	if (count) {
		groups = malloc((size_t)count * sizeof(*groups));
		if (!groups)
			return -ENOMEM;
		if (guest_read(t, groups, c->args[1], (size_t)count * sizeof(*groups)))
			return -EFAULT;
		for (int i = 0; i < count; i++)
			if (groups[i] == NO_ID)
				return -EINVAL;
		/* In the order in which Linux tells of them. */
		qsort(groups, (size_t)count, sizeof(*groups), compare_gids);
	}
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	free(now->groups);
	now->groups = take_ptr(&groups);
	now->ngroups = (size_t)count;
	return 0;
}
