/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of the command line, declared in tables and stored by offset into
 * the plain struct that the runtime's function takes.
 *
 * `--flag value`, `--flag=value`, `-flag value` (as runc takes it), `-f value`,
 * `--bool`, `--bool=false`; `--` ends the options.
 */
#pragma once

#include "oci/config.h"

enum arg_type {
	ARG_BOOL,	  /* bool */
	ARG_OPT_BOOL,	  /* struct opt_bool */
	ARG_STRING,	  /* const char * */
	ARG_INT,	  /* int */
	ARG_OPT_I64,	  /* struct opt_i64 */
	ARG_LIST,	  /* str_list; may be given many times */
	ARG_MILLISECONDS, /* int, from Go's notation of durations: 5s, 100ms, 1m30s */
};

struct arg {
	const char *name; /* without dashes */
	char letter;	  /* 0 = none */
	enum arg_type type;
	size_t offset;
	const char *help; /* NULL: accepted, but not shown */
};

struct arg_table {
	const struct arg *v;
	size_t n;
};
#define ARG_TABLE(array) ((struct arg_table){.v = (array), .n = ARRAY_LEN(array)})

enum {
	ARGS_HELP = 1, /* --help or -h was given */
};

struct args_in {
	int argc;
	char **argv;	 /* argv[0] is the first word to look at */
	bool stop_first; /* options end at the first word that is not one */
	char **rest;	 /* room for argc + 1 pointers: the other words, NULL-terminated */
	int nrest;
};

/*
 * Stores the options in `values` and the other words in in->rest.  Lists are
 * allocated: args_free() releases them.  Returns 0, ARGS_HELP or -EINVAL.
 */
must_use int args_parse(struct arg_table table, struct args_in *in, void *values, struct err *err);
void args_free(struct arg_table table, void *values);
/* The "OPTIONS:" part of a help text. */
void args_print(FILE *out, struct arg_table table);
