/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line is walked as options_parse() would, up to the word that is
 * being typed; what may stand there follows from the tables.
 */
#include "front/cli/complete.h"

struct walk {
	struct json_doc *memory;
	const str_list *words;
	size_t i; /* the word to look at */
	struct completion *c;
	struct err *err;
};

static const struct opt *table_option(const struct opt_table *tables, const char *word, size_t len)
{
	for (size_t t = 0; t < OPTIONS_TABLES_MAX; t++) {
		for (size_t k = 0; k < tables[t].n; k++) {
			const struct opt *o = &tables[t].v[k];
			if (word[1] == '-'
				    ? strlen(o->name) == len - 2 && memcmp(o->name, word + 2, len - 2) == 0
				    : len >= 2 && o->letter == word[len - 1])
				return o;
		}
	}
	return NULL;
}

static int offer(struct walk *w, const char *word, const char *about)
{
	if (strncmp(word, w->c->begun, strlen(w->c->begun)) != 0)
		return 0;
	struct complete_item *item = memory_push(w->memory, &w->c->list, sizeof(*item));
	if (!item)
		return err_oom(w->err);
	*item = (struct complete_item){word, about};
	w->c->kind = COMPLETE_WORDS;
	return 0;
}

static void offer_spec(struct walk *w, const char *spec)
{
	w->c->spec = spec;
	w->c->kind = streq(spec, "@file")  ? COMPLETE_FILES
		     : streq(spec, "@dir") ? COMPLETE_DIRS
					   : COMPLETE_WORDS;
}

static int offer_options(struct walk *w, const struct opt_table *tables)
{
	const struct opt *sorted[HELP_OPTIONS_MAX];
	size_t n = help_sorted_options(tables, OPTIONS_TABLES_MAX, sorted, HELP_OPTIONS_MAX);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct str name autostr = {0};
		str_putf(&name, "--%s", sorted[i]->name);
		r = offer(w, memory_take(w->memory, &name), sorted[i]->help);
	}
	return r < 0 ? r : offer(w, "--help", "Show help");
}

static int offer_entries(struct walk *w, const struct command_entry *e)
{
	int r = 0;

	for (; r == 0 && e->name; e++)
		r = offer(w, e->name, e->command->summary);
	return r;
}

/* Does `word` need the next one for its value? */
static const struct opt *wants_next(const struct opt_table *tables, const char *word)
{
	if (word[0] != '-' || !word[1] || strchr(word, '=') || streq(word, "--"))
		return NULL;
	const struct opt *o = table_option(tables, word, strlen(word));
	/* -itv: all but the last letter must be flags, else the value is in the word. */
	for (const char *p = word + 1; word[1] != '-' && o && p[1]; p++) {
		char one[3] = {'-', *p, '\0'};
		const struct opt *before = table_option(tables, one, 2);
		if (!before || opt_takes_value(before))
			return NULL;
	}
	return o && opt_takes_value(o) && !o->implied ? o : NULL;
}

/*
 * Over options and their values; stops at the first other word, or at the last word of all.  True where the
 * last word was reached and what it may be has been settled.
 */
static bool walk_options(struct walk *w, const struct opt_table *tables, void *values, int *r)
{
	size_t last = w->words->n - 1;

	for (; w->i <= last; w->i++) {
		const char *word = w->words->v[w->i];
		const struct opt *o = wants_next(tables, word);
		if (w->i == last) {
			size_t eq = strcspn(word, "=");
			if (word[0] != '-')
				return false;
			if (word[eq] == '=') {
				o = table_option(tables, word, eq);
				w->c->prefix = memory_text_n(w->memory, word, eq + 1);
				w->c->begun = word + eq + 1;
				if (o && opt_takes_value(o) && o->words)
					offer_spec(w, o->words);
			} else {
				*r = offer_options(w, tables);
			}
			return true;
		}
		if (word[0] != '-' || streq(word, "-"))
			return false;
		if (o && w->i + 1 == last) {
			w->i++;
			if (o->words)
				offer_spec(w, o->words);
			return true;
		}
		if (o) {
			if (values)
				ignore_result(
					options_store(o, w->words->v[w->i + 1], values, w->memory, w->err));
			w->i++;
		}
	}
	return false;
}

static int complete_command(struct walk *w, const struct command *c)
{
	size_t last = w->words->n - 1, given = 0;
	int r = 0;

	for (;;) {
		if (walk_options(w, c->options, NULL, &r))
			return r;
		if (w->i >= last)
			break;
		given++;
		w->i++;
		if (c->stop_first)
			break;
	}
	if (given && c->stop_first) {
		w->c->kind = COMPLETE_FILES;
		return 0;
	}
	if (c->max_args >= 0 && given >= (size_t)c->max_args)
		return 0;
	const char *words = c->words;
	if (words && streq(words, "@network") && given == 1 &&
	    c->max_args == 2) /* connect NETWORK CONTAINER */
		words = "@container";
	if (words)
		offer_spec(w, words);
	return 0;
}

static int complete_top(struct walk *w)
{
	int r = 0;

	for (const struct command_section *s = command_sections; r == 0 && s->title; s++)
		if (!s->hidden)
			r = offer_entries(w, s->entries);
	for (const struct command_group *g = command_groups; r == 0 && g->name; g++)
		if (!g->hidden)
			r = offer(w, g->name, g->summary);
	return r < 0 ? r : offer(w, "help", "Help about a command");
}

int complete_words(struct json_doc *memory, const str_list *words, struct completion *ret, struct err *err)
{
	const struct opt_table globals[OPTIONS_TABLES_MAX] = {cli_global_options};
	struct walk w = {.memory = memory, .words = words, .c = ret, .err = err};
	int r = 0;

	*ret = (struct completion){.prefix = ""};
	if (words->n == 0)
		return 0;
	ret->begun = words->v[words->n - 1];
	if (walk_options(&w, globals, &ret->globals, &r))
		return r;
	if (w.i + 1 < words->n && streq(words->v[w.i], "help"))
		w.i++;
	if (w.i + 1 >= words->n)
		return complete_top(&w);
	const char *name = words->v[w.i++];
	const struct command_group *g = command_find_group(name);
	if (g && w.i + 1 >= words->n)
		return offer_entries(&w, g->entries);
	const struct command *c = g ? command_find(g->entries, words->v[w.i++]) : command_find_top(name);
	return c ? complete_command(&w, c) : 0;
}

int complete_cut(struct json_doc *memory, const char *line, str_list *ret, struct err *err)
{
	const char *p = line;

	for (;;) {
		struct str word autostr = {0};
		char quote = 0;
		p += strspn(p, " \t\n");
		for (; *p && (quote || !strchr(" \t\n", *p)); p++) {
			if (quote ? *p == quote : *p == '"' || *p == '\'') {
				quote = quote ? 0 : *p;
				continue;
			}
			if (*p == '\\' && p[1] && quote != '\'')
				p++;
			str_put_n(&word, p, 1);
		}
		const char **item = memory_push(memory, ret, sizeof(*item));
		if (!item)
			return err_oom(err);
		*item = memory_take(memory, &word);
		if (!*p)
			return 0;
	}
}
