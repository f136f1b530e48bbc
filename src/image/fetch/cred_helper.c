/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of docker-credential-helpers: `get`, `store` and `erase` on
 * standard input and output.  The program is found in $PATH once, as an
 * absolute path, and run by it, without a shell.  proc_run() reads standard
 * output and error as one, so that the document is what stands between the
 * outermost braces.
 */
#include "image/fetch/auth.h"

#include "base/json_write.h"
#include "base/proc.h"

#include <sys/stat.h>

enum { HELPER_OUTPUT_MAX = 256 << 10, HELPER_TIMEOUT_MS = 120000, HELPER_NAME_MAX = 64 };

struct helper_answer {
	const char *username, *secret;
};

void credentials_free(struct credentials *c)
{
	char *secrets[] = {c->password, c->identity_token, c->registry_token};

	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		if (secrets[i])
			explicit_bzero(secrets[i], strlen(secrets[i]));
		free(secrets[i]);
	}
	free(c->user);
	*c = (struct credentials){0};
}

static bool is_helper_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return len > 0 && len <= HELPER_NAME_MAX && name[len] == '\0';
}

static int find_helper(const char *name, char **ret, struct err *err)
{
	const char *path = secure_getenv("PATH");
	struct stat st;

	if (!is_helper_name(name))
		return err_set(err, EINVAL, "\"%.64s\" is no name of a credential helper", name);
	for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
		size_t len = strcspn(p, ":");
		autofree char *file = str_format("%.*s/docker-credential-%s", (int)len, p, name);
		if (!file)
			return err_oom(err);
		if (*file == '/' && stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0) {
			*ret = take_ptr(&file);
			return 0;
		}
		p += len + (p[len] == ':');
	}
	return err_set(
		err, ENOENT,
		"cannot find the credential helper docker-credential-%s in $PATH: install it, or take it "
		"out of config.json",
		name);
}

/* *ret_output is what it said; its exit status is the result. */
static int run_cred_helper(const char *name, const char *verb, const char *input, char **ret_output,
			   struct err *err)
{
	autofree char *path = NULL;

	int r = find_helper(name, &path, err);
	if (r < 0)
		return r;
	const char *argv[] = {path, verb, NULL};
	struct proc_run run = {
		.argv = argv,
		.envp = (const char *const *)environ,
		.input = input,
		.input_len = strlen(input),
		.timeout_ms = HELPER_TIMEOUT_MS,
		.output_max = HELPER_OUTPUT_MAX,
	};
	int status = proc_run(&run, ret_output, err);
	return status < 0 ? status : proc_exit_code(status);
}

static int helper_failed(const char *name, const char *verb, const char *output, struct err *err)
{
	return err_set(err, EIO, "docker-credential-%s %s failed: %.*s", name, verb,
		       (int)MIN_OF(strcspn(output, "\n"), (size_t)300), output);
}

int cred_helper_get(const char *name, const char *server, struct credentials *ret, struct err *err)
{
	static const struct json_field fields[] = {
		F_STR(struct helper_answer, username, "Username"),
		F_STR(struct helper_answer, secret, "Secret"),
	};
	static const struct json_table table = JSON_TABLE(struct helper_answer, fields);
	struct helper_answer a = {0};
	struct json_doc doc autojson = {0};
	struct credentials c autocredentials = {0};
	autofree char *output = NULL;

	int status = run_cred_helper(name, "get", server, &output, err);
	if (status < 0)
		return status;
	if (status != 0) /* by the protocol's own sentence */
		return strstr(output, "credentials not found") ? 0 : helper_failed(name, "get", output, err);
	const char *from = strchr(output, '{'), *to = strrchr(output, '}');
	if (!from || !to || to < from)
		return err_set(err, EBADMSG, "docker-credential-%s get prints no JSON object", name);
	int r = json_decode(&doc, from, (size_t)(to - from) + 1, name, &table, &a, err);
	if (r < 0)
		return err_prefix(err, "credential helper");
	if (!a.secret || !*a.secret)
		return 0;
	if (a.username && streq(a.username, "<token>")) {
		c.identity_token = strdup(a.secret);
	} else {
		c.user = strdup(a.username ? a.username : "");
		c.password = strdup(a.secret);
	}
	explicit_bzero(output, strlen(output));
	if (!c.identity_token && (!c.user || !c.password))
		return err_oom(err);
	*ret = c;
	c = (struct credentials){0};
	return 1;
}

int cred_helper_store(const char *name, const char *server, const struct credentials *c, struct err *err)
{
	struct json_out out autojsonout = {0};
	autofree char *output = NULL;

	json_begin_object(&out, NULL);
	json_put_str(&out, "ServerURL", server);
	json_put_str(&out, "Username", c->identity_token ? "<token>" : c->user);
	json_put_str(&out, "Secret", c->identity_token ? c->identity_token : c->password);
	json_end(&out);
	autofree char *text = json_take(&out);
	if (!text)
		return err_oom(err);
	int status = run_cred_helper(name, "store", text, &output, err);
	explicit_bzero(text, strlen(text));
	if (status < 0)
		return status;
	return status ? helper_failed(name, "store", output, err) : 0;
}

int cred_helper_erase(const char *name, const char *server, struct err *err)
{
	autofree char *output = NULL;
	int status = run_cred_helper(name, "erase", server, &output, err);

	if (status < 0)
		return status;
	return status && !strstr(output, "credentials not found") ? helper_failed(name, "erase", output, err)
								  : 0;
}
