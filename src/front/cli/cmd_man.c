/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `coffer man-page`: coffer(1) to standard output, or with a directory all pages into it: one for the
 * program, one for each group and one for each name of a command.  They are made when the program is built,
 * of the tables that make --help.
 */
#include "front/cli/cli.h"

#include "base/file.h"

#include <sys/stat.h>

/* Text for roff: backslashes, hyphens and a dot at the beginning of a line mean something there. */
static void roff(struct str *out, const char *text)
{
	bool begins = true;

	for (; *text; text++) {
		if (begins && (*text == '.' || *text == '\''))
			str_put(out, "\\&");
		if (*text == '\\')
			str_put(out, "\\e");
		else if (*text == '-')
			str_put(out, "\\-");
		else
			str_put_n(out, text, 1);
		begins = *text == '\n';
	}
}

static void roff_options(struct str *out, const struct opt_table *tables, size_t n)
{
	const struct opt *sorted[HELP_OPTIONS_MAX];
	size_t count = help_sorted_options(tables, n, sorted, HELP_OPTIONS_MAX);

	for (size_t i = 0; i < count; i++) {
		const struct opt *o = sorted[i];
		str_put(out, ".TP\n");
		if (o->letter)
			str_putf(out, "\\fB\\-%c\\fR, ", o->letter);
		str_put(out, "\\fB\\-\\-");
		roff(out, o->name);
		str_put(out, "\\fR");
		if (*opt_value_name(o)) {
			str_put(out, " \\fI");
			roff(out, opt_value_name(o));
			str_put(out, "\\fR");
		}
		str_put(out, "\n");
		roff(out, o->help);
		str_put(out, "\n");
	}
}

/* "Heading" in capitals. */
static void roff_capitals(struct str *out, const char *text)
{
	for (; *text; text++)
		str_putf(out, "%c", *text >= 'a' && *text <= 'z' ? *text - ('a' - 'A') : *text);
}

static void roff_title(struct str *out, const char *page)
{
	str_put(out, ".\\\" SPDX-License-Identifier: Apache-2.0\n.TH ");
	roff_capitals(out, page);
	str_put(out, " 1 \"\" \"coffer " COFFER_VERSION "\" \"User Commands\"\n.SH NAME\n");
	roff(out, page);
	str_put(out, " \\- ");
}

/* "coffer run" is described on the page "coffer-run". */
static char *page_name(const char *path)
{
	char *name = str_format("coffer-%s", path);

	for (char *p = name; p && *p; p++)
		if (*p == ' ')
			*p = '-';
	return name;
}

static char *man_path(const struct command_group *g, const struct command_entry *e)
{
	return str_format("%s%s%s", g ? g->name : "", g ? " " : "", e->name);
}

/* ---- names ---- */

/* Each name of each command that is shown; stops at the first result that is not 0. */
typedef int (*name_fn)(void *data, const struct command_group *g, const struct command_entry *e);

static int each_name(name_fn fn, void *data)
{
	int r = 0;

	for (const struct command_section *s = command_sections; s->title; s++)
		for (const struct command_entry *e = s->entries; r == 0 && !s->hidden && e->name; e++)
			r = fn(data, NULL, e);
	for (const struct command_group *g = command_groups; g->name; g++)
		for (const struct command_entry *e = g->entries; r == 0 && !g->hidden && e->name; e++)
			r = fn(data, g, e);
	return r;
}

/* Of a command the first name, by which it is described, and the others. */
struct name_list {
	const struct command *command;
	char *first;
	struct str others; /* "coffer container run, coffer …" */
};

static int collect_name(void *data, const struct command_group *g, const struct command_entry *e)
{
	struct name_list *l = data;

	if (e->command != l->command)
		return 0;
	autofree char *path = man_path(g, e);
	if (!path)
		return -ENOMEM;
	if (!l->first)
		l->first = take_ptr(&path);
	else
		str_putf(&l->others, "%scoffer %s", l->others.len ? ", " : "", path);
	return 0;
}

static void name_list_free(struct name_list *l)
{
	free(l->first);
	str_free(&l->others);
}
#define autonames __attribute__((cleanup(name_list_free)))

static int man_names(const struct command *c, struct name_list *ret)
{
	*ret = (struct name_list){.command = c};
	return each_name(collect_name, ret);
}

/* ".TP" with a reference to the page of a command. */
static int roff_entry(struct str *out, const struct command_group *g, const struct command_entry *e)
{
	autofree char *path = man_path(g, e), *page = path ? page_name(path) : NULL;

	if (!page)
		return -ENOMEM;
	str_put(out, ".TP\n.BR ");
	roff(out, page);
	str_put(out, " (1)\n");
	roff(out, e->command->summary);
	str_put(out, "\n");
	return 0;
}

static int roff_entries(struct str *out, const struct command_group *g, const struct command_entry *first)
{
	int r = 0;

	for (const struct command_entry *e = first; r == 0 && e->name; e++)
		if (e == first || e[-1].command != e->command)
			r = roff_entry(out, g, e);
	return r;
}

/* ---- pages ---- */

static void command_page(struct str *out, const char *path, const char *page, const struct command *c,
			 const struct name_list *names)
{
	roff_title(out, page);
	roff(out, c->summary);
	str_put(out, "\n.SH SYNOPSIS\n.B coffer ");
	roff(out, path);
	str_put(out, "\n");
	roff(out, c->usage);
	str_put(out, *c->usage ? "\n" : "");
	str_put(out, ".SH DESCRIPTION\n");
	roff(out, c->description ? c->description : c->summary);
	str_put(out, c->description ? "\n" : ".\n");
	if (c->options[0].n) {
		str_put(out, ".SH OPTIONS\n");
		roff_options(out, c->options, OPTIONS_TABLES_MAX);
		str_put(out, ".PP\nThose of coffer itself stand before the command: see\n.BR coffer (1).\n");
	}
	if (names->others.len) {
		str_put(out, ".SH ALIASES\n");
		roff(out, names->others.s);
		str_put(out, "\n");
	}
	if (c->examples) {
		str_put(out, ".SH EXAMPLES\n.nf\n");
		roff(out, c->examples);
		str_put(out, ".fi\n");
	}
	str_put(out, ".SH SEE ALSO\n.BR coffer (1)\n");
}

static int group_page(struct str *out, const struct command_group *g)
{
	autofree char *page = page_name(g->name);

	if (!page)
		return -ENOMEM;
	roff_title(out, page);
	roff(out, g->summary);
	str_putf(out, "\n.SH SYNOPSIS\n.B coffer %s\n\\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]\n",
		 g->name);
	str_put(out, ".SH COMMANDS\n");
	int r = roff_entries(out, g, g->entries);
	str_put(out, ".SH SEE ALSO\n.BR coffer (1)\n");
	return r;
}

static int program_page(struct str *out)
{
	static const char head[] =
		"run containers without a daemon, at the isolation that you pick\n"
		".SH SYNOPSIS\n.B coffer\n[\\fIoptions\\fR] \\fIcommand\\fR [\\fIoptions\\fR] "
		"[\\fIarguments\\fR]\n"
		".SH DESCRIPTION\n"
		"coffer runs OCI containers from images of any registry.\n"
		"The commands, flags, columns and exit codes are those of\n.BR docker (1).\n"
		"There is no daemon: every command works on the store by itself, and beside each container "
		"runs one small\n"
		"process that keeps its output and its restart policy.\n"
		".PP\nFlags are written \\fB\\-\\-name value\\fR or \\fB\\-\\-name=value\\fR; letters of "
		"flags without a value may\n"
		"stand together (\\fB\\-it\\fR).\n"
		"\\fB\\-\\-format\\fR takes \\fBjson\\fR, \\fBtable\\fR \\fItemplate\\fR, or a Go template.\n"
		".PP\nEach command has a page of its own.\n"
		".SH GLOBAL OPTIONS\n";
	static const char tail[] =
		".SH EXIT STATUS\n"
		"That of the container's command with \\fBrun\\fR, \\fBexec\\fR, \\fBattach\\fR and "
		"\\fBstart \\-a\\fR;\n"
		"125 where coffer itself failed in these, 126 where the command cannot be executed, 127 "
		"where it was not\n"
		"found; else 0, 1 for failures and 125 for unknown flags.\n"
		".SH FILES\n"
		".TP\n\\fI/etc/coffer/coffer.toml\\fR, \\fI~/.config/coffer/coffer.toml\\fR\nConfiguration "
		"of root and of others.\n"
		".TP\n\\fI/var/lib/coffer\\fR, \\fI~/.local/share/coffer\\fR\nImages, containers and "
		"volumes.\n"
		".TP\n\\fI/run/coffer\\fR, \\fI$XDG_RUNTIME_DIR/coffer\\fR\nWhat runs.\n"
		".SH SEE ALSO\n.BR coffer\\-oci (8),\n.BR docker (1)\n";
	int r = 0;

	roff_title(out, "coffer");
	str_put(out, head);
	roff_options(out, &cli_global_options, 1);
	for (const struct command_section *s = command_sections; r == 0 && s->title; s++) {
		if (s->hidden)
			continue;
		str_put(out, ".SH \"");
		roff_capitals(out, s->title);
		str_put(out, "\"\n");
		r = roff_entries(out, NULL, s->entries);
	}
	str_put(out, ".SH \"BY WHAT THEY WORK ON\"\n");
	for (const struct command_group *g = command_groups; g->name; g++) {
		if (g->hidden)
			continue;
		str_putf(out, ".TP\n.BR coffer\\-%s (1)\n", g->name);
		roff(out, g->summary);
		str_put(out, "\n");
	}
	str_put(out, tail);
	return r;
}

/* ---- files ---- */

struct pages {
	int dir;
	struct err *err;
};

static int write_page(const struct pages *p, const char *page, const struct str *text)
{
	autofree char *name = str_format("%s.1", page);

	if (!name || text->failed)
		return err_oom(p->err);
	int r = file_replace_at(p->dir, name, text->s, text->len, 0644, false);
	return r < 0 ? err_num(p->err, r, "cannot write \"%s\"", name) : 0;
}

/* Of other names than the first the page only says where it is. */
static int write_name(void *data, const struct command_group *g, const struct command_entry *e)
{
	const struct pages *p = data;
	struct name_list names autonames = {0};
	struct str out autostr = {0};
	autofree char *path = man_path(g, e), *page = path ? page_name(path) : NULL;

	if (!page || man_names(e->command, &names) < 0)
		return err_oom(p->err);
	autofree char *first = page_name(names.first);
	if (!first)
		return err_oom(p->err);
	if (streq(path, names.first))
		command_page(&out, path, page, e->command, &names);
	else
		str_putf(&out, ".so man1/%s.1\n", first);
	return write_page(p, page, &out);
}

static int write_pages(const char *dir, struct err *err)
{
	struct str program autostr = {0};

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make \"%s\"", dir);
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot open \"%s\"", dir);
	struct pages p = {.dir = fd, .err = err};
	int r = program_page(&program) < 0 ? err_oom(err) : write_page(&p, "coffer", &program);
	for (const struct command_group *g = command_groups; r == 0 && g->name; g++) {
		struct str out autostr = {0};
		autofree char *page = page_name(g->name);
		if (g->hidden)
			continue;
		if (!page || group_page(&out, g) < 0)
			return err_oom(err);
		r = write_page(&p, page, &out);
	}
	return r == 0 ? each_name(write_name, &p) : r;
}

static int run_man(struct call *call, struct err *err)
{
	struct str out autostr = {0};

	if (call->nargs)
		return write_pages(call->args[0], err);
	return program_page(&out) < 0 ? err_oom(err) : cli_print_str(&out, err);
}

const struct command command_man = {
	.name = "man-page",
	.summary = "Print the manual page, or write all pages into a directory",
	.usage = "[DIRECTORY]",
	.max_args = 1,
	.run = run_man,
};
