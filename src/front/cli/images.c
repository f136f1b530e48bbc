/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/images.h"

#include <sys/stat.h>

/* ---- removing ---- */

/* Images that containers stand on. */
struct images_used {
	struct engine_rows rows;
};

static int image_in_use(void *data, const char *image_id, char ret_container[static 65])
{
	const struct images_used *u = data;
	int used = 0;

	for (size_t i = 0; i < u->rows.rows.n; i++) {
		const struct engine_row *row = &u->rows.rows.v[i];
		bool runs = !streq(row->state, "exited") && !streq(row->state, "created") &&
			    !streq(row->state, "dead");
		if (!streq(row->image_id, image_id) || (used && !runs))
			continue;
		(void)snprintf(ret_container, 65, "%s", row->id); /* 64 digits */
		used = runs ? 2 : 1;
	}
	return used;
}

struct told {
	struct images_used *used;
	struct err err;
	int result;
};

static int told_in_use(void *data, const char *image_id, char ret_container[static 65])
{
	const struct told *t = data;

	return image_in_use(t->used, image_id, ret_container);
}

static void told_line(void *data, const char *line)
{
	struct told *t = data;

	if (t->result == 0)
		t->result = cli_println(line, &t->err);
}

int images_remove(struct call *call, struct engine *e, char *const *names, bool force, struct err *err)
{
	struct images_used used = {0};
	struct told told = {.used = &used};
	const struct engine_list all = {.all = true};
	uint64_t swept;
	const struct config *c;
	bool removed = false;
	int r = cli_config(call, &c, err);

	if (r == 0)
		r = engine_list(e, &all, &used.rows, err);
	if (r < 0)
		return r;
	for (; r == 0 && *names; names++) {
		struct err one = {0};
		struct image_remove q = {.name = config_image_name(c, &call->memory, *names),
					 .force = force,
					 .in_use = told_in_use,
					 .told = told_line,
					 .data = &told};
		int k = image_remove(engine_images(e), &q, &one);
		if (k == -ENOENT && force)
			continue;
		if (k < 0)
			cli_complain(call, &one);
		else
			removed = true;
	}
	if (removed && r == 0)
		r = engine_sweep(e, false, &swept, err);
	if (r == 0 && told.result < 0) {
		*err = told.err;
		r = told.result;
	}
	engine_rows_free(&used.rows);
	return r;
}
