/* SPDX-License-Identifier: Apache-2.0 */
/* Between template.c (parsing), template_run.c and template_functions.c. */
#pragma once

#include "front/cli/template.h"

enum {
	TEMPLATE_DEPTH_MAX = 64,       /* blocks and parentheses inside one another */
	TEMPLATE_STEPS_MAX = 20000000, /* of one run: nested ranges multiply */
	TEMPLATE_OUTPUT_MAX = 256 << 20,
	TEMPLATE_ARGS_MAX = 32,
};

enum operand_kind { OPERAND_DOT, OPERAND_VARIABLE, OPERAND_CONSTANT, OPERAND_FUNCTION, OPERAND_PIPE };

struct operand {
	enum operand_kind kind;
	const char *name; /* of a variable with its "$", of a function */
	const struct template_function *function;
	struct value *constant;
	struct pipe *pipe;
	str_list fields; /* behind it: ".a.b" */
	const char *source;
	size_t source_len, line, column;
};

struct pipe_command {
	LIST_OF(struct operand) operands;
};

struct pipe {
	const char *declares[2]; /* variables; NULL = none */
	bool assigns;		 /* "=" instead of ":=" */
	LIST_OF(struct pipe_command) commands;
};

enum node_kind { NODE_TEXT, NODE_PIPE, NODE_IF, NODE_WITH, NODE_RANGE, NODE_BREAK, NODE_CONTINUE };

struct node {
	enum node_kind kind;
	const char *text;
	size_t len;
	struct pipe *pipe;
	struct node *body, *other, *next;
};

struct template
{
	struct node *nodes;
};

struct template_variable {
	const char *name;
	const struct value *value;
};

struct run {
	struct json_doc *memory;
	const struct value *root;
	unsigned flags;
	struct str *out;
	struct err *err;
	uint64_t steps;
	LIST_OF(struct template_variable) variables;
	size_t nvariables; /* in use */
};

/* A value is NULL where nothing was found in a map of the user's keys. */
struct template_function {
	const char *name;
	unsigned min, max;
	bool keeps_header; /* TEMPLATE_HEADER: gives its first argument back */
	/* On failure the message alone is set: who calls puts the place before it. */
	int (*call)(struct run *run, const struct value *const *args, size_t n, const struct value **ret);
};
const struct template_function *template_function_find(const char *name, size_t len);
/* The nearest known name, or NULL. */
const char *template_function_near(const char *name);

bool template_truth(const struct value *v);
/* As fmt.Print shows it. */
void template_show(struct str *out, const struct value *v);
/* The value of `index map key`; *ret NULL: not there. */
must_use int template_index(struct run *run, const struct value *const *args, size_t n,
			    const struct value **ret);
/* The members of an object by name, as Go ranges over maps; n of them. */
must_use const struct value **template_sorted(struct json_doc *memory, const struct value *object);
