/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A further process: a proxy, `coffer-sentry join`, goes where the carrier
 * would put the process itself, with its terminal, pid file and cgroup, and
 * asks the sentry for the real one.
 */
#include "isolate/kernel/kernel.h"

#include "base/fd.h"
#include "base/json_write.h"
#include "base/sys.h"
#include "isolate/carrier.h"
#include "wire/sentry.h"

#include <sys/mman.h>

static void put_words(struct json_out *out, const char *key, const str_list *list)
{
	json_put_strs(out, key, list->v, list->n);
}

/* Identity, privileges and limits as config.json writes them; arguments and environment go another way. */
static char *process_json(const struct oci_process *p)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_put_bool(&out, "terminal", p->terminal);
	json_put_str(&out, "cwd", p->cwd);
	json_begin_list(&out, "args");
	json_put_str(&out, NULL, "-");
	json_end(&out);
	json_begin_object(&out, "user");
	json_put_u64(&out, "uid", p->user.uid);
	json_put_u64(&out, "gid", p->user.gid);
	if (p->user.umask.set)
		json_put_u64(&out, "umask", p->user.umask.v);
	json_begin_list(&out, "additionalGids");
	for (size_t i = 0; i < p->user.additional_gids.n; i++)
		json_put_u64(&out, NULL, p->user.additional_gids.v[i]);
	json_end(&out);
	json_end(&out);
	if (p->caps.set) {
		json_begin_object(&out, "capabilities");
		put_words(&out, "bounding", &p->caps.bounding);
		put_words(&out, "effective", &p->caps.effective);
		put_words(&out, "inheritable", &p->caps.inheritable);
		put_words(&out, "permitted", &p->caps.permitted);
		put_words(&out, "ambient", &p->caps.ambient);
		json_end(&out);
	}
	json_begin_list(&out, "rlimits");
	for (size_t i = 0; i < p->rlimits.n; i++) {
		json_begin_object(&out, NULL);
		json_put_str(&out, "type", p->rlimits.v[i].type);
		json_put_u64(&out, "hard", p->rlimits.v[i].hard);
		json_put_u64(&out, "soft", p->rlimits.v[i].soft);
		json_end(&out);
	}
	json_end(&out);
	json_put_bool(&out, "noNewPrivileges", p->no_new_privileges);
	json_end(&out);
	return json_take(&out);
}

static int write_request(const struct oci_process *process, struct err *err)
{
	autofree char *text = process_json(process);
	autoclose int fd = memfd_create("process", MFD_CLOEXEC);

	if (!text)
		return err_oom(err);
	if (fd < 0)
		return err_sys(err, "cannot make a memory file");
	int r = fd_write_all(fd, text, strlen(text));
	return r < 0 ? err_num(err, r, "cannot write the process's description") : take_fd(&fd);
}

int kernel_exec(const struct isolate_exec *x, pid_t *ret_pid, struct err *err)
{
	static char name[] = "coffer-sentry", verb[] = "join", end[] = "--";
	struct oci_process process;
	struct isolate_exec carried = *x;
	struct oci_config config = *x->sandbox.config;
	char control_arg[32], request_arg[32], keep_arg[32];
	char *argv[] = {name, verb, control_arg, request_arg, keep_arg, end, NULL};
	autoclose int exe = kernel_open_sentry(err);
	autoclose int control = exe < 0 ? -1 : sentry_connect(x->sandbox.state_dirfd, err);
	autoclose int request = control < 0 ? -1 : write_request(x->process, err);

	if (request < 0)
		return -err->code;
	(void)snprintf(control_arg, sizeof(control_arg), "control=%d", control); /* fits */
	(void)snprintf(request_arg, sizeof(request_arg), "request=%d", request); /* fits */
	(void)snprintf(keep_arg, sizeof(keep_arg), "keep=%d",
		       x->stdio.listen_fds + x->stdio.preserve_fds); /* fits */
	const int fds[] = {control, request};
	const struct isolate_supervisor supervisor = {.exe = exe,
						      .argv = argv,
						      .user = x->process,
						      .fds = fds,
						      .nfds = ARRAY_LEN(fds),
						      .proc_fd = -1};
	kernel_plan_process(x->process, &process);
	config.linux.seccomp = NULL;
	config.annotations.n = 0;
	carried.process = &process;
	carried.sandbox.config = &config;
	carried.seccomp = NULL;
	carried.supervisor = &supervisor;
	return isolate_carrier->exec(&carried, ret_pid, err);
}
