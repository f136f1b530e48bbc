/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions of a Dockerfile that say something about an image's configuration. */
#include "front/cli/images.h"

#include <strings.h>

struct change {
	struct json_doc *memory;
	struct oci_image_config *c;
	const char *text, *rest; /* the whole, and what stands behind the instruction */
	struct err *err;
};

static int change_bad(const struct change *x, const char *why)
{
	return err_set(x->err, EINVAL, "invalid change \"%s\": %s", x->text, why);
}

static int change_add(const struct change *x, str_list *list, const char *text)
{
	const char **item = memory_push(x->memory, list, sizeof(*item));

	if (!item)
		return err_oom(x->err);
	*item = text;
	return 0;
}

/* ["a", "b"], or a line for the shell. */
static int change_command(const struct change *x, str_list *list)
{
	struct value *v;

	*list = (str_list){0};
	if (*x->rest != '[') {
		int r = change_add(x, list, "/bin/sh");
		if (r == 0)
			r = change_add(x, list, "-c");
		return r < 0 ? r : change_add(x, list, x->rest);
	}
	int r = value_read(x->memory, x->rest, strlen(x->rest), "the change", &v, x->err);
	for (const struct value *m = r == 0 ? v->first : NULL; r == 0 && m; m = m->next)
		r = m->kind == VALUE_STRING ? change_add(x, list, m->text)
					    : change_bad(x, "a list of strings");
	return r;
}

/* One word, in quotes or not; *text moves on.  NULL at the end. */
static const char *change_word(const struct change *x, const char **text)
{
	struct str word autostr = {0};
	const char *p = *text + strspn(*text, " \t");
	char quote = 0;

	if (!*p)
		return NULL;
	for (; *p && (quote || (*p != ' ' && *p != '\t')); p++) {
		if (quote ? *p == quote : *p == '"' || *p == '\'') {
			quote = quote ? 0 : *p;
			continue;
		}
		if (*p == '\\' && p[1] && quote != '\'')
			p++;
		str_put_n(&word, p, 1);
	}
	*text = p;
	return memory_take(x->memory, &word);
}

static int change_set_env(const struct change *x, const char *pair)
{
	size_t len = strcspn(pair, "=");

	for (size_t i = 0; i < x->c->env.n; i++) {
		if (strncmp(x->c->env.v[i], pair, len) == 0 && x->c->env.v[i][len] == '=') {
			x->c->env.v[i] = pair;
			return 0;
		}
	}
	return change_add(x, &x->c->env, pair);
}

static int change_set_label(const struct change *x, const char *text)
{
	struct oci_pair p = pair_cut(x->memory, text), *item;

	for (size_t i = 0; i < x->c->labels.n; i++) {
		if (streq(x->c->labels.v[i].key, p.key)) {
			x->c->labels.v[i] = p;
			return 0;
		}
	}
	item = memory_push(x->memory, &x->c->labels, sizeof(*item));
	if (!item)
		return err_oom(x->err);
	*item = p;
	return 0;
}

/* "K=V K2=V2", or the old "K rest of the line". */
static int change_pairs(const struct change *x, int (*set)(const struct change *x, const char *pair))
{
	const char *p = x->rest, *word = change_word(x, &p);
	struct str whole autostr = {0};
	int r = 0;

	if (!word)
		return change_bad(x, "KEY=VALUE is missing");
	if (!strchr(word, '=')) {
		p += strspn(p, " \t");
		str_putf(&whole, "%s=%s", word, p);
		return *p ? set(x, memory_take(x->memory, &whole)) : change_bad(x, "KEY=VALUE is missing");
	}
	for (; r == 0 && word; word = change_word(x, &p))
		r = strchr(word, '=') ? set(x, word) : change_bad(x, "KEY=VALUE is missing");
	return r;
}

static int change_words(const struct change *x, str_list *list, const char *behind)
{
	const char *p = x->rest, *word;
	int r = 0;

	if (*x->rest == '[') {
		str_list words = {0};
		r = change_command(x, &words);
		for (size_t i = 0; r == 0 && i < words.n; i++)
			r = change_add(x, list, words.v[i]);
		return r;
	}
	while (r == 0 && (word = change_word(x, &p))) {
		struct str whole autostr = {0};
		str_putf(&whole, "%s%s", word, strchr(word, '/') ? "" : behind);
		r = change_add(x, list, memory_take(x->memory, &whole));
	}
	return r;
}

static int change_one(const struct change *x, const char *verb)
{
	struct oci_image_config *c = x->c;

	if (strcasecmp(verb, "CMD") == 0)
		return change_command(x, &c->cmd);
	if (strcasecmp(verb, "ENTRYPOINT") == 0)
		return change_command(x, &c->entrypoint);
	if (strcasecmp(verb, "ENV") == 0)
		return change_pairs(x, change_set_env);
	if (strcasecmp(verb, "LABEL") == 0)
		return change_pairs(x, change_set_label);
	if (strcasecmp(verb, "EXPOSE") == 0)
		return change_words(x, &c->exposed_ports, "/tcp");
	if (strcasecmp(verb, "VOLUME") == 0)
		return change_words(x, &c->volumes, "");
	if (strcasecmp(verb, "ONBUILD") == 0)
		return change_add(x, &c->on_build, x->rest);
	const char **at = strcasecmp(verb, "USER") == 0		? &c->user
			  : strcasecmp(verb, "WORKDIR") == 0	? &c->working_dir
			  : strcasecmp(verb, "STOPSIGNAL") == 0 ? &c->stop_signal
								: NULL;
	if (!at)
		return change_bad(
			x, "known are CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, STOPSIGNAL "
			   "and ONBUILD");
	*at = x->rest;
	return *x->rest ? 0 : change_bad(x, "a value is missing");
}

/* "linux/arm64/v8" */
static int change_platform(struct json_doc *memory, const char *platform, struct oci_image_config *c,
			   struct err *err)
{
	const char *text = platform ? platform : image_platform_here();
	size_t os = strcspn(text, "/"), arch = text[os] ? strcspn(text + os + 1, "/") : 0;

	if (os == 0 || arch == 0)
		return err_set(err, EINVAL, "invalid platform \"%s\": write it as linux/arm64", text);
	c->os = memory_text_n(memory, text, os);
	c->architecture = memory_text_n(memory, text + os + 1, arch);
	if (text[os + 1 + arch])
		c->variant = text + os + 2 + arch;
	return 0;
}

int image_changes(struct json_doc *memory, const str_list *changes, const char *platform,
		  struct oci_image_config *ret, struct err *err)
{
	int r = change_platform(memory, platform, ret, err);

	for (size_t i = 0; r == 0 && i < changes->n; i++) {
		const char *text = changes->v[i] + strspn(changes->v[i], " \t");
		size_t len = strcspn(text, " \t=");
		const char *rest = text + len + strspn(text + len, " \t=");
		struct change x = {.memory = memory, .c = ret, .text = text, .rest = rest, .err = err};
		r = change_one(&x, memory_text_n(memory, text, len));
	}
	return r;
}
