/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/cli.h"

#include "base/fd.h"

static int print_bytes(const void *data, size_t len, struct err *err)
{
	int r = len ? fd_write_all(STDOUT_FILENO, data, len) : 0;

	return r < 0 ? err_num(err, r, "cannot write to standard output") : 0;
}

int cli_print(const char *text, struct err *err)
{
	return print_bytes(text, strlen(text), err);
}

int cli_print_str(struct str *text, struct err *err)
{
	return text->failed ? err_oom(err) : print_bytes(text->s, text->len, err);
}

int cli_println(const char *text, struct err *err)
{
	struct str line autostr = {0};

	str_put(&line, text);
	str_put(&line, "\n");
	return cli_print_str(&line, err);
}

void cli_tell(void *data, const char *line)
{
	struct err ignored = {0};

	(void)data;
	ignore_result(cli_println(line, &ignored)); /* what it tells of is done all the same */
}

int cli_print_document(struct call *call, const struct value *v, const char *format, struct err *err)
{
	bool json = !format || !*format || streq(format, "json");
	struct json_out out autojsonout = {.indent = format && *format ? NULL : "    "};
	struct str text autostr = {0};
	struct template *t;

	if (json) {
		value_write(&out, NULL, v);
		autofree char *s = json_take(&out);
		if (!s)
			return err_oom(err);
		return cli_println(s, err);
	}
	int r = template_parse(&call->memory, format, &t, err);
	if (r == 0)
		r = template_run(&call->memory, t, v, 0, &text, err);
	str_put(&text, "\n");
	return r < 0 ? r : cli_print_str(&text, err);
}

int cli_confirm(const char *question, struct err *err)
{
	char answer[64];
	size_t n = 0;
	int r = cli_print(question, err);

	if (r == 0)
		r = cli_print(" [y/N] ", err);
	if (r < 0)
		return r;
	/* Byte by byte: what comes behind the line is somebody else's. */
	while (n + 1 < sizeof(answer) && read(STDIN_FILENO, answer + n, 1) == 1 && answer[n] != '\n')
		n++;
	answer[n] = '\0';
	return streq(answer, "y") || streq(answer, "Y") || streq(answer, "yes");
}

const char *cli_short_id(struct json_doc *memory, const char *id, bool full)
{
	if (full)
		return id;
	if (str_starts(id, "sha256:"))
		id += strlen("sha256:");
	return memory_text_n(memory, id, MIN_OF(strlen(id), (size_t)12));
}

const char *cli_join_labels(struct json_doc *memory, const pair_list *labels)
{
	struct str text autostr = {0};

	for (size_t i = 0; i < labels->n; i++)
		str_putf(&text, "%s%s=%s", i ? "," : "", labels->v[i].key, labels->v[i].value);
	return memory_take(memory, &text);
}

struct value *cli_labels_value(struct json_doc *memory, const pair_list *labels)
{
	struct value *v = value_new(memory, VALUE_OBJECT);

	for (size_t i = 0; i < labels->n; i++)
		value_put(memory, v, labels->v[i].key, labels->v[i].value);
	return v;
}

const char *filter_value(const char *filter, const char *key)
{
	size_t len = strlen(key);

	return strncmp(filter, key, len) == 0 && filter[len] == '=' ? filter + len + 1 : NULL;
}

int filters_check(const str_list *filters, const char *known, struct err *err)
{
	for (size_t i = 0; i < filters->n; i++) {
		const char *f = filters->v[i], *p = known;
		size_t len = strcspn(f, "=");
		if (f[len] != '=')
			return err_set(err, EINVAL,
				       "invalid filter \"%s\": write KEY=VALUE, with a KEY of: %s", f, known);
		for (; *p; p += strcspn(p, " "), p += *p == ' ')
			if (strcspn(p, " ") == len && memcmp(p, f, len) == 0)
				break;
		if (!*p)
			return err_set(err, EINVAL, "invalid filter '%.*s': known are: %s",
				       (int)MIN_OF(len, 64U), f, known);
	}
	return 0;
}

bool labels_match(const pair_list *labels, const char *wanted)
{
	size_t len = strcspn(wanted, "=");

	for (size_t i = 0; i < labels->n; i++)
		if (strlen(labels->v[i].key) == len && memcmp(labels->v[i].key, wanted, len) == 0)
			return wanted[len] != '=' || streq(labels->v[i].value, wanted + len + 1);
	return false;
}
