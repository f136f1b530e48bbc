/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options as people know them from Docker, declared in tables.
 *
 * `--name value`, `--name=value`, `-n value`, `-nvalue`, `-n=value`, letters of
 * flags together (`-it`, `-dp 80:80`), `--flag`, `--flag=false`; `--` ends them.
 * The same tables make --help, the manual page and the completion, so that
 * these cannot drift apart.
 */
#pragma once

#include "front/cli/value.h"
#include "oci/config.h"

enum opt_type {
	OPT_BOOL,     /* bool */
	OPT_STRING,   /* const char * */
	OPT_INT,      /* int */
	OPT_I64,      /* int64_t */
	OPT_SIZE,     /* int64_t, bytes; "512m" */
	OPT_SIZE_ANY, /* the same; -1 = without limit */
	OPT_DURATION, /* int64_t, ns; "1m30s" */
	OPT_CPUS,     /* int64_t, billionths; "0.5" */
	OPT_LIST,     /* str_list, any number of times */
	OPT_PAIRS,    /* pair_list: "key=value", "key" = "key=" */
};

struct opt {
	const char *name; /* without dashes */
	char letter;	  /* 0 = none */
	uint8_t type;	  /* enum opt_type */
	uint32_t offset;
	const char *help;  /* NULL: taken, but not shown */
	const char *value; /* what stands behind it in help texts; NULL = the type's word */
	const char *words; /* of completion: "@container", "@image", "@file", …, or the words themselves */
	const char *implied; /* the value where none follows: "--flag" alone; NULL = one must follow */
	uint32_t given;	     /* 1 + offset of a bool that tells "was given"; 0 = none */
};

struct opt_table {
	const struct opt *v;
	size_t n;
};
#define OPT_TABLE(array)                                                                                     \
	{                                                                                                    \
		(array), ARRAY_LEN(array)                                                                    \
	}

/* struct, member, name, letter, help, then designated initialisers. */
#define O_(kind, at, name, letter, help, ...)                                                                \
	{                                                                                                    \
		name, letter, kind, at, help, __VA_ARGS__                                                    \
	}
#define O_BOOL(st, m, name, letter, help, ...)                                                               \
	O_(OPT_BOOL, JSON_AT(st, m, bool), name, letter, help, __VA_ARGS__)
#define O_STR(st, m, name, letter, help, ...)                                                                \
	O_(OPT_STRING, JSON_AT(st, m, const char *), name, letter, help, __VA_ARGS__)
#define O_INT(st, m, name, letter, help, ...)                                                                \
	O_(OPT_INT, JSON_AT(st, m, int), name, letter, help, __VA_ARGS__)
#define O_I64(st, m, name, letter, help, ...)                                                                \
	O_(OPT_I64, JSON_AT(st, m, int64_t), name, letter, help, __VA_ARGS__)
#define O_SIZE(st, m, name, letter, help, ...)                                                               \
	O_(OPT_SIZE, JSON_AT(st, m, int64_t), name, letter, help, __VA_ARGS__)
#define O_SIZE_ANY(st, m, name, letter, help, ...)                                                           \
	O_(OPT_SIZE_ANY, JSON_AT(st, m, int64_t), name, letter, help, __VA_ARGS__)
#define O_DURATION(st, m, name, letter, help, ...)                                                           \
	O_(OPT_DURATION, JSON_AT(st, m, int64_t), name, letter, help, __VA_ARGS__)
#define O_CPUS(st, m, name, letter, help, ...)                                                               \
	O_(OPT_CPUS, JSON_AT(st, m, int64_t), name, letter, help, __VA_ARGS__)
#define O_LIST(st, m, name, letter, help, ...)                                                               \
	O_(OPT_LIST, JSON_LIST_AT(st, m, const char *), name, letter, help, __VA_ARGS__)
#define O_PAIRS(st, m, name, letter, help, ...)                                                              \
	O_(OPT_PAIRS, JSON_LIST_AT(st, m, struct oci_pair), name, letter, help, __VA_ARGS__)
/* For `.given`. */
#define OPT_GIVEN(st, m) (JSON_AT(st, m, bool) + 1)

enum {
	OPTIONS_HELP = 1, /* --help or -h was given */
	OPTIONS_TABLES_MAX = 4,
};

struct command;
struct options_in {
	struct opt_table tables[OPTIONS_TABLES_MAX];
	int argc;
	char **argv;	 /* argv[0] is the first word to look at */
	bool stop_first; /* options end at the first word that is none */
	char **rest;	 /* room for argc + 1: the other words, NULL-terminated */
	int nrest;
	int used; /* words of argv that were options, where stop_first: argv + used is the rest */
	struct json_doc *memory; /* of lists */
	/* What to do instead of an option that is in none of the tables (a name, or a letter); NULL: nothing
	 * is known.  May be NULL. */
	const char *(*absent)(const struct command *of, const char *name, size_t len);
	const struct command *of;
};
/* 0, OPTIONS_HELP or -EINVAL with Docker's message. */
must_use int options_parse(struct options_in *in, void *values, struct err *err);

bool opt_takes_value(const struct opt *o);
/* "string", "list", "bytes": what help texts show behind the name; "" for flags. */
const char *opt_value_name(const struct opt *o);
/* Stores one value as if the option had been given; for defaults of the configuration file. */
must_use int options_store(const struct opt *o, const char *text, void *values, struct json_doc *memory,
			   struct err *err);
/* "key=value" taken apart. */
struct oci_pair pair_cut(struct json_doc *memory, const char *text);
/* ... into the list: of one key the last counts, as in Docker's maps. */
must_use int pair_put(struct json_doc *memory, pair_list *list, const char *text, struct err *err);
