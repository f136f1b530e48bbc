/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities of a thread: capget, capset, and who may touch whom by them. */
#include "sentry/guest.h"
#include "sentry/platform/platform.h"
#include "sentry/sys/creds_int.h"

#include <linux/capability.h>
#include <signal.h>

/* Sets of the header's version: 1 or 2 words; 0 = unknown, and the guest has been told of the newest. */
static int cap_words(struct task *t, uint64_t header, long *error)
{
	uint32_t version, newest = _LINUX_CAPABILITY_VERSION_3;

	*error = -EFAULT;
	if (guest_get(t, &version, header))
		return 0;
	switch (version) {
	case _LINUX_CAPABILITY_VERSION_1:
		return 1;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		return 2;
	default:
		if (guest_put(t, header, &newest) == 0)
			*error = -EINVAL;
		return 0;
	}
}

HANDLER(sys_capget)
{
	struct __user_cap_data_struct data[2];
	const struct task *of = t;
	const struct creds *have;
	int32_t pid;
	long error;
	int words = cap_words(t, c->args[0], &error);

	if (!words)
		return error == -EINVAL && !c->args[1] ? 0 : error;
	if (guest_get(t, &pid, c->args[0] + 4))
		return -EFAULT;
	if (pid < 0)
		return -EINVAL;
	if (pid > 0 && !(of = task_find(pid)))
		return -ESRCH;
	if (!c->args[1])
		return 0;
	have = of->creds;
	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(have->cap_effective >> 32 * i);
		data[i].permitted = (uint32_t)(have->cap_permitted >> 32 * i);
		data[i].inheritable = (uint32_t)(have->cap_inheritable >> 32 * i);
	}
	return guest_write(t, c->args[1], data, (size_t)words * sizeof(*data));
}

HANDLER(sys_capset)
{
	struct __user_cap_data_struct data[2] = {0};
	const struct creds *old = t->creds;
	uint64_t effective, permitted, inheritable;
	struct creds *now;
	int32_t pid;
	long error;
	int words = cap_words(t, c->args[0], &error);

	if (!words)
		return error;
	if (guest_get(t, &pid, c->args[0] + 4))
		return -EFAULT;
	if (pid != 0 && pid != t->tid)
		return -EPERM;
	if (guest_read(t, data, c->args[1], (size_t)words * sizeof(*data)))
		return -EFAULT;
	effective = (data[0].effective | (uint64_t)data[1].effective << 32) & CAPS_EVERY;
	permitted = (data[0].permitted | (uint64_t)data[1].permitted << 32) & CAPS_EVERY;
	inheritable = (data[0].inheritable | (uint64_t)data[1].inheritable << 32) & CAPS_EVERY;
	if (!task_capable(t, CAP_SETPCAP) && inheritable & ~(old->cap_inheritable | old->cap_permitted))
		return -EPERM;
	if (inheritable & ~(old->cap_inheritable | old->cap_bounding))
		return -EPERM;
	if (permitted & ~old->cap_permitted || effective & ~permitted)
		return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	now->cap_effective = effective;
	now->cap_permitted = permitted;
	now->cap_inheritable = inheritable;
	now->cap_ambient &= permitted & inheritable;
	platform_writes_end(t, t->process);
	return 0;
}

bool may_inspect(const struct task *t, const struct task *other)
{
	const struct creds *a = t->creds, *b = other->creds;

	if (t->process == other->process)
		return true;
	if (task_capable(t, CAP_SYS_PTRACE))
		return true;
	if (a->fsuid != b->euid || a->fsuid != b->suid || a->fsuid != b->uid || a->fsgid != b->egid ||
	    a->fsgid != b->sgid || a->fsgid != b->gid)
		return false;
	return other->process->dumpable && !(b->cap_permitted & ~a->cap_permitted);
}

bool may_signal(const struct task *t, const struct task *other, int sig)
{
	const struct creds *a = t->creds, *b = other->creds;

	if (t->process == other->process)
		return true;
	if (a->euid == b->suid || a->euid == b->uid || a->uid == b->suid || a->uid == b->uid)
		return true;
	if (task_capable(t, CAP_KILL))
		return true;
	return sig == SIGCONT && getsid(t->process->host_pid) == getsid(other->process->host_pid);
}
