/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What execve makes of an identity: set-id bits, and the transformation of
 * capabilities (capabilities(7)).  Files carry no capabilities here: their
 * extended attribute would have to be trusted across user namespaces.
 */
#include "sentry/sys/creds_int.h"

#include <linux/securebits.h>
#include <sys/stat.h>

/* Root is given everything by the bounding set, unless securebits say that it is nobody special. */
static bool root_caps(struct creds *c, uint64_t inheritable)
{
	if (c->securebits & SECBIT(SECURE_NOROOT) || (c->uid != 0 && c->euid != 0))
		return false;
	c->cap_permitted = c->cap_bounding | inheritable;
	return c->euid == 0;
}

/* Somebody else could change the root directory under a program of more rights. */
static bool shares_fs(const struct task *t)
{
	unsigned own = 0;
	struct task *thread;

	list_each(thread, &t->process->threads, struct task, in_process) own += thread->fs == t->fs;
	return t->fs->refs > own;
}

/* As Linux decides it: by who executes, and by whether the program is more, or somebody else. */
static bool stays_dumpable(const struct creds *before, const struct creds *now)
{
	return before->euid == before->uid && before->egid == before->gid && now->euid == before->euid &&
	       now->egid == before->egid && now->fsuid == before->fsuid && now->fsgid == before->fsgid &&
	       !(now->cap_permitted & ~before->cap_permitted);
}

int creds_exec(struct task *t, const struct stat *st, bool *secure)
{
	const struct creds before = *t->creds; /* its groups are not looked at */
	struct creds *c = creds_edit(t);
	bool set_id, effective, lost, confined = t->process->confined;

	if (!c)
		return -ENOMEM;
	confined |= c->no_new_privs;
	if (st && !confined) {
		if (st->st_mode & S_ISUID)
			c->euid = st->st_uid;
		/* Set-group-id without group execution once meant mandatory locking, and is no set-id. */
		if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
			c->egid = st->st_gid;
	}
	set_id = c->euid != before.uid || (c->egid != before.gid && !creds_has_group(c, c->egid));
	c->cap_permitted = 0;
	effective = root_caps(c, before.cap_inheritable);
	lost = (confined || shares_fs(t)) && (set_id || c->cap_permitted & ~before.cap_permitted);
	if (lost) {
		if (confined || !creds_capable(&before, CAP_SETUID)) {
			c->euid = c->uid;
			c->egid = c->gid;
		}
		c->cap_permitted &= before.cap_permitted;
	}
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	if (set_id)
		c->cap_ambient = 0;
	c->cap_permitted |= c->cap_ambient;
	c->cap_effective = effective ? c->cap_permitted : c->cap_ambient;
	c->securebits &= ~SECBIT(SECURE_KEEP_CAPS);
	*secure = set_id || (c->uid != 0 && (effective || c->cap_permitted & ~c->cap_ambient));
	t->process->dumpable = stays_dumpable(&before, c);
	return 0;
}
