/* SPDX-License-Identifier: Apache-2.0 */
/* `coffer man-page`: coffer(1), made of the same tables as --help, when the program is built. */
#include "front/cli/cli.h"

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

static void roff_command(struct str *out, const char *group, const char *name, const struct command *c)
{
	str_put(out, ".SS \"coffer ");
	if (group) {
		roff(out, group);
		str_put(out, " ");
	}
	roff(out, name);
	if (*c->usage) {
		str_put(out, " ");
		roff(out, c->usage);
	}
	str_put(out, "\"\n");
	roff(out, c->summary);
	str_put(out, ".\n");
	if (c->description) {
		str_put(out, ".PP\n");
		roff(out, c->description);
		str_put(out, "\n");
	}
	roff_options(out, c->options, OPTIONS_TABLES_MAX);
	if (c->examples) {
		str_put(out, ".PP\nExamples:\n.PP\n.nf\n.RS 4\n");
		roff(out, c->examples);
		str_put(out, ".RE\n.fi\n");
	}
}

/* Is it told at the top already? */
static bool told_at_top(const struct command *c)
{
	for (const struct command_section *s = command_sections; s->title; s++)
		for (const struct command_entry *e = s->entries; e->name; e++)
			if (e->command == c)
				return true;
	return false;
}

static void roff_group(struct str *out, const struct command_group *g)
{
	struct str same autostr = {0};

	str_put(out, ".SH \"COFFER ");
	for (const char *p = g->name; *p; p++)
		str_putf(out, "%c", *p - ('a' - 'A'));
	str_put(out, "\"\n");
	roff(out, g->summary);
	str_put(out, ".\n");
	for (const struct command_entry *e = g->entries; e->name; e++)
		if (told_at_top(e->command))
			str_putf(&same, "%s%s", same.len ? ", " : "", e->name);
	if (same.len) {
		str_put(out, "As described above: ");
		roff(out, same.s);
		str_put(out, ".\n");
	}
	for (const struct command_entry *e = g->entries; e->name; e++) {
		bool alias = e != g->entries && e[-1].command == e->command;
		if (!told_at_top(e->command) && !alias)
			roff_command(out, g->name, e->name, e->command);
	}
}

static int run_man(struct call *call, struct err *err)
{
	static const char head[] =
		".\\\" SPDX-License-Identifier: Apache-2.0\n"
		".TH COFFER 1 \"\" \"coffer " COFFER_VERSION "\" \"User Commands\"\n"
		".SH NAME\ncoffer \\- run containers without a daemon, at the isolation that you pick\n"
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
	struct str out autostr = {0};

	(void)call;
	str_put(&out, head);
	roff_options(&out, &cli_global_options, 1);
	for (const struct command_section *s = command_sections; s->title; s++) {
		if (s->hidden)
			continue;
		str_put(&out, ".SH \"");
		for (const char *p = s->title; *p; p++)
			str_putf(&out, "%c", *p >= 'a' && *p <= 'z' ? *p - ('a' - 'A') : *p);
		str_put(&out, "\"\n");
		for (const struct command_entry *e = s->entries; e->name; e++)
			roff_command(&out, NULL, e->name, e->command);
	}
	for (const struct command_group *g = command_groups; g->name; g++)
		if (!g->hidden)
			roff_group(&out, g);
	str_put(&out, tail);
	return cli_print_str(&out, err);
}

const struct command command_man = {
	.name = "man-page",
	.summary = "Print the manual page",
	.usage = "",
	.run = run_man,
};
