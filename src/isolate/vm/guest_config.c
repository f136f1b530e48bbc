/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration that the guest's agent makes the container of; plan.c says what is left to it. */
#include "isolate/vm/vm.h"

#include "base/str.h"
#include "base/sys.h"
#include "host/mount_options.h"
#include "wire/guest.h"

#include <sys/mount.h>
#include <sys/utsname.h>

static void put_opt_u64(struct json_out *out, const char *key, const struct opt_u64 *n)
{
	if (n->set)
		json_put_u64(out, key, n->v);
}

static void put_opt_i64(struct json_out *out, const char *key, const struct opt_i64 *n)
{
	if (n->set)
		json_put_i64(out, key, n->v);
}

static void put_opt_u32(struct json_out *out, const char *key, const struct opt_u32 *n)
{
	if (n->set)
		json_put_u64(out, key, n->v);
}

/* Who shares with whom, and whose ids, was the carrier's to set. */
static bool is_carriers_option(const char *option)
{
	static const char *const names[] = {"idmap", "ridmap", "copy", "tmpcopyup"};
	unsigned long propagation = mount_propagation_named(option);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(option, names[i]))
			return true;
	return propagation && !(propagation & MS_PRIVATE);
}

/* What is of no place of the host's. */
static bool is_of_guest(const struct oci_mount *m)
{
	static const char *const types[] = {"tmpfs", "mqueue", "devpts", "ramfs", "fusectl", "securityfs"};
	bool is = supervised_is_synthetic(m) || !m->type;

	for (size_t i = 0; i < ARRAY_LEN(types) && !is; i++)
		is = streq(m->type, types[i]);
	return is;
}

/* Of any file system: the others of an overlay, say, are words of its own. */
static bool is_any_mounts_option(const char *option)
{
	const unsigned long of_mounts = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME |
					MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME | MS_NOSYMFOLLOW;

	return (mount_flag_named(option) & of_mounts) != 0;
}

/* A file system with something of the host's in it has been mounted by the carrier, and comes by the share.
 */
static void put_guest_mount(struct json_out *out, const struct oci_mount *m, bool member)
{
	/* Memory that containers share is of one file system of the guest's. */
	bool shm = member && streq(m->destination, "/dev/shm");
	bool bind = vm_is_bind(m), carried = shm || (!bind && !is_of_guest(m));
	autofree char *source = shm ? strdup(VM_GUEST_SHM)
				    : str_format("%s%s%s", GUEST_SHARE_AT,
						 m->destination[0] == '/' ? "" : "/", m->destination);

	if (!source)
		out->text.failed = true;
	json_begin_object(out, NULL);
	json_put_str(out, "destination", m->destination);
	json_put_str(out, "type", bind || carried ? "bind" : m->type ? m->type : "none");
	json_put_str(out, "source",
		     bind || carried ? (source ? source : "")
		     : m->source     ? m->source
				     : "none");
	json_begin_list(out, "options");
	if (carried)
		json_put_str(out, NULL, "bind");
	for (size_t i = 0; i < m->options.n; i++)
		if (carried ? is_any_mounts_option(m->options.v[i])
			    : !bind || !is_carriers_option(m->options.v[i]))
			json_put_str(out, NULL, m->options.v[i]);
	json_end(out);
	json_end(out);
}

static void put_guest_namespaces(struct json_out *out, const struct oci_config *config, bool member)
{
	static const enum oci_ns always[] = {OCI_NS_PID, OCI_NS_MOUNT, OCI_NS_IPC, OCI_NS_UTS, OCI_NS_CGROUP};
	bool net = false;

	for (size_t i = 0; i < config->linux.sysctl.n; i++)
		net |= str_starts(config->linux.sysctl.v[i].key, "net.") ||
		       str_starts(config->linux.sysctl.v[i].key, "net/");
	json_begin_list(out, "namespaces");
	for (size_t i = 0; i < ARRAY_LEN(always); i++) {
		if (member && (always[i] == OCI_NS_IPC || always[i] == OCI_NS_UTS))
			continue; /* the agent's own, which are the pod's */
		json_begin_object(out, NULL);
		json_put_str(out, "type", oci_ns_name(always[i]));
		if (always[i] == OCI_NS_PID && config->linux.ns[OCI_NS_PID].path)
			json_put_str(out, "path", GUEST_PIDS_AT); /* vm_pod_check_pids() has looked */
		json_end(out);
	}
	if (config->linux.ns[OCI_NS_TIME].wanted) {
		json_begin_object(out, NULL);
		json_put_str(out, "type", oci_ns_name(OCI_NS_TIME));
		json_end(out);
	}
	/* The guest's network is the container's; to be named where its parameters are to be set. */
	if (net) {
		json_begin_object(out, NULL);
		json_put_str(out, "type", oci_ns_name(OCI_NS_NETWORK));
		json_put_str(out, "path", "/proc/1/ns/net");
		json_end(out);
	}
	json_end(out);
}

static void put_device_rules(struct json_out *out, const struct oci_resources *r)
{
	json_begin_list(out, "devices");
	for (size_t i = 0; i < r->devices.n; i++) {
		const struct oci_device_rule *d = &r->devices.v[i];
		const char type[2] = {d->type ? d->type : 'a'};
		json_begin_object(out, NULL);
		json_put_bool(out, "allow", d->allow);
		json_put_str(out, "type", type);
		put_opt_i64(out, "major", &d->major);
		put_opt_i64(out, "minor", &d->minor);
		json_put_opt_str(out, "access", d->access);
		json_end(out);
	}
	json_end(out);
}

void vm_guest_resources(struct json_out *out, const char *key, const struct oci_resources *r)
{
	json_begin_object(out, key);
	if (r->devices.n)
		put_device_rules(out, r);
	json_begin_object(out, "memory");
	put_opt_i64(out, "limit", &r->memory.limit);
	put_opt_i64(out, "reservation", &r->memory.reservation);
	json_end(out);
	json_begin_object(out, "cpu");
	put_opt_u64(out, "shares", &r->cpu.shares);
	put_opt_i64(out, "quota", &r->cpu.quota);
	put_opt_u64(out, "period", &r->cpu.period);
	put_opt_u64(out, "burst", &r->cpu.burst);
	json_end(out);
	if (r->pids_limit.set) {
		json_begin_object(out, "pids");
		json_put_i64(out, "limit", r->pids_limit.v);
		json_end(out);
	}
	json_begin_object(out, "unified");
	for (size_t i = 0; i < r->unified.n; i++)
		if (str_starts(r->unified.v[i].key, "memory.") || str_starts(r->unified.v[i].key, "pids."))
			json_put_str(out, r->unified.v[i].key, r->unified.v[i].value);
	json_end(out);
	json_end(out);
}

static void put_guest_devices(struct json_out *out, const struct oci_linux *linux)
{
	json_begin_list(out, "devices");
	for (size_t i = 0; i < linux->devices.n; i++) {
		const struct oci_device *d = &linux->devices.v[i];
		const char type[2] = {d->type};
		if (!vm_knows_device(d)) /* of a privileged container: vm_plan_check() refuses others */
			continue;
		json_begin_object(out, NULL);
		json_put_str(out, "path", d->path);
		json_put_str(out, "type", type);
		json_put_i64(out, "major", d->major);
		json_put_i64(out, "minor", d->minor);
		put_opt_u32(out, "fileMode", &d->file_mode);
		put_opt_u32(out, "uid", &d->uid);
		put_opt_u32(out, "gid", &d->gid);
		json_end(out);
	}
	json_end(out);
}

static void put_guest_pairs(struct json_out *out, const char *key, const pair_list *l)
{
	json_begin_object(out, key);
	for (size_t i = 0; i < l->n; i++)
		json_put_str(out, l->v[i].key, l->v[i].value ? l->v[i].value : "");
	json_end(out);
}

/* The level is the machine's; within it the container is of level `ns`. */
static void put_guest_annotations(struct json_out *out, const pair_list *l)
{
	json_begin_object(out, "annotations");
	for (size_t i = 0; i < l->n; i++)
		if (!streq(l->v[i].key, "dev.coffer.isolation"))
			json_put_str(out, l->v[i].key, l->v[i].value ? l->v[i].value : "");
	json_end(out);
}

static void put_clocks(struct json_out *out, const struct oci_linux *linux)
{
	json_begin_object(out, "timeOffsets");
	for (size_t i = 0; i < linux->time_offsets.n; i++) {
		json_begin_object(out, linux->time_offsets.v[i].clock);
		json_put_i64(out, "secs", linux->time_offsets.v[i].secs);
		json_put_u64(out, "nanosecs", linux->time_offsets.v[i].nanosecs);
		json_end(out);
	}
	json_end(out);
}

static void put_linux(struct json_out *out, const struct oci_config *config, bool member, const char *seccomp)
{
	const struct oci_linux *linux = &config->linux;

	json_begin_object(out, "linux");
	put_guest_namespaces(out, config, member);
	put_guest_devices(out, linux);
	put_guest_pairs(out, "sysctl", &linux->sysctl);
	vm_guest_resources(out, "resources", &linux->resources);
	if (seccomp)
		json_put_raw(out, "seccomp", seccomp);
	json_put_opt_str(out, "rootfsPropagation", linux->rootfs_propagation);
	json_put_strs(out, "maskedPaths", linux->masked_paths.v, linux->masked_paths.n);
	json_put_strs(out, "readonlyPaths", linux->readonly_paths.v, linux->readonly_paths.n);
	if (linux->time_offsets.n)
		put_clocks(out, linux);
	if (linux->personality) {
		json_begin_object(out, "personality");
		json_put_str(out, "domain", linux->personality->domain);
		json_put_strs(out, "flags", linux->personality->flags.v, linux->personality->flags.n);
		json_end(out);
	}
	json_end(out);
}

int vm_guest_config(const struct oci_config *config, bool member, const char *text, size_t len,
		    struct err *err)
{
	const struct oci_seccomp *filter = config->linux.seccomp;
	struct json_out out autojsonout = {0};
	autofree char *seccomp = NULL;
	struct utsname host = {0};

	if (filter) {
		if (filter->json_offset > len || filter->json_len > len - filter->json_offset)
			return err_set(err, EBADMSG, "config.json has changed since it was read");
		seccomp = strndup(text + filter->json_offset, filter->json_len);
		if (!seccomp)
			return err_oom(err);
	}
	/* A new UTS namespace begins with the host's name, and keeps it where no other is given. */
	bool named = config->linux.ns[OCI_NS_UTS].wanted && config->hostname && *config->hostname;
	if (!named && uname(&host) < 0)
		return err_sys(err, "cannot read the host's name");
	json_begin_object(&out, NULL);
	json_put_str(&out, "ociVersion", config->oci_version ? config->oci_version : "1.2.0");
	if (config->process)
		supervised_put_process(&out, "process", config->process, true);
	json_begin_object(&out, "root");
	json_put_str(&out, "path", VM_GUEST_ROOT);
	json_put_bool(&out, "readonly", config->root_readonly);
	json_end(&out);
	if (!member) {
		json_put_opt_str(&out, "hostname", named ? config->hostname : host.nodename);
		json_put_opt_str(&out, "domainname", config->domainname);
	}
	json_begin_list(&out, "mounts");
	for (size_t i = 0; i < config->mounts.n; i++)
		put_guest_mount(&out, &config->mounts.v[i], member);
	json_end(&out);
	put_guest_annotations(&out, &config->annotations);
	put_linux(&out, config, member, seccomp);
	json_end(&out);
	return supervised_memory_file("guest-config", &out, err);
}
