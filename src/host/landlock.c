/* SPDX-License-Identifier: Apache-2.0 */
#include "host/landlock.h"

#include "base/fd.h"
#include "base/sys.h"
#include "host/landlock_int.h"

#include <sys/stat.h>

/* <linux/landlock.h> of the machine that builds may be older than the kernel that runs. */
enum {
	RULE_PATH_BENEATH = 1,
	RULE_NET_PORT = 2,
	CREATE_RULESET_VERSION = 1,
};
struct ruleset_attr {
	uint64_t handled_fs, handled_net, scoped;
};
struct path_beneath_attr {
	uint64_t access;
	int32_t parent_fd;
} __attribute__((packed));
struct net_port_attr {
	uint64_t access, port;
};

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

int landlock_abi(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	return v < 0 ? 0 : (int)v;
}

static uint64_t known_fs(int abi)
{
	uint64_t known = LL_FS_V1;

	if (abi >= 2)
		known |= LL_REFER;
	if (abi >= 3)
		known |= LL_TRUNCATE;
	if (abi >= 5)
		known |= LL_IOCTL_DEV;
	return known;
}

int landlock_check(const struct landlock_rules *r, int abi, struct err *err)
{
	static const struct {
		uint64_t right;
		int abi;
		const char *name;
	} later[] = {{LL_REFER, 2, "refer"}, {LL_TRUNCATE, 3, "truncate"}, {LL_IOCTL_DEV, 5, "ioctl"}};

	if (!r->set)
		return 0;
	if (abi <= 0)
		return err_set(err, ENOTSUP,
			       LL_ANNOTATION "this kernel has no Landlock, or it is switched off");
	if ((unsigned)abi < r->abi)
		return err_set(err, ENOTSUP, LL_ANNOTATION "asks for version %u; this kernel has version %d",
			       r->abi, abi);
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if ((r->named_fs & later[i].right) && abi < later[i].abi)
			return err_set(err, ENOTSUP,
				       LL_ANNOTATION
				       "access \"%s\" needs version %d; this kernel has version %d",
				       later[i].name, later[i].abi, abi);
	if (r->handled_net && abi < 4)
		return err_set(err, ENOTSUP, LL_ANNOTATION "tcp needs version 4; this kernel has version %d",
			       abi);
	if (r->scoped && abi < 6)
		return err_set(err, ENOTSUP,
			       LL_ANNOTATION "scope needs version 6; this kernel has version %d", abi);
	return 0;
}

static int add_path(int ruleset, int root_fd, const struct landlock_path *p, uint64_t handled,
		    struct err *err)
{
	struct path_beneath_attr a = {.access = p->access & handled};
	struct stat st;
	autoclose int fd = sys_openat2(root_fd, p->path, O_PATH, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

	if (fd < 0)
		return err_sys(err, LL_ANNOTATION "cannot open \"%s\" in the container", p->path);
	if (fstat(fd, &st) < 0)
		return err_sys(err, LL_ANNOTATION "cannot examine \"%s\"", p->path);
	if (!S_ISDIR(st.st_mode))
		a.access &= LL_FS_FILE;
	if (a.access == 0)
		return err_set(err, EINVAL,
			       LL_ANNOTATION "\"%s\" is a file: the access given means nothing on it",
			       p->path);
	a.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &a, 0) < 0)
		return err_sys(err, LL_ANNOTATION "cannot add \"%s\"", p->path);
	return 0;
}

int landlock_apply(const struct landlock_rules *r, int root_fd, struct err *err)
{
	int abi = r->set ? landlock_abi() : 0;
	int e = landlock_check(r, abi, err);

	if (e < 0 || !r->set)
		return e;
	struct ruleset_attr attr = {.handled_fs = r->handled_fs & known_fs(abi),
				    .handled_net = r->handled_net,
				    .scoped = r->scoped};
	/* Members that an older kernel does not know are zero (landlock_check), which it accepts. */
	autoclose int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return err_sys(err, LL_ANNOTATION "cannot make a ruleset");
	for (size_t i = 0; i < r->npaths; i++) {
		e = add_path(ruleset, root_fd, &r->paths[i], attr.handled_fs, err);
		if (e < 0)
			return e;
	}
	for (size_t i = 0; i < r->nports; i++) {
		struct net_port_attr p = {.access = r->ports[i].access, .port = r->ports[i].port};
		if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &p, 0) < 0)
			return err_sys(err, LL_ANNOTATION "cannot add port %u", r->ports[i].port);
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_sys(err, LL_ANNOTATION "cannot restrict the process");
	return 0;
}

void landlock_rules_free(struct landlock_rules *r)
{
	for (size_t i = 0; i < r->npaths; i++)
		free(r->paths[i].path);
	free(r->paths);
	free(r->ports);
	*r = (struct landlock_rules){0};
}
