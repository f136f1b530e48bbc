/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the tree that template.c made. */
#include "front/cli/template_int.h"

#include "base/nearest.h"

#include <strings.h>

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE }; /* failures are below 0 */

static int run_nodes(struct run *run, const struct node *n, const struct value *dot);
static int run_pipe(struct run *run, const struct pipe *p, const struct value *dot, const struct value **ret);

/* "template: :1:2: executing "" at <.Foo>: text" */
static int run_fail(struct run *run, const struct operand *o, const char *fmt, ...) printf_like(3, 4);
static int run_fail(struct run *run, const struct operand *o, const char *fmt, ...)
{
	char what[600];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	return err_set(run->err, EINVAL,
		       "template parsing error: template: :%zu:%zu: executing \"\" at <%.*s>: %s", o->line,
		       o->column, (int)MIN_OF(o->source_len, 60U), o->source, what);
}

/* ---- fields ---- */

/* Maps whose keys are the user's: what is not in them is no error. */
static bool is_free_map(const struct value *v)
{
	static const char *const names[] = {
		"Labels",     "Networks",   "Ports",	  "Options",	   "Opts",	   "Annotations",
		"Sysctls",    "Volumes",    "Tmpfs",	  "Containers",	   "PortBindings", "ExposedPorts",
		"StorageOpt", "DriverOpts", "Attributes", "Config.Labels", "\1Label",
	};

	for (size_t i = 0; v->key && i < ARRAY_LEN(names); i++)
		if (streq(v->key, names[i]))
			return true;
	return false;
}

static const char *kind_name(const struct value *v)
{
	static const char *const names[] = {"nil", "bool", "number", "string", "list", "map"};

	return names[v->kind];
}

/* What else there is, for who mistyped a name. */
static int missing_field(struct run *run, const struct operand *o, const struct value *v, const char *field)
{
	const char *near = NULL;
	unsigned best = 3;
	char list[400] = "";
	size_t len = 0;

	for (const struct value *m = v->first; m; m = m->next) {
		if ((unsigned char)*m->key < ' ')
			continue;
		unsigned d = strcasecmp(field, m->key) == 0 ? 0 : nearest_distance(field, m->key, 2);
		if (d < best) {
			best = d;
			near = m->key;
		}
		int k = snprintf(list + len, sizeof(list) - len, " .%s", m->key);
		len = k > 0 ? MIN_OF(len + (size_t)k, sizeof(list) - 1) : len;
	}
	const char *what =
		run->flags & TEMPLATE_STRICT_ROW ? "can't evaluate field " : "map has no entry for key ";
	const char *quote = run->flags & TEMPLATE_STRICT_ROW ? "" : "\"";
	if (near)
		return run_fail(run, o, "%s%s%s%s; did you mean \"%s\"?", what, quote, field, quote, near);
	if (run->flags & TEMPLATE_STRICT_ROW)
		return run_fail(run, o, "%s%s; there are%s", what, field, list);
	return run_fail(run, o, "%s%s%s%s", what, quote, field, quote);
}

static int get_field(struct run *run, const struct operand *o, const struct value *v, const char *field,
		     const struct value **ret)
{
	if (!v || v->kind == VALUE_NULL)
		return run_fail(run, o, "nil pointer evaluating %s", field);
	if (v->kind != VALUE_OBJECT)
		return run_fail(run, o, "can't evaluate field %s in type %s", field, kind_name(v));
	const struct value *m = value_member(v, field);
	if (!m && !is_free_map(v))
		return missing_field(run, o, v, field);
	*ret = m;
	return 0;
}

/* `.Label "name"` of rows: a map behind the method's name with \1 before it. */
static int call_method(struct run *run, const struct operand *o, const struct value *v, const char *method,
		       const struct value *const *args, size_t n, const struct value **ret)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "\1%s", method); /* longer ones are none of ours */
	const struct value *map = value_member(v, key);
	if (!map)
		return run_fail(run, o, "%s is not a method but has arguments", method);
	if (n != 1 || !args[0] || args[0]->kind != VALUE_STRING)
		return run_fail(run, o, "wrong arguments for %s: want one string", method);
	const struct value *found = value_member(map, args[0]->text);
	if (map->kind == VALUE_NULL) { /* a header: the last word of the label's name */
		const char *dot = strrchr(args[0]->text, '.');
		found = value_string(run->memory, dot ? dot + 1 : args[0]->text);
	}
	if (!found)
		found = value_string(run->memory, "");
	*ret = found;
	return found ? 0 : err_oom(run->err);
}

/* ---- operands and pipelines ---- */

static const struct value *find_variable(const struct run *run, const char *name)
{
	if (name[1] == '\0')
		return run->root;
	for (size_t i = run->nvariables; i > 0; i--)
		if (streq(run->variables.v[i - 1].name, name))
			return run->variables.v[i - 1].value;
	return NULL; /* parsing saw to it */
}

static int call_function(struct run *run, const struct operand *o, const struct value *const *args, size_t n,
			 const struct value **ret)
{
	const struct template_function *f = o->function;
	struct err why = {0}, *err = run->err;

	if (n < f->min || n > f->max)
		return run_fail(run, o, "wrong number of args for %s: want %s%u got %zu", f->name,
				f->min == f->max ? "" : "at least ", f->min, n);
	if (f->keeps_header && run->flags & TEMPLATE_HEADER) {
		*ret = args[0];
		return 0;
	}
	run->err = &why;
	int r = f->call(run, args, n, ret);
	run->err = err;
	return r < 0 ? run_fail(run, o, "error calling %s: %s", f->name, why.msg) : 0;
}

/* The base of an operand without its fields. */
static int operand_base(struct run *run, const struct operand *o, const struct value *dot,
			const struct value **ret)
{
	switch (o->kind) {
	case OPERAND_DOT:
		*ret = dot;
		return 0;
	case OPERAND_VARIABLE:
		*ret = find_variable(run, o->name);
		return 0;
	case OPERAND_CONSTANT:
		*ret = o->constant;
		return 0;
	case OPERAND_FUNCTION:
		return call_function(run, o, NULL, 0, ret);
	case OPERAND_PIPE:
		return run_pipe(run, o->pipe, dot, ret);
	}
	return 0;
}

static int run_operand(struct run *run, const struct operand *o, const struct value *dot,
		       const struct value *const *args, size_t n, const struct value **ret)
{
	const struct value *v = NULL;
	int r = operand_base(run, o, dot, &v);

	for (size_t i = 0; r == 0 && i < o->fields.n; i++) {
		if (n && i + 1 == o->fields.n)
			return call_method(run, o, v, o->fields.v[i], args, n, ret);
		r = get_field(run, o, v, o->fields.v[i], &v);
	}
	if (r == 0)
		*ret = v;
	return r;
}

/* `and` and `or` look no further than they need. */
static int run_and_or(struct run *run, const struct pipe_command *c, const struct value *dot,
		      const struct value *piped, bool has_piped, bool is_or, const struct value **ret)
{
	const struct value *v = NULL;

	if (c->operands.n + has_piped < 2)
		return run_fail(run, &c->operands.v[0], "wrong number of args for %s: want at least 1 got 0",
				is_or ? "or" : "and");
	for (size_t i = 1; i < c->operands.n; i++) {
		int r = run_operand(run, &c->operands.v[i], dot, NULL, 0, &v);
		if (r < 0)
			return r;
		if (template_truth(v) == is_or) {
			*ret = v;
			return 0;
		}
	}
	*ret = has_piped ? piped : v;
	return 0;
}

static int run_stage(struct run *run, const struct pipe_command *c, const struct value *dot,
		     const struct value *piped, bool has_piped, const struct value **ret)
{
	const struct operand *first = &c->operands.v[0];
	const struct value *args[TEMPLATE_ARGS_MAX + 1];
	size_t n = 0;

	if (++run->steps > TEMPLATE_STEPS_MAX)
		return run_fail(run, first, "the template does not come to an end");
	if (first->kind == OPERAND_FUNCTION && !first->fields.n &&
	    (streq(first->name, "and") || streq(first->name, "or")))
		return run_and_or(run, c, dot, piped, has_piped, streq(first->name, "or"), ret);
	for (size_t i = 1; i < c->operands.n; i++, n++) {
		int r = run_operand(run, &c->operands.v[i], dot, NULL, 0, &args[n]);
		if (r < 0)
			return r;
	}
	if (has_piped)
		args[n++] = piped;
	if (first->kind == OPERAND_FUNCTION && !first->fields.n)
		return call_function(run, first, args, n, ret);
	return run_operand(run, first, dot, args, n, ret);
}

static int bind_variable(struct run *run, const char *name, const struct value *v, bool assigns)
{
	if (assigns) {
		for (size_t i = run->nvariables; i > 0; i--) {
			if (streq(run->variables.v[i - 1].name, name)) {
				run->variables.v[i - 1].value = v;
				return 0;
			}
		}
	}
	if (run->nvariables == run->variables.n) {
		struct template_variable *fresh = memory_push(run->memory, &run->variables, sizeof(*fresh));
		if (!fresh)
			return err_oom(run->err);
	}
	run->variables.v[run->nvariables++] = (struct template_variable){name, v};
	return 0;
}

static int run_pipe(struct run *run, const struct pipe *p, const struct value *dot, const struct value **ret)
{
	const struct value *v = NULL;

	for (size_t i = 0; i < p->commands.n; i++) {
		int r = run_stage(run, &p->commands.v[i], dot, v, i > 0, &v);
		if (r < 0)
			return r;
	}
	*ret = v;
	return 0;
}

/* ---- nodes ---- */

static int run_branch(struct run *run, const struct node *n, const struct value *dot)
{
	size_t variables = run->nvariables;
	const struct value *v;
	int r = run_pipe(run, n->pipe, dot, &v);

	if (r == 0 && n->pipe->declares[0])
		r = bind_variable(run, n->pipe->declares[0], v, n->pipe->assigns);
	if (r < 0)
		return r;
	if (template_truth(v))
		r = run_nodes(run, n->body, n->kind == NODE_WITH ? v : dot);
	else
		r = run_nodes(run, n->other, dot);
	run->nvariables = variables;
	return r;
}

static int range_once(struct run *run, const struct node *n, const struct value *key,
		      const struct value *item)
{
	const struct pipe *p = n->pipe;
	size_t variables = run->nvariables;
	int r = 0;

	if (p->declares[1]) {
		r = bind_variable(run, p->declares[0], key, p->assigns);
		if (r == 0)
			r = bind_variable(run, p->declares[1], item, p->assigns);
	} else if (p->declares[0]) {
		r = bind_variable(run, p->declares[0], item, p->assigns);
	}
	if (r == 0)
		r = run_nodes(run, n->body, item);
	run->nvariables = variables;
	return r;
}

static int run_range(struct run *run, const struct node *n, const struct value *dot)
{
	const struct value *v;
	int r = run_pipe(run, n->pipe, dot, &v);

	if (r < 0)
		return r;
	if (!v || v->kind == VALUE_NULL || ((v->kind == VALUE_LIST || v->kind == VALUE_OBJECT) && !v->first))
		return run_nodes(run, n->other, dot);
	if (v->kind == VALUE_LIST) {
		int64_t i = 0;
		for (const struct value *item = v->first; item && r >= 0 && r != FLOW_BREAK;
		     item = item->next)
			r = range_once(run, n, value_number(run->memory, i++), item);
		return r == FLOW_BREAK || r == FLOW_CONTINUE ? FLOW_ON : r;
	}
	const struct operand *o = &n->pipe->commands.v[0].operands.v[0];
	if (v->kind != VALUE_OBJECT)
		return run_fail(run, o, "range can't iterate over %s", v->text ? v->text : "a bool");
	const struct value **sorted = template_sorted(run->memory, v);
	if (!sorted)
		return err_oom(run->err);
	for (size_t i = 0; sorted[i] && r >= 0 && r != FLOW_BREAK; i++)
		r = range_once(run, n, value_string(run->memory, sorted[i]->key), sorted[i]);
	return r == FLOW_BREAK || r == FLOW_CONTINUE ? FLOW_ON : r;
}

static int run_node(struct run *run, const struct node *n, const struct value *dot)
{
	const struct value *v;
	int r;

	switch (n->kind) {
	case NODE_TEXT:
		str_put_n(run->out, n->text, n->len);
		break;
	case NODE_PIPE:
		r = run_pipe(run, n->pipe, dot, &v);
		if (r < 0)
			return r;
		if (n->pipe->declares[0])
			return bind_variable(run, n->pipe->declares[0], v, n->pipe->assigns);
		template_show(run->out, v);
		break;
	case NODE_IF:
	case NODE_WITH:
		return run_branch(run, n, dot);
	case NODE_RANGE:
		return run_range(run, n, dot);
	case NODE_BREAK:
		return FLOW_BREAK;
	case NODE_CONTINUE:
		return FLOW_CONTINUE;
	}
	if (run->out->failed)
		return err_oom(run->err);
	if (run->out->len > TEMPLATE_OUTPUT_MAX || ++run->steps > TEMPLATE_STEPS_MAX)
		return err_set(run->err, E2BIG, "template parsing error: the template makes too much text");
	return FLOW_ON;
}

static int run_nodes(struct run *run, const struct node *n, const struct value *dot)
{
	size_t variables = run->nvariables;
	int r = FLOW_ON;

	for (; n && r == FLOW_ON; n = n->next)
		r = run_node(run, n, dot);
	run->nvariables = variables;
	return r;
}

int template_run(struct json_doc *memory, const struct template *t, const struct value *dot, unsigned flags,
		 struct str *out, struct err *err)
{
	struct run run = {.memory = memory, .root = dot, .flags = flags, .out = out, .err = err};
	int r = run_nodes(&run, t->nodes, dot);

	return r < 0 ? r : 0;
}
