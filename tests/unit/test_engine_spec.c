/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: what it says is read back by the runtime's own tables. */
#include "engine/spec.h"

#include "engine/caps.h"
#include "host/caps.h"

#include "test.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct written {
	struct engine_container c;
	struct engine_maps maps;
	struct engine_user user;
	struct engine_binds binds;
	struct engine_spec spec;
	struct oci_config config;
	char *text;
};

static void begin(struct written *w)
{
	static const char *cmd[] = {"sh", "-c", "true"}, *env[] = {"A=b"};

	*w = (struct written){.c = {.id = (char *)(uintptr_t)ID, .lock = -1}};
	w->c.record.q.memory_swappiness = w->c.record.q.stop_timeout = -1;
	w->c.record.config.cmd = (str_list){.v = cmd, .n = 3};
	w->c.record.config.env = (str_list){.v = env, .n = 1};
	w->maps.uid_maps[0] = w->maps.gid_maps[0] = (struct oci_idmap){.host = 524288, .size = 65536};
	w->maps.uids = (idmap_list){.v = w->maps.uid_maps, .n = 1};
	w->maps.gids = (idmap_list){.v = w->maps.gid_maps, .n = 1};
	w->spec = (struct engine_spec){.c = &w->c,
				       .maps = &w->maps,
				       .user = &w->user,
				       .binds = &w->binds,
				       .rootfs = "/run/x/rootfs",
				       .hosts = "/d/hosts",
				       .hostname = "/d/hostname",
				       .resolv = "/d/resolv.conf"};
}

static int write_it(struct written *w, struct err *err)
{
	int r = engine_spec_write(&w->spec, &w->text, err);

	if (r == 0)
		r = oci_config_parse(w->text, strlen(w->text), "config.json", &w->config, err);
	if (r < 0)
		fprintf(stderr, "%s\n", err->msg);
	return r;
}

static void end(struct written *w)
{
	oci_config_free(&w->config);
	free(w->text);
}

static const struct oci_mount *mount_at(const struct oci_config *c, const char *target)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		if (streq(c->mounts.v[i].destination, target))
			return &c->mounts.v[i];
	}
	return NULL;
}

static bool has(const str_list *l, const char *text)
{
	for (size_t i = 0; i < l->n; i++) {
		if (streq(l->v[i], text))
			return true;
	}
	return false;
}

static const char *sysctl_of(const struct oci_config *c, const char *key)
{
	for (size_t i = 0; i < c->linux.sysctl.n; i++) {
		if (streq(c->linux.sysctl.v[i].key, key))
			return c->linux.sysctl.v[i].value;
	}
	return NULL;
}

static void defaults(void)
{
	struct written w;
	struct err err = {0};

	begin(&w);
	CHECK_INT(write_it(&w, &err), 0);
	const struct oci_config *c = &w.config;
	CHECK_STR(c->hostname, "0123456789ab");
	CHECK_STR(c->root_path, "/run/x/rootfs");
	CHECK_STR(c->process->cwd, "/");
	CHECK_INT(c->process->args.n, 3);
	CHECK(has(&c->process->env, "A=b") && has(&c->process->env, "HOSTNAME=0123456789ab"));
	CHECK_STR(c->process->env.v[0], "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	CHECK(!c->process->terminal && !c->process->no_new_privileges);
	CHECK_INT(c->process->caps.bounding.n, 13);
	CHECK(!has(&c->process->caps.bounding, "CAP_NET_RAW") &&
	      !has(&c->process->caps.bounding, "CAP_SYS_ADMIN"));
	CHECK(has(&c->process->caps.effective, "CAP_CHOWN"));
	CHECK_INT(c->process->caps.inheritable.n + c->process->caps.ambient.n, 0);
	for (int i = 0; i < OCI_NS_COUNT; i++)
		CHECK_INT(c->linux.ns[i].wanted, i != OCI_NS_TIME && i != OCI_NS_CGROUP);
	CHECK_INT(c->linux.uid_mappings.v[0].host, 524288);
	CHECK_STR(c->linux.cgroups_path, "/coffer/" ID);
	CHECK_STR(sysctl_of(c, "net.ipv4.ping_group_range"), "0 65535");
	CHECK_STR(sysctl_of(c, "net.ipv4.ip_unprivileged_port_start"), "0");
	CHECK(has(&c->linux.masked_paths, "/proc/kcore") && has(&c->linux.masked_paths, "/sys/firmware"));
	CHECK(has(&c->linux.readonly_paths, "/proc/sys"));
	CHECK(has(&mount_at(c, "/sys")->options, "ro") && has(&mount_at(c, "/sys/fs/cgroup")->options, "ro"));
	CHECK(has(&mount_at(c, "/dev")->options, "size=65536k"));
	CHECK(has(&mount_at(c, "/dev/shm")->options, "size=67108864"));
	CHECK_STR(mount_at(c, "/etc/hosts")->source, "/d/hosts");
	CHECK(c->linux.seccomp != NULL);
	CHECK_INT(c->linux.resources.devices.n, 1);
	CHECK(!c->linux.resources.devices.v[0].allow);
	CHECK(!c->linux.resources.pids_limit.set && !c->linux.resources.memory.limit.set);
	end(&w);
}

static bool seccomp_allows(const struct oci_config *c, const char *name)
{
	const struct oci_seccomp *s = c->linux.seccomp;

	for (size_t i = 0; i < s->syscalls.n; i++) {
		if (streq(s->syscalls.v[i].action, "SCMP_ACT_ALLOW") && has(&s->syscalls.v[i].names, name))
			return true;
	}
	return false;
}

static void seccomp(void)
{
	static const char *const denied[] = {"mount",	    "bpf",
					     "kexec_load",  "keyctl",
					     "add_key",	    "io_uring_setup",
					     "userfaultfd", "reboot",
					     "init_module", "setns",
					     "unshare",	    "swapon",
					     "pivot_root",  "open_by_handle_at",
					     "clone3"};
	const char *add[] = {"SYS_ADMIN"};
	struct written w;
	struct err err = {0};

	begin(&w);
	CHECK_INT(write_it(&w, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(denied); i++)
		CHECK(!seccomp_allows(&w.config, denied[i]));
	CHECK(seccomp_allows(&w.config, "openat") && seccomp_allows(&w.config, "clone") &&
	      seccomp_allows(&w.config, "chroot"));
	end(&w);
	begin(&w);
	w.c.record.q.cap_add = (str_list){.v = add, .n = 1};
	CHECK_INT(write_it(&w, &err), 0);
	CHECK(seccomp_allows(&w.config, "mount") && seccomp_allows(&w.config, "clone3"));
	end(&w);
}

static void asked(void)
{
	const char *opts[] = {"no-new-privileges", "seccomp=unconfined", "systempaths=unconfined",
			      "label=disable"};
	const char *drop[] = {"ALL"}, *add[] = {"net_bind_service", "CAP_CHOWN"};
	struct engine_ulimit limits[] = {{"nofile", 1024, -1}};
	struct engine_record_mount mounts[] = {
		{.type = "tmpfs", .target = "/a/b/c", .options = "size=1m"},
		{.type = "bind", .source = "/h", .target = "/a", .read_only = true}};
	struct engine_bind bind = {
		.source = (char *)(uintptr_t) "/h", .fd = -1, .mount = &mounts[1], .idmap = true};
	struct written w;
	struct err err = {0};

	begin(&w);
	struct engine_create *q = &w.c.record.q;
	q->security_opt = (str_list){.v = opts, .n = 4};
	q->cap_drop = (str_list){.v = drop, .n = 1};
	q->cap_add = (str_list){.v = add, .n = 2};
	q->ulimits.v = limits;
	q->ulimits.n = 1;
	q->memory = 64 << 20;
	q->nano_cpus = 1500000000;
	q->pids_limit = 100;
	q->read_only = q->tty = true;
	q->hostname = "box";
	q->cgroup_parent = "mine";
	q->landlock = "{\"paths\":[]}";
	w.c.record.mounts.v = mounts;
	w.c.record.mounts.n = 2;
	w.binds = (struct engine_binds){.v = &bind, .n = 1};
	w.user = (struct engine_user){.uid = 1000, .gid = 1001, .groups = {10}, .n_groups = 1};
	w.spec.init = "/lib/coffer-init";
	CHECK_INT(write_it(&w, &err), 0);
	const struct oci_config *c = &w.config;
	CHECK(c->process->no_new_privileges && c->process->terminal && c->root_readonly);
	CHECK(c->linux.seccomp == NULL);
	CHECK_INT(c->linux.masked_paths.n, 0);
	CHECK_INT(c->process->caps.bounding.n, 2);
	CHECK_INT(c->process->caps.effective.n, 0);
	CHECK_INT(c->process->user.uid, 1000);
	CHECK_INT(c->process->user.additional_gids.v[0], 10);
	CHECK_STR(c->process->rlimits.v[0].type, "RLIMIT_NOFILE");
	CHECK(c->process->rlimits.v[0].hard == UINT64_MAX);
	CHECK_INT(c->linux.resources.memory.swap.v, 128 << 20);
	CHECK_INT(c->linux.resources.cpu.quota.v, 150000);
	CHECK_INT(c->linux.resources.pids_limit.v, 100);
	CHECK_STR(c->linux.cgroups_path, "/mine/" ID);
	CHECK_STR(c->process->args.v[0], "/run/coffer-init");
	CHECK_STR(oci_annotation(c, "dev.coffer.landlock"), "{\"paths\":[]}");
	CHECK(has(&mount_at(c, "/a")->options, "ro") && has(&mount_at(c, "/a")->options, "idmap"));
	/* What is deeper comes later, whatever the order in which it was asked for. */
	CHECK(mount_at(c, "/a") < mount_at(c, "/a/b/c"));
	end(&w);
}

static void privileged(void)
{
	struct written w;
	struct err err = {0};

	begin(&w);
	w.c.record.q.privileged = true;
	w.maps.uids.n = w.maps.gids.n = 0;
	CHECK_INT(write_it(&w, &err), 0);
	const struct oci_config *c = &w.config;
	CHECK(c->linux.seccomp == NULL && c->linux.masked_paths.n == 0 && !c->linux.ns[OCI_NS_USER].wanted);
	CHECK(has(&c->process->caps.effective, "CAP_SYS_ADMIN"));
	CHECK(has(&mount_at(c, "/sys")->options, "rw"));
	CHECK(c->linux.resources.devices.v[0].allow && c->linux.devices.n > 5);
	end(&w);
}

static void shared(void)
{
	struct written w;
	struct err err = {0};

	begin(&w);
	w.c.record.q.network_mode = "host";
	w.c.record.q.pid_mode = "host";
	w.c.record.q.ipc_mode = "host";
	w.c.record.q.uts_mode = "host";
	w.spec.host_mqueue = true;
	CHECK_INT(write_it(&w, &err), 0);
	const struct oci_config *c = &w.config;
	CHECK(!c->linux.ns[OCI_NS_NETWORK].wanted && !c->linux.ns[OCI_NS_PID].wanted &&
	      !c->linux.ns[OCI_NS_IPC].wanted && !c->linux.ns[OCI_NS_UTS].wanted);
	CHECK(c->hostname == NULL && !sysctl_of(c, "net.ipv4.ping_group_range"));
	/* The host's namespaces own these: in a user namespace they can but be bound. */
	CHECK_STR(mount_at(c, "/sys")->type, "bind");
	CHECK_STR(mount_at(c, "/proc")->type, "bind");
	CHECK_STR(mount_at(c, "/dev/mqueue")->type, "bind");
	end(&w);
	begin(&w);
	w.spec.join_user = "/proc/7/ns/user";
	w.spec.join_net = "/proc/7/ns/net";
	CHECK_INT(write_it(&w, &err), 0);
	CHECK_STR(w.config.linux.ns[OCI_NS_USER].path, "/proc/7/ns/user");
	CHECK_STR(w.config.linux.ns[OCI_NS_NETWORK].path, "/proc/7/ns/net");
	CHECK_INT(w.config.linux.uid_mappings.n, 0);
	end(&w);
}

static void refused(void)
{
	const char *bad_cap[] = {"NO_SUCH"}, *bad_opt[] = {"seccomp"}, *bad_rule[] = {"x 1:3 rwm"};
	struct engine_device device = {.host = "/etc/passwd"};
	struct written w;
	struct err err = {0};

	begin(&w);
	w.c.record.q.cap_add = (str_list){.v = bad_cap, .n = 1};
	CHECK(engine_spec_write(&w.spec, &w.text, &err) < 0);
	begin(&w);
	w.c.record.q.security_opt = (str_list){.v = bad_opt, .n = 1};
	CHECK(engine_spec_write(&w.spec, &w.text, &err) < 0);
	CHECK_STR(err.msg, "invalid --security-opt 1: \"seccomp\"");
	begin(&w);
	w.c.record.q.device_cgroup_rules = (str_list){.v = bad_rule, .n = 1};
	CHECK(engine_spec_write(&w.spec, &w.text, &err) < 0);
	begin(&w);
	w.c.record.q.devices.v = &device;
	w.c.record.q.devices.n = 1;
	CHECK(engine_spec_write(&w.spec, &w.text, &err) < 0);
	CHECK(strstr(err.msg, "not a device node") != NULL);
}

int main(void)
{
	defaults();
	seccomp();
	asked();
	privileged();
	shared();
	refused();
	return test_end();
}
