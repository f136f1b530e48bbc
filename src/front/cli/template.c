/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Template text to a tree, by recursive descent: blocks hold nodes, nodes hold
 * pipelines, pipelines commands, commands operands.  Trimming ("{{-", "-}}")
 * is done while the text between actions is cut out.
 */
#include "front/cli/template_int.h"

struct parse {
	const char *start, *p;
	struct json_doc *memory;
	struct err *err;
	unsigned depth, loops;
	bool trim_next; /* the last action ended in "-}}" */
	str_list variables;
};

enum block_end { END_OF_TEXT, END_WORD, END_ELSE };

static size_t place_of(const struct parse *in, const char *p, size_t *ret_column)
{
	size_t line = 1;
	const char *begin = in->start;

	for (const char *s = in->start; s < p; s++) {
		if (*s == '\n') {
			line++;
			begin = s + 1;
		}
	}
	*ret_column = (size_t)(p - begin);
	return line;
}

static int parse_fail(struct parse *in, const char *fmt, ...) printf_like(2, 3);
static int parse_fail(struct parse *in, const char *fmt, ...)
{
	char what[256];
	size_t column;
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	return err_set(in->err, EINVAL, "template parsing error: template: :%zu: %s",
		       place_of(in, in->p, &column), what);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void parse_blanks(struct parse *in)
{
	while (is_blank(*in->p))
		in->p++;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       (unsigned char)c >= 0x80;
}

static size_t word_len(const char *p)
{
	size_t n = 0;

	while (is_word(p[n]))
		n++;
	return n;
}

/* At "}}" or " -}}": 1 and passed where it is there. */
static bool parse_close(struct parse *in)
{
	const char *p = in->p;

	if (p > in->start && is_blank(p[-1]) && str_starts(p, "-}}")) {
		in->trim_next = true;
		in->p += 3;
		return true;
	}
	if (!str_starts(p, "}}"))
		return false;
	in->p += 2;
	return true;
}

static bool at_close(const struct parse *in)
{
	return str_starts(in->p, "}}") ||
	       (in->p > in->start && is_blank(in->p[-1]) && str_starts(in->p, "-}}"));
}

static int parse_unexpected(struct parse *in, const char *where)
{
	size_t len = word_len(in->p);

	if (!*in->p)
		return parse_fail(in, "unclosed action");
	return parse_fail(in, "unexpected \"%.*s\" in %s", (int)MIN_OF(len ? len : 1, 40U), in->p, where);
}

/* ---- constants ---- */

static int parse_raw(struct parse *in, struct value *v)
{
	size_t len = strcspn(in->p + 1, "`");

	if (!in->p[1 + len])
		return parse_fail(in, "unterminated raw quoted string");
	v->text = memory_text_n(in->memory, in->p + 1, len);
	in->p += len + 2;
	return 0;
}

static int parse_quoted(struct parse *in, struct value *v)
{
	static const char from[] = "ntr\"\\abfv'", to[] = "\n\t\r\"\\\a\b\f\v'";
	struct str text autostr = {0};

	for (in->p++; *in->p != '"'; in->p++) {
		const char *at;
		if (!*in->p || *in->p == '\n')
			return parse_fail(in, "unterminated quoted string");
		if (*in->p != '\\') {
			str_put_n(&text, in->p, 1);
			continue;
		}
		in->p++;
		at = *in->p ? strchr(from, *in->p) : NULL;
		if (!at)
			return parse_fail(in, "invalid escape in a quoted string");
		str_put_n(&text, to + (at - from), 1);
	}
	in->p++;
	v->text = memory_take(in->memory, &text);
	return 0;
}

static int parse_numeral(struct parse *in, struct value *v)
{
	const char *p = in->p + (*in->p == '-' || *in->p == '+');
	size_t digits = strspn(p, "0123456789"), point = p[digits] == '.';

	if (point)
		digits += 1 + strspn(p + digits + 1, "0123456789");
	if (digits == 0 || digits > 60 || is_word(p[digits]) || (point && digits == 1))
		return parse_fail(in, "bad number syntax: \"%.*s\"", (int)MIN_OF(digits + 1, 40U), in->p);
	v->kind = VALUE_NUMBER;
	v->text = memory_text_n(in->memory, *in->p == '+' ? p : in->p,
				(size_t)(p - (*in->p == '+' ? p : in->p)) + digits);
	in->p = p + digits;
	return 0;
}

static int parse_constant(struct parse *in, struct operand *o)
{
	struct value *v = value_new(in->memory, VALUE_STRING);

	if (!v)
		return err_oom(in->err);
	o->kind = OPERAND_CONSTANT;
	o->constant = v;
	return *in->p == '"' ? parse_quoted(in, v) : *in->p == '`' ? parse_raw(in, v) : parse_numeral(in, v);
}

/* ---- operands ---- */

static int parse_pipe(struct parse *in, struct pipe **ret, char close);

static int parse_fields(struct parse *in, struct operand *o)
{
	while (*in->p == '.' && is_word(in->p[1])) {
		size_t len = word_len(in->p + 1);
		const char **field = memory_push(in->memory, &o->fields, sizeof(*field));
		if (!field)
			return err_oom(in->err);
		*field = memory_text_n(in->memory, in->p + 1, len);
		in->p += 1 + len;
	}
	return 0;
}

static int parse_variable(struct parse *in, struct operand *o)
{
	size_t len = 1 + word_len(in->p + 1);
	const char *name = memory_text_n(in->memory, in->p, len);

	o->kind = OPERAND_VARIABLE;
	o->name = name;
	for (size_t i = in->variables.n; len > 1; i--) {
		if (i == 0)
			return parse_fail(in, "undefined variable \"%s\"", name);
		if (streq(in->variables.v[i - 1], name))
			break;
	}
	in->p += len;
	return 0;
}

static int parse_identifier(struct parse *in, struct operand *o)
{
	static const char *const constants[] = {"true", "false", "nil"};
	size_t len = word_len(in->p);
	char name[41];

	(void)snprintf(name, sizeof(name), "%.*s", (int)MIN_OF(len, 40U), in->p); /* cut is fine */
	for (size_t i = 0; i < ARRAY_LEN(constants); i++) {
		if (!streq(constants[i], name))
			continue;
		o->kind = OPERAND_CONSTANT;
		o->constant = i == 2 ? value_new(in->memory, VALUE_NULL) : value_bool(in->memory, i == 0);
		in->p += len;
		return o->constant ? 0 : err_oom(in->err);
	}
	o->kind = OPERAND_FUNCTION;
	o->function = template_function_find(in->p, len);
	if (!o->function) {
		const char *near = template_function_near(name);
		return near ? parse_fail(in, "function \"%s\" not defined; did you mean \"%s\"?", name, near)
			    : parse_fail(in, "function \"%s\" not defined", name);
	}
	o->name = o->function->name;
	in->p += len;
	return 0;
}

static int parse_operand(struct parse *in, struct operand *o)
{
	char c = *in->p;
	int r = 0;

	o->source = in->p;
	o->line = place_of(in, in->p, &o->column);
	if (c == '.') {
		o->kind = OPERAND_DOT;
		in->p += !is_word(in->p[1]);
	} else if (c == '$') {
		r = parse_variable(in, o);
	} else if (c == '(') {
		in->p++;
		o->kind = OPERAND_PIPE;
		r = parse_pipe(in, &o->pipe, ')');
	} else if (c == '"' || c == '`' || c == '-' || c == '+' || (c >= '0' && c <= '9')) {
		r = parse_constant(in, o);
	} else if (is_word(c)) {
		r = parse_identifier(in, o);
	} else {
		return parse_unexpected(in, "operand");
	}
	if (r == 0)
		r = parse_fields(in, o);
	o->source_len = (size_t)(in->p - o->source);
	return r;
}

/* ---- pipelines ---- */

static int parse_command(struct parse *in, struct pipe_command *c, char close)
{
	for (;;) {
		parse_blanks(in);
		if ((close && *in->p == close) || *in->p == '|' || (!close && at_close(in)))
			break;
		if (!*in->p)
			return parse_fail(in, "unclosed action");
		if (c->operands.n == TEMPLATE_ARGS_MAX)
			return parse_fail(in, "more than %d arguments", TEMPLATE_ARGS_MAX);
		if (c->operands.n && !is_blank(in->p[-1]))
			return parse_unexpected(in, "operand");
		struct operand *o = memory_push(in->memory, &c->operands, sizeof(*o));
		if (!o)
			return err_oom(in->err);
		*o = (struct operand){0};
		int r = parse_operand(in, o);
		if (r < 0)
			return r;
	}
	if (c->operands.n == 0)
		return parse_fail(in, "missing value for command");
	const struct operand *first = &c->operands.v[0];
	if (c->operands.n > 1 && first->kind != OPERAND_FUNCTION && first->fields.n == 0)
		return parse_fail(in, "can't give argument to non-function %.*s",
				  (int)MIN_OF(first->source_len, 40U), first->source);
	return 0;
}

static int parse_declares(struct parse *in, struct pipe *p)
{
	const char *back = in->p;
	size_t n = 0;
	const char *names[2];

	for (; *in->p == '$' && n < 2; n++) {
		size_t len = 1 + word_len(in->p + 1);
		names[n] = memory_text_n(in->memory, in->p, len);
		in->p += len;
		parse_blanks(in);
		if (*in->p != ',' || n == 1) {
			n++;
			break;
		}
		in->p++;
		parse_blanks(in);
	}
	bool declares = str_starts(in->p, ":="), assigns = in->p[0] == '=' && in->p[1] != '=';
	if (n == 0 || (!declares && !assigns)) {
		in->p = back;
		return 0;
	}
	in->p += declares ? 2 : 1;
	p->assigns = assigns;
	for (size_t i = 0; i < n; i++) {
		const char **v =
			declares ? memory_push(in->memory, &in->variables, sizeof(*v)) : &p->declares[i];
		if (!v)
			return err_oom(in->err);
		*v = p->declares[i] = names[i];
	}
	return 0;
}

static int parse_pipe(struct parse *in, struct pipe **ret, char close)
{
	struct pipe *p = json_doc_alloc(in->memory, sizeof(*p));
	int r = p ? 0 : err_oom(in->err);

	if (r == 0 && ++in->depth > TEMPLATE_DEPTH_MAX)
		r = parse_fail(in, "more than %d blocks inside one another", TEMPLATE_DEPTH_MAX);
	parse_blanks(in);
	if (r == 0 && !close)
		r = parse_declares(in, p);
	while (r == 0) {
		struct pipe_command *c = memory_push(in->memory, &p->commands, sizeof(*c));
		if (!c)
			return err_oom(in->err);
		*c = (struct pipe_command){0};
		r = parse_command(in, c, close);
		if (r == 0 && p->commands.n > 1 && c->operands.v[0].kind != OPERAND_FUNCTION &&
		    c->operands.v[0].fields.n == 0)
			r = parse_fail(in, "non executable command in pipeline stage %zu", p->commands.n);
		if (r < 0 || *in->p != '|')
			break;
		in->p++;
	}
	in->depth--;
	if (r < 0)
		return r;
	if (close)
		in->p++;
	else if (!parse_close(in))
		return parse_unexpected(in, "command");
	*ret = p;
	return 0;
}

/* ---- blocks ---- */

static int parse_block(struct parse *in, struct node **ret, enum block_end *ret_end);

static bool parse_keyword(struct parse *in, const char *word)
{
	size_t len = strlen(word);

	if (word_len(in->p) != len || memcmp(in->p, word, len) != 0)
		return false;
	in->p += len;
	return true;
}

static int parse_end(struct parse *in, const char *word)
{
	parse_blanks(in);
	return parse_close(in) ? 0 : parse_unexpected(in, word);
}

/* if, with and range up to their end. */
static int parse_branch(struct parse *in, struct node *n)
{
	size_t variables = in->variables.n;
	enum block_end end = END_WORD;
	int r = parse_pipe(in, &n->pipe, 0);

	in->loops += n->kind == NODE_RANGE;
	if (r == 0)
		r = parse_block(in, &n->body, &end);
	in->loops -= n->kind == NODE_RANGE;
	if (r == 0 && end == END_ELSE) {
		bool if_ = false, with = false;
		parse_blanks(in);
		if (!at_close(in)) { /* {{else if …}}: a block of its own that shares the end */
			if_ = parse_keyword(in, "if");
			with = !if_ && n->kind == NODE_WITH && parse_keyword(in, "with");
			if (!if_ && !with)
				return parse_unexpected(in, "else");
		}
		if (if_ || with) {
			n->other = json_doc_alloc(in->memory, sizeof(*n->other));
			if (!n->other)
				return err_oom(in->err);
			n->other->kind = if_ ? NODE_IF : NODE_WITH;
			if (++in->depth > TEMPLATE_DEPTH_MAX)
				return parse_fail(in, "more than %d blocks inside one another",
						  TEMPLATE_DEPTH_MAX);
			r = parse_branch(in, n->other);
			in->depth--;
			end = END_WORD;
		} else {
			(void)parse_close(in); /* at_close() said so */
			r = parse_block(in, &n->other, &end);
			if (r == 0 && end == END_ELSE)
				return parse_fail(in, "expected end; found {{else}}");
		}
	}
	if (r == 0 && end == END_OF_TEXT)
		return parse_fail(in, "unexpected EOF");
	in->variables.n = variables;
	return r;
}

/* Behind "{{": a node, or the end of the block. */
static int parse_action(struct parse *in, struct node *n, enum block_end *end, bool *ret_ended)
{
	static const struct {
		const char *word;
		enum node_kind kind;
	} blocks[] = {{"if", NODE_IF}, {"with", NODE_WITH}, {"range", NODE_RANGE}};
	static const char *const refused[] = {"define", "template", "block"};

	parse_blanks(in);
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		if (parse_keyword(in, blocks[i].word)) {
			n->kind = blocks[i].kind;
			return parse_branch(in, n);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (word_len(in->p) == strlen(refused[i]) && str_starts(in->p, refused[i]))
			return parse_fail(in, "{{%s}} is not known here", refused[i]);
	*ret_ended = true;
	if (parse_keyword(in, "end")) {
		*end = END_WORD;
		return parse_end(in, "end");
	}
	if (parse_keyword(in, "else")) {
		*end = END_ELSE;
		return 0;
	}
	*ret_ended = false;
	bool breaks = parse_keyword(in, "break");
	if (breaks || parse_keyword(in, "continue")) {
		n->kind = breaks ? NODE_BREAK : NODE_CONTINUE;
		if (!in->loops)
			return parse_fail(in, "{{%s}} outside {{range}}", breaks ? "break" : "continue");
		return parse_end(in, breaks ? "break" : "continue");
	}
	n->kind = NODE_PIPE;
	return parse_pipe(in, &n->pipe, 0);
}

/* The text up to the next action, trimmed as both sides ask. */
static void parse_text(struct parse *in, struct node *n)
{
	const char *end = strstr(in->p, "{{");
	const char *from = in->p, *to = end ? end : in->p + strlen(in->p);

	in->p = to;
	if (in->trim_next)
		while (from < to && is_blank(*from))
			from++;
	in->trim_next = false;
	if (end && end[2] == '-' && is_blank(end[3])) {
		while (to > from && is_blank(to[-1]))
			to--;
		in->p++; /* the dash; "{{" is passed by the caller */
	}
	n->kind = NODE_TEXT;
	n->text = from;
	n->len = (size_t)(to - from);
}

static int parse_comment(struct parse *in)
{
	const char *end = strstr(in->p, "*/");

	if (!end)
		return parse_fail(in, "unclosed comment");
	in->p = end + 2;
	parse_blanks(in);
	return parse_close(in) ? 0 : parse_fail(in, "comment ends before closing delimiter");
}

static struct node *parse_new(struct parse *in)
{
	struct node *n = json_doc_alloc(in->memory, sizeof(*n));

	if (!n)
		(void)err_oom(in->err);
	return n;
}

static int parse_block(struct parse *in, struct node **ret, enum block_end *ret_end)
{
	struct node **last = ret;
	bool ended = false;

	if (++in->depth > TEMPLATE_DEPTH_MAX)
		return parse_fail(in, "more than %d blocks inside one another", TEMPLATE_DEPTH_MAX);
	*ret_end = END_OF_TEXT;
	while (!ended) {
		struct node *text = parse_new(in), *n = parse_new(in);
		if (!text || !n)
			return -in->err->code;
		parse_text(in, text);
		if (text->len) {
			*last = text;
			last = &text->next;
		}
		if (!*in->p)
			break;
		in->p += 2;
		const char *body = in->p + strspn(in->p, " \t\r\n");
		if (str_starts(body, "/*")) {
			int r = parse_comment(in);
			if (r < 0)
				return r;
			continue;
		}
		int r = parse_action(in, n, ret_end, &ended);
		if (r < 0)
			return r;
		if (!ended) {
			*last = n;
			last = &n->next;
		}
	}
	in->depth--;
	return 0;
}

int template_parse(struct json_doc *memory, const char *text, struct template **ret, struct err *err)
{
	struct parse in = {.memory = memory, .err = err};
	struct template *t = json_doc_alloc(memory, sizeof(*t));
	enum block_end end;

	if (!t)
		return err_oom(err);
	in.start = in.p = memory_text(memory, text);
	int r = parse_block(&in, &t->nodes, &end);
	if (r < 0)
		return r;
	if (end != END_OF_TEXT)
		return parse_fail(&in, "unexpected {{%s}}", end == END_ELSE ? "else" : "end");
	*ret = t;
	return 0;
}
