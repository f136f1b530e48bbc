/* SPDX-License-Identifier: Apache-2.0 */
/* system df. */
#include "front/cli/cli.h"
#include "front/cli/images.h"
#include "front/cli/units.h"

struct df_flags {
	bool verbose;
	const char *format;
};
#define DF struct df_flags

static const struct opt df_options[] = {
	O_STR(DF, format, "format", 0, HELP_FORMAT),
	O_BOOL(DF, verbose, "verbose", 'v', "Show what each image, container and volume takes"),
};
static const struct row_column df_columns[] = {{"Active", "ACTIVE"},
					       {"Reclaimable", "RECLAIMABLE"},
					       {"Size", "SIZE"},
					       {"TotalCount", "TOTAL"},
					       {"Type", "TYPE"}};

static int df_row(struct row_printer *p, const char *type, uint64_t total, uint64_t active, uint64_t size,
		  uint64_t free_bytes, struct err *err)
{
	struct json_doc m autojson = {0};
	struct value *v = value_new(&m, VALUE_OBJECT);
	struct str text autostr = {0};
	char n[24];

	(void)snprintf(n, sizeof(n), "%llu", (unsigned long long)total); /* fits */
	value_put(&m, v, "Type", type);
	value_put(&m, v, "TotalCount", memory_text(&m, n));
	(void)snprintf(n, sizeof(n), "%llu", (unsigned long long)active); /* fits */
	value_put(&m, v, "Active", memory_text(&m, n));
	value_put(&m, v, "Size", memory_text(&m, size_decimal((double)size, 4).s));
	str_put(&text, size_decimal((double)free_bytes, 4).s);
	if (size)
		str_putf(&text, " (%llu%%)", (unsigned long long)(free_bytes * 100 / size));
	value_put(&m, v, "Reclaimable", memory_take(&m, &text));
	return rows_add(p, &m, v, err);
}

/* ---- -v: each thing by itself ---- */

/* How many images a layer is of. */
static size_t layer_users(const image_list *l, const char *diff_id)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; k < l->v[i].diff_ids.n; k++) {
			if (streq(l->v[i].diff_ids.v[k], diff_id)) {
				n++;
				break;
			}
		}
	}
	return n;
}

static void df_image(struct call *call, struct str *out, struct image_store *s, const image_list *l,
		     size_t at, const struct engine_rows *rows)
{
	const struct image *x = &l->v[at];
	uint64_t shared = 0;
	size_t users = 0;
	const char *name = "<none>:<none>";
	struct reference r autoreference = {0};
	struct err ignored = {0};
	autofree char *familiar = NULL;

	for (size_t k = 0; k < x->diff_ids.n; k++)
		if (layer_users(l, x->diff_ids.v[k]) > 1)
			shared += image_layer_size(s, x->diff_ids.v[k]);
	for (size_t k = 0; k < rows->rows.n; k++)
		users += streq(rows->rows.v[k].image_id, x->id);
	if (x->tags.n && reference_parse(x->tags.v[0], &r, &ignored) == 0 &&
	    (familiar = reference_familiar(&r)))
		name = familiar;
	const char *tag = strrchr(name, ':');
	int len = tag ? (int)(tag - name) : (int)strlen(name);
	str_putf(out, "%.*s\t%s\t%s\t%s ago\t%s\t%s\t%s\t%zu\n", len, name, tag ? tag + 1 : "<none>",
		 cli_short_id(&call->memory, x->id, false),
		 duration_text(moment_now() - image_created_ns(x)).s, size_decimal((double)x->size, 4).s,
		 size_decimal((double)shared, 4).s,
		 size_decimal(x->size > shared ? (double)(x->size - shared) : 0, 4).s, users);
}

static void df_container(struct call *call, struct str *out, const struct engine_row *x)
{
	size_t volumes = 0;

	for (const char *p = x->mounts; *p; p += strcspn(p, ","), p += *p == ',')
		volumes += *p != '/';
	str_putf(out, "%s\t%s\t%s\t%zu\t%s\t%s ago\t%s\t%s\n", cli_short_id(&call->memory, x->id, false),
		 x->image, rows_ellipsis(&call->memory, x->command, 20), volumes,
		 size_decimal((double)x->size_rw, 4).s, duration_text(moment_now() - x->created_at).s,
		 x->status, x->name);
}

static int df_section(struct str *out, const char *title, struct str *table, struct err *err)
{
	rows_align(table);
	str_putf(out, "%s%s space usage:\n\n%s", out->len ? "\n" : "", title, table->s ? table->s : "");
	return table->failed || out->failed ? err_oom(err) : 0;
}

static int df_verbose(struct call *call, struct err *err)
{
	const struct engine_list all = {.all = true, .sizes = true};
	struct str out autostr = {0}, images autostr = {0}, containers autostr = {0}, volumes autostr = {0};
	struct engine_rows rows = {0};
	image_list il = {0};
	volume_list vl = {0};
	struct engine *e;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = engine_list(e, &all, &rows, err);
	if (r == 0)
		r = image_list_all(engine_images(e), &il, err);
	if (r == 0)
		r = engine_volume_list(e, true, &vl, err);
	str_put(&images, "REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n");
	for (size_t i = 0; r == 0 && i < il.n; i++)
		df_image(call, &images, engine_images(e), &il, i, &rows);
	str_put(&containers, "CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n");
	for (size_t i = 0; r == 0 && i < rows.rows.n; i++)
		df_container(call, &containers, &rows.rows.v[i]);
	str_put(&volumes, "VOLUME NAME\tLINKS\tSIZE\n");
	for (size_t i = 0; r == 0 && i < vl.n; i++)
		str_putf(&volumes, "%s\t%u\t%s\n", vl.v[i].name, vl.v[i].users,
			 size_decimal((double)vl.v[i].size, 4).s);
	if (r == 0)
		r = df_section(&out, "Images", &images, err);
	if (r == 0)
		r = df_section(&out, "Containers", &containers, err);
	if (r == 0)
		r = df_section(&out, "Local Volumes", &volumes, err);
	engine_volume_list_free(&vl);
	image_list_free(&il);
	engine_rows_free(&rows);
	return r < 0 ? r : cli_print_str(&out, err);
}

static int run_df(struct call *call, struct err *err)
{
	const struct df_flags *f = call->options;
	struct engine_usage u;
	struct row_printer p;
	struct str out autostr = {0};
	struct engine *e;

	if (f->verbose && f->format)
		return cli_misused(call, err, "--verbose and --format do not go together");
	if (f->verbose)
		return df_verbose(call, err);
	struct row_format format = {
		.format = f->format,
		.table = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
		.columns = df_columns,
		.ncolumns = ARRAY_LEN(df_columns)};
	int r = rows_begin(&p, &call->memory, &format, &out, err);

	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0)
		r = engine_usage(e, &u, err);
	if (r == 0)
		r = df_row(&p, "Images", u.images, u.images_active, u.images_size, u.images_reclaimable, err);
	if (r == 0)
		r = df_row(&p, "Containers", u.containers, u.containers_active, u.containers_size,
			   u.containers_reclaimable, err);
	if (r == 0)
		r = df_row(&p, "Local Volumes", u.volumes, u.volumes_active, u.volumes_size,
			   u.volumes_reclaimable, err);
	if (r == 0)
		r = df_row(&p, "Build Cache", 0, 0, 0, 0, err);
	if (r < 0)
		return r;
	rows_end(&p);
	return cli_print_str(&out, err);
}

const struct command command_df = {
	.name = "df",
	.summary = "Show disk usage",
	.usage = "[OPTIONS]",
	.examples = "coffer system df\ncoffer system df -v\n",
	.options = {OPT_TABLE(df_options)},
	.options_size = sizeof(struct df_flags),
	.run = run_df,
	.users = USERS_ENTER,
};
