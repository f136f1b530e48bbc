/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `checkpoint`: criu writes the container's processes to image files.
 *
 * What criu cannot know is which mounts come from outside the container.
 * Bind mounts, masked files and devices are declared as external by their
 * place; namespaces that were joined by path by their inode.
 */
#include "runtime/checkpoint.h"

#include "base/file.h"
#include "base/json_write.h"
#include "host/resolve.h"
#include "runtime/container.h"
#include "runtime/destroy.h"
#include "runtime/lacks.h"
#include "runtime/protobuf.h"

#include <sched.h>
#include <sys/stat.h>

const char *criu_ns_key(enum oci_ns ns)
{
	return ns == OCI_NS_NETWORK ? "extRootNetNS" : "extRootPidNS";
}

/* ---- directories ---- */

void criu_dirs_close(struct criu_dirs *d)
{
	free(d->image_path);
	free(d->work_path);
	fd_drop(&d->image_fd);
	fd_drop(&d->work_fd);
}

static int open_image_dir(const char *path, bool make, struct err *err)
{
	if (make) {
		int r = file_mkdir_all(path, 0700);
		if (r < 0)
			return err_num(err, r, "cannot make \"%s\"", path);
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open \"%s\"", path) : fd;
}

/* The previous image of an incremental dump, relative to this one's directory. */
static int check_parent(const struct checkpoint_options *o, const struct criu_dirs *d, struct err *err)
{
	struct stat st;
	char text[64];

	if (!o->parent_path || !*o->parent_path)
		return 0;
	if (o->parent_path[0] == '/')
		return err_set(err, EINVAL, "--parent-path must be relative");
	int code = fstatat(d->image_fd, o->parent_path, &st, 0) < 0 ? errno
		   : S_ISDIR(st.st_mode)			    ? 0
								    : ENOTDIR;
	if (code)
		return err_set(err, code, "invalid --parent-path: stat %s/%s: %s", d->image_path,
			       o->parent_path, err_text_lower(code, text));
	return 0;
}

int criu_dirs_open(const struct checkpoint_options *o, bool make, struct criu_dirs *ret, struct err *err)
{
	struct criu_dirs d autocriudirs = {.image_fd = -1, .work_fd = -1};
	int r;

	d.image_path = strdup(o->image_path && *o->image_path ? o->image_path : "checkpoint");
	if (!d.image_path)
		return err_oom(err);
	d.image_fd = open_image_dir(d.image_path, make, err);
	if (d.image_fd < 0)
		return d.image_fd;
	r = check_parent(o, &d, err);
	if (r < 0)
		return r;
	if (o->work_path && *o->work_path) {
		d.work_path = strdup(o->work_path);
		if (!d.work_path)
			return err_oom(err);
		d.work_fd = open_image_dir(d.work_path, true, err);
		if (d.work_fd < 0)
			return d.work_fd;
	}
	*ret = d;
	d = (struct criu_dirs){.image_fd = -1, .work_fd = -1};
	return 0;
}

/* ---- options ---- */

void criu_put_pair(struct str *opts, enum criu_opt field, const char *first, const char *second)
{
	struct str pair autostr = {0};

	pb_put_str(&pair, 1, first);
	pb_put_str(&pair, 2, second);
	pb_put_bytes(opts, field, pair.s, pair.len);
	opts->failed |= pair.failed;
}

static int put_cgroups_mode(struct str *opts, const char *mode, struct err *err)
{
	static const struct {
		const char *name;
		int value;
	} modes[] = {{"", 6}, {"soft", 3}, {"full", 4}, {"strict", 5}, {"ignore", 0}};

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (!streq(mode ? mode : "", modes[i].name))
			continue;
		pb_put_int(opts, CRIU_MANAGE_CGROUPS, 1);
		pb_put_int(opts, CRIU_MANAGE_CGROUPS_MODE, modes[i].value);
		return 0;
	}
	return err_set(err, EINVAL, "invalid manage-cgroups-mode value");
}

static int check_empty_ns(const str_list *names, struct err *err)
{
	for (size_t i = 0; i < names->n; i++)
		if (!streq(names->v[i], "network"))
			return err_set(err, EINVAL, "namespace \"%s\" is not supported", names->v[i]);
	return 0;
}

/* org.criu.config: a file of the container's own, or none at all where the value is empty. */
static const char *config_file(const struct oci_config *config)
{
	const char *file = oci_annotation(config, "org.criu.config");

	if (!file)
		return "/etc/criu/runc.conf";
	return *file ? file : NULL;
}

int criu_put_common(struct str *opts, const struct checkpoint_options *o, const struct criu_dirs *dirs,
		    const struct oci_config *config, const char *log_file, struct err *err)
{
	int r = check_empty_ns(&o->empty_ns, err);

	if (r == 0)
		r = put_cgroups_mode(opts, o->manage_cgroups_mode, err);
	if (r < 0)
		return r;
	pb_put_int(opts, CRIU_IMAGES_DIR_FD, dirs->image_fd);
	if (dirs->work_fd >= 0)
		pb_put_int(opts, CRIU_WORK_DIR_FD, dirs->work_fd);
	pb_put_int(opts, CRIU_LOG_LEVEL, 4);
	pb_put_str(opts, CRIU_LOG_FILE, log_file);
	pb_put_int(opts, CRIU_NOTIFY_SCRIPTS, 1);
	pb_put_int(opts, CRIU_SHELL_JOB, o->shell_job);
	pb_put_int(opts, CRIU_TCP_ESTABLISHED, o->tcp_established);
	pb_put_int(opts, CRIU_EXT_UNIX_SK, o->ext_unix_sk);
	pb_put_int(opts, CRIU_FILE_LOCKS, o->file_locks);
	pb_put_int(opts, CRIU_AUTO_DEDUP, o->auto_dedup);
	pb_put_int(opts, CRIU_LAZY_PAGES, o->lazy_pages);
	pb_put_int(opts, CRIU_ORPHAN_PTS_MASTER, 1);
	/* Interfaces and addresses are whoever's who set them up. */
	pb_put_int(opts, CRIU_EMPTY_NS, CLONE_NEWNET);
	pb_put_str(opts, CRIU_CONFIG_FILE, config_file(config));
	return 0;
}

/* ADDRESS:PORT */
static int put_page_server(struct str *opts, const char *text, struct err *err)
{
	struct str ps autostr = {0};
	const char *colon = text ? strrchr(text, ':') : NULL;
	uint64_t port;

	if (!text || !*text)
		return 0;
	if (!colon || colon == text || !colon[1])
		return err_set(err, EINVAL, "Use --page-server ADDRESS:PORT to specify page server");
	if (str_to_u64(colon + 1, 10, &port) < 0 || port > UINT16_MAX)
		return err_set(err, EINVAL, "Invalid port number");
	bool brackets = text[0] == '[' && colon[-1] == ']';
	pb_put_bytes(&ps, 1, text + brackets, (size_t)(colon - text) - 2 * brackets);
	pb_put_int(&ps, 2, (int64_t)port);
	pb_put_bytes(opts, CRIU_PAGE_SERVER, ps.s, ps.len);
	opts->failed |= ps.failed;
	return 0;
}

/* ---- what is outside ---- */

void criu_put_mount(struct str *opts, int rootfs, const char *destination, const char *source)
{
	autofree char *real = NULL, *clean = resolve_clean(destination);
	int fd = clean ? resolve_in_root(rootfs, clean, RESOLVE_EXISTING, &real) : -1;

	if (fd >= 0)
		(void)close(fd); /* only the path was wanted */
	const char *path = real ? real : clean ? clean : destination;
	criu_put_pair(opts, CRIU_EXT_MNT, path, source ? source : path);
}

/* Masked directories are file systems of their own; masked files are the host's /dev/null. */
static void put_masks(struct str *opts, const struct oci_config *config, pid_t pid)
{
	char root[32];
	struct stat st;

	(void)snprintf(root, sizeof(root), "/proc/%d/root", pid); /* fits */
	autoclose int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; fd >= 0 && i < config->linux.masked_paths.n; i++) {
		const char *path = config->linux.masked_paths.v[i];
		autoclose int target = resolve_in_root(fd, path, RESOLVE_EXISTING, NULL);
		if (target < 0 || fstat(target, &st) < 0 || S_ISDIR(st.st_mode))
			continue;
		criu_put_pair(opts, CRIU_EXT_MNT, path, "/dev/null");
	}
}

void criu_put_v1_mounts(struct str *opts, const struct oci_config *config, const struct cgroup *cg,
			const char *destination, bool restore)
{
	if (config->linux.ns[OCI_NS_CGROUP].wanted || cg->none || cg->v2)
		return;
	for (int i = 0; i < CG_V1_COUNT; i++) {
		const char *name = i == CG_NAMED_SYSTEMD ? "systemd" : cgroup_v1_name((enum cgroup_v1)i);
		autofree char *path = cg->v1_dir[i] ? str_format("%s/%s", destination, name) : NULL;
		if (path)
			criu_put_pair(opts, CRIU_EXT_MNT, path, restore ? cg->v1_dir[i] : path);
	}
}

bool criu_is_bind(const struct oci_mount *m)
{
	for (size_t i = 0; i < m->options.n; i++)
		if (streq(m->options.v[i], "bind") || streq(m->options.v[i], "rbind"))
			return true;
	return m->type && streq(m->type, "bind");
}

static int put_dump_mounts(struct str *opts, const struct container *c, struct err *err)
{
	const struct oci_config *config = &c->config;

	autoclose int rootfs = open(c->record.rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfs < 0)
		return err_sys(err, "cannot open the root file system \"%s\"", c->record.rootfs);
	for (size_t i = 0; i < config->mounts.n; i++) {
		const struct oci_mount *m = &config->mounts.v[i];
		if (criu_is_bind(m))
			criu_put_mount(opts, rootfs, m->destination, NULL);
		else if (m->type && streq(m->type, "cgroup"))
			criu_put_v1_mounts(opts, config, &c->cgroup, m->destination, false);
	}
	put_masks(opts, config, c->init.pid);
	for (size_t i = 0; i < config->linux.devices.n; i++)
		criu_put_mount(opts, rootfs, config->linux.devices.v[i].path, NULL);
	return 0;
}

static int put_namespace(struct str *opts, const struct oci_config *config, enum oci_ns ns, struct err *err)
{
	const char *path = config->linux.ns[ns].path;
	struct stat st;

	if (!path)
		return 0;
	if (stat(path, &st) < 0)
		return err_sys(err, "cannot look at the namespace \"%s\"", path);
	autofree char *text =
		str_format("%s[%llu]:%s", oci_ns_file(ns), (unsigned long long)st.st_ino, criu_ns_key(ns));
	if (!text)
		return err_oom(err);
	pb_put_str(opts, CRIU_EXTERNAL, text);
	return 0;
}

/* What descriptors 0 to 2 are: those that are pipes can be given anew at restore. */
static int write_descriptors(const struct container *c, int image_fd, struct err *err)
{
	struct json_out out autojsonout = {0};
	char path[48], target[PATH_MAX];

	json_begin_list(&out, NULL);
	for (int fd = 0; fd < 3; fd++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->init.pid, fd); /* fits */
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		json_put_str(&out, NULL, target);
	}
	json_end(&out);
	autofree char *text = json_take(&out);
	if (!text)
		return err_oom(err);
	int r = file_replace_at(image_fd, "descriptors.json", text, strlen(text), 0600, false);
	return r < 0 ? err_num(err, r, "cannot write descriptors.json") : 0;
}

/* ---- the dump ---- */

static int put_dump(struct str *opts, const struct container *c, const struct checkpoint_options *o,
		    const struct criu_dirs *dirs, struct err *err)
{
	const char *freezer = c->cgroup.v2 ? c->cgroup.v2_dir : c->cgroup.v1_dir[CG_FREEZER];
	int r = criu_put_common(opts, o, dirs, &c->config, "dump.log", err);

	if (r == 0)
		r = put_page_server(opts, o->page_server, err);
	if (r == 0)
		r = put_namespace(opts, &c->config, OCI_NS_NETWORK, err);
	if (r == 0)
		r = put_namespace(opts, &c->config, OCI_NS_PID, err);
	if (r < 0)
		return r;
	pb_put_int(opts, CRIU_PID, c->init.pid);
	pb_put_str(opts, CRIU_ROOT, c->record.rootfs);
	pb_put_int(opts, CRIU_LEAVE_RUNNING, o->leave_running);
	pb_put_int(opts, CRIU_TCP_SKIP_IN_FLIGHT, o->tcp_skip_in_flight);
	pb_put_int(opts, CRIU_LINK_REMAP, o->link_remap);
	pb_put_str(opts, CRIU_FREEZE_CGROUP, freezer);
	if (o->parent_path && *o->parent_path) {
		pb_put_str(opts, CRIU_PARENT_IMG, o->parent_path);
		pb_put_int(opts, CRIU_TRACK_MEM, 1);
	}
	if (o->pre_dump)
		return 0;
	r = put_dump_mounts(opts, c, err);
	return r < 0 ? r : write_descriptors(c, dirs->image_fd, err);
}

/* Field numbers of CriuFeatures. */
enum { FEATURE_MEM_TRACK = 1, FEATURE_LAZY_PAGES = 2 };

static int check_feature(unsigned field, const char *name, struct err *err)
{
	struct str features autostr = {0};
	struct criu_call call = {.type = CRIU_FEATURE_CHECK, .features = &features, .mount_ns = -1};

	pb_put_int(&features, field, 1);
	int r = criu_run(&call, err);
	if (r < 0)
		return err_prefix(err, "CRIU feature check failed");
	return call.ret_features & 1U << field
		       ? 0
		       : err_set(err, ENOTSUP, "criu is missing features: [%s]", name);
}

static int check_status_fd(int fd, struct err *err)
{
	if (fd < 0)
		return 0;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return err_sys(err, "invalid --status-fd argument %d", fd);
	if ((flags & O_ACCMODE) == O_RDONLY)
		return err_set(err, EBADF, "invalid --status-fd argument %d: not writable", fd);
	return 0;
}

static int on_dump_notify(void *data, const char *script, pid_t pid unused, int fd, struct err *err unused)
{
	int *status_fd = data;

	if (fd >= 0)
		(void)close(fd); /* a dump has no use for one */
	if (streq(script, "status-ready") && *status_fd >= 0) {
		/* Whoever waits for the byte sees the end instead where it cannot be written. */
		ignore_result(write(*status_fd, "", 1) < 0);
		(void)close(*status_fd);
		*status_fd = -1;
	}
	return 0;
}

static int dump(const struct container *c, const struct checkpoint_options *o, struct err *err)
{
	struct criu_dirs dirs autocriudirs = {.image_fd = -1, .work_fd = -1};
	struct str opts autostr = {0};
	int status_fd = o->lazy_pages ? o->status_fd : -1;
	int r = criu_dirs_open(o, true, &dirs, err);

	if (r == 0 && o->pre_dump)
		r = check_feature(FEATURE_MEM_TRACK, "MemTrack", err);
	if (r == 0 && o->lazy_pages)
		r = check_feature(FEATURE_LAZY_PAGES, "LazyPages", err);
	if (r == 0)
		r = check_status_fd(status_fd, err);
	if (r == 0)
		r = put_dump(&opts, c, o, &dirs, err);
	if (r < 0)
		return r;
	struct criu_call call = {
		.type = o->pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP,
		.opts = &opts,
		.mount_ns = -1,
		.notify = on_dump_notify,
		.data = &status_fd,
		.log_dir = dirs.work_path ? dirs.work_path : dirs.image_path,
		.log_file = "dump.log",
	};
	return criu_run(&call, err);
}

int runtime_checkpoint(const struct runtime *rt, const struct checkpoint_options *o, struct err *err)
{
	autocontainer struct container c;
	int r;

	if (rt->rootless)
		runtime_warn(rt, "coffer-oci checkpoint is untested with rootless containers");
	r = container_load(rt, o->id, CONTAINER_CONFIG | CONTAINER_LOCK, &c, err);
	if (r == 0)
		r = lacks_feature(c.level, ISOLATE_CHECKPOINT, err);
	if (r == 0)
		r = container_may(&c, LIFE_CHECKPOINT, NULL, err);
	if (r == 0)
		r = dump(&c, o, err);
	if (r < 0 || o->leave_running || o->pre_dump)
		return r;
	/* What is left of it after a dump that ended it. */
	struct err left = {0};
	if (destroy_container(&c, &left) < 0)
		runtime_warn(rt, "%s", left.msg);
	return 0;
}
