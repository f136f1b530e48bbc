/* SPDX-License-Identifier: Apache-2.0 */
#include "front/oci/front.h"

#include "oci/state.h"

const struct command *const commands[] = {
	&command_checkpoint, &command_create,	&command_delete,
	&command_events,     &command_exec,	&command_kill,
	&command_list,	     &command_pause,	&command_ps,
	&command_restore,    &command_resume,	&command_run,
	&command_spec,	     &command_start,	&command_state,
	&command_update,     &command_features, NULL,
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (streq(commands[i]->name, name))
			return commands[i];
	return NULL;
}

/* The second line ends as runc's, which scripts look for. */
static const char about[] =
	"NAME:\n"
	"   coffer-oci - drop-in for runc - Open Container Initiative runtime\n"
	"\n"
	"coffer-oci is a command line client for running applications packaged according to\n"
	"the Open Container Initiative (OCI) format.  It takes the place of runc: the same\n"
	"commands, flags, files and messages.\n"
	"\n"
	"A container is configured by a bundle: a directory with a specification file named\n"
	"\"config.json\" and a root filesystem.\n"
	"\n"
	"USAGE:\n"
	"   coffer-oci [global options] command [command options] [arguments...]\n"
	"\n"
	"EXAMPLES:\n"
	"   # coffer-oci spec                         a starter config.json in this directory\n"
	"   # coffer-oci run web                      run the bundle of this directory\n"
	"   # coffer-oci create --bundle /b web && coffer-oci start web\n"
	"   # coffer-oci exec --tty web sh\n"
	"   # coffer-oci delete --force web\n"
	"\n";

void help_program(FILE *out)
{
	fputs(about, out);
	fprintf(out, "VERSION:\n   %s\n\nCOMMANDS:\n", COFFER_VERSION);
	for (size_t i = 0; commands[i]; i++)
		fprintf(out, "   %-11s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "   %-11s %s\n\nGLOBAL OPTIONS:\n", "help, h",
		"Shows a list of commands or help for one command");
	args_print(out, front_globals);
	fputs("   --version, -v           print the version\n", out);
}

/* Each line of `text` indented. */
static void put_indented(FILE *out, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		fprintf(out, "%s%.*s\n", len ? "   " : "", (int)len, text);
		text += len;
		text += *text == '\n';
	}
}

void help_command(FILE *out, const struct command *c)
{
	fprintf(out, "NAME:\n   coffer-oci %s - %s\n\nUSAGE:\n   coffer-oci %s %s%s\n", c->name, c->summary,
		c->name, c->options.n ? "[command options] " : "", c->usage);
	if (c->description) {
		fputs("\nDESCRIPTION:\n", out);
		put_indented(out, c->description);
	}
	if (c->examples) {
		fputs("\nEXAMPLES:\n", out);
		put_indented(out, c->examples);
	}
	fputs("\nOPTIONS:\n", out);
	args_print(out, c->options);
}

/* Docker and podman read the first word before "version", "commit:" and "spec:". */
void help_version(FILE *out)
{
	fprintf(out, "coffer-oci version %s\ncommit: v%s\nspec: %s\n", COFFER_VERSION, COFFER_VERSION,
		OCI_VERSION);
}
