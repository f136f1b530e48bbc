/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/choose.h"

#include "base/file.h"

#include <ctype.h>

enum { CIDFILE_MAX = 4096 };

/* In an array of its own: the call has room for its own words alone. */
static int push_word(struct call *call, struct json_doc *memory, const char *text, size_t len,
		     struct err *err)
{
	char **words = json_doc_alloc(memory, ((size_t)call->nargs + 2) * sizeof(*words));
	const char *word = memory_text_n(memory, text, len);

	if (!words || !word)
		return err_oom(err);
	memcpy(words, call->args, (size_t)call->nargs * sizeof(*words));
	words[call->nargs++] = (char *)(uintptr_t)word;
	words[call->nargs] = NULL;
	call->args = words;
	return 0;
}

static int add_cidfile(struct call *call, const struct choice *c, const char *path, struct err *err)
{
	autofree char *text = NULL;
	size_t len;
	int r = file_read_named(path, CIDFILE_MAX, &text, &len);

	if (r == -ENOENT && c->ignore)
		return 0;
	if (r < 0)
		return err_num(err, r, "cannot read the container's id from \"%s\"", path);
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	return len ? push_word(call, &call->memory, text, len, err)
		   : err_set(err, EINVAL, "there is no container's id in \"%s\"", path);
}

static int add_listed(struct call *call, const struct engine_list *q, struct err *err)
{
	struct engine_rows rows;
	struct engine *e;
	int r = cli_list(call, q, &e, &rows, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < rows.rows.n; i++)
		r = push_word(call, &call->memory, rows.rows.v[i].id, strlen(rows.rows.v[i].id), err);
	engine_rows_free(&rows);
	return r;
}

int choice_settle(struct call *call, const struct choice *c, const str_list *states, struct err *err)
{
	struct engine_list q = {.all = true};
	bool listed = c->all || c->filters.n;
	int r = 0;

	if (!listed && !c->cidfiles.n)
		return cli_requires(call, 1, err);
	if (listed && (call->nargs || c->cidfiles.n))
		return cli_misused(call, err, "--%s names the containers: \"%s\" is one too many",
				   c->all ? "all" : "filter", call->nargs ? call->args[0] : "--cidfile");
	for (size_t i = 0; r == 0 && i < c->cidfiles.n; i++)
		r = add_cidfile(call, c, c->cidfiles.v[i], err);
	const str_list *both[] = {states, &c->filters};
	for (size_t k = 0; k < ARRAY_LEN(both); k++)
		for (size_t i = 0; r == 0 && i < both[k]->n; i++) {
			const char **item = memory_push(&call->memory, &q.filters, sizeof(*item));
			r = item ? 0 : err_oom(err);
			if (item)
				*item = both[k]->v[i];
		}
	return r == 0 && listed ? add_listed(call, &q, err) : r;
}
