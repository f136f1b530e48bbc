/* SPDX-License-Identifier: Apache-2.0 */
/* As config_check.c, for linux.*: namespaces and what hangs on them, then the rest. */
#include "oci/config_tables.h"
#include "oci/names.h"

#include <ctype.h>
#include <net/if.h>

static bool has_ns(const struct oci_linux *l, enum oci_ns ns)
{
	return l->ns[ns].wanted;
}

/* ---- namespaces ---- */

static int sort_namespaces(const struct oci_check *ck, struct oci_linux *l)
{
	for (size_t i = 0; i < l->namespaces.n; i++) {
		const struct oci_namespace_entry *e = &l->namespaces.v[i];
		unsigned ns = 0;
		while (ns < OCI_NS_COUNT && !streq(oci_ns_name((enum oci_ns)ns), e->type))
			ns++;
		if (ns == OCI_NS_COUNT)
			return oci_invalid(ck,
					   "linux.namespaces[%zu].type: invalid namespace type: "
					   "namespace {\"%s\" \"%s\"} does not exist",
					   i, e->type, e->path ? e->path : "");
		if (l->ns[ns].wanted)
			return oci_invalid(ck,
					   "linux.namespaces[%zu]: malformed spec file: duplicated ns "
					   "{\"%s\" \"%s\"}",
					   i, e->type, e->path ? e->path : "");
		if (e->path && e->path[0] != '/')
			return oci_invalid(
				ck, "linux.namespaces[%zu].path: expected an absolute path, got \"%s\"", i,
				e->path);
		l->ns[ns] = (struct oci_namespace){.wanted = true, .path = e->path};
	}
	return 0;
}

static int check_idmaps(const struct oci_check *ck, const char *path, const idmap_list *maps)
{
	for (size_t i = 0; i < maps->n; i++) {
		const struct oci_idmap *m = &maps->v[i];
		/* The id -1 means "no change" to the kernel and can be mapped nowhere. */
		if (m->size == 0 || m->size > UINT32_MAX - m->container || m->size > UINT32_MAX - m->host)
			return oci_invalid(
				ck, "%s[%zu].size: expected a number that leaves the ids below %u, got %u",
				path, i, UINT32_MAX, m->size);
	}
	return 0;
}

static int check_user_ns(const struct oci_check *ck, const struct oci_linux *l)
{
	bool mappings = l->uid_mappings.n || l->gid_mappings.n;
	const struct oci_namespace *user = &l->ns[OCI_NS_USER];

	if (!user->wanted && mappings)
		return oci_invalid(ck,
				   "linux.uidMappings: user namespace mappings specified, but user namespace "
				   "isn't enabled in the config");
	if (user->wanted && !user->path && !mappings)
		return oci_invalid(
			ck, "linux.uidMappings: user namespaces enabled, but no namespace path to join "
			    "nor mappings to apply specified");
	if (user->wanted && !user->path && !l->uid_mappings.n)
		return oci_invalid(ck,
				   "linux.uidMappings: user namespaces enabled, but no uid mappings found");
	if (user->wanted && !user->path && !l->gid_mappings.n)
		return oci_invalid(ck,
				   "linux.gidMappings: user namespaces enabled, but no gid mappings found");
	int r = check_idmaps(ck, "linux.uidMappings", &l->uid_mappings);
	return r < 0 ? r : check_idmaps(ck, "linux.gidMappings", &l->gid_mappings);
}

static int check_time_ns(const struct oci_check *ck, struct oci_linux *l)
{
	for (size_t i = 0; i < l->time_offsets.n; i++) {
		const struct oci_time_offset_entry *e = &l->time_offsets.v[i];
		struct oci_time_offset offset = {.set = true, .secs = e->secs, .nanosecs = e->nanosecs};
		if (streq(e->clock, "monotonic"))
			l->offset_monotonic = offset;
		else if (streq(e->clock, "boottime"))
			l->offset_boottime = offset;
		else
			return oci_invalid(
				ck,
				"linux.timeOffsets: expected the clocks \"monotonic\" or \"boottime\", "
				"got \"%s\"",
				e->clock);
	}
	if (!l->time_offsets.n)
		return 0;
	if (!has_ns(l, OCI_NS_TIME))
		return oci_invalid(ck,
				   "linux.timeOffsets: time namespace offsets specified, but time namespace "
				   "isn't enabled in the config");
	if (l->ns[OCI_NS_TIME].path)
		return oci_invalid(
			ck, "linux.timeOffsets: time namespace enabled, but both namespace path and time "
			    "offsets specified -- you may only provide one");
	return 0;
}

static int check_uts_ns(const struct oci_check *ck, const struct oci_config *c)
{
	enum { UTS_MAX = 64 }; /* bytes: the kernel's __NEW_UTS_LEN */
	bool uts = has_ns(&c->linux, OCI_NS_UTS);

	if (c->hostname && !uts)
		return oci_invalid(ck, "hostname: unable to set hostname without a private UTS namespace");
	if (c->domainname && !uts)
		return oci_invalid(ck,
				   "domainname: unable to set domainname without a private UTS namespace");
	if (c->hostname && strlen(c->hostname) > UTS_MAX)
		return oci_invalid(ck, "hostname: longer than %d bytes", UTS_MAX);
	if (c->domainname && strlen(c->domainname) > UTS_MAX)
		return oci_invalid(ck, "domainname: longer than %d bytes", UTS_MAX);
	return 0;
}

static int check_paths(const struct oci_check *ck, const char *name, const struct oci_linux *l,
		       const str_list *paths)
{
	if (paths->n && !has_ns(l, OCI_NS_MOUNT))
		return oci_invalid(
			ck, "linux.%s: unable to restrict sys entries without a private MNT namespace", name);
	for (size_t i = 0; i < paths->n; i++)
		if (paths->v[i][0] != '/')
			return oci_invalid(ck, "linux.%s[%zu]: expected an absolute path, got \"%s\"", name,
					   i, paths->v[i]);
	return 0;
}

/* ---- devices ---- */

static int check_devices(const struct oci_check *ck, struct oci_linux *l)
{
	for (size_t i = 0; i < l->devices.n; i++) {
		struct oci_device *d = &l->devices.v[i];
		const char *absolute = oci_make_absolute(ck, d->path);
		if (!absolute)
			return err_oom(ck->err);
		d->path = absolute;
		if (d->type != 'p' && (d->major < 0 || d->minor < 0))
			return oci_invalid(
				ck, "linux.devices[%zu]: %s: expected the device's major and minor number", i,
				d->path);
		if (d->file_mode.set)
			d->file_mode.v &= 07777; /* Go's producers send the type bits along */
	}
	return 0;
}

/* As the kernel's dev_valid_name(), and no control bytes. */
static bool is_interface_name(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len >= IFNAMSIZ || streq(s, ".") || streq(s, ".."))
		return false;
	for (; *s; s++)
		if (*s == '/' || *s == ':' || isspace((unsigned char)*s) || iscntrl((unsigned char)*s))
			return false;
	return true;
}

static int check_net_devices(const struct oci_check *ck, const struct oci_linux *l)
{
	if (l->net_devices.n && !has_ns(l, OCI_NS_NETWORK))
		return oci_invalid(
			ck, "linux.netDevices: unable to move network devices without a NET namespace");
	for (size_t i = 0; i < l->net_devices.n; i++) {
		const struct oci_net_device *d = &l->net_devices.v[i];
		if (!is_interface_name(d->host_name))
			return oci_invalid(ck, "linux.netDevices: invalid network device name \"%s\"",
					   d->host_name);
		if (d->name && !is_interface_name(d->name))
			return oci_invalid(
				ck, "linux.netDevices[\"%s\"].name: invalid network device name \"%s\"",
				d->host_name, d->name);
	}
	return 0;
}

/* ---- seccomp ---- */

static int check_seccomp_rule(const struct oci_check *ck, size_t i, const struct oci_seccomp_rule *rule)
{
	if (rule->names.n == 0)
		return oci_invalid(ck, "linux.seccomp.syscalls[%zu].names: must not be empty", i);
	if (!oci_is_known(rule->action, oci_seccomp_actions))
		return oci_invalid(
			ck, "linux.seccomp.syscalls[%zu].action: string %s is not a valid action for seccomp",
			i, rule->action);
	for (size_t k = 0; k < rule->args.n; k++)
		if (!oci_is_known(rule->args.v[k].op, oci_seccomp_operators))
			return oci_invalid(
				ck,
				"linux.seccomp.syscalls[%zu].args[%zu].op: string %s is not a valid "
				"operator for seccomp",
				i, k, rule->args.v[k].op);
	return 0;
}

static int check_seccomp(const struct oci_check *ck, struct oci_linux *l)
{
	const struct oci_seccomp *s = l->seccomp;
	const char *unknown;

	if (!s)
		return 0;
	/* Neither a default nor a rule: no seccomp is meant, as with runc. */
	if (!s->default_action && !s->syscalls.n) {
		l->seccomp = NULL;
		return 0;
	}
	unknown = oci_first_unknown(&s->flags, oci_seccomp_flags);
	if (unknown)
		return oci_invalid(ck, "linux.seccomp.flags: seccomp flag not known to coffer: %s", unknown);
	unknown = oci_first_unknown(&s->architectures, oci_seccomp_archs);
	if (unknown)
		return oci_invalid(ck,
				   "linux.seccomp.architectures: string %s is not a valid arch for seccomp",
				   unknown);
	if (!s->default_action || !oci_is_known(s->default_action, oci_seccomp_actions))
		return oci_invalid(ck,
				   "linux.seccomp.defaultAction: string %s is not a valid action for seccomp",
				   s->default_action ? s->default_action : "");
	bool notify = streq(s->default_action, "SCMP_ACT_NOTIFY");
	for (size_t i = 0; i < s->syscalls.n; i++) {
		int r = check_seccomp_rule(ck, i, &s->syscalls.v[i]);
		if (r < 0)
			return r;
		notify = notify || streq(s->syscalls.v[i].action, "SCMP_ACT_NOTIFY");
	}
	if (notify && !s->listener_path)
		return oci_invalid(ck, "linux.seccomp.listenerPath: seccomp listenerPath is not set");
	if (s->listener_metadata && !s->listener_path)
		return oci_invalid(ck,
				   "linux.seccomp.listenerMetadata: must not be set without listenerPath");
	return 0;
}

/* ---- the rest ---- */

static bool has_newline(const char *s)
{
	return s && strchr(s, '\n');
}

static int check_intel_rdt(const struct oci_check *ck, const struct oci_intel_rdt *rdt)
{
	const char *id = rdt->clos_id;

	/* It becomes a directory's name; "/" alone is the default class. */
	if (id && (streq(id, ".") || streq(id, "..") || (strchr(id, '/') && !streq(id, "/"))))
		return oci_invalid(ck, "linux.intelRdt.closID: invalid intelRdt.ClosID \"%s\"", id);
	if (has_newline(rdt->mem_bw_schema))
		return oci_invalid(ck, "linux.intelRdt.memBwSchema: must not hold a newline");
	for (size_t i = 0; i < rdt->schemata.n; i++)
		if (has_newline(rdt->schemata.v[i]))
			return oci_invalid(ck, "linux.intelRdt.schemata[%zu]: must not hold a newline", i);
	return 0;
}

static int check_memory_policy(const struct oci_check *ck, const struct oci_memory_policy *m)
{
	size_t nodes = m->nodes ? oci_cpu_list_count(m->nodes) : 0;
	const char *flag = oci_first_unknown(&m->flags, oci_memory_policy_flags);

	if (!m->mode || !oci_is_known(m->mode, oci_memory_policy_modes))
		return oci_invalid(ck, "linux.memoryPolicy.mode: invalid memory policy mode \"%s\"",
				   m->mode ? m->mode : "");
	if (m->nodes && !nodes)
		return oci_invalid(ck, "linux.memoryPolicy.nodes: invalid memory policy nodes \"%s\"",
				   m->nodes);
	if (flag)
		return oci_invalid(ck, "linux.memoryPolicy.flags: invalid memory policy flag \"%s\"", flag);
	bool none = streq(m->mode, "MPOL_DEFAULT") || streq(m->mode, "MPOL_LOCAL");
	if (none && nodes)
		return oci_invalid(
			ck, "linux.memoryPolicy.nodes: memory policy mode requires 0 nodes but got %zu",
			nodes);
	if (!none && !nodes && !streq(m->mode, "MPOL_PREFERRED"))
		return oci_invalid(
			ck, "linux.memoryPolicy.nodes: memory policy mode requires at least one node but "
			    "got 0");
	return 0;
}

static int check_personality(const struct oci_check *ck, const struct oci_personality *p)
{
	if (!streq(p->domain, "LINUX") && !streq(p->domain, "LINUX32"))
		return oci_invalid(ck, "linux.personality.domain: invalid personality domain %s", p->domain);
	/* The specification defines no flag so far. */
	if (p->flags.n)
		return oci_invalid(ck, "linux.personality.flags: \"%s\" is not supported", p->flags.v[0]);
	return 0;
}

static int check_propagation(const struct oci_check *ck, const char *value)
{
	static const char *const known[] = {"private", "rprivate",   "slave",	    "rslave", "shared",
					    "rshared", "unbindable", "runbindable", NULL};

	if (value && !oci_is_known(value, known))
		return oci_invalid(ck, "linux.rootfsPropagation: rootfsPropagation=%s is not supported",
				   value);
	return 0;
}

static int check_namespaces(const struct oci_check *ck, struct oci_config *c)
{
	struct oci_linux *l = &c->linux;
	int r = sort_namespaces(ck, l);

	if (r == 0)
		r = check_user_ns(ck, l);
	if (r == 0)
		r = check_time_ns(ck, l);
	if (r == 0)
		r = check_uts_ns(ck, c);
	if (r == 0)
		r = check_paths(ck, "maskedPaths", l, &l->masked_paths);
	if (r == 0)
		r = check_paths(ck, "readonlyPaths", l, &l->readonly_paths);
	return r;
}

int oci_check_linux(const struct oci_check *ck, struct oci_config *c)
{
	struct oci_linux *l = &c->linux;
	int r = check_namespaces(ck, c);

	if (r == 0)
		r = check_devices(ck, l);
	if (r == 0)
		r = check_net_devices(ck, l);
	if (r == 0)
		r = check_seccomp(ck, l);
	if (r == 0)
		r = check_propagation(ck, l->rootfs_propagation);
	if (r == 0 && l->intel_rdt)
		r = check_intel_rdt(ck, l->intel_rdt);
	if (r == 0 && l->memory_policy)
		r = check_memory_policy(ck, l->memory_policy);
	if (r == 0 && l->personality)
		r = check_personality(ck, l->personality);
	return r < 0 ? r : oci_check_resources(ck, "linux.resources.", &l->resources);
}

/* ---- resources ---- */

static bool is_page_size(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	/* It becomes part of a file's name: hugetlb.2MB.limit_in_bytes. */
	return digits > 0 && digits < 10 && s[0] != '0' && s[digits] && strchr("KMG", s[digits]) &&
	       streq(s + digits + 1, "B");
}

static void complete_device_rules(struct oci_resources *res)
{
	for (size_t i = 0; i < res->devices.n; i++)
		if (!res->devices.v[i].type)
			res->devices.v[i].type = 'a';
}

int oci_check_resources(const struct oci_check *ck, const char *path, struct oci_resources *res)
{
	complete_device_rules(res);
	for (size_t i = 0; i < res->hugepages.n; i++)
		if (!is_page_size(res->hugepages.v[i].page_size))
			return oci_invalid(
				ck,
				"%shugepageLimits[%zu].pageSize: expected a size like \"2MB\", got \"%s\"",
				path, i, res->hugepages.v[i].page_size);
	for (size_t i = 0; i < res->net_priorities.n; i++)
		if (!is_interface_name(res->net_priorities.v[i].name))
			return oci_invalid(
				ck, "%snetwork.priorities[%zu].name: invalid network device name \"%s\"",
				path, i, res->net_priorities.v[i].name);
	for (size_t i = 0; i < res->rdma.n; i++)
		if (!res->rdma.v[i].device[0] || strpbrk(res->rdma.v[i].device, " \n/"))
			return oci_invalid(ck, "%srdma: invalid device name \"%s\"", path,
					   res->rdma.v[i].device);
	for (size_t i = 0; i < res->unified.n; i++) {
		const char *key = res->unified.v[i].key;
		if (!key[0] || streq(key, ".") || streq(key, "..") || strchr(key, '/'))
			return oci_invalid(
				ck, "%sunified: unified resource \"%s\" must be a file name (no slashes)",
				path, key);
	}
	if (res->cpu.idle.set && (res->cpu.idle.v < 0 || res->cpu.idle.v > 1))
		return oci_invalid(ck, "%scpu.idle: expected 0 or 1, got %lld", path,
				   (long long)res->cpu.idle.v);
	return 0;
}
