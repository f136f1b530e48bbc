/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between main.c and the files of the commands.
 *
 * A command is a table entry: its name, its texts, its options and a
 * function.  --help, the manual page and the completion are made from the
 * same entry.  A command parses, calls the engine and prints; nothing else.
 */
#pragma once

#include "base/fd.h"
#include "engine/engine.h"
#include "front/cli/config.h"
#include "front/cli/options.h"
#include "front/cli/rows.h"

struct cli_globals {
	const char *root, *state, *config, *cgroup_manager;
	bool version;
};

struct cli {
	struct cli_globals globals;
	uid_t uid;     /* who called */
	bool rootless; /* an ordinary user called, whoever we are by now */
	struct config config;
	bool config_loaded;
	struct engine *engine;	      /* NULL until cli_engine() */
	char **main_argv;	      /* main's */
	const char *program;	      /* absolute path of this program, for the engine to start again */
	const char *argv_globals[16]; /* program, global flags, NULL */
	int settings_fd;	      /* what coffer-fetch is told; -1 = nothing */
	struct json_doc memory;	      /* lives as long as the program */
};

struct command;
/* A call of one command, its options parsed. */
struct call {
	struct cli *cli;
	const struct command *command;
	const char *path; /* "image ls": how it was called */
	void *options;	  /* of the struct that the command's tables fill */
	char **args;	  /* the other words, NULL-terminated */
	int nargs;
	int status;		/* out: the exit status of a success */
	bool misused;		/* the message is about how it was called: say where to read on */
	struct json_doc memory; /* lives until the command has ended */
};

/* What an ordinary user's command has to do with files of the users in containers. */
enum command_users {
	USERS_NONE,   /* nothing, or by processes of its own */
	USERS_ENTER,  /* reads or removes them: runs as root of the user's own user namespace */
	USERS_UNPACK, /* likewise, and makes them */
};

struct command {
	const char *name, *summary;
	const char *usage;	 /* behind the name: "[OPTIONS] IMAGE [COMMAND] [ARG...]" */
	const char *description; /* NULL = the summary says it */
	const char *examples;	 /* lines; NULL = none */
	struct opt_table options[OPTIONS_TABLES_MAX];
	size_t options_size;
	const void *defaults;	/* of options_size; NULL: zeros */
	int min_args, max_args; /* -1: any number */
	bool stop_first;
	bool enters_container; /* the program itself must be out of the container's reach, whoever's */
	bool guards_itself; /* the same by engine_guard(), but where that may start the program again: before
			       anything is read */
	bool running_only;  /* engine_options has it */
	bool writes_images; /* what it reports done must survive a power failure */
	enum command_users users;
	uint32_t latest;   /* OPT_GIVEN of --latest, which stands for the first word; 0 = none */
	int error_status;  /* 0: 1 */
	const char *words; /* what completion offers behind the options: "@container", "@image", … */
	int (*run)(struct call *call, struct err *err);
};

struct command_entry {
	const char *name;
	const struct command *command;
};

/* `coffer NAME COMMAND` */
struct command_group {
	const char *name, *summary;
	const struct command_entry *entries; /* up to a NULL name */
	bool hidden;
};

/* A heading of `coffer --help`. */
struct command_section {
	const char *title;
	const struct command_entry *entries; /* up to a NULL name */
	bool hidden;
};

extern const struct command_section command_sections[]; /* up to a NULL title */
extern const struct command_group command_groups[];	/* up to a NULL name */
extern const struct opt_table cli_global_options;

const struct command *command_find(const struct command_entry *entries, const char *name);
const struct command *command_find_top(const char *name);
const struct command_group *command_find_group(const char *name);
/* absent.c: what to do instead of a command of Docker's or Podman's that is not here (of the top where the
 * group is NULL), and of an option or its letter; NULL: it is none of these. */
const char *command_absent(const struct command_group *g, const char *name);
const char *option_absent(const struct command *c, const char *name, size_t len);
/* What was meant, or NULL: of the top and of the groups' names, or of one group. */
const char *command_nearest(const struct command_group *group, const char *name);

/* help.c */
void help_program(FILE *out);
void help_group(FILE *out, const struct command_group *g);
void help_command(FILE *out, const struct command *c, const char *path);
enum { HELP_OPTIONS_MAX = 256 };
/* The options that help texts show, by name. */
size_t help_sorted_options(const struct opt_table *tables, size_t ntables, const struct opt **ret,
			   size_t max);

/* start.c */

int cli_main(int argc, char **argv);
/* Where data and state are, by flags, configuration and who calls; the configuration must have been read. */
const char *cli_data_root(struct cli *cli);
const char *cli_run_root(struct cli *cli);

/* The configuration, read when first asked for. */
must_use int cli_config(struct call *call, const struct config **ret, struct err *err);
/* The detach keys by flag (NULL: not given), configuration and default. */
must_use int cli_detach_keys(struct call *call, const char *given, const char **ret, struct err *err);
/* Fewer arguments than that: a failure whose exit status is 1, whatever the command's is. */
must_use int cli_requires(struct call *call, int least, struct err *err);
/* The engine, opened when first asked for; closed by main(). */
must_use int cli_engine(struct call *call, struct engine **ret, struct err *err);
/* cli_engine() and engine_list(). */
must_use int cli_list(struct call *call, const struct engine_list *q, struct engine **ret,
		      struct engine_rows *ret_rows, struct err *err);
/* Full id of the container that args name; -ENOENT "No such container: x". */
must_use int cli_container(struct call *call, const char *name, char **ret_id, struct err *err);
/* Says on standard error what failed, and that the status is 1; for commands that go on with the next word.
 */
void cli_complain(struct call *call, const struct err *err);
void cli_warn(const char *fmt, ...) printf_like(1, 2);
/* Wrong usage: main() says where to read on; returns -EINVAL. */
int cli_misused(struct call *call, struct err *err, const char *fmt, ...) printf_like(3, 4);
/* Less than 0: failed, which is told; CLI_EACH_SILENT: well, and the word is not printed. */
enum { CLI_EACH_SILENT = 1 };
typedef int (*cli_each)(struct call *call, struct engine *e, const char *id, struct err *err);
/* Calls `each` with every word as a container's id; complains of those that fail and goes on. */
must_use int cli_each_container(struct call *call, cli_each each, struct err *err);
/* The same, and prints each word of which it was done, as Docker does. */
must_use int cli_each_named(struct call *call, cli_each each, struct err *err);
/* The same with words that are no containers: `each` has them as they are. */
must_use int cli_each_word(struct call *call, cli_each each, struct err *err);
/* The same without an engine: `e` is NULL. */
must_use int cli_each_plain(struct call *call, cli_each each, struct err *err);

/* print.c */

/* All of `text` to standard output. */
must_use int cli_print(const char *text, struct err *err);
must_use int cli_print_str(struct str *text, struct err *err);
must_use int cli_println(const char *text, struct err *err);
/* The same as a callback of the engine's; what cannot be written is lost. */
void cli_tell(void *data, const char *line);
/* A document by a --format: NULL or "" = indented JSON, "json" = one line, else a template and a line break.
 */
must_use int cli_print_document(struct call *call, const struct value *v, const char *format,
				struct err *err);
/* Asks a yes-or-no question on the terminal: 1 yes, 0 no. */
must_use int cli_confirm(const char *question, struct err *err);
/* "sha256:abcdef…" -> "abcdef123456"; as it is where `full`. */
const char *cli_short_id(struct json_doc *memory, const char *id, bool full);
/* "a=b,c" */
const char *cli_join_labels(struct json_doc *memory, const pair_list *labels);
struct value *cli_labels_value(struct json_doc *memory, const pair_list *labels);
/* One line of words for the shell, a `label` filter and the like: does `filter` ("label=k=v", "name=x") hold?
 */
const char *filter_value(const char *filter, const char *key);
/* Refuses filters whose key is not among `known` ("label name id"). */
must_use int filters_check(const str_list *filters, const char *known, struct err *err);
bool labels_match(const pair_list *labels, const char *wanted /* "k" or "k=v" */);

#define O_LATEST(st, letter)                                                                                 \
	O_BOOL(st, latest, "latest", letter, "The container made last, in place of the first name")

#define HELP_FORMAT                                                                                          \
	"Format output using a custom template: 'table', 'table TEMPLATE', 'json', or a Go TEMPLATE"
