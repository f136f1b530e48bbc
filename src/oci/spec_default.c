/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/spec_default.h"

#include "base/json_write.h"
#include "oci/state.h"

#define STRS(out, key, ...)                                                                                  \
	do {                                                                                                 \
		static const char *const values_[] = {__VA_ARGS__};                                          \
		json_put_strs(out, key, values_, ARRAY_LEN(values_));                                        \
	} while (0)

enum { OPTIONS_MAX = 6 };

struct mount {
	const char *destination, *type, *source;
	const char *options[OPTIONS_MAX];
};

static const struct mount mounts[] = {
	{"/proc", "proc", "proc", {NULL}},
	{"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
	{"/dev/pts",
	 "devpts",
	 "devpts",
	 {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
	{"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
	{"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
	{"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
	{"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}},
};
/* Without a network namespace of its own, a container may not mount sysfs: it gets the host's. */
static const struct mount rootless_sys = {
	"/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}};

static void spec_process(struct json_out *out)
{
	json_begin_object(out, "process");
	json_put_bool(out, "terminal", true);
	json_begin_object(out, "user");
	json_put_u64(out, "uid", 0);
	json_put_u64(out, "gid", 0);
	json_end(out);
	STRS(out, "args", "sh");
	STRS(out, "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm");
	json_put_str(out, "cwd", "/");
	json_begin_object(out, "capabilities");
	STRS(out, "bounding", "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE");
	STRS(out, "effective", "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE");
	STRS(out, "permitted", "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE");
	json_end(out);
	json_begin_list(out, "rlimits");
	json_begin_object(out, NULL);
	json_put_str(out, "type", "RLIMIT_NOFILE");
	json_put_u64(out, "hard", 1024);
	json_put_u64(out, "soft", 1024);
	json_end(out);
	json_end(out);
	json_put_bool(out, "noNewPrivileges", true);
	json_end(out);
}

static void spec_mount(struct json_out *out, const struct mount *m, bool rootless)
{
	const char *kept[OPTIONS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < OPTIONS_MAX && m->options[i]; i++)
		if (!rootless || (!str_starts(m->options[i], "gid=") && !str_starts(m->options[i], "uid=")))
			kept[n++] = m->options[i];
	json_begin_object(out, NULL);
	json_put_str(out, "destination", m->destination);
	json_put_str(out, "type", m->type);
	json_put_str(out, "source", m->source);
	if (n)
		json_put_strs(out, "options", kept, n);
	json_end(out);
}

static void spec_mounts(struct json_out *out, bool rootless)
{
	json_begin_list(out, "mounts");
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		bool sys = rootless && streq(mounts[i].destination, "/sys");
		spec_mount(out, sys ? &rootless_sys : &mounts[i], rootless);
	}
	json_end(out);
}

static void spec_idmap(struct json_out *out, const char *key, uint32_t host)
{
	json_begin_list(out, key);
	json_begin_object(out, NULL);
	json_put_u64(out, "containerID", 0);
	json_put_u64(out, "hostID", host);
	json_put_u64(out, "size", 1);
	json_end(out);
	json_end(out);
}

static void spec_namespace(struct json_out *out, const char *type)
{
	json_begin_object(out, NULL);
	json_put_str(out, "type", type);
	json_end(out);
}

static void spec_linux(struct json_out *out, const struct oci_spec_options *o)
{
	json_begin_object(out, "linux");
	if (o->rootless) {
		spec_idmap(out, "uidMappings", o->uid);
		spec_idmap(out, "gidMappings", o->gid);
	} else {
		json_begin_object(out, "resources");
		json_begin_list(out, "devices");
		json_begin_object(out, NULL);
		json_put_bool(out, "allow", false);
		json_put_str(out, "access", "rwm");
		json_end(out);
		json_end(out);
		json_end(out);
	}
	json_begin_list(out, "namespaces");
	spec_namespace(out, "pid");
	if (!o->rootless)
		spec_namespace(out, "network");
	spec_namespace(out, "ipc");
	spec_namespace(out, "uts");
	spec_namespace(out, "mount");
	if (o->cgroup_ns)
		spec_namespace(out, "cgroup");
	if (o->rootless)
		spec_namespace(out, "user");
	json_end(out);
	STRS(out, "maskedPaths", "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
	     "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
	     "/sys/firmware", "/proc/scsi");
	STRS(out, "readonlyPaths", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger");
	json_end(out);
}

int oci_spec_default(const struct oci_spec_options *options, char **ret_text, struct err *err)
{
	struct json_out out autojsonout = {.indent = "\t"};

	json_begin_object(&out, NULL);
	json_put_str(&out, "ociVersion", OCI_VERSION);
	spec_process(&out);
	json_begin_object(&out, "root");
	json_put_str(&out, "path", "rootfs");
	json_put_bool(&out, "readonly", true);
	json_end(&out);
	json_put_str(&out, "hostname", "coffer");
	spec_mounts(&out, options->rootless);
	spec_linux(&out, options);
	json_end(&out);
	char *text = json_take(&out);
	if (!text)
		return err_oom(err);
	*ret_text = text;
	return 0;
}
