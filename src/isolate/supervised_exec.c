/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A further process: a proxy goes where the carrier would put the process
 * itself, with its terminal, pid file and cgroup, and asks the supervisor for
 * the real one.
 */
#include "isolate/supervised.h"

#include "base/fd.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/procattr.h"
#include "isolate/carrier.h"

#include <sys/mman.h>
#include <sys/resource.h>

static void put_words(struct json_out *out, const char *key, const str_list *list)
{
	json_put_strs(out, key, list->v, list->n);
}

static void put_user(struct json_out *out, const struct oci_user *user)
{
	json_begin_object(out, "user");
	json_put_u64(out, "uid", user->uid);
	json_put_u64(out, "gid", user->gid);
	if (user->umask.set)
		json_put_u64(out, "umask", user->umask.v);
	json_begin_list(out, "additionalGids");
	for (size_t i = 0; i < user->additional_gids.n; i++)
		json_put_u64(out, NULL, user->additional_gids.v[i]);
	json_end(out);
	json_end(out);
}

static void put_caps(struct json_out *out, const struct oci_capabilities *caps)
{
	json_begin_object(out, "capabilities");
	put_words(out, "bounding", &caps->bounding);
	put_words(out, "effective", &caps->effective);
	put_words(out, "inheritable", &caps->inheritable);
	put_words(out, "permitted", &caps->permitted);
	put_words(out, "ambient", &caps->ambient);
	json_end(out);
}

static void put_scheduling(struct json_out *out, const struct oci_process *p)
{
	const struct oci_scheduler *s = p->scheduler;

	if (s) {
		json_begin_object(out, "scheduler");
		json_put_str(out, "policy", s->policy);
		json_put_i64(out, "nice", s->nice);
		json_put_i64(out, "priority", s->priority);
		put_words(out, "flags", &s->flags);
		json_put_u64(out, "runtime", s->runtime);
		json_put_u64(out, "deadline", s->deadline);
		json_put_u64(out, "period", s->period);
		json_end(out);
	}
	if (p->io_priority) {
		json_begin_object(out, "ioPriority");
		json_put_str(out, "class", p->io_priority->class_);
		json_put_i64(out, "priority", p->io_priority->priority);
		json_end(out);
	}
	if (p->oom_score_adj.set)
		json_put_i64(out, "oomScoreAdj", p->oom_score_adj.v);
}

static void put_process_rlimit(struct json_out *out, const char *type, uint64_t soft, uint64_t hard)
{
	json_begin_object(out, NULL);
	json_put_str(out, "type", type);
	json_put_u64(out, "hard", hard);
	json_put_u64(out, "soft", soft);
	json_end(out);
}

/* What is not named is the caller's, as where his process becomes the container's; but for what each kernel
 * sets by its own memory (processes, pending signals). */
static void put_inherited_rlimits(struct json_out *out, const struct oci_process *p)
{
	static const char *const names[] = {"RLIMIT_AS",     "RLIMIT_CORE",  "RLIMIT_CPU",
					    "RLIMIT_DATA",   "RLIMIT_FSIZE", "RLIMIT_MEMLOCK",
					    "RLIMIT_NOFILE", "RLIMIT_RSS",   "RLIMIT_STACK"};
	const rlim_t files_max =
		1 << 20; /* fs.nr_open of a kernel that nobody told more: beyond is refused */

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int nr = procattr_rlimit_number(names[i]);
		struct rlimit l;
		bool named = false;
		for (size_t k = 0; k < p->rlimits.n && !named; k++)
			named = p->rlimits.v[k].type && procattr_rlimit_number(p->rlimits.v[k].type) == nr;
		if (named || getrlimit((__rlimit_resource_t)nr, &l) < 0)
			continue;
		if (nr == RLIMIT_NOFILE) {
			l.rlim_cur = MIN_OF(l.rlim_cur, files_max);
			l.rlim_max = MIN_OF(l.rlim_max, files_max);
		}
		put_process_rlimit(out, names[i], l.rlim_cur, l.rlim_max);
	}
}

void supervised_put_process(struct json_out *out, const char *key, const struct oci_process *p, bool whole)
{
	static const char *const none[] = {"-"};

	json_begin_object(out, key);
	json_put_bool(out, "terminal", p->terminal);
	json_put_str(out, "cwd", p->cwd);
	if (whole)
		put_words(out, "args", &p->args);
	else
		json_put_strs(out, "args", none, ARRAY_LEN(none));
	if (whole)
		put_words(out, "env", &p->env);
	put_user(out, &p->user);
	if (p->caps.set)
		put_caps(out, &p->caps);
	json_begin_list(out, "rlimits");
	for (size_t i = 0; i < p->rlimits.n; i++)
		put_process_rlimit(out, p->rlimits.v[i].type, p->rlimits.v[i].soft, p->rlimits.v[i].hard);
	if (whole)
		put_inherited_rlimits(out, p);
	json_end(out);
	json_put_bool(out, "noNewPrivileges", p->no_new_privileges);
	if (whole)
		put_scheduling(out, p);
	json_end(out);
}

int supervised_memory_file(const char *name, struct json_out *out, struct err *err)
{
	autofree char *text = json_take(out);
	autoclose int fd = memfd_create(name, MFD_CLOEXEC);

	if (!text)
		return err_oom(err);
	if (fd < 0)
		return err_sys(err, "cannot make a memory file");
	int r = fd_write_all(fd, text, strlen(text));
	return r < 0 ? err_num(err, r, "cannot write a memory file") : take_fd(&fd);
}

static int write_request(const struct oci_process *process, bool whole, struct err *err)
{
	struct json_out out autojsonout = {0};

	supervised_put_process(&out, NULL, process, whole);
	return supervised_memory_file("process", &out, err);
}

/* What the proxy is told on its command line. */
struct proxy {
	char control[32], request[32], keep[32], beside[16];
	char *argv[8];
};

static void proxy_arguments(struct proxy *p, char *program, int control, int request,
			    const struct isolate_exec *x)
{
	static char verb[] = "join", end[] = "--";

	(void)snprintf(p->control, sizeof(p->control), "control=%d", control); /* fits */
	(void)snprintf(p->request, sizeof(p->request), "request=%d", request); /* fits */
	(void)snprintf(p->keep, sizeof(p->keep), "keep=%d",
		       x->stdio.listen_fds + x->stdio.preserve_fds);	      /* fits */
	(void)snprintf(p->beside, sizeof(p->beside), "beside=%d", x->beside); /* fits */
	memcpy(p->argv,
	       (char *[]){program, verb, p->control, p->request, p->keep, x->beside ? p->beside : end,
			  x->beside ? end : NULL, NULL},
	       sizeof(p->argv));
}

int supervised_exec(const struct isolate_exec *x, char *program, const str_list *caps, bool whole,
		    pid_t *ret_pid, struct err *err)
{
	static const char *anything[] = {"/"};
	struct isolate_exec carried = *x;
	struct oci_config config = *x->sandbox.config;
	struct oci_process process;
	struct proxy proxy = {0};
	autoclose int exe = supervised_open(program, err);
	autoclose int control = exe < 0 ? -1 : supervisor_connect(x->sandbox.state_dirfd, err);
	autoclose int request = control < 0 ? -1 : write_request(x->process, whole, err);

	if (request < 0)
		return -err->code;
	proxy_arguments(&proxy, program, control, request, x);
	const int fds[] = {control, request};
	const struct isolate_supervisor supervisor = {.exe = exe,
						      .argv = proxy.argv,
						      .user = x->process,
						      .fds = fds,
						      .nfds = ARRAY_LEN(fds),
						      .proc_fd = -1,
						      .hides_program = whole};
	supervised_plan_process(x->process, caps, &process);
	if (whole) { /* the program and its directory may be in the guest alone */
		process.cwd = "/";
		process.args = (str_list){.v = anything, .n = ARRAY_LEN(anything)};
	}
	config.linux.seccomp = NULL;
	config.annotations.n = 0;
	config.linux.ns[OCI_NS_TIME].wanted &= !whole; /* the guest's own */
	carried.process = &process;
	carried.sandbox.config = &config;
	carried.seccomp = NULL;
	carried.supervisor = &supervisor;
	return isolate_carrier->exec(&carried, ret_pid, err);
}
