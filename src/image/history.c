/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store_int.h"

int store_layer_size(struct db *db, const char *diff_id, uint64_t *ret, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(db, &q, err, "SELECT size FROM layer_size WHERE diff_id = ?", "s", diff_id);

	if (r == 0)
		r = db_next(&q, err);
	*ret = r > 0 ? (uint64_t)db_int(&q, 0) : 0;
	return MIN_OF(r, 0);
}

uint64_t image_layer_size(struct image_store *s, const char *diff_id)
{
	struct err unknown = {0};
	uint64_t size;

	return store_layer_size(image_store_db(s), diff_id, &size, &unknown) == 0 ? size : 0;
}

int image_history(struct image_store *s, const struct image *i, image_history_list *ret, struct err *err)
{
	/* Layers that the history does not speak of get rows of their own: it is a tale, they are the truth.
	 */
	size_t steps = i->config.history.n, told = 0, layer = 0, n = 0;

	for (size_t k = 0; k < steps; k++)
		told += !i->config.history.v[k].empty_layer;
	size_t rows = steps + (i->diff_ids.n > told ? i->diff_ids.n - told : 0);
	autofree struct image_history *v = calloc(rows + 1, sizeof(*v));
	if (!v)
		return err_oom(err);
	for (size_t k = 0; k < rows; k++) {
		struct image_history *h = &v[rows - 1 - k];
		const struct oci_history *from = k < steps ? &i->config.history.v[k] : NULL;
		if (from) {
			h->created = from->created;
			h->created_by = from->created_by;
			h->comment = from->comment;
		}
		if ((!from || !from->empty_layer) && layer < i->diff_ids.n) {
			int r = store_layer_size(image_store_db(s), i->diff_ids.v[layer++], &h->size, err);
			if (r < 0)
				return r;
		}
		n++;
	}
	if (n)
		v[0].id = i->id;
	ret->v = take_ptr(&v);
	ret->n = n;
	return 0;
}
