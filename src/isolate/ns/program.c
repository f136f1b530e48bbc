/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a process inside the container's namespaces to the user's program.
 *
 * The order is that of privileges: the limits that need the host's rights are
 * the parent's (ns_program_limit); labels, the bounding set and no_new_privs
 * come while we are still root of the container; then the change of user;
 * what the filter could forbid comes before the filter.  After the filter
 * there is nothing but execve, and sendmsg and recvmsg where the filter has a
 * listener, and what startContainer hooks need where there are any: they are
 * the container's, and run under its filter as with runc.
 */
#include "isolate/ns/ns.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/creds.h"
#include "host/lsm.h"
#include "host/procattr.h"
#include "host/procfs.h"
#include "host/userns.h"
#include "isolate/ns/env.h"
#include "isolate/ns/sync.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static void warn(const struct sandbox *s, const char *fmt, ...) printf_like(2, 3);

static void warn(const struct sandbox *s, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	if (s->warn && vsnprintf(text, sizeof(text), fmt, ap) >= 0)
		s->warn(s->warn_data, text);
	va_end(ap);
}

static int prepare_caps(const struct sandbox *s, struct ns_program *p, struct err *err)
{
	autofree char *ignored = NULL;
	int r = caps_from_config(&p->process->caps, &p->caps, &ignored, err);

	if (r < 0)
		return r;
	if (ignored)
		warn(s, "ignoring unknown or unavailable capabilities: [%s]", ignored);
	/* Without a capabilities object a program has none: as runc. */
	if (!p->caps.set) {
		p->caps = (struct caps){.set = true, .all = p->caps.all};
		if (!p->caps.all)
			p->caps.all = (CAP_BIT(caps_last_cap()) << 1) - 1;
	}
	uint64_t vain = p->caps.ambient & ~(p->caps.permitted & p->caps.inheritable);
	for (unsigned nr = 0; vain >> nr; nr++)
		if (vain & CAP_BIT(nr))
			warn(s, "can't raise ambient capability %s: operation not permitted", cap_name(nr));
	return 0;
}

static int prepare_labels(const struct sandbox *s, struct ns_program *p, struct err *err)
{
	const char *profile = p->process->apparmor_profile;

	/* The same image and config run on machines with and without it, as with crun. */
	if (profile && !lsm_apparmor_enabled()) {
		warn(s, "the AppArmor profile \"%s\" is not applied: this kernel runs without AppArmor",
		     profile);
		profile = NULL;
	}
	p->apparmor = profile;
	return lsm_check(p->process->selinux_label, err);
}

int ns_program_prepare(const struct sandbox *s, const struct oci_process *process, struct ns_program *ret,
		       struct err *err)
{
	const struct oci_config *config = s->config;
	const char *landlock = oci_annotation(config, "dev.coffer.landlock");
	int r;

	ret->process = process;
	ret->own_user_ns = config->linux.ns[OCI_NS_USER].wanted;
	ret->uid_mappings = &config->linux.uid_mappings;
	r = procattr_check(process, &config->linux, err);
	if (r < 0)
		return r;
	r = prepare_labels(s, ret, err);
	if (r < 0)
		return r;
	r = prepare_caps(s, ret, err);
	if (r < 0)
		return r;
	if (landlock) {
		r = landlock_parse(landlock, &ret->landlock, err);
		if (r == 0)
			r = landlock_check(&ret->landlock, landlock_abi(), err);
		if (r < 0)
			return r;
	}
	return seccomp_prepare(config->linux.seccomp, process->no_new_privileges, s->cache_dirfd,
			       &ret->seccomp, err);
}

void ns_program_free(struct ns_program *p)
{
	seccomp_filter_free(&p->seccomp);
	landlock_rules_free(&p->landlock);
	free(p->path);
	free(p->argv);
	env_free(p->envp);
	p->path = NULL;
	p->argv = NULL;
	p->envp = NULL;
}

/*
 * A process in a user namespace cannot give itself the standard streams, which
 * belong to ids that do not exist there; so the parent does.
 */
static int own_stdio(const struct ns_program *p, const idmap_list *uids, struct err *err)
{
	uint32_t uid;

	if (!uids->n || p->rootless || userns_host_id(uids, p->process->user.uid, &uid) < 0)
		return 0;
	return creds_own_stdio(uid, err);
}

int ns_program_limit(const struct ns_program *p, pid_t pid, bool rlimits, struct err *err)
{
	const struct oci_process *process = p->process;
	int r = own_stdio(p, p->uid_mappings, err);

	if (r == 0 && rlimits)
		r = procattr_rlimits(process, pid, err);
	if (r < 0 || !process->oom_score_adj.set)
		return r;
	r = procattr_oom_score_adj(p->procfs, pid, process->oom_score_adj.v, err);
	/* An unprivileged caller cannot lower the score; runc lets it be as well. */
	return p->rootless && (r == -EACCES || r == -EPERM) ? 0 : r;
}

bool ns_program_is_free(const struct oci_process *process, const struct isolate_stdio *io)
{
	return process && process->rlimits.n == 0 && !process->terminal && io->pidfd_socket < 0;
}

int ns_program_session(const char *id, bool keyring, struct err *err)
{
	if (setsid() < 0)
		return err_sys(err, "cannot make a new session");
	if (!keyring)
		return 0;
	autofree char *name = str_format("_ses.%s", id);
	if (!name)
		return err_oom(err);
	/* Without it the container shares the caller's keys. ENOSYS: a kernel without keyrings. */
	if (sys_keyctl_join(name) < 0 && errno != ENOSYS)
		return err_sys(
			err,
			"cannot join a session keyring of the container (--no-new-keyring goes without)");
	return 0;
}

void ns_program_all_cpus(void)
{
	unsigned long all[PROCATTR_CPU_MAX / (8 * sizeof(unsigned long))];

	memset(all, 0xff, sizeof(all));
	(void)syscall(SYS_sched_setaffinity, 0, sizeof(all),
		      all); /* best effort: the mask that was is not wrong */
}

int ns_program_schedule(const struct oci_linux *linux, const struct oci_process *process, struct err *err)
{
	int r = procattr_personality(linux->personality, err);

	if (r == 0)
		r = procattr_memory_policy(linux->memory_policy, err);
	if (r == 0 && process)
		r = procattr_scheduler(process->scheduler, err);
	/* A deadline needs all CPUs of the root domain: the kernel says no to a narrower cpuset. */
	if (r == -EPERM && linux->resources.cpu.cpus)
		return err_set(err, EPERM, "process scheduler can't be used together with AllowedCPUs");
	if (r == 0 && process)
		r = procattr_io_priority(process->io_priority, err);
	return r;
}

/* As runc: it is there for the program, whatever the image has. We are inside the root: the path cannot lead
 * out. */
int ns_program_make_cwd(const struct ns_program *p, struct err *err)
{
	const char *cwd = p->process ? p->process->cwd : NULL;
	int r = cwd ? file_mkdir_all(cwd, 0755) : 0;

	if (r < 0 && r != -EROFS && r != -EACCES && r != -EPERM)
		return err_num(err, r, "cannot make the working directory \"%s\"", cwd);
	return 0;
}

/* CVE-2024-21626: a cwd like /proc/self/fd/7 would lead out of the root; the kernel tells. */
static int check_cwd(struct err *err)
{
	char path[PATH_MAX];

	/* glibc's getcwd() would walk the tree upwards and invent an answer. */
	if (syscall(SYS_getcwd, path, sizeof(path)) < 0)
		return err_sys(err, "cannot read the current working directory");
	if (path[0] != '/')
		return err_set(err, ENOENT,
			       "current working directory is outside of container mount namespace root -- "
			       "possible container breakout detected");
	return 0;
}

static int enter_cwd(const struct ns_program *p, bool last, struct err *err)
{
	const char *cwd = p->process->cwd;

	if (chdir(cwd) == 0)
		return check_cwd(err);
	/* Root of the container may lack the right that the user has, or the reverse: try as both. */
	if (!last && errno == EACCES)
		return 1;
	int code = errno;
	char text[64];
	return err_set(err, code, "chdir to cwd (\"%s\") set in config.json failed: %s", cwd,
		       err_text_lower(code, text));
}

static int change_identity(struct ns_program *p, struct err *err)
{
	const struct oci_user *user = &p->process->user;
	struct creds creds = {
		.uid = user->uid,
		.gid = user->gid,
		.groups = user->additional_gids.v,
		.ngroups = user->additional_gids.n,
		.set_groups = true,
		.keep_caps = true,
		/* Whatever the caller of the runtime has for its own files. */
		.umask = {.v = user->umask.set ? user->umask.v : 022, .set = true},
	};
	/* The filter needs CAP_SYS_ADMIN or no_new_privs; execve takes the extra one away again. */
	bool filters = p->seccomp.prog || p->landlock.set;
	uint64_t extra = filters && !p->process->no_new_privileges ? CAP_BIT(CAP_NR_SYS_ADMIN) : 0;
	int r;

	if (p->own_user_ns) {
		int allowed = creds_setgroups_allowed(p->procfs, err);
		if (allowed < 0)
			return allowed;
		creds.set_groups = allowed && !p->rootless;
	}
	r = creds_own_stdio(user->uid, err);
	if (r < 0)
		return r;
	r = caps_drop_bounding(&p->caps, err);
	if (r < 0)
		return r;
	r = creds_apply(&creds, err);
	if (r < 0)
		return r;
	r = caps_apply(&p->caps, extra, err);
	if (r < 0)
		return r;
	return caps_set_ambient(&p->caps, NULL, err);
}

static int set_labels(const struct ns_program *p, struct err *err)
{
	int r = lsm_apparmor_on_exec(p->procfs, p->apparmor, err);

	return r < 0 ? r : lsm_selinux_on_exec(p->procfs, p->process->selinux_label, err);
}

static int by_descriptor(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int ns_program_drop_fds(const struct ns_program *p, int keep1, int keep2, struct err *err)
{
	const struct isolate_supervisor *s = p->supervisor;
	int keep[4 + ISOLATE_SUPERVISOR_FDS] = {p->procfs, keep1, keep2};
	size_t n = 3;

	if (s) {
		keep[n++] = s->exe;
		memcpy(keep + n, s->fds, s->nfds * sizeof(*keep));
		n += s->nfds;
	}
	qsort(keep, n, sizeof(keep[0]), by_descriptor);
	int r = fd_close_from(3 + (unsigned)(p->listen_fds + p->preserve_fds), keep, n, false);
	return r < 0 ? err_num(err, r, "cannot close the host's descriptors") : 0;
}

int ns_program_settle(struct ns_program *p, struct err *err)
{
	const struct oci_process *process = p->process;
	int r;

	r = set_labels(p, err);
	if (r < 0)
		return r;
	if (process->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "cannot set no_new_privs");
	int again = enter_cwd(p, false, err);
	if (again < 0)
		return again;
	/* Above the host's hard limits only the host's privileges go: the parent tries again. */
	bool too_much = procattr_rlimits(process, 0, err) < 0;
	r = change_identity(p, err);
	if (r < 0)
		return r;
	if (again) {
		r = enter_cwd(p, true, err);
		if (r < 0)
			return r;
	}
	r = env_build(p->supervisor ? p->supervisor->user : process, p->listen_fds, &p->envp, err);
	if (r < 0)
		return r;
	p->argv = calloc(process->args.n + 1, sizeof(*p->argv));
	if (!p->argv)
		return err_oom(err);
	memcpy(p->argv, process->args.v, process->args.n * sizeof(*p->argv));
	if (p->supervisor && p->supervisor->hides_program)
		return too_much;
	r = env_find_program(process->args.v[0], p->envp, &p->path, err);
	return r < 0 ? r : too_much;
}

/* A program begins with no signal blocked or ignored, whatever the runtime and its caller did with theirs. */
static int reset_signals(struct err *err)
{
	struct sigaction is, usual = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sigaction(sig, NULL, &is) == 0 && is.sa_handler == SIG_IGN &&
		    sigaction(sig, &usual, NULL) < 0)
			return err_sys(err, "cannot reset signal %d", sig);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? err_sys(err, "cannot unblock signals") : 0;
}

/* The listener goes to who started us, who knows the agent; its GO says that the agent has it. */
static int hand_out_listener(int starter, int listener, struct err *err)
{
	int r = ns_send(starter, NS_MSG_NOTIFY, 0, listener, err);

	return r < 0 ? r : ns_expect(starter, NS_MSG_GO, err);
}

static int run_start_hooks(const struct ns_program *p, struct err *err)
{
	const struct isolate_events *events = p->start_hooks;

	if (!events || !events->start_container_inside)
		return 0;
	/* They have the environment of the program that follows, and that is all we need it for now. */
	environ = p->envp;
	return events->start_container_inside(events->data, getpid(), err);
}

/* What it keeps was close-on-exec like all that we open. */
static int exec_supervisor(const struct ns_program *p, struct err *err)
{
	const struct isolate_supervisor *s = p->supervisor;
	size_t own = 0, theirs = p->process->args.n;

	while (s->argv[own])
		own++;
	autofree const char **argv = calloc(own + theirs + 1, sizeof(*argv));
	if (!argv)
		return err_oom(err);
	memcpy(argv, s->argv, own * sizeof(*argv));
	memcpy(argv + own, p->process->args.v, theirs * sizeof(*argv));
	for (size_t i = 0; i < s->nfds; i++)
		if (fd_set_cloexec(s->fds[i], false) < 0)
			return err_sys(err, "cannot hand on descriptor %d", s->fds[i]);
	(void)syscall(SYS_execveat, s->exe, "", argv, p->envp, AT_EMPTY_PATH); /* returns on failure only */
	return err_sys(err, "cannot execute %s", s->argv[0]);
}

int ns_program_exec(struct ns_program *p, int starter, struct err *err)
{
	autoclose int root = -1, listener = -1;
	int r;

	if (p->landlock.set) {
		root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return err_sys(err, "cannot open the root directory");
		r = landlock_apply(&p->landlock, root, err);
		if (r < 0)
			return r;
	}
	/* Nothing of the host's goes along but what was asked for (CVE-2024-21626). */
	r = fd_close_from(3 + (unsigned)(p->listen_fds + p->preserve_fds), NULL, 0, true);
	if (r < 0)
		return err_num(err, r, "cannot mark descriptors close-on-exec");
	r = reset_signals(err);
	if (r < 0)
		return r;
	r = seccomp_install(&p->seccomp, &listener, err);
	if (r < 0)
		return r;
	if (listener >= 0) {
		r = hand_out_listener(starter, listener, err);
		if (r < 0)
			return r;
	}
	r = run_start_hooks(p, err);
	if (r < 0)
		return r;
	if (p->supervisor)
		return exec_supervisor(p, err);
	execve(p->path, p->argv, p->envp);
	int code = errno;
	char text[64];
	err->exit_status = code == ENOENT ? 127 : 126;
	return err_set(err, code, "exec %s: %s", p->path, err_text_lower(code, text));
}
