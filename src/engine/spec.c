/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/spec.h"

#include "engine/caps.h"
#include "host/caps.h"

#include <ctype.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define INIT_PATH    "/run/coffer-init"

bool engine_mode_is(const char *mode, const char *want)
{
	return mode && streq(mode, want);
}

static int take_security(const char *text, struct engine_security *s, struct err *err)
{
	static const char *const separators = "=:";
	size_t n = strcspn(text, separators);
	const char *value = text[n] ? text + n + 1 : NULL;

	if (n == strlen("no-new-privileges") && str_starts(text, "no-new-privileges")) {
		s->no_new_privileges = !value || !streq(value, "false");
		return !value || streq(value, "true") || streq(value, "false")
			       ? 0
			       : err_set(err, EINVAL, "invalid --security-opt: \"%.128s\"", text);
	}
	if (!value)
		return err_set(err, EINVAL, "invalid --security-opt 1: \"%.128s\"", text);
	if (str_starts(text, "seccomp"))
		s->seccomp = streq(value, "builtin") || streq(value, "default") ? NULL : value;
	else if (str_starts(text, "apparmor"))
		s->apparmor = value;
	else if (str_starts(text, "label"))
		s->label = value;
	else if (str_starts(text, "landlock"))
		s->landlock = value;
	else if (str_starts(text, "systempaths") && streq(value, "unconfined"))
		s->unmasked = true;
	else
		return err_set(err, EINVAL, "invalid --security-opt 2: \"%.128s\"", text);
	return 0;
}

int engine_security_parse(const struct engine_create *q, struct engine_security *ret, struct err *err)
{
	struct engine_security s = {.landlock = q->landlock};

	for (size_t i = 0; i < q->security_opt.n; i++) {
		int r = take_security(q->security_opt.v[i], &s, err);
		if (r < 0)
			return r;
	}
	if (q->privileged) {
		s.seccomp = s.seccomp ? s.seccomp : "unconfined";
		s.apparmor = "unconfined";
		s.unmasked = true;
	}
	*ret = s;
	return 0;
}

/* ---- process ---- */

static bool env_has(const str_list *env, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=')
			return true;
	}
	return false;
}

static void write_env(struct json_out *out, const struct engine_spec *s, const char *hostname)
{
	const str_list *env = &s->c->record.config.env;
	autofree char *own = str_format("HOSTNAME=%s", hostname);

	json_begin_list(out, "env");
	if (!env_has(env, "PATH"))
		json_put_str(out, NULL, DEFAULT_PATH);
	if (!env_has(env, "HOSTNAME") && own)
		json_put_str(out, NULL, own);
	if (s->c->record.q.tty && !env_has(env, "TERM"))
		json_put_str(out, NULL, "TERM=xterm");
	for (size_t i = 0; i < env->n; i++)
		json_put_str(out, NULL, env->v[i]);
	json_end(out);
}

static void write_args(struct json_out *out, const struct engine_spec *s)
{
	const struct oci_image_config *c = &s->c->record.config;

	json_begin_list(out, "args");
	if (s->init) {
		json_put_str(out, NULL, INIT_PATH);
		json_put_str(out, NULL, "--");
	}
	for (size_t i = 0; i < c->entrypoint.n; i++)
		json_put_str(out, NULL, c->entrypoint.v[i]);
	for (size_t i = 0; i < c->cmd.n; i++)
		json_put_str(out, NULL, c->cmd.v[i]);
	json_end(out);
}

static void write_user(struct json_out *out, const struct engine_spec *s)
{
	const struct engine_user *u = s->user;

	json_begin_object(out, "user");
	json_put_u64(out, "uid", u->uid);
	json_put_u64(out, "gid", u->gid);
	if (s->c->record.q.umask)
		json_put_u64(out, "umask", strtoul(s->c->record.q.umask, NULL, 8)); /* checked when made */
	if (u->n_groups && !s->rootless) {
		json_begin_list(out, "additionalGids");
		for (size_t i = 0; i < u->n_groups; i++)
			json_put_u64(out, NULL, u->groups[i]);
		json_end(out);
	}
	json_end(out);
}

static void write_caps(struct json_out *out, uint64_t caps, bool root)
{
	json_begin_object(out, "capabilities");
	engine_caps_write(out, "bounding", caps);
	/* What execve would leave another user, who gets them by set-user-id programs only. */
	engine_caps_write(out, "effective", root ? caps : 0);
	engine_caps_write(out, "permitted", root ? caps : 0);
	json_end(out);
}

static void write_rlimits(struct json_out *out, const struct engine_create *q)
{
	if (q->ulimits.n == 0)
		return;
	json_begin_list(out, "rlimits");
	for (size_t i = 0; i < q->ulimits.n; i++) {
		const struct engine_ulimit *u = &q->ulimits.v[i];
		char type[64] = "RLIMIT_";
		size_t n = strlen(type);
		for (const char *p = u->name; *p && n + 1 < sizeof(type); p++)
			type[n++] = (char)toupper((unsigned char)*p);
		type[n] = '\0';
		json_begin_object(out, NULL);
		json_put_str(out, "type", type);
		json_put_u64(out, "hard", (uint64_t)u->hard); /* -1: unlimited */
		json_put_u64(out, "soft", (uint64_t)u->soft);
		json_end(out);
	}
	json_end(out);
}

static void write_process(struct json_out *out, const struct engine_spec *s, uint64_t caps,
			  const struct engine_security *sec, const char *hostname)
{
	const struct engine_record *r = &s->c->record;

	json_begin_object(out, "process");
	if (r->q.tty)
		json_put_bool(out, "terminal", true);
	write_user(out, s);
	write_args(out, s);
	write_env(out, s, hostname);
	json_put_str(out, "cwd",
		     r->config.working_dir && *r->config.working_dir ? r->config.working_dir : "/");
	write_caps(out, caps, s->user->uid == 0);
	write_rlimits(out, &r->q);
	if (sec->no_new_privileges)
		json_put_bool(out, "noNewPrivileges", true);
	json_put_opt_str(out, "apparmorProfile", s->apparmor);
	/* "disable" switches labels off; others are of the form type:x, which needs SELinux. */
	if (sec->label && !streq(sec->label, "disable"))
		json_put_str(out, "selinuxLabel", sec->label);
	if (r->q.oom_score_adj)
		json_put_i64(out, "oomScoreAdj", r->q.oom_score_adj);
	json_end(out);
}

/* ---- the whole ---- */

static void spec_write_annotations(struct json_out *out, const struct engine_spec *s,
				   const struct engine_security *sec)
{
	const struct engine_record *r = &s->c->record;

	json_begin_object(out, "annotations");
	for (size_t i = 0; i < r->q.annotations.n; i++) {
		const struct oci_pair *p = &r->q.annotations.v[i];
		if (!streq(p->key, "dev.coffer.landlock") || !sec->landlock)
			json_put_str(out, p->key, p->value);
	}
	if (sec->landlock)
		json_put_str(out, "dev.coffer.landlock", sec->landlock);
	json_end(out);
}

/* Twelve digits of the id where nothing else was asked for; the host's with --uts=host. */
static const char *own_hostname(const struct engine_spec *s, char buf[static HOST_NAME_MAX + 1])
{
	const struct engine_create *q = &s->c->record.q;

	if (q->hostname && *q->hostname)
		return q->hostname;
	if (engine_mode_is(q->network_mode, "host") || engine_mode_is(q->uts_mode, "host")) {
		if (gethostname(buf, HOST_NAME_MAX) < 0)
			buf[0] = '\0';
		buf[HOST_NAME_MAX] = '\0';
	} else if (snprintf(buf, HOST_NAME_MAX, "%.*s", ENGINE_SHORT_ID, s->c->id) < 0) {
		buf[0] = '\0';
	}
	return buf;
}

int engine_spec_write(const struct engine_spec *s, char **ret, struct err *err)
{
	const struct engine_create *q = &s->c->record.q;
	struct json_out out autojsonout = {0};
	struct engine_security sec;
	char name[HOST_NAME_MAX + 1];
	uint64_t caps = 0;
	int r = engine_security_parse(q, &sec, err);

	if (r == 0)
		r = engine_caps(q, &caps, err);
	if (r < 0)
		return r;
	const char *hostname = own_hostname(s, name);
	json_begin_object(&out, NULL);
	json_put_str(&out, "ociVersion", "1.2.0");
	write_process(&out, s, caps, &sec, hostname);
	json_begin_object(&out, "root");
	json_put_str(&out, "path", s->rootfs);
	if (q->read_only)
		json_put_bool(&out, "readonly", true);
	json_end(&out);
	if (!engine_mode_is(q->uts_mode, "host")) {
		json_put_str(&out, "hostname", hostname);
		json_put_opt_str(&out, "domainname", q->domainname);
	}
	engine_spec_mounts(&out, s);
	spec_write_annotations(&out, s, &sec);
	r = engine_spec_linux(&out, s, caps, &sec, err);
	if (r < 0)
		return r;
	json_end(&out);
	*ret = json_take(&out);
	return *ret ? 0 : err_oom(err);
}
