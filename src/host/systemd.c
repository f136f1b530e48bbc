/* SPDX-License-Identifier: Apache-2.0 */
/* The client of coffer-sdbus: builds a request, runs the helper, passes on what it says. */
#include "host/systemd.h"

#include "base/proc.h"
#include "base/str.h"
#include "host/helper.h"

#include <ctype.h>

#define PROPERTY_PREFIX "org.systemd.property."

/* *ret_output (may be NULL) is what the helper printed, without the final newline; the caller frees. */
static int run_helper(const char *verb, const char *request, char **ret_output, struct err *err)
{
	enum { TIMEOUT_MS = 60000, OUTPUT_MAX = 4096 };
	const char *keep[] = {"DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DBUS_SYSTEM_BUS_ADDRESS"};
	const char *envp[ARRAY_LEN(keep) + 1] = {0};
	struct str env autostr = {0};
	autofree char *path = NULL, *output = NULL;
	size_t start[ARRAY_LEN(keep)], n = 0;
	int r = helper_path("coffer-sdbus", &path, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(keep); i++) {
		const char *v = getenv(keep[i]);
		if (!v)
			continue;
		start[n++] = env.len;
		str_putf(&env, "%s=%s", keep[i], v);
		str_put_n(&env, "", 1);
	}
	if (env.failed)
		return err_oom(err);
	for (size_t i = 0; i < n; i++)
		envp[i] = env.s + start[i];
	const char *argv[] = {path, verb, NULL};
	struct proc_run run = {
		.argv = argv,
		.envp = envp,
		.input = request,
		.input_len = strlen(request),
		.timeout_ms = TIMEOUT_MS,
		.output_max = OUTPUT_MAX,
	};
	r = proc_run(&run, &output, err);
	if (r < 0)
		return r;
	if (output)
		output[strcspn(output, "\n")] = '\0';
	if (proc_exit_code(r) != 0)
		return err_set(err, EIO, "%s",
			       output && *output ? output : "coffer-sdbus failed without a word");
	if (ret_output)
		*ret_output = take_ptr(&output);
	return 0;
}

static void put_head(struct str *b, const struct cgroup *cg)
{
	str_putf(b, "bus %s\n", cg->user_manager ? "user" : "system");
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if (iscntrl((unsigned char)*s))
			return true;
	return false;
}

/* "org.systemd.property.TimeoutStopUSec": "uint64 5000000"; "…Sec" is given in seconds. */
static int put_annotation(struct str *b, const struct oci_pair *a, struct err *err)
{
	const char *name = a->key + strlen(PROPERTY_PREFIX);
	size_t n = strlen(name);

	if (n < 3)
		return err_set(err, EINVAL, "annotation %s name incorrect: too short", a->key);
	for (size_t i = 0; i < n; i++)
		if (!isalpha((unsigned char)name[i]))
			return err_set(err, EINVAL,
				       "annotation %s name incorrect: contains non-alphabetic character",
				       a->key);
	if (has_control(a->value))
		return err_set(err, EINVAL, "annotation %s value parse error: control character", a->key);
	if (str_ends(name, "Sec") && n > 3 && islower((unsigned char)name[n - 4]))
		str_putf(b, "sec 0 %.*sUSec %s\n", (int)(n - 3), name, a->value);
	else
		str_putf(b, "prop 0 %s %s\n", name, a->value);
	return 0;
}

/* A string as GVariant text; unit names may have "\\x2d" in them. */
static void put_string(struct str *b, const char *s)
{
	str_put(b, "'");
	for (; *s; s++) {
		if (*s == '\\' || *s == '\'')
			str_put(b, "\\");
		str_put_n(b, s, 1);
	}
	str_put(b, "'");
}

int systemd_start(const struct cgroup *cg, const struct oci_resources *r, const struct cgroup_request *q,
		  pid_t first, struct err *err)
{
	struct str b autostr = {0};
	bool slice = str_ends(cg->scope, ".slice");

	if (first <= 0 && !slice)
		return err_set(err, EINVAL, "cannot start systemd unit \"%s\" without a process", cg->scope);
	put_head(&b, cg);
	str_putf(&b, "unit %s\nprop 0 Description 'libcontainer container %s'\nprop 0 ", cg->scope, q->id);
	str_put(&b, slice ? "Wants [" : "Slice ");
	put_string(&b, cg->slice);
	str_put(&b, slice ? "]\n" : "\nprop 0 Delegate true\n");
	if (first > 0 && !slice)
		str_putf(&b, "prop 0 PIDs @au [%d]\n", first);
	str_putf(&b,
		 "prop 0 MemoryAccounting true\nprop 0 CPUAccounting true\nprop 0 %s true\nprop 0 "
		 "TasksAccounting "
		 "true\nprop 0 DefaultDependencies false\n",
		 cg->v2 ? "IOAccounting" : "BlockIOAccounting");
	for (size_t i = 0; i < q->annotations.n; i++) {
		if (!str_starts(q->annotations.v[i].key, PROPERTY_PREFIX))
			continue;
		int e = put_annotation(&b, &q->annotations.v[i], err);
		if (e < 0)
			return e;
	}
	int ret = systemd_properties(cg, r, true, &b, err);
	if (ret < 0)
		return ret;
	if (b.failed)
		return err_oom(err);
	ret = run_helper("start", b.s, NULL, err);
	return ret < 0 ? err_prefix(err, "unable to start unit \"%s\"", cg->scope) : 0;
}

int systemd_update(const struct cgroup *cg, const struct oci_resources *r, struct err *err)
{
	struct str b autostr = {0};
	size_t head;
	int ret;

	put_head(&b, cg);
	str_putf(&b, "unit %s\n", cg->scope);
	head = b.len;
	ret = systemd_properties(cg, r, false, &b, err);
	if (ret < 0 || (b.len == head && !b.failed))
		return ret;
	if (b.failed)
		return err_oom(err);
	ret = run_helper("set", b.s, NULL, err);
	return ret < 0 ? err_prefix(err, "unable to set unit properties") : 0;
}

int systemd_stop(const struct cgroup *cg, struct err *err)
{
	struct str b autostr = {0};
	int ret;

	put_head(&b, cg);
	str_putf(&b, "unit %s\n", cg->scope);
	if (b.failed)
		return err_oom(err);
	ret = run_helper("stop", b.s, NULL, err);
	return ret < 0 ? err_prefix(err, "unable to stop unit \"%s\"", cg->scope) : 0;
}

int systemd_attach(const struct cgroup *cg, const char *below, pid_t pid, struct err *err)
{
	struct str b autostr = {0};

	/* A container names its groups: nothing of that may be a line of its own. */
	if (has_control(below))
		return err_set(err, EINVAL, "the container's cgroup has a control character in its name");
	put_head(&b, cg);
	str_putf(&b, "unit %s\npid %d %s\n", cg->scope, pid, below);
	if (b.failed)
		return err_oom(err);
	int r = run_helper("attach", b.s, NULL, err);
	return r < 0 ? err_prefix(err, "unable to move a process into unit \"%s\"", cg->scope) : 0;
}

int systemd_user_group(char **ret, struct err *err)
{
	char *group = NULL;
	int r = run_helper("group", "bus user\n", &group, err);

	if (r < 0)
		return err_prefix(err, "cannot ask the user's systemd for its cgroup");
	if (*group != '/') {
		free(group);
		return err_set(err, EPROTO, "the user's systemd has no cgroup");
	}
	*ret = group;
	return 0;
}
