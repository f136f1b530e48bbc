/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/start.h"

#include "base/file.h"
#include "base/str.h"
#include "host/caps.h"
#include "host/procattr.h"
#include "sentry/platform/platform.h"

#include <sys/ioctl.h>
#include <sys/stat.h>

static struct creds *make_creds(const struct oci_process *process, struct err *err)
{
	const struct oci_user *user = &process->user;
	struct caps caps;
	struct creds *c;

	if (caps_from_config(&process->caps, &caps, NULL, err) < 0)
		return NULL;
	for (size_t i = 0; i < user->additional_gids.n; i++)
		if (user->additional_gids.v[i] == (gid_t)-1) {
			ignore_result(err_set(err, EINVAL,
					      "cannot set additional group 4294967295: it names none"));
			return NULL;
		}
	c = calloc(1, sizeof(*c));
	if (!c) {
		ignore_result(err_oom(err));
		return NULL;
	}
	c->refs = 1;
	c->uid = c->euid = c->suid = c->fsuid = user->uid;
	c->gid = c->egid = c->sgid = c->fsgid = user->gid;
	c->no_new_privs = process->no_new_privileges;
	if (caps.set) {
		c->cap_bounding = caps.bounding;
		c->cap_permitted = caps.permitted;
		c->cap_inheritable = caps.inheritable;
		c->cap_effective = caps.effective;
		c->cap_ambient = caps.ambient & caps.permitted & caps.inheritable;
	}
	c->ngroups = user->additional_gids.n;
	if (c->ngroups) {
		c->groups = calloc(c->ngroups, sizeof(*c->groups));
		if (!c->groups) {
			free(c);
			ignore_result(err_oom(err));
			return NULL;
		}
		memcpy(c->groups, user->additional_gids.v, c->ngroups * sizeof(*c->groups));
	}
	return c;
}

/* What was handed to us from outside, as descriptors 0, 1, 2 ... of the guest. */
static struct fd_table *make_files(const struct start_request *q, const struct creds *creds, struct err *err)
{
	struct fd_table *files = fd_table_new();

	for (size_t i = 0; i < q->nfds; i++) {
		int code = 0, flags = fcntl(q->fds[i], F_GETFL);
		struct file *f = NULL;

		if (flags >= 0) {
			/* A terminal belongs to who uses it; a pipe or a file of the host's is not ours to
			 * give. */
			if (isatty(q->fds[i]))
				ignore_result(
					fchown(q->fds[i], creds->uid, (gid_t)-1)); /* as far as ids reach */
			f = file_from_host(q->fds[i], flags, &code);
		} else {
			code = errno;
		}
		if (!f) {
			(void)close(q->fds[i]);
			if (!err->code)
				ignore_result(err_num(err, code, "cannot use descriptor %zu", i));
			continue;
		}
		if (files)
			fd_table_put(files, (int)i, f, false);
		else
			file_unref(f);
	}
	if (!files && !err->code)
		ignore_result(err_oom(err));
	if (err->code) {
		fd_table_unref(NULL, files);
		return NULL;
	}
	return files;
}

static struct fs_context *make_fs(const struct oci_process *process, struct err *err)
{
	struct fs_context *fs = fs_new();
	struct place *cwd = NULL;
	int fd;

	if (!fs) {
		ignore_result(err_oom(err));
		return NULL;
	}
	/* The carrier has been there, and what it found was within the root. */
	fd = openat(kernel.root_fd, process->cwd + strspn(process->cwd, "/"),
		    O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && process->cwd[strspn(process->cwd, "/")] == '\0')
		fd = fcntl(kernel.root_fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		(void)err_sys(err, "chdir to cwd (\"%s\") set in config.json failed",
			      process->cwd); /* told below */
	else
		cwd = place_new_host(fd);
	if (!cwd) {
		if (fd >= 0)
			ignore_result(err_oom(err));
		fs_unref(fs);
		return NULL;
	}
	place_unref(fs->cwd);
	fs->cwd = cwd;
	if (process->user.umask.set)
		fs->umask = (mode_t)process->user.umask.v & 0777;
	return fs;
}

static int set_limits(const struct oci_process *process, struct task *t, struct err *err)
{
	for (size_t i = 0; i < process->rlimits.n; i++) {
		int nr = procattr_rlimit_number(process->rlimits.v[i].type);
		struct rlimit limit = {.rlim_cur = process->rlimits.v[i].soft,
				       .rlim_max = process->rlimits.v[i].hard};
		int r = nr < 0 ? -EINVAL : process_limit(t->process, nr, &limit);
		if (r < 0)
			return err_num(err, r, "error setting rlimit type %d", nr);
	}
	return 0;
}

/* The carrier has set the first one's at the sentry, which its stubs stand above. */
static void set_oom_score(const struct oci_process *process, struct process *p)
{
	autofree char *own = NULL;
	size_t len;

	if (process->oom_score_adj.set)
		p->oom_score_adj = (int)process->oom_score_adj.v;
	else if (file_read_at(kernel.proc_fd, "self/oom_score_adj", 16, &own, &len) == 0)
		p->oom_score_adj = (int)strtol(own, NULL, 10);
}

int start_process(const struct start_request *q, struct task **ret, struct err *err)
{
	struct creds *creds = make_creds(q->process, err);
	struct fd_table *files = creds ? make_files(q, creds, err) : NULL;
	struct fs_context *fs = files ? make_fs(q->process, err) : NULL;

	if (!fs) {
		if (files)
			fd_table_unref(NULL, files);
		if (creds)
			creds_unref(creds);
		return -err->code;
	}
	int r = platform_spawn(q->process, files, fs, creds, q->on_exit, q->data, ret, err);
	if (r < 0)
		return r;
	set_oom_score(q->process, (*ret)->process);
	return set_limits(q->process, *ret, err);
}

struct synth_mount *synth_mounts;

static bool within_synthetic(const char *dest)
{
	for (const struct synth_mount *m = synth_mounts; m->dest; m++)
		if (str_starts(dest, m->dest) && dest[strlen(m->dest)] == '/')
			return true;
	return false;
}

static int add_mount(struct synth_mount *m, struct synth_mount *shut, const struct oci_mount *from,
		     int (*root)(struct synth_node *), struct err *err)
{
	struct stat st = {.st_dev = SYNTH_WITHIN_DEV};
	const char *type = root == cgroupfs_root ? "cgroup2" : from->type;

	/* The placeholder, which the carrier mounted; what the image has in its place was resolved there. */
	if (!within_synthetic(from->destination) && stat(from->destination, &st) < 0)
		return err_sys(err, "cannot find the mount point %s", from->destination);
	*m = (struct synth_mount){.fstype = type, .dest = from->destination, .dev = st.st_dev};
	for (size_t i = 0; i < from->options.n; i++)
		m->read_only |= streq(from->options.v[i], "ro");
	int r = root(&m->root);
	if (r < 0)
		return err_num(err, r, "cannot make %s", from->destination);
	*shut = *m;
	shut->read_only = true;
	m->shut = shut;
	return 0;
}

int start_synth_mounts(const struct oci_config *config, struct err *err)
{
	static const struct {
		const char *type;
		int (*root)(struct synth_node *ret);
	} known[] = {
		{"proc", proc_root},	   {"procfs", proc_root},      {"sysfs", sysfs_root},
		{"cgroup", cgroupfs_root}, {"cgroup2", cgroupfs_root},
	};
	struct synth_mount *shut = calloc(config->mounts.n + 1, sizeof(*shut));
	size_t n = 0;

	synth_mounts = calloc(config->mounts.n + 1, sizeof(*synth_mounts));
	if (!synth_mounts || !shut)
		return err_oom(err);
	for (size_t i = 0; i < config->mounts.n; i++) {
		const struct oci_mount *m = &config->mounts.v[i];
		for (size_t k = 0; m->type && k < ARRAY_LEN(known); k++) {
			if (!streq(m->type, known[k].type) ||
			    (!within_synthetic(m->destination) && access(m->destination, F_OK) < 0))
				continue;
			int r = add_mount(&synth_mounts[n], &shut[n], m, known[k].root, err);
			n++;
			if (r < 0)
				return r;
		}
	}
	return 0;
}
