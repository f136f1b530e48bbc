/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity of the guest's threads, and the sentry acting under it.
 *
 * Theory of operation
 *
 * A guest's identity is the sentry's own bookkeeping: user ids, groups and
 * capabilities of a `struct creds`, shared by reference until one changes.
 * The stubs have one identity on the host, without any right, whatever the
 * guest believes to be.
 *
 * Files are another matter: the host decides about access to them, so that
 * the thread that runs a handler takes on the guest's file-system identity
 * first (setfsuid, setfsgid, setgroups: each of them a thread's own on
 * Linux), and of the file capabilities (CAP_DAC_OVERRIDE and its kin) what
 * the guest's task has.  Nothing of it is lasting: the real and effective ids
 * stay the sentry's, the permitted set is never touched, and CAP_SETUID and
 * CAP_SETGID are no file capabilities, so that the way back is always open.
 *
 * Each thread remembers which creds it wears, with a reference: creds that are
 * worn are shared by definition, so that creds_edit() copies them, and an
 * equal pointer means an equal identity.
 */
#include "sentry/sys/creds_int.h"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

struct creds *creds_ref(struct creds *c)
{
	c->refs++;
	return c;
}

void creds_unref(struct creds *c)
{
	if (!c || --c->refs)
		return;
	free(c->groups);
	free(c);
}

struct creds *creds_edit(struct task *t)
{
	struct creds *old = t->creds, *copy;

	if (old->refs == 1)
		return old;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return NULL;
	*copy = *old;
	copy->refs = 1;
	copy->groups = NULL;
	if (old->ngroups) {
		copy->groups = malloc(old->ngroups * sizeof(*copy->groups));
		if (!copy->groups) {
			free(copy);
			return NULL;
		}
		memcpy(copy->groups, old->groups, old->ngroups * sizeof(*copy->groups));
	}
	creds_unref(old);
	t->creds = copy;
	return copy;
}

bool creds_has_group(const struct creds *c, gid_t gid)
{
	for (size_t i = 0; i < c->ngroups; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}

bool creds_in_group(const struct creds *c, gid_t gid)
{
	return c->fsgid == gid || creds_has_group(c, gid);
}

/* ---- the sentry's threads under a guest's identity ---- */

/* What the calling thread wears. */
static _Thread_local struct {
	struct creds *creds; /* a reference; NULL = its own */
	bool known;	     /* the fields below have been read from the kernel */
	uid_t fsuid;
	gid_t fsgid;
	uint64_t permitted, effective;
} worn;

static void worn_learn(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};

	/* An id that cannot be (-1) is refused and tells of the present one. */
	worn.fsuid = (uid_t)syscall(SYS_setfsuid, -1);
	worn.fsgid = (gid_t)syscall(SYS_setfsgid, -1);
	ignore_result(syscall(SYS_capget, &head, data)); /* fails for bad pointers and versions only */
	worn.permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	worn.effective = data[0].effective | (uint64_t)data[1].effective << 32;
	worn.known = true;
}

static bool wear_capabilities(uint64_t effective)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};

	if (effective == worn.effective)
		return true;
	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted = (uint32_t)(worn.permitted >> 32 * i);
		data[i].effective = (uint32_t)(effective >> 32 * i);
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return false;
	worn.effective = effective;
	return true;
}

static bool groups_equal(const struct creds *a, const struct creds *b)
{
	return a && a->ngroups == b->ngroups &&
	       (!a->ngroups || memcmp(a->groups, b->groups, a->ngroups * sizeof(*a->groups)) == 0);
}

/*
 * The calls fail for ids that the sandbox's user namespace does not map.  The thread must not act as somebody
 * else then, with more rights: it becomes the overflow user of that namespace without any file capability.
 */
static bool wear_ids(const struct creds *c)
{
	if (!groups_equal(worn.creds, c) && syscall(SYS_setgroups, c->ngroups, c->groups) < 0)
		return false;
	if (worn.fsgid != c->fsgid) {
		ignore_result(syscall(SYS_setfsgid, c->fsgid)); /* returns the old one, always */
		if ((gid_t)syscall(SYS_setfsgid, -1) != c->fsgid)
			return false;
		worn.fsgid = c->fsgid;
	}
	if (worn.fsuid != c->fsuid) {
		bool root = worn.fsuid == 0;

		ignore_result(syscall(SYS_setfsuid, c->fsuid));
		if ((uid_t)syscall(SYS_setfsuid, -1) != c->fsuid)
			return false;
		worn.fsuid = c->fsuid;
		/* The kernel takes the file capabilities with root's fsuid, and gives them back with it. */
		if (root)
			worn.effective &= ~CREDS_FILE_CAPS;
		else if (c->fsuid == 0)
			worn.effective |= worn.permitted & CREDS_FILE_CAPS;
	}
	return true;
}

/* Its own: root of its user namespace, with what it has of the file capabilities. */
static struct creds sentry_creds = {.refs = 1, .cap_effective = UINT64_MAX};

void creds_assume(const struct creds *c)
{
	uint64_t others;

	if (!c)
		c = &sentry_creds;
	if (worn.creds == c)
		return;
	if (!worn.known)
		worn_learn();
	others = worn.permitted & ~CREDS_FILE_CAPS;
	if (!wear_ids(c)) {
		creds_unref(worn.creds);
		worn.creds = NULL;
		ignore_result(syscall(SYS_setgroups, 0, NULL));
		ignore_result(syscall(SYS_setfsgid, CREDS_OVERFLOW_ID));
		ignore_result(syscall(SYS_setfsuid, CREDS_OVERFLOW_ID));
		worn_learn();
		if (!wear_capabilities(others))
			kernel_log("a thread cannot give up its file capabilities: %s", strerror(errno));
		return;
	}
	if (!wear_capabilities(others | (worn.permitted & c->cap_effective & CREDS_FILE_CAPS)))
		kernel_log("a thread cannot take a guest's file capabilities: %s", strerror(errno));
	creds_unref(worn.creds);
	worn.creds = creds_ref((struct creds *)c); /* counted, not changed */
}
