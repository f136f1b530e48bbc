/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `restore`: a container made of criu's images rather than of a program.
 *
 * The state directory and the cgroup are made as `create` makes them; criu
 * stands in for the level's child: it starts in the cgroup, gets a private
 * mount namespace with the root file system as a mount point, and leaves the
 * restored init behind as our child.
 */
#include "runtime/checkpoint.h"

#include "base/file.h"
#include "base/json.h"
#include "base/proc.h"
#include "host/resolve.h"
#include "host/tty.h"
#include "runtime/criu_root.h"
#include "runtime/foreground.h"
#include "runtime/lacks.h"
#include "runtime/making.h"
#include "runtime/protobuf.h"
#include "runtime/store.h"

#include <sys/stat.h>

struct restoring {
	struct making m;
	const struct restore_options *o;
	struct criu_dirs dirs;
	struct str opts;
	int fds[OCI_NS_COUNT]; /* of joined namespaces, in the order in which criu sees them */
	size_t nfds;
	int mount_ns;
};

enum { CRIU_FIRST_FD = 4, DESCRIPTORS_MAX = 64 << 10 };

/* ---- what criu is told ---- */

/* A network or pid namespace of its own name is given open; criu joins the others by path. */
static int put_namespaces(struct restoring *s, struct err *err)
{
	for (int i = 0; i < OCI_NS_COUNT; i++) {
		const char *path = s->m.config.linux.ns[i].path;
		enum oci_ns ns = (enum oci_ns)i;
		if (!path)
			continue;
		if (ns == OCI_NS_CGROUP)
			return err_set(err, ENOTSUP, "Do not know how to handle namespace cgroup");
		if (ns != OCI_NS_NETWORK && ns != OCI_NS_PID) {
			criu_put_pair(&s->opts, CRIU_JOIN_NS, oci_ns_file(ns), path);
			continue;
		}
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(err, "Requested namespace %s does not exist", path);
		struct str inherit autostr = {0};
		pb_put_str(&inherit, 1, criu_ns_key(ns));
		pb_put_int(&inherit, 2, CRIU_FIRST_FD + (int)s->nfds);
		pb_put_bytes(&s->opts, CRIU_INHERIT_FD, inherit.s, inherit.len);
		s->opts.failed |= inherit.failed;
		s->fds[s->nfds++] = fd;
	}
	return 0;
}

struct descriptors {
	str_list names;
};
static const struct json_field descriptor_fields[] = {F_STRS(struct descriptors, names, "names")};
static const struct json_table descriptor_table = JSON_TABLE(struct descriptors, descriptor_fields);

/* Standard streams that were pipes become ours; what else they were criu opens again by itself. */
static int put_streams(struct restoring *s, struct err *err)
{
	struct json_doc doc autojson = {0};
	struct descriptors d = {0};
	autofree char *text = NULL, *object = NULL;
	size_t len;
	int r = file_read_at(s->dirs.image_fd, "descriptors.json", DESCRIPTORS_MAX, &text, &len);

	if (r < 0)
		return err_num(err, r, "cannot read %s/descriptors.json", s->dirs.image_path);
	/* A bare list; the decoder takes objects. */
	object = str_format("{\"names\":%s}", text);
	if (!object)
		return err_oom(err);
	r = json_decode(&doc, object, strlen(object), "descriptors.json", &descriptor_table, &d, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < d.names.n && i < 3; i++) {
		struct str inherit autostr = {0};
		if (!str_starts(d.names.v[i], "pipe:"))
			continue;
		pb_put_str(&inherit, 1, d.names.v[i]);
		pb_put_int(&inherit, 2, (int64_t)i);
		pb_put_bytes(&s->opts, CRIU_INHERIT_FD, inherit.s, inherit.len);
		s->opts.failed |= inherit.failed;
	}
	return 0;
}

static bool on_tmpfs(const struct oci_config *config, const char *path)
{
	for (size_t i = 0; i < config->mounts.n; i++) {
		const struct oci_mount *m = &config->mounts.v[i];
		size_t len = strlen(m->destination);
		if (m->type && streq(m->type, "tmpfs") && str_starts(path, m->destination) &&
		    path[len] == '/')
			return true;
	}
	return false;
}

/* criu restores what is in a tmpfs; mount points in the root itself must be there. */
static int make_mount_point(const struct restoring *s, const struct oci_mount *m, struct err *err)
{
	enum resolve_make make = RESOLVE_DIR;
	struct stat st;

	if (on_tmpfs(&s->m.config, m->destination))
		return 0;
	if (criu_is_bind(m) && m->source && fstatat(s->m.bundle_fd, m->source, &st, 0) == 0 &&
	    !S_ISDIR(st.st_mode))
		make = RESOLVE_FILE;
	autofree char *path = resolve_clean(m->destination);
	if (!path)
		return err_oom(err);
	autoclose int fd = resolve_in_root(s->m.rootfs_fd, path, make, NULL);
	if (fd < 0 && fd != -EROFS)
		return err_num(err, fd, "cannot make the mount point \"%s\"", m->destination);
	return 0;
}

static char *absolute_source(const struct restoring *s, const struct oci_mount *m)
{
	const char *source = m->source ? m->source : "";

	return source[0] == '/' ? strdup(source) : str_format("%s/%s", s->m.bundle, source);
}

static int put_restore_mounts(struct restoring *s, struct err *err)
{
	const struct oci_config *config = &s->m.config;

	for (size_t i = 0; i < config->mounts.n; i++) {
		const struct oci_mount *m = &config->mounts.v[i];
		if (m->type && streq(m->type, "cgroup")) {
			criu_put_v1_mounts(&s->opts, config, &s->m.cgroup, m->destination, true);
			continue;
		}
		int r = make_mount_point(s, m, err);
		if (r < 0)
			return r;
		if (!criu_is_bind(m))
			continue;
		autofree char *source = absolute_source(s, m);
		if (!source)
			return err_oom(err);
		criu_put_mount(&s->opts, s->m.rootfs_fd, m->destination, source);
	}
	if (config->linux.masked_paths.n)
		criu_put_pair(&s->opts, CRIU_EXT_MNT, "/dev/null", "/dev/null");
	for (size_t i = 0; i < config->linux.devices.n; i++)
		criu_put_mount(&s->opts, s->m.rootfs_fd, config->linux.devices.v[i].path,
			       config->linux.devices.v[i].path);
	return 0;
}

static int put_restore(struct restoring *s, const char *root, struct err *err)
{
	const struct checkpoint_options *o = &s->o->criu;
	int r = criu_put_common(&s->opts, o, &s->dirs, &s->m.config, "restore.log", err);

	if (r < 0)
		return r;
	pb_put_int(&s->opts, CRIU_EVASIVE_DEVICES, 1);
	pb_put_int(&s->opts, CRIU_RST_SIBLING, 1);
	pb_put_str(&s->opts, CRIU_ROOT, root);
	pb_put_str(&s->opts, CRIU_LSM_PROFILE, o->lsm_profile && *o->lsm_profile ? o->lsm_profile : NULL);
	pb_put_str(&s->opts, CRIU_LSM_MOUNT_CONTEXT,
		   o->lsm_mount_context && *o->lsm_mount_context ? o->lsm_mount_context : NULL);
	r = put_namespaces(s, err);
	if (r == 0)
		r = put_restore_mounts(s, err);
	if (r == 0)
		r = put_streams(s, err);
	return r;
}

/* ---- what criu asks ---- */

/* "4:memory:/a" and "0::/a" of /proc/PID/cgroup: the groups that the images' are to become. */
static int put_cgroup_roots(struct restoring *s, pid_t criu, struct err *err)
{
	autofree char *text = NULL;
	char path[32];
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", criu); /* fits */
	int r = file_read_at(AT_FDCWD, path, 64 << 10, &text, &len);
	if (r < 0)
		return err_num(err, r, "cannot read %s", path);
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = '\0';
		criu_put_pair(&s->opts, CRIU_CG_ROOT, controllers + 1, group);
	}
	return 0;
}

static int on_ready(void *data, pid_t criu, struct err *err)
{
	struct restoring *s = data;
	const struct oci_resources *resources = &s->m.config.linux.resources;
	struct cgroup *cg = &s->m.cgroup;
	int r;

	if (cg->none)
		return 0;
	r = cgroup_create(cg, resources, &s->m.request, criu, err);
	if (r == 0 && !cg->systemd)
		r = cgroup_attach(cg, NULL, criu, false, err);
	if (r == 0)
		r = cgroup_set_devices(cg, resources, s->m.rt->rootless, err);
	return r < 0 ? r : put_cgroup_roots(s, criu, err);
}

static int on_restored(struct restoring *s, pid_t pid, struct err *err)
{
	struct store_init init = {.pid = pid, .phase = STORE_STARTED};
	struct proc_stat st;
	int r = proc_stat(pid, &st);

	if (r < 0)
		return err_num(err, r, "cannot read the state of the restored process");
	init.start_time = st.start_time;
	s->m.sandbox.pid = pid;
	s->m.sandbox.start_time = st.start_time;
	return store_write_init(s->m.state_dirfd, &init, err);
}

static int on_terminal(struct restoring *s, int fd, struct err *err)
{
	autoclose int master = fd;

	if (master < 0)
		return err_set(err, EBADMSG, "criu sent no terminal");
	if (s->m.console_socket >= 0)
		return tty_send_master(s->m.console_socket, master, err);
	fd_drop(&s->m.master);
	s->m.master = take_fd(&master);
	return 0;
}

static int on_restore_notify(void *data, const char *script, pid_t pid, int fd, struct err *err)
{
	struct restoring *s = data;
	const struct oci_hooks *hooks = &s->m.config.hooks;

	if (streq(script, "orphan-pts-master"))
		return on_terminal(s, fd, err);
	if (fd >= 0)
		(void)close(fd); /* nothing else comes with one that we know */
	if (streq(script, "post-restore"))
		return on_restored(s, pid, err);
	if (!streq(script, "setup-namespaces"))
		return 0;
	s->m.sandbox.pid = pid;
	int r = making_hooks(&s->m, "prestart", &hooks->prestart, "created", false, err);
	if (r == 0)
		r = making_hooks(&s->m, "createRuntime", &hooks->create_runtime, "creating", false, err);
	s->m.sandbox.pid = 0; /* not to be taken for the recorded one before it is */
	return r;
}

/* ---- the verb ---- */

/* The image and work directories are opened anew where criu will see them. */
static int enter_private(struct restoring *s, const char *root, struct err *err)
{
	const char *dirs[CRIU_ROOT_DIRS_MAX] = {s->dirs.image_path, s->dirs.work_path};
	int fds[CRIU_ROOT_DIRS_MAX];
	size_t n = s->dirs.work_path ? 2 : 1;
	int r = criu_root_make(s->m.rootfs, root, dirs, n, &s->mount_ns, fds, err);

	if (r < 0)
		return r;
	fd_drop(&s->dirs.image_fd);
	s->dirs.image_fd = fds[0];
	if (n == 2) {
		fd_drop(&s->dirs.work_fd);
		s->dirs.work_fd = fds[1];
	}
	return 0;
}

static int restore_images(struct restoring *s, struct err *err)
{
	autofree char *root = str_format("%s/%s/criu-root", s->m.rt->root, s->m.o->id);

	if (!root)
		return err_oom(err);
	if (mkdirat(s->m.state_dirfd, "criu-root", 0755) < 0)
		return err_sys(err, "cannot make \"%s\"", root);
	int r = enter_private(s, root, err);
	if (r == 0)
		r = put_restore(s, root, err);
	if (r < 0)
		return r;
	struct criu_call call = {
		.type = CRIU_RESTORE,
		.opts = &s->opts,
		.fds = s->fds,
		.nfds = s->nfds,
		.mount_ns = s->mount_ns,
		.ready = on_ready,
		.notify = on_restore_notify,
		.data = s,
		.log_dir = s->dirs.work_path ? s->dirs.work_path : s->dirs.image_path,
		.log_file = "restore.log",
	};
	making_name(&s->m);
	r = criu_run(&call, err);
	(void)unlinkat(s->m.state_dirfd, "criu-root", AT_REMOVEDIR); /* else it goes with the container */
	if (r == 0 && s->m.sandbox.pid <= 0)
		r = err_set(err, EIO, "criu did not tell the restored process");
	return r < 0 ? r : making_settle(&s->m, err);
}

static void close_restoring(struct restoring *s)
{
	for (size_t i = 0; i < s->nfds; i++)
		fd_drop(&s->fds[i]);
	fd_drop(&s->mount_ns);
	criu_dirs_close(&s->dirs);
	str_free(&s->opts);
	making_close(&s->m);
}

static int restore_and_wait(struct restoring *s, int *ret_status, struct err *err)
{
	int r = making_prepare(&s->m, err);

	if (r == 0)
		r = lacks_feature(s->m.level, ISOLATE_CHECKPOINT, err);
	if (r == 0)
		r = criu_dirs_open(&s->o->criu, false, &s->dirs, err);
	if (r == 0)
		r = making_claim(&s->m, err);
	if (r == 0)
		r = restore_images(s, err);
	if (r < 0 || s->m.detached)
		return r;
	r = foreground_wait(s->m.sandbox.pid, s->m.master, ret_status, err);
	if (r == 0 && !s->m.o->keep)
		making_undo(&s->m);
	return r;
}

int runtime_restore(const struct runtime *rt, const struct restore_options *o, int *ret_status,
		    struct err *err)
{
	__attribute__((cleanup(close_restoring))) struct restoring s = {
		.o = o, .dirs = {.image_fd = -1, .work_fd = -1}, .mount_ns = -1};
	int r;

	making_begin(&s.m, rt, &o->create);
	s.m.detached = o->create.detach;
	if (rt->rootless)
		runtime_warn(rt, "coffer-oci restore is untested with rootless containers");
	r = o->create.detach ? 0 : foreground_begin(!o->create.no_subreaper, err);
	if (r == 0)
		r = restore_and_wait(&s, ret_status, err);
	if (r < 0)
		making_undo(&s.m);
	return r;
}
