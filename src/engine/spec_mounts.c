/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts of config.json: the kernel's file systems, then what was asked
 * for by the depth of its target, so that none hides another, then the files
 * that the engine writes.
 */
#include "engine/spec.h"

#define INIT_PATH "/run/coffer-init"

enum { OPTIONS_MAX = 32 };

static void put_mount(struct json_out *out, const char *target, const char *type, const char *source,
		      const char *const *options)
{
	size_t n = 0;

	while (options[n])
		n++;
	json_begin_object(out, NULL);
	json_put_str(out, "destination", target);
	json_put_str(out, "type", type);
	json_put_str(out, "source", source);
	json_put_strs(out, "options", options, n);
	json_end(out);
}
#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool replaced(const struct engine_spec *s, const char *target)
{
	for (size_t i = 0; i < s->c->record.mounts.n; i++) {
		if (streq(s->c->record.mounts.v[i].target, target))
			return true;
	}
	return false;
}

/* In a user namespace of its own, a container may not mount what belongs to the host's namespaces. */
static bool own_users(const struct engine_spec *s)
{
	return s->maps->uids.n > 0;
}

static void kernel_mounts(struct json_out *out, const struct engine_spec *s)
{
	const struct engine_create *q = &s->c->record.q;
	bool foreign_net = engine_mode_is(q->network_mode, "host") && own_users(s);
	bool foreign_pid = engine_mode_is(q->pid_mode, "host") && own_users(s);

	if (foreign_pid)
		put_mount(out, "/proc", "bind", "/proc", OPTIONS("rbind", "nosuid", "noexec", "nodev"));
	else
		put_mount(out, "/proc", "proc", "proc", OPTIONS("nosuid", "noexec", "nodev"));
	put_mount(out, "/dev", "tmpfs", "tmpfs", OPTIONS("nosuid", "strictatime", "mode=755", "size=65536k"));
	put_mount(out, "/dev/pts", "devpts", "devpts",
		  OPTIONS("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"));
	if (foreign_net)
		put_mount(out, "/sys", "bind", "/sys", OPTIONS("rbind", "rro", "nosuid", "noexec", "nodev"));
	else if (q->privileged)
		put_mount(out, "/sys", "sysfs", "sysfs", OPTIONS("nosuid", "noexec", "nodev", "rw"));
	else
		put_mount(out, "/sys", "sysfs", "sysfs", OPTIONS("nosuid", "noexec", "nodev", "ro"));
	if (!foreign_net)
		put_mount(out, "/sys/fs/cgroup", "cgroup", "cgroup",
			  OPTIONS(q->privileged ? "rw" : "ro", "nosuid", "noexec", "nodev"));
}

static void ipc_mounts(struct json_out *out, const struct engine_spec *s)
{
	const struct engine_create *q = &s->c->record.q;
	char size[40];

	if (engine_mode_is(q->ipc_mode, "host")) {
		if (s->host_mqueue)
			put_mount(out, "/dev/mqueue", "bind", "/dev/mqueue",
				  OPTIONS("bind", "nosuid", "noexec", "nodev"));
		put_mount(out, "/dev/shm", "bind", "/dev/shm", OPTIONS("bind", "nosuid", "noexec", "nodev"));
		return;
	}
	put_mount(out, "/dev/mqueue", "mqueue", "mqueue", OPTIONS("nosuid", "noexec", "nodev"));
	if (replaced(s, "/dev/shm") || engine_mode_is(q->ipc_mode, "none"))
		return;
	if (s->shm) {
		put_mount(out, "/dev/shm", "bind", s->shm,
			  own_users(s) && !s->rootless ? OPTIONS("bind", "nosuid", "noexec", "nodev", "idmap")
						       : OPTIONS("bind", "nosuid", "noexec", "nodev"));
		return;
	}
	if (snprintf(size, sizeof(size), "size=%lld", (long long)(q->shm_size ? q->shm_size : 64 << 20)) < 0)
		return;
	put_mount(out, "/dev/shm", "tmpfs", "shm", OPTIONS("nosuid", "noexec", "nodev", "mode=1777", size));
}

static void spec_mounts_put_tmpfs(struct json_out *out, const struct engine_record_mount *m)
{
	const char *options[OPTIONS_MAX + 1] = {"nosuid", "nodev", "noexec"};
	size_t n = 3;
	autofree char *text = strdup(m->options ? m->options : "");

	for (char *p = text; p && *p && n < OPTIONS_MAX;) {
		char *comma = strchr(p, ',');
		if (comma)
			*comma++ = '\0';
		if (*p)
			options[n++] = p;
		p = comma;
	}
	if (m->read_only && n < OPTIONS_MAX)
		options[n++] = "ro";
	options[n] = NULL;
	put_mount(out, m->target, "tmpfs", "tmpfs", options);
}

static void put_bind(struct json_out *out, const struct engine_bind *b)
{
	const struct engine_record_mount *m = b->mount;
	const char *options[OPTIONS_MAX + 1] = {m->non_recursive ? "bind" : "rbind"};
	size_t n = 1;

	/* Without a word it stays as it is: one that is read-only outside may not be made writable inside. */
	if (m->read_only)
		options[n++] = "ro";
	if (m->read_only && m->recursive_read_only)
		options[n++] = "rro";
	options[n++] = m->propagation ? m->propagation : "rprivate";
	if (b->idmap)
		options[n++] = b->idmap_recursive ? "ridmap" : "idmap";
	put_mount(out, m->target, "bind", b->source, options);
}

static size_t depth_of(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += path[0] == '/' && path[1] && path[1] != '/';
	return n;
}

static const struct engine_bind *bind_of(const struct engine_spec *s, const struct engine_record_mount *m)
{
	for (size_t i = 0; i < s->binds->n; i++) {
		if (s->binds->v[i].mount == m)
			return &s->binds->v[i];
	}
	return NULL;
}

static void asked_mounts(struct json_out *out, const struct engine_spec *s)
{
	const struct engine_record *r = &s->c->record;
	size_t done = 0;

	for (size_t depth = 0; done < r->mounts.n; depth++) {
		for (size_t i = 0; i < r->mounts.n; i++) {
			const struct engine_record_mount *m = &r->mounts.v[i];
			if (depth_of(m->target) != depth)
				continue;
			done++;
			const struct engine_bind *b = bind_of(s, m);
			if (streq(m->type, "tmpfs"))
				spec_mounts_put_tmpfs(out, m);
			else if (b)
				put_bind(out, b);
		}
	}
}

static void file_mount(struct json_out *out, const struct engine_spec *s, const char *target,
		       const char *source)
{
	if (source && !replaced(s, target))
		put_mount(out, target, "bind", source,
			  s->c->record.q.read_only ? OPTIONS("rbind", "rprivate", "ro")
						   : OPTIONS("rbind", "rprivate"));
}

void engine_spec_mounts(struct json_out *out, const struct engine_spec *s)
{
	const struct engine_create *q = &s->c->record.q;

	json_begin_list(out, "mounts");
	kernel_mounts(out, s);
	ipc_mounts(out, s);
	asked_mounts(out, s);
	file_mount(out, s, "/etc/resolv.conf", s->resolv);
	file_mount(out, s, "/etc/hostname", q->no_hostname ? NULL : s->hostname);
	file_mount(out, s, "/etc/hosts", q->no_hosts ? NULL : s->hosts);
	if (s->init)
		put_mount(out, INIT_PATH, "bind", s->init, OPTIONS("bind", "ro", "nosuid", "nodev"));
	json_end(out);
}
