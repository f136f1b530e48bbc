/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `coffer completion`: the shells' scripts, and what they call.
 *
 * The scripts know nothing of coffer's commands: they hand over the line and
 * show what comes back, so that they fit every later version too.
 */
#include "front/cli/cli.h"
#include "front/cli/complete.h"
#include "front/cli/images.h"
#include "isolate/machine.h"

static const char bash_script[] =
	"# SPDX-License-Identifier: Apache-2.0\n"
	"# bash completion for coffer: asks coffer itself\n"
	"\n"
	"_coffer()\n"
	"{\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} out kind cut\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tmapfile -t out < <(\"${COMP_WORDS[0]}\" completion line \"$line\" 2>/dev/null)\n"
	"\tkind=${out[0]}\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
	"\t[[ $cur == = || $cur == : ]] && cur=\"\" # bash cuts words there\n"
	"\tcase $kind in\n"
	"\tfiles) compopt -o filenames 2>/dev/null && mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
	"\tdirs) compopt -o filenames 2>/dev/null && mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
	"\twords)\n"
	"\t\tlocal last=${line##*[[:space:]]}\n"
	"\t\tcut=${last%\"$cur\"} # what stands before the part that bash replaces\n"
	"\t\tlocal word\n"
	"\t\tfor word in \"${out[@]:1}\"; do\n"
	"\t\t\tCOMPREPLY+=(\"${word#\"$cut\"}\")\n"
	"\t\tdone\n"
	"\t\t;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"complete -F _coffer coffer\n";

static const char zsh_script[] =
	"#compdef coffer\n"
	"# SPDX-License-Identifier: Apache-2.0\n"
	"# zsh completion for coffer: asks coffer itself\n"
	"\n"
	"_coffer()\n"
	"{\n"
	"\tlocal -a out items\n"
	"\tlocal line\n"
	"\n"
	"\tout=(\"${(@f)$(\"${words[1]}\" completion words \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
	"\tcase ${out[1]} in\n"
	"\tfiles) compset -P '*='; _files ;;\n"
	"\tdirs) compset -P '*='; _files -/ ;;\n"
	"\twords)\n"
	"\t\tfor line in \"${(@)out[2,-1]}\"; do\n"
	"\t\t\titems+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
	"\t\tdone\n"
	"\t\t_describe coffer items\n"
	"\t\t;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"_coffer \"$@\"\n";

/* ---- names of what there is ---- */

struct names {
	struct completion *c;
	struct str *out;
	bool about;
};

static void put_word(struct names *n, const char *word, const char *about)
{
	if (strncmp(word, n->c->begun, strlen(n->c->begun)) != 0)
		return;
	str_putf(n->out, "%s%s", n->c->prefix, word);
	if (n->about)
		str_putf(n->out, "\t%s", about ? about : "");
	str_put(n->out, "\n");
}

static void put_containers(struct names *n, struct engine *e, const char *spec)
{
	const struct engine_list q = {.all = !streq(spec, "@running")};
	struct engine_rows rows;
	struct err ignored = {0};

	if (engine_list(e, &q, &rows, &ignored) < 0)
		return;
	for (size_t i = 0; i < rows.rows.n; i++) {
		const struct engine_row *row = &rows.rows.v[i];
		if (!streq(spec, "@stopped") || !streq(row->state, "running"))
			put_word(n, row->name, row->status);
	}
	engine_rows_free(&rows);
}

static void offer_pods(struct names *n, struct engine *e)
{
	struct err ignored = {0};
	struct engine_pods all;

	if (engine_pods(e, &all, &ignored) < 0)
		return;
	for (size_t i = 0; i < all.pods.n; i++)
		put_word(n, all.pods.v[i].first->name, all.pods.v[i].first->status);
	engine_pods_free(&all);
}

static void put_images(struct names *n, struct engine *e)
{
	struct err ignored = {0};
	image_list list = {0};

	if (image_list_all(engine_images(e), &list, &ignored) < 0)
		return;
	for (size_t i = 0; i < list.n; i++) {
		for (size_t k = 0; k < list.v[i].tags.n; k++) {
			struct reference r autoreference = {0};
			if (reference_parse(list.v[i].tags.v[k], &r, &ignored) < 0)
				continue;
			autofree char *name = reference_familiar(&r);
			if (name)
				put_word(n, name, list.v[i].platform);
		}
	}
	image_list_free(&list);
}

static void offer_networks(struct names *n, struct engine *e)
{
	struct err ignored = {0};
	network_list list = {0};
	struct net *net;

	if (engine_net_get(e, &net, &ignored) < 0 || net_list(net, &list, &ignored) < 0)
		return;
	for (size_t i = 0; i < list.n; i++)
		put_word(n, list.v[i].name, list.v[i].driver);
	net_list_free(&list);
}

static void put_volumes(struct names *n, struct engine *e)
{
	struct err ignored = {0};
	volume_list list = {0};

	if (engine_volume_list(e, false, &list, &ignored) < 0)
		return;
	for (size_t i = 0; i < list.n; i++)
		put_word(n, list.v[i].name, "volume");
	engine_volume_list_free(&list);
}

static void put_guest_kernels(struct names *n)
{
	struct err ignored = {0};
	struct guest_kernels all = {0};

	if (guest_kernels_list(&all, &ignored) < 0)
		return;
	for (size_t i = 0; i < all.n; i++)
		put_word(n, all.v[i].name, all.v[i].release);
	guest_kernels_free(&all);
}

static int put_snapshot(void *data, const char *name, const char *info unused, size_t len unused,
			struct err *err unused)
{
	put_word(data, name, "");
	return 0;
}

static void put_spec(struct call *call, struct names *n, const char *spec)
{
	static const char signals[] = "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP WINCH";
	struct err ignored = {0};
	struct engine *e;

	if (*spec != '@' || streq(spec, "@signal")) {
		const char *p = *spec == '@' ? signals : spec;
		for (; *p; p += strcspn(p, " "), p += *p == ' ')
			put_word(n, memory_text_n(&call->memory, p, strcspn(p, " ")), "");
		return;
	}
	if (streq(spec, "@vm-kernel")) {
		put_guest_kernels(n);
		return;
	}
	if (streq(spec, "@vm-snapshot")) {
		ignore_result(guest_snapshots_each(put_snapshot, n, &ignored)); /* nothing is offered then */
		return;
	}
	call->cli->globals = n->c->globals;
	if (cli_engine(call, &e, &ignored) < 0)
		return;
	bool any = streq(spec, "@any");
	if (any || streq(spec, "@container") || streq(spec, "@running") || streq(spec, "@stopped"))
		put_containers(n, e, spec);
	if (streq(spec, "@pod"))
		offer_pods(n, e);
	if (any || streq(spec, "@image"))
		put_images(n, e);
	if (any || streq(spec, "@network"))
		offer_networks(n, e);
	if (any || streq(spec, "@volume"))
		put_volumes(n, e);
}

static int complete_print(struct call *call, const str_list *words, bool about, struct err *err)
{
	static const char *const kinds[] = {"nothing", "words", "files", "dirs"};
	struct completion c;
	struct str out autostr = {0};
	struct names n = {.c = &c, .out = &out, .about = about};
	int r = complete_words(&call->memory, words, &c, err);

	if (r < 0)
		return r;
	/* A volume's name and a path look alike until there is a slash. */
	if (c.spec && streq(c.spec, "@volume") && (*c.begun == '/' || *c.begun == '.'))
		c.kind = COMPLETE_FILES;
	str_putf(&out, "%s\n", kinds[c.kind]);
	for (size_t i = 0; i < c.list.n; i++)
		put_word(&n, c.list.v[i].word, c.list.v[i].about);
	if (c.spec && c.kind == COMPLETE_WORDS)
		put_spec(call, &n, c.spec);
	return cli_print_str(&out, err);
}

static int run_completion(struct call *call, struct err *err)
{
	const char *what = call->args[0];
	str_list words = {0};
	int r = 0;

	if (streq(what, "bash") || streq(what, "zsh"))
		return cli_print(*what == 'b' ? bash_script : zsh_script, err);
	if (streq(what, "line") && call->nargs == 2) {
		r = complete_cut(&call->memory, call->args[1], &words, err);
		if (r == 0 && words.n) { /* the program's name */
			words.v++;
			words.n--;
		}
	} else if (streq(what, "words")) {
		for (int i = 1; r == 0 && i < call->nargs; i++) {
			const char **item = memory_push(&call->memory, &words, sizeof(*item));
			if (item)
				*item = call->args[i];
			else
				r = err_oom(err);
		}
	} else {
		return cli_misused(call, err, "no completion for the shell \"%s\": bash or zsh", what);
	}
	return r < 0 ? r : complete_print(call, &words, streq(what, "words"), err);
}

const struct command command_completion = {
	.name = "completion",
	.summary = "Print the completion script of a shell",
	.usage = "bash|zsh",
	.examples = "source <(coffer completion bash)\ncoffer completion zsh >\"${fpath[1]}/_coffer\"\n",
	.min_args = 1,
	.max_args = -1,
	.stop_first = true,
	.words = "bash zsh",
	.run = run_completion,
};
