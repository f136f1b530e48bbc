/* SPDX-License-Identifier: Apache-2.0 */
/* Between main.c and the files of the commands. */
#pragma once

#include "front/oci/args.h"
#include "front/oci/log.h"
#include "runtime/runtime.h"

struct front {
	struct runtime rt;
	struct log log;
};

/* A call of one command, its options parsed. */
struct call {
	const struct front *front;
	void *options; /* of the struct that the command's table fills */
	char **args;   /* the other words, NULL-terminated */
	int nargs;
	int status; /* out: the exit status of a success */
};

struct command {
	const char *name, *summary;
	const char *usage;	 /* behind "coffer-oci NAME [command options] " */
	const char *description; /* NULL = none */
	const char *examples;	 /* NULL = none */
	struct arg_table options;
	size_t options_size;
	const void *defaults;	/* of options_size; NULL: zeros */
	int min_args, max_args; /* -1: any number */
	bool stop_first;
	bool enters_container;	  /* the program itself must be out of the container's reach */
	const char *error_prefix; /* "coffer-oci run failed"; NULL = none */
	int error_status;	  /* 0: 1 */
	int (*run)(struct call *call, struct err *err);
};

extern const struct command command_create, command_run, command_start, command_exec, command_state,
	command_kill, command_delete, command_list, command_ps, command_pause, command_resume, command_update,
	command_events, command_checkpoint, command_restore, command_spec, command_features;

/* NULL-terminated, in the order of the help text. */
extern const struct command *const commands[];
const struct command *command_find(const char *name);

/* help.c */
extern const struct arg_table front_globals;
void help_program(FILE *out);
void help_command(FILE *out, const struct command *c);
void help_version(FILE *out);

/* Writes all of `text` to standard output; a reader that has gone away is an error. */
must_use int front_print(const char *text, struct err *err);

#define TEXT_ID "<container-id>\n\nWhere \"<container-id>\" is the name of the container."
#define HELP_CONSOLE_SOCKET                                                                                  \
	"path to an AF_UNIX socket which will receive a file descriptor referencing the master end of the "  \
	"console's pseudoterminal"
#define HELP_PIDFD_SOCKET "path to an AF_UNIX socket which will receive a pidfd of the process"
#define HELP_PID_FILE	  "specify the file to write the process id to"
#define HELP_PRESERVE_FDS                                                                                    \
	"Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total) (default: "  \
	"0)"
