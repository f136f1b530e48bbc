/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose is what of the user's configuration.
 *
 *	carrier (host)                       guest (guest_config.c)
 *	namespaces, id maps, network         pid, mount, ipc, uts, cgroup, time namespaces
 *	root and volumes, hooks              /proc, /sys, tmpfs; volumes bound from the share
 *	memory and pids with the overhead,   memory, pids, processor shares
 *	processors, block devices
 *	                                     identity, capabilities, seccomp, rlimits,
 *	                                     masks, sysctls, devices
 */
#include "isolate/vm/vm.h"

#include "base/str.h"
#include "host/userns.h"

#include <sys/stat.h>
#include <sys/sysinfo.h>

static const char *caps[] = {
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",	 "CAP_FSETID",
	"CAP_KILL",  "CAP_SETGID",	 "CAP_SETUID",		"CAP_SETPCAP",	 "CAP_SETFCAP",
	"CAP_MKNOD", "CAP_SYS_CHROOT",	 "CAP_SYS_ADMIN",	"CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE",
};
const str_list vm_caps = {.v = caps, .n = ARRAY_LEN(caps)};

static uint64_t whole_mib(uint64_t bytes)
{
	return (bytes + VM_MIB - 1) / VM_MIB * VM_MIB;
}

static uint64_t host_memory(void)
{
	struct sysinfo info;

	return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX / 2;
}

/* How many processors "0-2,5" names. */
static unsigned count_set(const char *set)
{
	unsigned n = 0;

	while (*set) {
		char *end;
		unsigned long first = strtoul(set, &end, 10), last = first;
		if (end == set)
			return n;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (last < first || last - first > 4096)
			return n;
		n += (unsigned)(last - first) + 1;
		set = end + (*end == ',');
		if (*end && *end != ',')
			return n;
	}
	return n;
}

void vm_plan_size(const struct oci_resources *r, const struct vm_size *usual, struct vm_size *ret)
{
	const struct oci_cpu *cpu = &r->cpu;
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t wanted = usual->memory, most = host_memory();
	int64_t n = usual->vcpus;

	if (r->memory.limit.set && r->memory.limit.v > 0)
		wanted = (uint64_t)r->memory.limit.v;
	if (wanted < 64 * VM_MIB)
		wanted = 64 * VM_MIB;
	if (wanted > most)
		wanted = most;
	ret->memory = whole_mib(wanted + VM_KERNEL_MEMORY);
	if (cpu->quota.set && cpu->quota.v > 0) {
		int64_t period = cpu->period.set && cpu->period.v > 0 && cpu->period.v < INT64_MAX
					 ? (int64_t)cpu->period.v
					 : 100000;
		n = cpu->quota.v / period + (cpu->quota.v % period != 0);
	} else if (cpu->cpus) {
		n = count_set(cpu->cpus);
	}
	/* More than the machine has would wait for one another. */
	n = MIN_OF(n, (int64_t)(online > 0 ? online : 1));
	ret->vcpus = n < 1 ? 1 : (unsigned)n;
}

static void raise_limit(struct opt_i64 *limit, int64_t more)
{
	if (limit->set && limit->v > 0 && limit->v < INT64_MAX - more)
		limit->v += more;
}

void vm_plan_limits(const struct oci_resources *r, uint64_t machine_memory, struct oci_resources *ret,
		    pair_list *unified)
{
	int64_t more = (int64_t)machine_memory + VM_OVERHEAD;
	size_t n = 0;

	*ret = *r;
	if (r->memory.limit.set && r->memory.limit.v > 0 && machine_memory) {
		more -= r->memory.limit.v;
		raise_limit(&ret->memory.limit, more);
		raise_limit(&ret->memory.swap, more);
	}
	raise_limit(&ret->pids_limit, VM_OWN_TASKS);
	/* On the host it would slow down the hypervisor where the container is meant. */
	for (size_t i = 0; i < r->unified.n && unified->v; i++)
		if (!str_starts(r->unified.v[i].key, "memory.") && !str_starts(r->unified.v[i].key, "pids."))
			unified->v[n++] = r->unified.v[i];
	ret->unified.v = unified->v;
	ret->unified.n = unified->n = n;
}

static bool is_own_network(const char *path)
{
	struct stat a, b;

	return stat(path, &a) == 0 && stat("/proc/self/ns/net", &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

/* In a pod the network, IPC and host name are those of the machine, whose they are outside; processes too, if
 * that is wanted. */
static int check_joined_namespace(enum oci_ns ns, const char *path, bool member, struct err *err)
{
	if (member && (ns == OCI_NS_IPC || ns == OCI_NS_UTS || ns == OCI_NS_PID))
		return 0; /* which pid namespace: vm_pod_check_pids() */
	return err_set(err, ENOTSUP,
		       "isolation level \"vm\" cannot join the %s namespace %s: it is of another kernel",
		       oci_ns_name(ns), path);
}

static int vm_check_namespaces(const struct oci_linux *linux, bool member, struct err *err)
{
	static const struct {
		enum oci_ns ns;
		bool needed, joined;
	} rules[] = {
		{OCI_NS_PID, true, false},  {OCI_NS_MOUNT, true, false},  {OCI_NS_NETWORK, true, true},
		{OCI_NS_IPC, true, false},  {OCI_NS_UTS, false, false},	  {OCI_NS_TIME, false, false},
		{OCI_NS_USER, false, true}, {OCI_NS_CGROUP, false, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		const struct oci_namespace *ns = &linux->ns[rules[i].ns];
		const char *name = oci_ns_name(rules[i].ns);
		if (rules[i].needed && !ns->wanted)
			return err_set(
				err, EINVAL,
				"isolation level \"vm\" needs a %s namespace, and linux.namespaces has "
				"none: a guest cannot share the host's",
				name);
		int r = ns->path && !rules[i].joined
				? check_joined_namespace(rules[i].ns, ns->path, member, err)
				: 0;
		if (r < 0)
			return r;
	}
	const char *net = linux->ns[OCI_NS_NETWORK].path;
	if (net && is_own_network(net))
		return err_set(
			err, EINVAL,
			"isolation level \"vm\" cannot join the host's network namespace %s: the guest's "
			"cards would take its traffic",
			net);
	return 0;
}

bool vm_knows_device(const struct oci_device *d)
{
	static const struct {
		int64_t major, minor;
	} known[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {1, 11}, {5, 0}, {5, 2}, {10, 229}, {10, 200}};

	if (d->type == 'p')
		return true;
	for (size_t i = 0; i < ARRAY_LEN(known) && d->type != 'b'; i++)
		if (d->major == known[i].major && d->minor == known[i].minor)
			return true;
	return false;
}

/*
 * Whoever may use each device there is ("privileged") has been given all nodes of the host's /dev, wanted or
 * not: what the guest's kernel lacks is left out.
 */
static bool may_use_all_devices(const struct oci_resources *r)
{
	bool all = false;

	for (size_t i = 0; i < r->devices.n; i++) {
		const struct oci_device_rule *d = &r->devices.v[i];
		if ((!d->major.set || d->major.v < 0) && (!d->minor.set || d->minor.v < 0) &&
		    (!d->type || d->type == 'a'))
			all = d->allow;
	}
	return all;
}

bool vm_is_bind(const struct oci_mount *m)
{
	for (size_t i = 0; i < m->options.n; i++)
		if (streq(m->options.v[i], "bind") || streq(m->options.v[i], "rbind"))
			return true;
	return false;
}

int vm_plan_check(const struct isolate_create *c, bool member, struct err *err)
{
	const struct oci_config *config = c->config;
	const struct oci_linux *linux = &config->linux;
	uint32_t host;
	int r = vm_check_namespaces(linux, member, err);

	if (r < 0)
		return r;
	if (c->stdio.preserve_fds + c->stdio.listen_fds > 0)
		return err_set(
			err, ENOTSUP,
			"isolation level \"vm\" cannot hand on descriptors beyond the standard streams: "
			"they are of another kernel");
	bool all = may_use_all_devices(&linux->resources);
	for (size_t i = 0; i < linux->devices.n; i++)
		if (!all && !vm_knows_device(&linux->devices.v[i]))
			return err_set(err, ENOTSUP,
				       "isolation level \"vm\" cannot pass on the device %s (%c %lld:%lld)",
				       linux->devices.v[i].path, linux->devices.v[i].type,
				       (long long)linux->devices.v[i].major,
				       (long long)linux->devices.v[i].minor);
	for (size_t i = 0; i < config->mounts.n; i++)
		if (vm_is_bind(&config->mounts.v[i]) &&
		    supervised_below_synthetic(config, config->mounts.v[i].destination))
			return err_set(
				err, ENOTSUP,
				"isolation level \"vm\" cannot show files of the host on %s: the guest's "
				"kernel makes what is there",
				config->mounts.v[i].destination);
	if (linux->net_devices.n)
		return err_set(err, ENOTSUP,
			       "isolation level \"vm\" cannot move network devices into a guest");
	if (linux->seccomp && linux->seccomp->listener_path)
		return err_set(err, ENOTSUP,
			       "isolation level \"vm\" has no seccomp listener: %s is of another kernel",
			       linux->seccomp->listener_path);
	if (config->process && linux->uid_mappings.n &&
	    userns_host_id(&linux->uid_mappings, config->process->user.uid, &host) < 0)
		return err_set(err, EINVAL, "cannot set uid to unmapped user %u in user namespace",
			       config->process->user.uid);
	return 0;
}

int vm_plan(const struct oci_config *config, bool member, const struct vm_size *size,
	    struct supervised_plan *p, struct err *err)
{
	int r = supervised_plan(config, &vm_caps, p, err);

	if (r < 0)
		return r;
	struct oci_linux *linux = &p->config.linux;
	const struct oci_resources *given = &config->linux.resources;
	p->unified = calloc(given->unified.n + 1, sizeof(*p->unified));
	if (!p->unified)
		return err_oom(err);
	pair_list unified = {.v = p->unified};
	vm_plan_limits(&config->linux.resources, size->memory, &linux->resources, &unified);
	r = vm_pod_weights(config, member, &linux->resources.cpu, err);
	if (r < 0)
		return r;
	p->config.annotations.n = 0; /* Landlock's is the guest's */
	linux->devices.n = 0;
	linux->sysctl.n = 0;
	linux->personality = NULL;
	linux->time_offsets.n = 0;
	linux->offset_boottime.set = linux->offset_monotonic.set = false;
	linux->ns[OCI_NS_TIME].wanted = false;
	/* A pod's: the guest's are the ones that count, and the keeper needs none of them. */
	linux->ns[OCI_NS_IPC].path = linux->ns[OCI_NS_UTS].path = linux->ns[OCI_NS_PID].path = NULL;
	return 0;
}
