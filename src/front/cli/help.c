/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/cli.h"

#include "base/nearest.h"

const struct command *command_find(const struct command_entry *entries, const char *name)
{
	for (; entries->name; entries++)
		if (streq(entries->name, name))
			return entries->command;
	return NULL;
}

const struct command *command_find_top(const char *name)
{
	for (const struct command_section *s = command_sections; s->title; s++) {
		const struct command *c = command_find(s->entries, name);
		if (c)
			return c;
	}
	return NULL;
}

const struct command_group *command_find_group(const char *name)
{
	for (const struct command_group *g = command_groups; g->name; g++)
		if (streq(g->name, name))
			return g;
	return NULL;
}

static size_t count_entries(const struct command_entry *entries)
{
	size_t n = 0;

	while (entries[n].name)
		n++;
	return n;
}

const char *command_nearest(const struct command_group *group, const char *name)
{
	const char *near = NULL;

	if (group)
		return nearest_word(name, &group->entries->name, count_entries(group->entries),
				    sizeof(*group->entries));
	for (const struct command_section *s = command_sections; s->title && !near; s++)
		if (!s->hidden)
			near = nearest_word(name, &s->entries->name, count_entries(s->entries),
					    sizeof(*s->entries));
	for (const struct command_group *g = command_groups; g->name && !near; g++)
		if (!g->hidden)
			near = nearest_word(name, &g->name, 1, sizeof(*g));
	return near;
}

/* ---- texts ---- */

static const char about_program[] =
	"Usage:  coffer [OPTIONS] COMMAND\n"
	"\n"
	"Containers without a daemon, at the isolation that you pick\n"
	"\n"
	"Examples:\n"
	"  coffer run -it --rm debian bash               a shell in a fresh container\n"
	"  coffer run -d --name web -p 8080:80 nginx     a service, with a port of this machine\n"
	"  coffer logs -f web                            what it says\n"
	"  coffer exec -it web sh                        a look inside\n"
	"  coffer rm -f web                              away with it\n"
	"  coffer doctor                                 what this machine can do, and what it lacks\n";

static void put_columns(FILE *out, const char *name, const char *text)
{
	fprintf(out, "  %-11s %s\n", name, text);
}

/* "-n, --name string" */
static int option_label(const struct opt *o, char *buf, size_t size)
{
	const char *value = opt_value_name(o);

	return snprintf(buf, size, "%s%c%s--%s%s%s", o->letter ? "-" : " ", o->letter ? o->letter : ' ',
			o->letter ? ", " : "  ", o->name, *value ? " " : "", value);
}

static int by_option_name(const void *a, const void *b)
{
	return strcmp((*(const struct opt *const *)a)->name, (*(const struct opt *const *)b)->name);
}

size_t help_sorted_options(const struct opt_table *tables, size_t ntables, const struct opt **ret, size_t max)
{
	size_t n = 0;

	for (size_t t = 0; t < ntables; t++)
		for (size_t i = 0; i < tables[t].n && n < max; i++)
			if (tables[t].v[i].help)
				ret[n++] = &tables[t].v[i];
	qsort(ret, n, sizeof(*ret), by_option_name);
	return n;
}

static void put_options(FILE *out, const struct opt_table *tables, size_t ntables)
{
	const struct opt *sorted[HELP_OPTIONS_MAX];
	size_t n = help_sorted_options(tables, ntables, sorted, HELP_OPTIONS_MAX);
	char label[100];
	int width = 0;

	for (size_t i = 0; i < n; i++)
		width = MAX_OF(width, option_label(sorted[i], label, sizeof(label)));
	for (size_t i = 0; i < n; i++) {
		(void)option_label(sorted[i], label, sizeof(label)); /* fits: names are ours */
		fprintf(out, "  %-*s   %s\n", width, label, sorted[i]->help);
	}
}

void help_program(FILE *out)
{
	fputs(about_program, out);
	for (const struct command_section *s = command_sections; s->title; s++) {
		if (s->hidden)
			continue;
		fprintf(out, "\n%s:\n", s->title);
		for (const struct command_entry *e = s->entries; e->name; e++)
			put_columns(out, e->name, e->command->summary);
	}
	fputs("\nBy what they work on:\n", out);
	for (const struct command_group *g = command_groups; g->name; g++)
		if (!g->hidden)
			put_columns(out, g->name, g->summary);
	fputs("\nGlobal Options:\n", out);
	put_options(out, &cli_global_options, 1);
	fputs("\nRun 'coffer COMMAND --help' or 'man coffer-COMMAND' for more information on a command.\n",
	      out);
}

/* "ls", "list" and "ps" are one command: the first stands for all. */
static bool first_name(const struct command_entry *entries, const struct command_entry *e)
{
	for (; entries < e; entries++)
		if (entries->command == e->command)
			return false;
	return true;
}

void help_group(FILE *out, const struct command_group *g)
{
	fprintf(out, "Usage:  coffer %s COMMAND\n\n%s\n\nCommands:\n", g->name, g->summary);
	for (const struct command_entry *e = g->entries; e->name; e++)
		if (first_name(g->entries, e))
			put_columns(out, e->name, e->command->summary);
	fprintf(out, "\nRun 'coffer %s COMMAND --help' for more information on a command.\n", g->name);
}

/* All the ways to call a command but `path`. */
static void put_aliases(FILE *out, const struct command *c, const char *path)
{
	size_t n = 0;
	char name[80];

	for (const struct command_section *s = command_sections; s->title; s++) {
		for (const struct command_entry *e = s->entries; e->name; e++)
			if (e->command == c && !streq(e->name, path))
				fprintf(out, "%scoffer %s", n++ ? ", " : "\nAliases:\n  ", e->name);
	}
	for (const struct command_group *g = command_groups; g->name; g++) {
		for (const struct command_entry *e = g->entries; e->name; e++) {
			(void)snprintf(name, sizeof(name), "%s %s", g->name,
				       e->name); /* fits: names are ours */
			if (e->command == c && !streq(name, path))
				fprintf(out, "%scoffer %s", n++ ? ", " : "\nAliases:\n  ", name);
		}
	}
	if (n)
		fputs("\n", out);
}

static void put_example(FILE *out, const char *line, size_t len)
{
	fputs("  ", out);
	(void)fwrite(line, 1, len, out); /* main() looks at the stream's state */
	fputs("\n", out);
}

void help_command(FILE *out, const struct command *c, const char *path)
{
	fprintf(out, "Usage:  coffer %s%s%s\n\n%s\n", path, *c->usage ? " " : "", c->usage, c->summary);
	if (c->description)
		fprintf(out, "\n%s\n", c->description);
	put_aliases(out, c, path);
	if (c->options[0].n) {
		fputs("\nOptions:\n", out);
		put_options(out, c->options, OPTIONS_TABLES_MAX);
	}
	if (c->examples) {
		fputs("\nExamples:\n", out);
		for (const char *p = c->examples; *p; p += strcspn(p, "\n"), p += *p == '\n')
			put_example(out, p, strcspn(p, "\n"));
	}
}
