/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `exec`: a further process of a running container, of this very program:
 * no monitor, no other program is started.
 */
#include "engine/rootless.h"

#include "base/proc.h"
#include "engine/caps.h"
#include "engine/spec.h"
#include "host/tty.h"
#include "monitor/detach.h"
#include "runtime/foreground.h"

#include <dirent.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* Of a command, in its events: with every byte escaped, a line still has room for labels. */
enum { EXEC_TOLD_BYTES = 384 };

static int no_input(struct err *err)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "cannot open /dev/null");
	int r = dup2(fd, 0) < 0 ? err_sys(err, "cannot replace standard input") : 0;
	if (fd > 0)
		(void)close(fd); /* its copy is what counts */
	return r;
}

static int detach_stdio(struct err *err)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "cannot open /dev/null");
	int r = 0;
	for (int i = 0; r == 0 && i < 3; i++)
		r = dup2(fd, i) < 0 ? err_sys(err, "cannot replace the standard descriptors") : 0;
	if (fd > 2)
		(void)close(fd); /* its copies are what counts */
	return r;
}

static void put_texts(struct json_out *out, const char *key, const str_list *l)
{
	json_begin_list(out, key);
	for (size_t i = 0; i < l->n; i++)
		json_put_str(out, NULL, l->v[i]);
	json_end(out);
}

static bool set_later(const str_list *env, size_t from, const char *text)
{
	size_t n = strcspn(text, "=");

	for (size_t i = from; i < env->n; i++) {
		if (strncmp(env->v[i], text, n) == 0 && (env->v[i][n] == '=' || !env->v[i][n]))
			return true;
	}
	return false;
}

/* What the container's first process has, with what was given on top; HOME is the user's own. */
static void put_env(struct json_out *out, const struct engine_container *c, const struct engine_exec *q)
{
	const str_list *base = &c->record.config.env;
	bool path = set_later(base, 0, "PATH=") || set_later(&q->env, 0, "PATH="), term = false;

	json_begin_list(out, "env");
	if (!path)
		json_put_str(out, NULL, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	autofree char *host = str_format(
		"HOSTNAME=%s", c->record.q.hostname && *c->record.q.hostname ? c->record.q.hostname : "");
	if (host && host[9] && !set_later(base, 0, "HOSTNAME="))
		json_put_str(out, NULL, host);
	else if (!set_later(base, 0, "HOSTNAME=")) {
		autofree char *own = str_format("HOSTNAME=%.*s", ENGINE_SHORT_ID, c->id);
		json_put_str(out, NULL, own ? own : "HOSTNAME=");
	}
	for (size_t i = 0; i < base->n; i++) {
		if (!set_later(&q->env, 0, base->v[i]))
			json_put_str(out, NULL, base->v[i]);
		term |= str_starts(base->v[i], "TERM=");
	}
	if (q->tty && !term && !set_later(&q->env, 0, "TERM="))
		json_put_str(out, NULL, "TERM=xterm");
	for (size_t i = 0; i < q->env.n; i++) {
		const char *value = strchr(q->env.v[i], '=') ? NULL : getenv(q->env.v[i]);
		autofree char *whole = value ? str_format("%s=%s", q->env.v[i], value) : NULL;
		if (set_later(&q->env, i + 1, q->env.v[i]))
			continue;
		if (whole || strchr(q->env.v[i], '='))
			json_put_str(out, NULL, whole ? whole : q->env.v[i]);
	}
	json_end(out);
}

static int put_process(struct json_out *out, const struct engine *e, const struct engine_container *c,
		       pid_t first, const struct engine_exec *q, const struct engine_user *u, struct err *err)
{
	const struct engine_record *rec = &c->record;
	struct engine_create caps_of = rec->q;
	struct engine_security sec;
	uint64_t caps = 0;
	const char *usual = q->machine ? "/" : rec->config.working_dir;
	const char *cwd = q->workdir && *q->workdir ? q->workdir : usual;
	int r = engine_security_parse(&rec->q, &sec, err);

	caps_of.privileged |= q->privileged;
	if (r == 0)
		r = engine_caps(&caps_of, &caps, err);
	if (r < 0)
		return r;
	json_begin_object(out, NULL);
	json_put_bool(out, "terminal", q->tty && !q->detach); /* nobody would be at its other end */
	json_begin_object(out, "user");
	json_put_u64(out, "uid", u->uid);
	json_put_u64(out, "gid", u->gid);
	if (rec->q.umask)
		json_put_u64(out, "umask", strtoul(rec->q.umask, NULL, 8)); /* checked when made */
	if (u->n_groups) {
		json_begin_list(out, "additionalGids");
		for (size_t i = 0; i < u->n_groups; i++)
			json_put_u64(out, NULL, u->groups[i]);
		json_end(out);
	}
	json_end(out);
	put_texts(out, "args", &q->command);
	put_env(out, c, q);
	json_put_str(out, "cwd", cwd && *cwd ? cwd : "/");
	json_begin_object(out, "capabilities");
	engine_caps_write(out, "bounding", caps);
	engine_caps_write(out, "effective", u->uid == 0 ? caps : 0);
	engine_caps_write(out, "permitted", u->uid == 0 ? caps : 0);
	json_end(out);
	if (sec.no_new_privileges)
		json_put_bool(out, "noNewPrivileges", true);
	/* With --privileged too, as with Docker. */
	json_put_opt_str(out, "apparmorProfile", engine_apparmor_exec(e, rec, &sec, first));
	if (sec.label && !streq(sec.label, "disable"))
		json_put_str(out, "selinuxLabel", sec.label);
	json_end(out);
	return 0;
}

/* The process object in memory; a descriptor. */
static int process_file(struct engine *e, const struct engine_container *c, const struct monitor_status *st,
			const struct engine_exec *q, struct err *err)
{
	struct json_out out autojsonout = {0};
	struct engine_user user;
	autoclose int root = engine_running_root(c, st, err);
	if (root < 0)
		return root;
	static const str_list no_groups = {0};
	const char *usual = q->machine ? "0:0" : c->record.config.user;
	int r = engine_user_find(root, q->user && *q->user ? q->user : usual,
				 q->machine ? &no_groups : &c->record.q.group_add, &user, err);
	if (r == 0 && e->o.rootless) {
		struct engine_maps maps;
		user.n_groups = 0;
		engine_maps_of(e, c, &maps);
		r = engine_rootless_user(e, &maps, &user, err);
	}
	if (r == 0)
		r = put_process(&out, e, c, st->pid, q, &user, err);
	if (r < 0)
		return r;
	autofree char *text = json_take(&out);
	autoclose int fd = memfd_create("coffer-process", MFD_CLOEXEC);
	if (!text)
		return err_oom(err);
	if (fd < 0)
		return err_sys(err, "cannot make memory for the process");
	r = fd_write_all(fd, text, strlen(text));
	return r < 0 ? err_num(err, r, "cannot write the process") : take_fd(&fd);
}

/* What is put away while the program runs is not waited for afterwards. */
static void put_away(void *engine)
{
	engine_settle_down(engine);
}

/* As the database has it, and kept for the next one. */
static int load_running(struct engine *e, const char *name, struct engine_container *c,
			struct monitor_status *st, struct err *err)
{
	autofree char *id = NULL;
	int r = engine_open_all(e, err);

	if (r == 0)
		r = engine_resolve(e, name, &id, err);
	/* By the beginning of an id. */
	if (r == 0 && str_starts(id, name) && engine_running_find(e, id, c, st) == 0)
		return 0;
	if (r == 0)
		r = engine_load(e, id, c, err);
	if (r < 0)
		return r;
	if (streq(c->state, "paused"))
		return err_set(err, EINVAL, "Container %s is paused, unpause the container before exec",
			       c->name);
	if (!engine_runs(e, id, st))
		return st->restarting
			       ? err_set(err, EINVAL,
					 "Container %s is restarting, wait until the container is running",
					 c->id)
			       : err_set(err, EINVAL, "Container %s is not running", c->id);
	engine_running_keep(e, id);
	return 0;
}

/* ---- what is told ---- */

/* Of one `exec`, for its three events. */
struct exec_told {
	struct engine *e;
	const struct engine_container *c;
	char id[ENGINE_ID_LEN + 1];
	char command[EXEC_TOLD_BYTES]; /* "sh -c true", or its beginning */
};

static void exec_told_begin(struct exec_told *t, struct engine *e, const struct engine_container *c,
			    const struct engine_exec *q)
{
	struct str command autostr = {0};

	t->e = e;
	t->c = c;
	engine_random_id(t->id);
	for (size_t i = 0; i < q->command.n && command.len < sizeof(t->command); i++)
		str_putf(&command, "%s%s", i ? " " : "", q->command.v[i]);
	size_t n = MIN_OF(command.len, sizeof(t->command) - 1);
	/* Not in the middle of a character. */
	while (n && n < command.len && ((unsigned char)command.s[n] & 0xc0) == 0x80)
		n--;
	if (n)
		memcpy(t->command, command.s, n);
	t->command[n] = '\0';
}

static void exec_tell(const struct exec_told *t, const char *action)
{
	autofree char *whole = str_format("%s: %s", action, t->command);

	if (whole)
		engine_tell_container(t->e, t->c, whole, "execID", t->id);
}

static void exec_tell_end(const struct exec_told *t, int status)
{
	char code[16];

	(void)snprintf(code, sizeof(code), "%d", status); /* fits */
	const struct oci_pair pairs[] = {{"execID", t->id}, {"exitCode", code}};
	engine_tell_of(t->e, t->c, "exec_die", pairs, ARRAY_LEN(pairs));
}

struct exec_report {
	int r, status;
	struct err err;
};

/* Holds nothing while it waits: no place, no lock, no terminal. */
static void exec_keeper(const struct runtime *rt, const struct exec_options *o, const struct exec_told *told,
			int report)
{
	struct exec_report said = {0};
	struct exec_options mine = *o;
	pid_t main = 0, ended;
	int status;

	(void)setsid(); /* a fork leads no group */
	said.r = detach_stdio(&said.err);
	mine.ret_pid = &main;
	if (said.r == 0)
		said.r = runtime_exec(rt, &mine, &said.status, &said.err);
	ignore_result(fd_write_all(report, &said, sizeof(said)) < 0); /* then it is missed */
	if (close_range(3, ~0U, 0) == 0 && chdir("/") == 0)
		while ((ended = wait(&status)) >= 0 || errno == EINTR)
			if (ended == main)
				exec_tell_end(told, proc_exit_code(status));
	_exit(0);
}

/*
 * One that is left to itself has somebody who waits for it.  Not every host's first process does, and until
 * then what has ended counts as one of the container's (`stats`, --pids-limit).
 */
static int exec_detached(const struct exec_told *told, const struct runtime *rt, const struct exec_options *o,
			 int *ret_status, struct err *err)
{
	struct exec_report said = {0};
	int ends[2];

	engine_settle_down(told->e);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	pid_t pid = fork();
	if (pid == 0)
		exec_keeper(rt, o, told, ends[1]);
	int r = pid < 0 ? err_sys(err, "cannot start a process") : 0;
	(void)close(ends[1]); /* the other's */
	if (r == 0 && fd_read_full(ends[0], &said, sizeof(said)) != (ssize_t)sizeof(said))
		r = err_set(err, EIO, "who was to start the process was killed");
	(void)close(ends[0]); /* it was only read */
	if (r < 0)
		return r;
	if (said.r < 0) {
		ignore_result(proc_wait(pid) < 0); /* it has nobody to wait for */
		*err = said.err;
	}
	*ret_status = said.status;
	return said.r;
}

/* ---- a terminal that can be left ---- */

/* Of the process that stays with the program when who typed has gone. */
struct exec_leaving {
	struct detach detach;
	unsigned char typed[TTY_TYPED_MAX];
	int report;
	bool left;
};

static void exec_report(int fd, int r, int status, const struct err *err)
{
	struct exec_report said = {.r = r, .status = status, .err = *err};

	ignore_result(fd_write_all(fd, &said, sizeof(said)) < 0); /* nobody listens any more */
}

static bool exec_leaves(void *data, char *typed, size_t *len)
{
	struct exec_leaving *x = data;

	_Static_assert((int)DETACH_KEYS_MAX <= (int)TTY_TYPED_MORE, "room for what was held back");
	memcpy(x->typed, typed, *len);
	return detach_filter(&x->detach, x->typed, *len, (unsigned char *)typed, len);
}

/* What the caller let us have: our own are all to be closed by an exec. */
static void close_inherited(void)
{
	DIR *d = opendir("/proc/self/fd");

	for (const struct dirent *x; d && (x = readdir(d));) {
		int fd = (int)strtol(x->d_name, NULL, 10);
		if (fd > STDERR_FILENO && fcntl(fd, F_GETFD) == 0)
			(void)close(fd); /* nothing was ever written to it */
	}
	if (d)
		(void)closedir(d); /* read only */
}

/* From here on as of `exec -d`: nothing of the caller's is held. */
static void exec_left(void *data)
{
	struct exec_leaving *x = data;
	struct err why = {0}, ignored = {0};

	x->left = true;
	(void)prctl(PR_SET_PDEATHSIG, 0L);			     /* cannot fail */
	(void)setsid();						     /* a fork leads no group */
	ignore_result(chdir("/") < 0 || detach_stdio(&ignored) < 0); /* then the caller's are kept open */
	close_inherited();
	exec_report(x->report, err_set(&why, ECANCELED, "read escape sequence"), 1, &why);
	fd_drop(&x->report);
}

_Noreturn static void exec_companion(const struct runtime *rt, const struct exec_options *o,
				     const struct exec_told *told, struct exec_leaving *x, pid_t front)
{
	struct exec_options mine = *o;
	struct foreground_leave leave = {.leaves = exec_leaves, .left = exec_left, .data = x};
	struct err err = {0};
	int status = 0, r = 0;

	/* Who typed is killed: so is the terminal's other end. */
	if (prctl(PR_SET_PDEATHSIG, (long)SIGKILL) < 0 || getppid() != front)
		_exit(1);
	mine.leave = &leave;
	r = runtime_exec(rt, &mine, &status, &err);
	if (r == 0)
		exec_tell_end(told, status);
	if (!x->left)
		exec_report(x->report, r, status, &err);
	_exit(0);
}

/* Signals are the companion's business, whose terminal's size is set by it as well. */
static int exec_pass_signals(int signals, pid_t companion)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			(void)kill(companion, (int)info.ssi_signo); /* our child, not reaped */
	}
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static int exec_hear(int report, pid_t companion, struct exec_report *said, struct err *err)
{
	sigset_t all;

	sigfillset(&all);
	autoclose int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_sys(err, "cannot make a signal descriptor");
	for (;;) {
		struct pollfd p[] = {{.fd = report, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the process");
		int r = p[1].revents ? exec_pass_signals(signals, companion) : 0;
		if (r < 0)
			return err_num(err, r, "cannot read signals");
		if (p[0].revents)
			break;
	}
	if (fd_read_full(report, said, sizeof(*said)) != (ssize_t)sizeof(*said))
		return err_set(err, EIO, "who had started the process was killed");
	return 0;
}

/*
 * The program's parent cannot be exchanged while it runs, and the one that was typed to may have to go
 * before it: so this one has a process before it from the start.
 */
static int exec_leavable(const struct exec_told *told, const struct runtime *rt, const struct exec_options *o,
			 const struct detach *detach, int *ret_status, struct err *err)
{
	struct exec_report said = {0};
	struct exec_leaving *x = calloc(1, sizeof(*x));
	pid_t front = getpid();
	struct termios mode;
	int ends[2];

	if (!x)
		return err_oom(err);
	x->detach = *detach;
	engine_settle_down(told->e);
	int r = foreground_begin(false, err);
	if (r == 0 && pipe2(ends, O_CLOEXEC) < 0)
		r = err_sys(err, "cannot make a pipe");
	if (r < 0) {
		free(x);
		return r;
	}
	bool has_mode = tcgetattr(STDIN_FILENO, &mode) == 0;
	pid_t pid = fork();
	x->report = ends[1];
	if (pid == 0)
		exec_companion(rt, o, told, x, front);
	r = pid < 0 ? err_sys(err, "cannot start a process") : 0;
	free(x);
	(void)close(ends[1]); /* the other's */
	if (r == 0)
		r = exec_hear(ends[0], pid, &said, err);
	(void)close(ends[0]);  /* it was only read */
	if (r < 0 && has_mode) /* who has made it raw may have been killed */
		tty_restore(STDIN_FILENO, &mode);
	if (r < 0)
		return r;
	*ret_status = said.status;
	if (said.r != -ECANCELED)
		ignore_result(proc_wait(pid) < 0); /* its end says nothing more */
	if (said.r < 0)
		*err = said.err;
	return said.r;
}

/* Where somebody types who may leave. */
static int exec_keys(const struct engine_exec *q, struct detach *ret, struct err *err)
{
	bool typed = q->tty && q->interactive && !q->detach && isatty(STDIN_FILENO);

	return detach_parse(typed ? q->detach_keys : NULL, ret, err);
}

int engine_exec(struct engine *e, const char *name, const struct engine_exec *q, int *ret_status,
		struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct monitor_status st;
	struct runtime rt = e->rt;
	int r = 0;

	if (engine_running_find(e, name, &c, &st) < 0)
		r = load_running(e, name, &c, &st, err);
	if (r < 0)
		return r;
	if (q->command.n == 0)
		return err_set(err, EINVAL, "No exec command specified");
	r = engine_guard_container(e, &c, err);
	if (r < 0)
		return r;
	autoclose int process = process_file(e, &c, &st, q, err);
	if (process < 0) {
		err->exit_status = 126;
		return process;
	}
	struct fd_path path = fd_path(process);
	char *no_args[] = {NULL};
	struct exec_options o = {.id = c.id,
				 .process = path.s,
				 .tty = q->tty && !q->detach,
				 .detach = q->detach,
				 .machine = q->machine,
				 .argv = no_args,
				 .waiting = put_away,
				 .data = e};
	struct detach keys;
	r = q->detach || q->interactive || q->tty ? 0 : no_input(err);
	if (r == 0)
		r = exec_keys(q, &keys, err);
	if (r < 0)
		return r;
	struct exec_told told;
	exec_told_begin(&told, e, &c, q);
	exec_tell(&told, "exec_create");
	exec_tell(&told, "exec_start");
	rt.isolation = NULL;
	*ret_status = 0;
	if (q->detach)
		r = exec_detached(&told, &rt, &o, ret_status, err);
	else if (keys.n)
		r = exec_leavable(&told, &rt, &o, &keys, ret_status, err);
	else
		r = runtime_exec(&rt, &o, ret_status, err);
	if (r == 0 && !q->detach && !keys.n)
		exec_tell_end(&told, *ret_status);
	if (r == -ECANCELED && keys.n)
		err->exit_status = 1;
	if (r < 0 && !err->exit_status)
		err->exit_status = 126;
	return r;
}
