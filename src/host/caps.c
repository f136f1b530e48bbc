/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel keeps five sets a thread.  capset(2) sets three of them at once;
 * the bounding and the ambient set have a prctl for each single capability.
 * Raw calls, not libcap: there is nothing in them that a library makes safer.
 */
#include "host/caps.h"

#include "base/str.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const char *const names[CAP_NR_KNOWN] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};

const char *cap_name(unsigned nr)
{
	return nr < CAP_NR_KNOWN ? names[nr] : NULL;
}

int cap_number(const char *name)
{
	for (int i = 0; i < CAP_NR_KNOWN; i++)
		if (streq(name, names[i]))
			return i;
	return -1;
}

int caps_last_cap(void)
{
	int nr = CAP_NR_KNOWN - 1;

	/* PR_CAPBSET_READ fails (EINVAL) for numbers that the kernel does not know. */
	if (prctl(PR_CAPBSET_READ, nr, 0, 0, 0) < 0) {
		while (nr > 0 && prctl(PR_CAPBSET_READ, nr, 0, 0, 0) < 0)
			nr--;
		return nr;
	}
	while (nr < 63 && prctl(PR_CAPBSET_READ, nr + 1, 0, 0, 0) >= 0)
		nr++;
	return nr;
}

/* Cap sets come in two halves of 32 bits. */
struct kernel_sets {
	uint64_t effective, permitted, inheritable;
};

static int sets_get(struct kernel_sets *ret)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	ret->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	ret->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	ret->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

static int sets_put(const struct kernel_sets *s)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)s->effective, (uint32_t)s->permitted, (uint32_t)s->inheritable},
		{(uint32_t)(s->effective >> 32), (uint32_t)(s->permitted >> 32),
		 (uint32_t)(s->inheritable >> 32)},
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

uint64_t caps_permitted(void)
{
	struct kernel_sets now;

	return sets_get(&now) < 0 ? 0 : now.permitted;
}

static uint64_t bits_up_to(int last)
{
	return last >= 63 ? UINT64_MAX : CAP_BIT(last + 1) - 1;
}

int caps_mine(struct caps *ret, struct err *err)
{
	struct caps c = {.set = true, .all = bits_up_to(caps_last_cap())};
	struct kernel_sets now;

	int r = sets_get(&now);
	if (r < 0)
		return err_num(err, r, "cannot read the capabilities of this process");
	c.effective = now.effective;
	c.permitted = now.permitted;
	c.inheritable = now.inheritable;
	for (int i = 0; i < 64 && (c.all & CAP_BIT(i)); i++) {
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			c.bounding |= CAP_BIT(i);
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
			c.ambient |= CAP_BIT(i);
	}
	*ret = c;
	return 0;
}

struct ignored {
	const char **v;
	size_t n, max;
};

static uint64_t list_bits(const str_list *list, uint64_t all, struct ignored *ig)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < list->n; i++) {
		int nr = cap_number(list->v[i]);
		size_t k = 0;

		if (nr >= 0 && (all & CAP_BIT(nr))) {
			bits |= CAP_BIT(nr);
			continue;
		}
		while (k < ig->n && !streq(ig->v[k], list->v[i]))
			k++;
		if (k == ig->n && ig->n < ig->max)
			ig->v[ig->n++] = list->v[i];
	}
	return bits;
}

static int by_cap_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int caps_from_config(const struct oci_capabilities *c, struct caps *ret, char **ret_ignored, struct err *err)
{
	const str_list *lists[] = {&c->bounding, &c->effective, &c->inheritable, &c->permitted, &c->ambient};
	struct caps caps = {.set = c->set, .all = bits_up_to(caps_last_cap())};
	uint64_t *bits[] = {&caps.bounding, &caps.effective, &caps.inheritable, &caps.permitted,
			    &caps.ambient};
	struct ignored ig = {0};
	struct str text autostr = {0};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		ig.max += lists[i]->n;
	autofree const char **room = calloc(ig.max + 1, sizeof(*room));
	if (!room)
		return err_oom(err);
	ig.v = room;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		*bits[i] = list_bits(lists[i], caps.all, &ig);
	if (ret_ignored) {
		*ret_ignored = NULL;
		qsort(ig.v, ig.n, sizeof(*ig.v), by_cap_name);
		for (size_t i = 0; i < ig.n; i++)
			str_putf(&text, "%s%s", i ? " " : "", ig.v[i]);
		if (ig.n > 0 && !(*ret_ignored = str_take(&text)))
			return err_oom(err);
	}
	*ret = caps;
	return 0;
}

int caps_drop_bounding(const struct caps *c, struct err *err)
{
	if (!c->set)
		return 0;
	for (int i = 0; i < 64 && (c->all & CAP_BIT(i)); i++) {
		if (c->bounding & CAP_BIT(i))
			continue;
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0)
			continue;
		/* Without CAP_SETPCAP (a nested, poor runtime): what is not there need not be dropped. */
		int code = errno;
		if (code == EPERM && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 0)
			continue;
		return err_num(err, code, "unable to apply bounding set: cannot drop %s",
			       cap_name((unsigned)i));
	}
	return 0;
}

int caps_apply(const struct caps *c, uint64_t keep_extra, struct err *err)
{
	struct kernel_sets now, want;

	if (!c->set)
		return 0;
	int r = sets_get(&now);
	if (r < 0)
		return err_num(err, r, "unable to apply caps: cannot read those of this process");
	/*
	 * config.md: runtimes SHOULD NOT fail where a capability cannot be
	 * granted, for instance because they lack it themselves.
	 */
	want.permitted = (c->permitted | keep_extra) & now.permitted;
	want.effective = (c->effective | keep_extra) & now.permitted;
	want.inheritable = c->inheritable & (now.permitted | now.inheritable);
	if (c->effective & ~c->permitted)
		return err_set(err, EPERM,
			       "unable to apply caps: can't apply capabilities: "
			       "effective is not within permitted");
	r = sets_put(&want);
	return r < 0 ? err_num(err, r, "unable to apply caps: can't apply capabilities") : 0;
}

int caps_set_ambient(const struct caps *c, uint64_t *ret_failed, struct err *err)
{
	uint64_t failed = 0;

	if (ret_failed)
		*ret_failed = 0;
	if (!c->set)
		return 0;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(err, "cannot clear the ambient capabilities");
	for (int i = 0; i < 64 && (c->all & CAP_BIT(i)); i++)
		if ((c->ambient & CAP_BIT(i)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
			failed |= CAP_BIT(i);
	if (ret_failed)
		*ret_failed = failed;
	return 0;
}
