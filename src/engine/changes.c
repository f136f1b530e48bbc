/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions of a Dockerfile that say something about an image's configuration: --change. */
#include "engine/engine_int.h"

#include "base/decimal.h"
#include "host/resolve.h"

#include <ctype.h>
#include <strings.h>

struct changing {
	struct json_doc *doc;
	struct oci_image_config *c;
	struct err *err;
	bool *cmd_set; /* by one of these lines */
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

static int changes_list_add(const struct changing *x, str_list *l, const char *text)
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
	return changes_list_add(x, l, text);
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
		r = changes_list_add(x, &l, x->c->shell.n ? x->c->shell.v[i] : shell[i]);
	if (r == 0)
		r = changes_list_add(x, &l, change_text(x, text, strlen(text)));
	*ret = l;
	return r;
}

/* The next word, or all that follows; quotes keep blanks together and a backslash the next character.  NULL
 * at the end. */
static const char *take_text(const struct changing *x, const char **p, bool all)
{
	const char *s = *p + strspn(*p, " \t");
	char quote = 0;
	size_t n = 0;

	if (!*s)
		return NULL;
	char *out = json_doc_alloc(x->doc, strlen(s) + 1);
	if (!out)
		return NULL;
	for (; *s && (all || quote || (*s != ' ' && *s != '\t')); s++) {
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

static const char *changes_take_word(const struct changing *x, const char **p)
{
	return take_text(x, p, false);
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
		const char *rest = text + word, *value = take_text(x, &rest, true);
		autofree char *pair = str_format("%.*s=%s", (int)word, text, value ? value : "");
		const char *kept = pair ? change_text(x, pair, strlen(pair)) : NULL;
		return kept ? set(x, kept) : change_oom(x);
	}
	for (const char *p = text, *w; r == 0 && (w = changes_take_word(x, &p));)
		r = set(x, w);
	return r;
}

enum { PORT_MAX = 65535 };

/* Those that are not there yet, in one new list: there may be as many as there are ports. */
static int add_ports(const struct changing *x, unsigned first, unsigned last, const char *proto)
{
	str_list *l = &x->c->exposed_ports;
	autofree bool *there = calloc(PORT_MAX + 1, sizeof(*there));
	const char **v = json_doc_alloc(x->doc, (l->n + last - first + 1) * sizeof(*v));
	char port[32];

	if (!v || !there)
		return change_oom(x);
	for (size_t i = 0; i < l->n; i++) {
		char *end;
		unsigned long n = strtoul(l->v[i], &end, 10);
		if (n <= PORT_MAX && *end == '/' && streq(end + 1, proto))
			there[n] = true;
		v[i] = l->v[i];
	}
	l->v = v;
	for (unsigned p = first; p <= last; p++) {
		if (there[p])
			continue;
		int len = snprintf(port, sizeof(port), "%u/%s", p, proto);
		v[l->n] = len > 0 ? change_text(x, port, (size_t)len) : NULL;
		if (!v[l->n])
			return change_oom(x);
		l->n++;
	}
	return 0;
}

/* "80", "53/udp", "8000-8010/tcp": a port each. */
static int take_port(const struct changing *x, const char *word)
{
	const char *slash = strchr(word, '/'), *proto = slash ? slash + 1 : "tcp";
	char *end;
	unsigned long first = strtoul(word, &end, 10), last = first;
	bool ok = word[0] >= '0' && word[0] <= '9';

	if (ok && *end == '-') {
		ok = end[1] >= '0' && end[1] <= '9';
		last = strtoul(end + 1, &end, 10);
	}
	if (!ok || (*end && end != slash) || first == 0 || last < first || last > PORT_MAX ||
	    (!streq(proto, "tcp") && !streq(proto, "udp") && !streq(proto, "sctp")))
		return err_set(x->err, EINVAL, "invalid containerPort: %.64s", word);
	return add_ports(x, (unsigned)first, (unsigned)last, proto);
}

static int changes_take_ports(const struct changing *x, const char *text)
{
	int r = 0;

	for (const char *p = text, *w; r == 0 && (w = changes_take_word(x, &p));)
		r = take_port(x, w);
	return r;
}

static int take_volumes(const struct changing *x, const char *text)
{
	str_list l = {0};
	int r = take_json_list(x, text, &l) < 0 ? -1 : 0;

	for (const char *p = text, *w; l.n == 0 && r == 0 && (w = changes_take_word(x, &p));)
		r = list_add_once(x, &x->c->volumes, w);
	for (size_t i = 0; r == 0 && i < l.n; i++)
		r = list_add_once(x, &x->c->volumes, l.v[i]);
	return r;
}

static const char *env_value(const struct changing *x, const char *name, size_t len)
{
	for (size_t i = 0; i < x->c->env.n; i++) {
		const char *e = x->c->env.v[i];
		if (strncmp(e, name, len) == 0 && e[len] == '=')
			return e + len + 1;
	}
	return NULL;
}

static bool name_byte(char c)
{
	return c == '_' || isalnum((unsigned char)c);
}

static void put_expanded(struct str *out, const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		/* What is cut into words again is to be one of them. */
		if (strchr(" \t\"'\\", value[i]))
			str_put_n(out, "\\", 1);
		str_put_n(out, value + i, 1);
	}
}

/* "$NAME", "${NAME}", "${NAME:-otherwise}", "${NAME:+instead}", at `p`; what follows it, or NULL. */
static const char *put_variable(const struct changing *x, struct str *out, const char *p)
{
	bool braces = p[1] == '{';
	const char *name = p + 1 + braces, *end = name;

	while (name_byte(*end))
		end++;
	if (end == name)
		return NULL;
	const char *value = env_value(x, name, (size_t)(end - name));
	if (!braces) {
		put_expanded(out, value ? value : "", value ? strlen(value) : 0);
		return end;
	}
	const char *close = strchr(end, '}');
	if (!close || (*end != '}' && (end[0] != ':' || (end[1] != '-' && end[1] != '+'))))
		return NULL;
	bool set = value && *value;
	if (*end == '}')
		put_expanded(out, value ? value : "", value ? strlen(value) : 0);
	else if (set == (end[1] == '+'))
		put_expanded(out, end + 2, (size_t)(close - end - 2));
	else if (set)
		put_expanded(out, value, strlen(value));
	return close + 1;
}

/* Variables of the image in an instruction's text, which take_text() reads afterwards: quotes and backslashes
 * stay. */
static const char *expand(const struct changing *x, const char *text)
{
	struct str out autostr = {0};
	char quote = 0;

	str_put(&out, "");
	for (const char *p = text; *p;) {
		const char *next = *p == '$' && quote != '\'' ? put_variable(x, &out, p) : NULL;
		if (next) {
			p = next;
			continue;
		}
		if (*p == '\\' && p[1] && quote != '\'') {
			str_put_n(&out, p, 2);
			p += 2;
			continue;
		}
		if (*p == '"' || *p == '\'')
			quote = !quote ? *p : quote == *p ? 0 : quote;
		str_put_n(&out, p++, 1);
	}
	return out.s && !out.failed ? change_text(x, out.s, out.len) : NULL;
}

/* "--interval=5s"; 1 where the word is none of these. */
static int take_health_option(const struct changing *x, struct oci_healthcheck *h, const char *word)
{
	const struct {
		const char *name;
		int64_t *at;
	} times[] = {{"--interval=", &h->interval},
		     {"--timeout=", &h->timeout},
		     {"--start-period=", &h->start_period},
		     {"--start-interval=", &h->start_interval}};
	uint64_t retries;

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		if (!str_starts(word, times[i].name))
			continue;
		const char *value = word + strlen(times[i].name);
		if (duration_parse(value, times[i].at) < 0 || *times[i].at < 0)
			return err_set(x->err, EINVAL, "invalid duration \"%.64s\" of HEALTHCHECK", value);
		return 0;
	}
	if (!str_starts(word, "--retries="))
		return err_set(x->err, EINVAL, "unknown flag of HEALTHCHECK: %.64s", word);
	if (str_to_u64(word + strlen("--retries="), 10, &retries) < 0 || retries > INT32_MAX)
		return err_set(x->err, EINVAL, "--retries of HEALTHCHECK must be a number, not %.64s",
			       word + strlen("--retries="));
	h->retries = (int64_t)retries;
	return 0;
}

/* "NONE", or options and "CMD" with a list or a line. */
static int take_healthcheck(const struct changing *x, const char *text)
{
	struct oci_healthcheck *h = json_doc_alloc(x->doc, sizeof(*h));
	const char *p = text, *word = NULL;
	int r = h ? 0 : change_oom(x);

	if (h)
		*h = (struct oci_healthcheck){0};
	while (r == 0 && (word = changes_take_word(x, &p)) && str_starts(word, "--"))
		r = take_health_option(x, h, word);
	if (r < 0)
		return r;
	bool none = word && strcasecmp(word, "NONE") == 0;
	p += strspn(p, " \t");
	if (!none && (!word || strcasecmp(word, "CMD") != 0 || !*p))
		return err_set(x->err, EINVAL, "HEALTHCHECK needs NONE, or CMD and a command");
	str_list list = {0};
	bool is_list = !none && take_json_list(x, p, &list) > 0;
	r = changes_list_add(x, &h->test, none ? "NONE" : is_list ? "CMD" : "CMD-SHELL");
	for (size_t i = 0; r == 0 && i < list.n; i++)
		r = changes_list_add(x, &h->test, list.v[i]);
	if (r == 0 && !none && !is_list)
		r = changes_list_add(x, &h->test, change_text(x, p, strlen(p)));
	if (r == 0)
		x->c->healthcheck = h;
	return r;
}

/* What is not absolute is below the last one. */
static int take_workdir(const struct changing *x, const char *text)
{
	const char *old = x->c->working_dir && *x->c->working_dir ? x->c->working_dir : "/";
	autofree char *joined = text[0] == '/' ? strdup(text) : str_format("%s/%s", old, text);
	autofree char *clean = joined ? resolve_clean(joined) : NULL;

	x->c->working_dir = clean ? change_text(x, clean, strlen(clean)) : NULL;
	return x->c->working_dir ? 0 : change_oom(x);
}

static int take_shell(const struct changing *x, const char *text)
{
	str_list list = {0};

	if (take_json_list(x, text, &list) <= 0 || list.n == 0)
		return err_set(x->err, EINVAL, "SHELL requires the arguments to be in JSON form");
	x->c->shell = list;
	return 0;
}

/* Those whose text is the program's, or another build's: nothing is put in place of variables. */
static int change_verbatim(const struct changing *x, const char *verb, const char *kept)
{
	if (streq(verb, "CMD")) {
		*x->cmd_set = true;
		return take_command(x, kept, &x->c->cmd);
	}
	if (streq(verb, "ENTRYPOINT")) {
		if (!*x->cmd_set)
			x->c->cmd = (str_list){0}; /* it was the old one's */
		return take_command(x, kept, &x->c->entrypoint);
	}
	if (streq(verb, "HEALTHCHECK"))
		return take_healthcheck(x, kept);
	if (streq(verb, "SHELL"))
		return take_shell(x, kept);
	return streq(verb, "ONBUILD") ? changes_list_add(x, &x->c->on_build, kept) : 1;
}

static int change_with_variables(const struct changing *x, const char *verb, const char *kept)
{
	const char *text = expand(x, kept);

	if (!text)
		return change_oom(x);
	if (streq(verb, "ENV"))
		return take_pairs(x, text, set_env);
	if (streq(verb, "LABEL"))
		return take_pairs(x, text, set_label);
	if (streq(verb, "EXPOSE"))
		return changes_take_ports(x, text);
	if (streq(verb, "VOLUME"))
		return take_volumes(x, text);
	text = take_text(x, &(const char *){text}, true);
	if (!text)
		return err_set(x->err, EINVAL, "%s has no value", verb);
	if (streq(verb, "WORKDIR"))
		return take_workdir(x, text);
	if (streq(verb, "USER"))
		x->c->user = text;
	else if (streq(verb, "STOPSIGNAL"))
		x->c->stop_signal = text;
	else
		return err_set(x->err, EINVAL, "%s is not a valid change command", verb);
	return 0;
}

static int apply_change(const struct changing *x, const char *line)
{
	char verb[16];

	line += strspn(line, " \t");
	size_t n = strcspn(line, " \t=");
	for (size_t i = 0; i <= n && i < sizeof(verb); i++)
		verb[i] = i == n ? '\0' : (char)toupper((unsigned char)line[i]);
	const char *rest = line + n + strspn(line + n, " \t=");
	if (n == 0 || n >= sizeof(verb) || !*rest)
		return err_set(x->err, EINVAL,
			       "invalid change \"%.128s\": an instruction and its value are expected", line);
	const char *kept = change_text(x, rest, strlen(rest));
	if (!kept)
		return change_oom(x);
	int r = change_verbatim(x, verb, kept);
	return r > 0 ? change_with_variables(x, verb, kept) : r;
}

int engine_changes_apply(struct json_doc *doc, struct oci_image_config *c, const str_list *changes,
			 struct err *err)
{
	bool cmd_set = false;
	const struct changing x = {.doc = doc, .c = c, .err = err, .cmd_set = &cmd_set};
	int r = 0;

	for (size_t i = 0; r == 0 && changes && i < changes->n; i++)
		r = apply_change(&x, changes->v[i]);
	return r;
}
