/* SPDX-License-Identifier: Apache-2.0 */
/* `commit`: an image of what a container has changed. */
#include "engine/engine_int.h"

#include <ctype.h>

struct changing {
	struct json_doc *doc;
	struct oci_image_config *c;
	struct err *err;
};

static int change_oom(const struct changing *x)
{
	return err_oom(x->err);
}

static const char *change_text(const struct changing *x, const char *text, size_t len)
{
	char *s = json_doc_alloc(x->doc, len + 1);

	return s ? memcpy(s, text, len) : NULL;
}

static int commit_list_add(const struct changing *x, str_list *l, const char *text)
{
	const char **v = json_doc_alloc(x->doc, (l->n + 1) * sizeof(*v));

	if (!v || !text)
		return change_oom(x);
	if (l->n)
		memcpy(v, l->v, l->n * sizeof(*v));
	v[l->n] = text;
	l->v = v;
	l->n++;
	return 0;
}

static int list_add_once(const struct changing *x, str_list *l, const char *text)
{
	for (size_t i = 0; text && i < l->n; i++) {
		if (streq(l->v[i], text))
			return 0;
	}
	return commit_list_add(x, l, text);
}

struct change_list {
	str_list v;
};
static const struct json_field change_fields[] = {F_STRS(struct change_list, v, "v")};
static const struct json_table change_table = JSON_TABLE(struct change_list, change_fields);

/* ["a", "b"]: 1; anything else: 0. */
static int take_json_list(const struct changing *x, const char *text, str_list *ret)
{
	struct change_list l = {0};
	struct err ignored = {0};
	autofree char *wrapped = text[0] == '[' ? str_format("{\"v\":%s}", text) : NULL;

	if (!wrapped ||
	    json_decode(x->doc, wrapped, strlen(wrapped), "change", &change_table, &l, &ignored) < 0)
		return 0;
	*ret = l.v;
	return 1;
}

/* Exec form, or a line for the shell. */
static int take_command(const struct changing *x, const char *text, str_list *ret)
{
	static const char *const shell[] = {"/bin/sh", "-c"};
	str_list l = {0};
	int r = take_json_list(x, text, ret);

	if (r != 0)
		return MIN_OF(r, 0);
	for (size_t i = 0; r == 0 && i < (x->c->shell.n ? x->c->shell.n : ARRAY_LEN(shell)); i++)
		r = commit_list_add(x, &l, x->c->shell.n ? x->c->shell.v[i] : shell[i]);
	if (r == 0)
		r = commit_list_add(x, &l, change_text(x, text, strlen(text)));
	*ret = l;
	return r;
}

/* The next word; quotes keep blanks together and a backslash the next character.  NULL at the end. */
static const char *commit_take_word(const struct changing *x, const char **p)
{
	const char *s = *p + strspn(*p, " \t");
	char quote = 0;
	size_t n = 0;

	if (!*s)
		return NULL;
	char *out = json_doc_alloc(x->doc, strlen(s) + 1);
	if (!out)
		return NULL;
	for (; *s && (quote || (*s != ' ' && *s != '\t')); s++) {
		if (!quote && (*s == '"' || *s == '\''))
			quote = *s;
		else if (quote && *s == quote)
			quote = 0;
		else if (*s == '\\' && s[1] && quote != '\'')
			out[n++] = *++s;
		else
			out[n++] = *s;
	}
	out[n] = '\0';
	*p = s;
	return out;
}

static int set_env(const struct changing *x, const char *text)
{
	str_list *env = &x->c->env;
	size_t n = strcspn(text, "=");
	const char **v = json_doc_alloc(x->doc, (env->n + 1) * sizeof(*v));

	if (!v)
		return change_oom(x);
	if (env->n)
		memcpy(v, env->v, env->n * sizeof(*v));
	size_t i = 0;
	while (i < env->n && !(strncmp(v[i], text, n) == 0 && v[i][n] == '='))
		i++;
	v[i] = text;
	env->v = v;
	env->n = i == env->n ? i + 1 : env->n;
	return 0;
}

static int set_label(const struct changing *x, const char *text)
{
	pair_list *labels = &x->c->labels;
	struct oci_pair *v = json_doc_alloc(x->doc, (labels->n + 1) * sizeof(*v));
	const char *eq = strchr(text, '=');
	const char *key = eq ? change_text(x, text, (size_t)(eq - text)) : text;
	size_t i = 0;

	if (!v || !key)
		return change_oom(x);
	if (labels->n)
		memcpy(v, labels->v, labels->n * sizeof(*v));
	while (i < labels->n && !streq(v[i].key, key))
		i++;
	v[i] = (struct oci_pair){.key = key, .value = eq ? eq + 1 : ""};
	labels->v = v;
	labels->n = i == labels->n ? i + 1 : labels->n;
	return 0;
}

/* "K=V K2=V2", or "K V" with all the rest as the value. */
static int take_pairs(const struct changing *x, const char *text,
		      int (*set)(const struct changing *, const char *))
{
	size_t word = strcspn(text, " \t=");
	int r = 0;

	if (text[word] != '=') {
		const char *value = text + word + strspn(text + word, " \t");
		autofree char *pair = str_format("%.*s=%s", (int)word, text, value);
		const char *kept = pair ? change_text(x, pair, strlen(pair)) : NULL;
		return kept ? set(x, kept) : change_oom(x);
	}
	for (const char *p = text, *w; r == 0 && (w = commit_take_word(x, &p));)
		r = set(x, w);
	return r;
}

static int commit_take_ports(const struct changing *x, const char *text)
{
	int r = 0;

	for (const char *p = text, *w; r == 0 && (w = commit_take_word(x, &p));) {
		autofree char *port = strchr(w, '/') ? strdup(w) : str_format("%s/tcp", w);
		if (!port)
			return change_oom(x);
		r = list_add_once(x, &x->c->exposed_ports, change_text(x, port, strlen(port)));
	}
	return r;
}

static int take_volumes(const struct changing *x, const char *text)
{
	str_list l = {0};
	int r = take_json_list(x, text, &l) < 0 ? -1 : 0;

	for (const char *p = text, *w; l.n == 0 && r == 0 && (w = commit_take_word(x, &p));)
		r = list_add_once(x, &x->c->volumes, w);
	for (size_t i = 0; r == 0 && i < l.n; i++)
		r = list_add_once(x, &x->c->volumes, l.v[i]);
	return r;
}

static int apply_change(const struct changing *x, const char *line)
{
	char word[16];
	size_t n = strcspn(line, " \t");

	line += strspn(line, " \t");
	n = strcspn(line, " \t");
	for (size_t i = 0; i <= n && i < sizeof(word); i++)
		word[i] = i == n ? '\0' : (char)toupper((unsigned char)line[i]);
	const char *rest = line + n + strspn(line + n, " \t");
	if (n == 0 || n >= sizeof(word) || !*rest)
		return err_set(x->err, EINVAL,
			       "invalid change \"%.128s\": an instruction and its value are expected", line);
	const char *kept = change_text(x, rest, strlen(rest));
	if (!kept)
		return change_oom(x);
	if (streq(word, "CMD"))
		return take_command(x, rest, &x->c->cmd);
	if (streq(word, "ENTRYPOINT"))
		return take_command(x, rest, &x->c->entrypoint);
	if (streq(word, "ENV"))
		return take_pairs(x, rest, set_env);
	if (streq(word, "LABEL"))
		return take_pairs(x, rest, set_label);
	if (streq(word, "EXPOSE"))
		return commit_take_ports(x, rest);
	if (streq(word, "VOLUME"))
		return take_volumes(x, rest);
	if (streq(word, "ONBUILD"))
		return commit_list_add(x, &x->c->on_build, kept);
	if (streq(word, "USER"))
		x->c->user = kept;
	else if (streq(word, "WORKDIR"))
		x->c->working_dir = kept;
	else if (streq(word, "STOPSIGNAL"))
		x->c->stop_signal = kept;
	else
		return err_set(x->err, EINVAL, "%s is not a valid change command", word);
	return 0;
}

int engine_changes_apply(struct json_doc *doc, struct oci_image_config *c, const str_list *changes,
			 struct err *err)
{
	const struct changing x = {.doc = doc, .c = c, .err = err};
	int r = 0;

	for (size_t i = 0; r == 0 && changes && i < changes->n; i++)
		r = apply_change(&x, changes->v[i]);
	return r;
}

static char *commit_command_line(const struct oci_image_config *c)
{
	struct str s autostr = {0};

	for (size_t i = 0; i < c->entrypoint.n; i++)
		str_putf(&s, "%s%s", s.len ? " " : "", c->entrypoint.v[i]);
	for (size_t i = 0; i < c->cmd.n; i++)
		str_putf(&s, "%s%s", s.len ? " " : "", c->cmd.v[i]);
	if (!s.s)
		str_put(&s, "");
	return str_take(&s);
}

int engine_commit_image(struct engine *e, struct engine_container *c, const struct image_make *what,
			const str_list *changes, char **ret, struct err *err)
{
	struct image base autoimage = {0};
	struct snapshot s autosnapshot = {0};
	struct engine_maps maps;
	struct image_make q = *what;
	int r = image_find(e->store, c->record.image_id, NULL, &base, err);

	if (r < 0)
		return r;
	engine_maps_of(e, c, &maps);
	r = engine_snapshot_of(e, c, &maps, &s, err);
	if (r == 0)
		r = snapshot_prepare(e->store, &s, err);
	if (r < 0)
		return r;
	autofree char *by = commit_command_line(&c->record.config);
	q.store = e->store;
	q.base = &base;
	q.changes = &s;
	q.tar_fd = -1;
	q.created_by = by;
	q.config = c->record.config;
	q.config.architecture = base.config.architecture;
	q.config.os = base.config.os;
	q.config.variant = base.config.variant;
	r = engine_changes_apply(&c->doc, &q.config, changes, err);
	return r < 0 ? r : image_make(&q, ret, err);
}

int engine_commit(struct engine *e, const char *id, const char *reference, const char *author,
		  const char *message, const str_list *changes, bool pause, char **ret_image_id,
		  struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct image_make q = {
		.name = reference && *reference ? reference : NULL, .author = author, .comment = message};
	int r = engine_load_locked(e, id, &c, err);
	bool paused = false;

	if (r < 0)
		return r;
	if (pause && streq(c.state, "running")) {
		/* Known to who comes after a kill -9: `ps` tells, `unpause` mends. */
		r = engine_freeze(e, &c, err);
		/* Without root there is mostly no cgroup, and then no pause: as with --pause=false. */
		if (r < 0 && !e->o.rootless)
			return r;
		paused = r == 0;
		r = 0;
	}
	if (r == 0)
		r = engine_commit_image(e, &c, &q, changes, ret_image_id, err);
	if (paused) {
		struct err why = {0};
		int back = engine_thaw(e, &c, &why);
		if (back < 0 && r == 0) {
			*err = why;
			r = back;
		}
	}
	if (r == 0)
		engine_tell_container(e, &c, "commit", "imageID", *ret_image_id);
	return r;
}
