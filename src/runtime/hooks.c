/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/hooks.h"

#include "base/proc.h"
#include "base/str.h"
#include "oci/state.h"

#include <ctype.h>
#include <sys/wait.h>

enum { HOOK_OUTPUT_MAX = 4096 }; /* kept for the message; the rest is read and dropped */

/* A NULL-terminated copy of the pointers; the caller frees. */
static const char **terminated(const str_list *list)
{
	const char **v = calloc(list->n + 1, sizeof(*v));

	if (v && list->n)
		memcpy(v, list->v, list->n * sizeof(*v));
	return v;
}

static int hook_failed(int status, char *output, struct err *err)
{
	size_t len = strlen(output);

	while (len > 0 && output[len - 1] == '\n')
		output[--len] = '\0';
	/* One line: what a hook prints goes into logs that are read by lines. */
	for (char *p = output; *p; p++)
		if (*p == '\n')
			*p = ' ';
	if (WIFSIGNALED(status)) {
		const char *name = sigdescr_np(WTERMSIG(status));
		if (!name)
			return err_set(err, EIO, "signal: signal %d, stdout: , stderr: %s", WTERMSIG(status),
				       output);
		return err_set(err, EIO, "signal: %c%s, stdout: , stderr: %s", tolower((unsigned char)*name),
			       name + 1, output);
	}
	return err_set(err, EIO, "exit status %d, stdout: , stderr: %s", proc_exit_code(status), output);
}

static int run_hook(const struct hook_call *call, const struct oci_hook *hook, const char *state,
		    struct err *err)
{
	const str_list path_alone = {.v = (const char **)(uintptr_t)&hook->path, .n = 1};
	autofree const char **argv = terminated(hook->args.n ? &hook->args : &path_alone);
	autofree const char **own = terminated(&hook->env);
	autofree char *output = NULL;

	if (!argv || !own)
		return err_oom(err);
	struct proc_run run = {
		.path = hook->path,
		.argv = argv,
		.envp = *own ? own : (const char *const *)environ,
		.cwd = call->inside ? NULL : call->bundle,
		.input = state,
		.input_len = strlen(state),
		.timeout_ms = hook->timeout.set ? (int)MIN_OF(hook->timeout.v, INT_MAX / 1000) * 1000 : 0,
		.output_max = HOOK_OUTPUT_MAX,
	};
	int status = proc_run(&run, &output, err);
	if (status == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, "hook ran past specified timeout of %lld.0s",
			       (long long)hook->timeout.v);
	if (status < 0)
		return status;
	return status ? hook_failed(status, output, err) : 0;
}

static char *state_text(const struct hook_call *call)
{
	struct json_out out autojsonout = {0};
	struct oci_state state = {
		.id = call->id,
		.status = call->status,
		.pid = call->pid,
		.bundle = call->bundle,
		.annotations = call->annotations,
	};

	oci_state_write_spec(&out, NULL, &state);
	return json_take(&out);
}

int hooks_run(const struct hook_call *call, struct err *err)
{
	if (call->list->n == 0)
		return 0;
	autofree char *state = state_text(call);
	if (!state)
		return err_oom(err);
	for (size_t i = 0; i < call->list->n; i++) {
		int r = run_hook(call, &call->list->v[i], state, err);
		if (r == 0)
			continue;
		(void)err_prefix(err, "error running %s hook #%zu", call->kind, i); /* returned below */
		if (!call->forgive)
			return r;
		runtime_warn(call->rt, "%s", err->msg);
	}
	return 0;
}
