/* SPDX-License-Identifier: Apache-2.0 */
/* pull, push, login, logout, search: the work is coffer-fetch's. */
#include "front/cli/cli.h"

#include "base/fd.h"

#include <sys/mman.h>

struct registry_flags {
	bool all_tags, quiet, content_trust, password_stdin, no_trunc;
	const char *platform, *user, *password, *format;
	int limit;
};
static const struct registry_flags registry_defaults = {.limit = 25};
#define REG struct registry_flags

enum { FETCH_ARGS_MAX = 16, SEARCH_OUTPUT_MAX = 64 << 20 };

struct fetch_args {
	const char *v[FETCH_ARGS_MAX];
	size_t n;
};

static void fetch_arg(struct fetch_args *a, const char *word)
{
	a->v[a->n++] = word; /* fewer than FETCH_ARGS_MAX, as the callers count */
}

static int fetch_run(struct call *call, const struct fetch_args *a, struct err *err)
{
	struct engine *e;
	int r = cli_engine(call, &e, err);

	return r < 0 ? r : engine_fetch(e, a->v, &call->status, err);
}

static void fetch_progress(struct fetch_args *a, const struct config *c, bool quiet)
{
	if (quiet) {
		fetch_arg(a, "--quiet");
	} else if (c->progress) {
		fetch_arg(a, "--progress");
		fetch_arg(a, c->progress);
	}
}

static const struct opt pull_options[] = {
	O_BOOL(REG, all_tags, "all-tags", 'a', "Pull all tags of the repository"),
	O_STR(REG, platform, "platform", 0, "Platform of a multi-platform image, as linux/arm64"),
	O_BOOL(REG, quiet, "quiet", 'q', "No progress"),
	O_BOOL(REG, content_trust, "disable-content-trust", 0, NULL),
};

/* `pull` and `push`: the same but for the direction. */
static int move_image(struct call *call, const char *verb, struct err *err)
{
	const struct registry_flags *f = call->options;
	struct fetch_args a = {.v = {verb}, .n = 1};
	const struct config *c;
	int r = cli_config(call, &c, err);

	if (r < 0)
		return r;
	if (f->all_tags)
		fetch_arg(&a, "--all-tags");
	if (f->platform) {
		fetch_arg(&a, "--platform");
		fetch_arg(&a, f->platform);
	}
	fetch_progress(&a, c, f->quiet);
	fetch_arg(&a, config_image_name(c, &call->memory, call->args[0]));
	return fetch_run(call, &a, err);
}

static int run_pull(struct call *call, struct err *err)
{
	return move_image(call, "pull", err);
}

static const struct opt push_options[] = {
	O_BOOL(REG, all_tags, "all-tags", 'a', "Push all tags of the repository"),
	O_BOOL(REG, quiet, "quiet", 'q', "No progress"),
	O_BOOL(REG, content_trust, "disable-content-trust", 0, NULL),
};

static int run_push(struct call *call, struct err *err)
{
	return move_image(call, "push", err);
}

/* ---- login, logout ---- */

static const struct opt login_options[] = {
	O_STR(REG, user, "username", 'u', "Username"),
	O_STR(REG, password, "password", 'p', "Password; others can read it in the list of processes"),
	O_BOOL(REG, password_stdin, "password-stdin", 0, "Take the password from STDIN"),
};

static int run_login(struct call *call, struct err *err)
{
	const struct registry_flags *f = call->options;
	struct fetch_args a = {.v = {"login"}, .n = 1};

	if (f->password && f->password_stdin)
		return cli_misused(call, err, "--password and --password-stdin are mutually exclusive");
	if (f->password_stdin && !f->user)
		return cli_misused(call, err, "must provide --username with --password-stdin");
	if (f->user) {
		fetch_arg(&a, "-u");
		fetch_arg(&a, f->user);
	}
	if (f->password) {
		fetch_arg(&a, "-p");
		fetch_arg(&a, f->password);
	}
	if (f->password_stdin)
		fetch_arg(&a, "--password-stdin");
	if (call->nargs)
		fetch_arg(&a, call->args[0]);
	return fetch_run(call, &a, err);
}

static int run_logout(struct call *call, struct err *err)
{
	struct fetch_args a = {.v = {"logout"}, .n = 1};

	if (call->nargs)
		fetch_arg(&a, call->args[0]);
	return fetch_run(call, &a, err);
}

/* ---- search ---- */

static const struct opt search_options[] = {
	O_STR(REG, format, "format", 0, HELP_FORMAT),
	O_INT(REG, limit, "limit", 0, "Number of results (default 25)"),
	O_BOOL(REG, no_trunc, "no-trunc", 0, NULL),
};
static const struct row_column search_columns[] = {
	{"Description", "DESCRIPTION"}, {"IsOfficial", "OFFICIAL"}, {"Name", "NAME"}, {"StarCount", "STARS"}};

/* The catalog's lines: coffer-fetch writes them to what is standard output for the time. */
static int search_catalog(struct call *call, const struct fetch_args *a, char **ret, struct err *err)
{
	size_t len;
	autoclose int out = memfd_create("coffer-search", MFD_CLOEXEC), kept = dup(STDOUT_FILENO);

	if (out < 0 || kept < 0 || dup2(out, STDOUT_FILENO) < 0)
		return err_sys(err, "cannot collect the results");
	int r = fetch_run(call, a, err);
	if (dup2(kept, STDOUT_FILENO) < 0)
		return err_sys(err, "cannot go back to standard output");
	if (r < 0)
		return r;
	if (lseek(out, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot read the results");
	r = fd_read_all(out, SEARCH_OUTPUT_MAX, ret, &len);
	return r < 0 ? err_num(err, r, "cannot read the results") : 0;
}

static int search_print(struct call *call, const char *server, char *lines, struct err *err)
{
	const struct registry_flags *f = call->options;
	struct row_printer p;
	struct str out autostr = {0};
	struct row_format format = {.format = f->format,
				    .table = "{{.Name}}",
				    .columns = search_columns,
				    .ncolumns = ARRAY_LEN(search_columns)};
	int r = rows_begin(&p, &call->memory, &format, &out, err);

	for (char *line = lines; r == 0 && *line;) {
		size_t len = strcspn(line, "\n");
		struct json_doc m autojson = {0};
		struct value *v = value_new(&m, VALUE_OBJECT);
		struct str name autostr = {0};
		str_putf(&name, "%s/%.*s", server, (int)len, line);
		value_put(&m, v, "Name", memory_take(&m, &name));
		value_put(&m, v, "Description", "");
		value_put(&m, v, "StarCount", "0");
		value_put(&m, v, "IsOfficial", "");
		r = rows_add(&p, &m, v, err);
		line += len + (line[len] == '\n');
	}
	if (r < 0)
		return r;
	rows_end(&p);
	return cli_print_str(&out, err);
}

static int run_search(struct call *call, struct err *err)
{
	const struct registry_flags *f = call->options;
	const char *term = call->args[0];
	size_t host = strcspn(term, "/");
	const struct config *c;
	struct fetch_args a = {.v = {"catalog"}, .n = 1};
	autofree char *lines = NULL;
	char limit[16];
	int r = cli_config(call, &c, err);

	if (r < 0)
		return r;
	bool named = term[host] == '/' &&
		     (memchr(term, '.', host) || memchr(term, ':', host) || str_starts(term, "localhost/"));
	bool whole = !term[host] && (strchr(term, ':') || streq(term, "localhost"));
	const char *server = named			 ? memory_text_n(&call->memory, term, host)
			     : whole			 ? term
			     : c->registries.short_names ? c->registries.short_names
							 : "docker.io";
	const char *pattern = named ? term + host + 1 : whole ? "" : term;
	if (streq(server, "docker.io"))
		return err_set(err, EOPNOTSUPP,
			       "Docker Hub has no catalog to search: name a registry, as in 'coffer search "
			       "localhost:5000/%s', or look at https://hub.docker.com",
			       pattern);
	(void)snprintf(limit, sizeof(limit), "%d", MAX_OF(f->limit, 0)); /* fits */
	fetch_arg(&a, "--limit");
	fetch_arg(&a, limit);
	fetch_arg(&a, server);
	if (*pattern)
		fetch_arg(&a, pattern);
	r = search_catalog(call, &a, &lines, err);
	return r < 0 || call->status ? r : search_print(call, server, lines, err);
}

#define REG_SIZE .options_size = sizeof(struct registry_flags), .defaults = &registry_defaults

const struct command command_pull = {
	.name = "pull",
	.summary = "Download an image from a registry",
	.usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
	.examples = "coffer pull nginx:1.25\ncoffer pull --platform linux/arm64 debian\ncoffer pull "
		    "localhost:5000/team/app\n",
	.options = {OPT_TABLE(pull_options)},
	REG_SIZE,
	.min_args = 1,
	.max_args = 1,
	.words = "@image",
	.run = run_pull,
};
const struct command command_push = {
	.name = "push",
	.summary = "Upload an image to a registry",
	.usage = "[OPTIONS] NAME[:TAG]",
	.examples = "coffer tag app localhost:5000/team/app:1 && coffer push localhost:5000/team/app:1\n",
	.options = {OPT_TABLE(push_options)},
	REG_SIZE,
	.min_args = 1,
	.max_args = 1,
	.words = "@image",
	.run = run_push,
};
const struct command command_login = {
	.name = "login",
	.summary = "Log in to a registry",
	.usage = "[OPTIONS] [SERVER]",
	.examples = "coffer login registry.example:5000\n"
		    "printenv TOKEN | coffer login -u ci --password-stdin registry.example:5000\n",
	.options = {OPT_TABLE(login_options)},
	REG_SIZE,
	.max_args = 1,
	.run = run_login,
};
const struct command command_logout = {
	.name = "logout",
	.summary = "Log out from a registry",
	.usage = "[SERVER]",
	.examples = "coffer logout registry.example:5000\n",
	.max_args = 1,
	.run = run_logout,
};
const struct command command_search = {
	.name = "search",
	.summary = "Search a registry's catalog",
	.usage = "[OPTIONS] [REGISTRY/]TERM",
	.description =
		"TERM is a part of the name or a shell pattern.  Without a registry it is the one that\n"
		"registries.short_names of the configuration names.",
	.examples = "coffer search localhost:5000/nginx\ncoffer search 'registry.example/team/*'\n",
	.options = {OPT_TABLE(search_options)},
	REG_SIZE,
	.min_args = 1,
	.max_args = 1,
	.run = run_search,
};
