/* SPDX-License-Identifier: Apache-2.0 */
/* `exec`: a further process in a container that exists. */
#include "runtime/runtime.h"

#include "base/file.h"
#include "base/str.h"
#include "runtime/container.h"
#include "runtime/foreground.h"
#include "runtime/lacks.h"
#include "runtime/making.h"

#include <signal.h>

enum { PROCESS_MAX = 16 << 20 }; /* bytes of a process.json */

/* The process to be, and the arrays that options made longer. */
struct program {
	struct oci_process process;
	struct oci_document *document; /* of --process */
	const char **args, **env;
	const char **bounding, **effective, **permitted, **ambient;
	uint32_t *groups;
};
#define autoprogram __attribute__((cleanup(program_free)))

static void program_free(struct program *p)
{
	oci_document_free(p->document);
	free(p->args);
	free(p->env);
	free(p->bounding);
	free(p->effective);
	free(p->permitted);
	free(p->ambient);
	free(p->groups);
}

static int load_process(const char *path, struct program *p, struct err *err)
{
	autofree char *text = NULL;
	char why[64];
	size_t len;
	int r = file_read_named(path, PROCESS_MAX, &text, &len);

	if (r < 0)
		return err_set(err, -r, "open %s: %s", path, err_text_lower(r, why));
	return oci_process_parse(text, len, path, &p->process, &p->document, err);
}

/* *list = *list + more, in a fresh array that *ret_owner keeps. */
static int extend(str_list *list, const char *const *more, size_t n, const char ***ret_owner, struct err *err)
{
	if (n == 0)
		return 0;
	const char **v = calloc(list->n + n, sizeof(*v));
	if (!v)
		return err_oom(err);
	if (list->n)
		memcpy(v, list->v, list->n * sizeof(*v));
	memcpy(v + list->n, more, n * sizeof(*v));
	*ret_owner = v;
	*list = (str_list){.v = v, .n = list->n + n};
	return 0;
}

static int add_caps(struct program *p, const str_list *caps, struct err *err)
{
	struct oci_capabilities *c = &p->process.caps;
	int r;

	if (caps->n == 0)
		return 0;
	c->set = true;
	r = extend(&c->bounding, caps->v, caps->n, &p->bounding, err);
	if (r == 0)
		r = extend(&c->effective, caps->v, caps->n, &p->effective, err);
	if (r == 0)
		r = extend(&c->permitted, caps->v, caps->n, &p->permitted, err);
	/* Ambient capabilities must be inheritable, and those are not ours to add. */
	if (r == 0 && c->inheritable.n)
		r = extend(&c->ambient, caps->v, caps->n, &p->ambient, err);
	return r;
}

static int parse_id(const char *what, const char *text, size_t len, uint32_t *ret, struct err *err)
{
	char number[16];
	uint64_t v;

	if (len < sizeof(number)) {
		memcpy(number, text, len);
		number[len] = '\0';
		if (str_to_u64(number, 10, &v) == 0 && v < UINT32_MAX) {
			*ret = (uint32_t)v;
			return 0;
		}
	}
	return err_set(err, EINVAL, "bad %s: \"%.*s\" is not a number from 0 to %u", what,
		       (int)MIN_OF(len, 64U), text, UINT32_MAX - 1);
}

/* UID or UID:GID */
static int set_user(struct oci_user *user, const char *text, struct err *err)
{
	size_t len = strcspn(text, ":");
	int r = 0;

	if (text[len] == ':')
		r = parse_id("gid", text + len + 1, strlen(text + len + 1), &user->gid, err);
	if (r == 0)
		r = parse_id("uid", text, len, &user->uid, err);
	return r;
}

static int add_groups(struct program *p, const str_list *gids, struct err *err)
{
	u32_list *list = &p->process.user.additional_gids;

	if (gids->n == 0)
		return 0;
	p->groups = calloc(list->n + gids->n, sizeof(*p->groups));
	if (!p->groups)
		return err_oom(err);
	if (list->n)
		memcpy(p->groups, list->v, list->n * sizeof(*p->groups));
	for (size_t i = 0; i < gids->n; i++) {
		const char *text = gids->v[i];
		int r = parse_id("additional gid", text, strlen(text), &p->groups[list->n + i], err);
		if (r < 0)
			return r;
	}
	*list = (u32_list){.v = p->groups, .n = list->n + gids->n};
	return 0;
}

/* The container's own process, changed by the options. */
static int derive_process(const struct container *c, const struct exec_options *o, struct program *p,
			  struct err *err)
{
	struct oci_process *process = &p->process;
	size_t n = 0;
	int r;

	while (o->argv[n])
		n++;
	if (n == 0)
		return err_set(err, EINVAL, "exec args cannot be empty");
	if (!c->config.process)
		return err_set(err, EINVAL, "process property must not be empty");
	*process = *c->config.process;
	process->args = (str_list){0};
	r = extend(&process->args, (const char *const *)o->argv, n, &p->args, err);
	if (r == 0)
		r = extend(&process->env, o->env.v, o->env.n, &p->env, err);
	if (r == 0)
		r = add_caps(p, &o->caps, err);
	if (r == 0 && o->user && *o->user)
		r = set_user(&process->user, o->user, err);
	if (r == 0)
		r = add_groups(p, &o->additional_gids, err);
	if (r < 0)
		return r;
	if (o->cwd && *o->cwd)
		process->cwd = o->cwd;
	if (o->apparmor && *o->apparmor)
		process->apparmor_profile = o->apparmor;
	if (o->process_label && *o->process_label)
		process->selinux_label = o->process_label;
	if (o->no_new_privs.set)
		process->no_new_privileges = o->no_new_privs.v;
	process->terminal = o->tty;
	return 0;
}

static int make_process(const struct container *c, const struct exec_options *o, struct program *p,
			struct err *err)
{
	int r;

	if (o->process && *o->process) {
		r = load_process(o->process, p, err);
		if (r < 0)
			return r;
		p->process.terminal = p->process.terminal || o->tty;
	} else {
		r = derive_process(c, o, p, err);
		if (r < 0)
			return r;
	}
	if (!p->process.cwd || p->process.cwd[0] != '/')
		return err_set(err, EINVAL, "Cwd must be an absolute path");
	if (p->process.args.n == 0)
		return err_set(err, EINVAL, "args must not be empty");
	if (c->rt->rootless && p->process.user.additional_gids.n > 0)
		return err_set(err, EPERM, "cannot set any additional groups in a rootless container");
	return 0;
}

static bool names_twice(const char *seen, const char *name, size_t len)
{
	for (const char *s = seen; s && *s; s += strcspn(s, ","), s += *s == ',')
		if (strcspn(s, ",") == len && memcmp(s, name, len) == 0)
			return true;
	return false;
}

/* [CONTROLLER[,CONTROLLER]:]PATH, one a line, as the cgroup functions take it.  NULL where none is given. */
static int join_cgroups(const str_list *cgroups, char **ret, struct err *err)
{
	struct str text autostr = {0}, seen autostr = {0};

	for (size_t i = 0; i < cgroups->n; i++) {
		const char *arg = cgroups->v[i], *colon = strchr(arg, ':');
		if (!colon && cgroups->n != 1)
			return err_set(err, EINVAL,
				       "invalid --cgroup argument: %s (missing <controller>: prefix)", arg);
		if (strchr(arg, '\n'))
			return err_set(err, EINVAL, "invalid --cgroup argument: it has a line break");
		for (const char *p = arg; colon && p <= colon;) {
			size_t len = strcspn(p, ",:");
			if (len == 0)
				return err_set(err, EINVAL,
					       "invalid --cgroup argument: %s (empty <controller> prefix)",
					       arg);
			if (names_twice(seen.s, p, len))
				return err_set(err, EINVAL,
					       "invalid --cgroup argument(s): controller %.*s specified "
					       "multiple times",
					       (int)len, p);
			str_putf(&seen, "%s%.*s", seen.len ? "," : "", (int)len, p);
			p += len + 1;
		}
		str_putf(&text, "%s%s", i ? "\n" : "", arg);
	}
	if (text.failed || seen.failed)
		return err_oom(err);
	*ret = text.s ? str_take(&text) : NULL;
	return 0;
}

static int on_exec_spawned(void *data, pid_t pid, struct err *err)
{
	const struct exec_options *o = data;

	if (o->ret_pid)
		*o->ret_pid = pid;
	return write_pid_file(o->pid_file, pid, err);
}

/* Starts the process; then either leaves it alone or is its parent to the end. */
static int run_program(struct container *c, const struct exec_options *o, struct program *p, int *ret_status,
		       struct err *err)
{
	autoclose int console = -1, pidfd_socket = -1, master = -1, cache = -1;
	autofree char *sub_cgroup = NULL;
	pid_t pid;
	int r;

	r = join_cgroups(&o->cgroups, &sub_cgroup, err);
	if (r == 0)
		r = connect_socket(o->console_socket, &console, err);
	if (r == 0)
		r = connect_socket(o->pidfd_socket, &pidfd_socket, err);
	if (r == 0 && !o->detach)
		r = foreground_begin(false, err);
	if (r < 0)
		return r;
	if (!o->detach && p->process.terminal)
		foreground_size(&p->process.console_height, &p->process.console_width);
	if (c->config.linux.seccomp)
		cache = container_cache_dir(c->rt);
	struct isolate_exec x = {
		.sandbox = c->sandbox,
		.process = &p->process,
		.seccomp = c->config.linux.seccomp,
		.stdio = {.console_socket = console,
			  .ret_master = o->detach ? NULL : &master,
			  .preserve_fds = o->preserve_fds,
			  .notify_socket = -1,
			  .pidfd_socket = pidfd_socket},
		.sub_cgroup = sub_cgroup,
		.rootless = c->rt->rootless,
		.beside = o->machine,
		.spawned = on_exec_spawned,
		.data = (void *)(uintptr_t)o,
	};
	x.sandbox.cache_dirfd = cache;
	r = c->level->exec(&x, &pid, err);
	if (r < 0)
		return err_prefix(err, "unable to start container process");
	if (o->detach)
		return 0;
	if (o->waiting)
		o->waiting(o->data);
	r = foreground_wait_or_leave(pid, master, o->leave, ret_status, err);
	if (r < 0)
		(void)kill(pid, SIGKILL); /* our child, not reaped; nobody would hear of its end */
	return r;
}

int runtime_exec(const struct runtime *rt, const struct exec_options *o, int *ret_status, struct err *err)
{
	autocontainer struct container c;
	autoprogram struct program p = {0};
	int r;

	r = container_load(rt, o->id, CONTAINER_CONFIG, &c, err);
	if (r == 0)
		r = lacks_feature(c.level, o->machine ? ISOLATE_MACHINE : ISOLATE_EXEC, err);
	if (r == 0)
		r = check_preserve_fds(0, o->preserve_fds, err);
	if (r == 0)
		r = container_may(&c, o->ignore_paused ? LIFE_EXEC_PAUSED : LIFE_EXEC, NULL, err);
	if (r == 0)
		r = make_process(&c, o, &p, err);
	if (r == 0)
		r = check_terminal(p.process.terminal, o->detach, o->console_socket, err);
	return r < 0 ? r : run_program(&c, o, &p, ret_status, err);
}
