/* SPDX-License-Identifier: Apache-2.0 */
/* images, history. */
#include "front/cli/cli.h"
#include "front/cli/images.h"
#include "front/cli/units.h"

#include <fnmatch.h>

struct images_flags {
	bool all, digests, no_header, no_trunc, quiet;
	str_list filters;
	const char *format;
};
#define IMAGES struct images_flags
static const struct opt images_options[] = {
	O_BOOL(IMAGES, all, "all", 'a', "Show all images"),
	O_BOOL(IMAGES, digests, "digests", 0, "Show digests"),
	O_LIST(IMAGES, filters, "filter", 'f', "Filter: dangling, label, before, since, reference",
	       .value = "filter"),
	O_STR(IMAGES, format, "format", 0, HELP_FORMAT),
	O_BOOL(IMAGES, no_header, "noheading", 'n', "Print no line of headings"),
	O_BOOL(IMAGES, no_trunc, "no-trunc", 0, "Do not cut ids"),
	O_BOOL(IMAGES, quiet, "quiet", 'q', "Print ids alone"),
};

static const struct row_column images_columns[] = {
	{"Containers", "CONTAINERS"},
	{"CreatedAt", "CREATED AT"},
	{"CreatedSince", "CREATED"},
	{"Digest", "DIGEST"},
	{"ID", "IMAGE ID"},
	{"Platform", "PLATFORM"},
	{"Repository", "REPOSITORY"},
	{"SharedSize", "SHARED SIZE"},
	{"Size", "SIZE"},
	{"Tag", "TAG"},
	{"UniqueSize", "UNIQUE SIZE"},
	{"VirtualSize", "SIZE"},
};

int64_t image_created_ns(const struct image *i)
{
	return (int64_t)i->created.tv_sec * 1000000000 + i->created.tv_nsec;
}

/* "nginx:1.25" -> "nginx", "1.25"; "x@sha256:…" -> "x", "<none>". */
static void cut_name(struct json_doc *m, const char *full, const char **repository, const char **tag,
		     const char **digest)
{
	struct reference r autoreference = {0};
	struct err ignored = {0};

	*repository = *tag = *digest = "<none>";
	if (reference_parse(full, &r, &ignored) < 0)
		return;
	*tag = r.tag ? memory_text(m, r.tag) : "<none>";
	*digest = r.digest ? memory_text(m, r.digest) : "<none>";
	free(r.tag);
	free(r.digest);
	r.tag = r.digest = NULL;
	autofree char *name = reference_familiar(&r);
	*repository = memory_text(m, name ? name : full);
}

struct image_filter {
	int64_t before, since;
	int dangling; /* -1 = not asked for */
	str_list labels, references;
};

static int filter_read(struct call *call, struct image_store *s, const str_list *filters,
		       struct image_filter *ret, struct err *err)
{
	int r = filters_check(filters, "dangling label before since reference until", err);

	*ret = (struct image_filter){.before = INT64_MAX, .since = INT64_MIN, .dangling = -1};
	for (size_t i = 0; r == 0 && i < filters->n; i++) {
		const char *f = filters->v[i], *value, **item;
		struct image other autoimage = {0};
		bool yes;
		if ((value = filter_value(f, "dangling"))) {
			r = bool_parse(value, &yes) < 0
				    ? cli_misused(call, err, "invalid filter '%s': true or false", f)
				    : 0;
			ret->dangling = r == 0 && yes;
		} else if ((value = filter_value(f, "label")) || (value = filter_value(f, "reference"))) {
			item = memory_push(&call->memory, *f == 'l' ? &ret->labels : &ret->references,
					   sizeof(*item));
			if (!item)
				return err_oom(err);
			*item = value;
		} else if ((value = filter_value(f, "until"))) {
			r = moment_parse(value, moment_now(), &ret->before) < 0
				    ? cli_misused(call, err, "invalid filter '%s': a time or a duration", f)
				    : 0;
		} else {
			value = strchr(f, '=') + 1;
			r = image_find(s, value, NULL, &other, err);
			if (r == 0)
				*(*f == 'b' ? &ret->before : &ret->since) = image_created_ns(&other);
		}
	}
	return r;
}

/* "nginx", "nginx:1.*", "localhost:5000/x": against the name with and without its tag. */
static bool image_name_matches(struct json_doc *m, const char *pattern, const char *repository,
			       const char *tag)
{
	struct str whole autostr = {0};

	str_putf(&whole, "%s:%s", repository, tag);
	return fnmatch(pattern, repository, FNM_PATHNAME) == 0 ||
	       fnmatch(pattern, memory_take(m, &whole), FNM_PATHNAME) == 0;
}

static bool image_passes(const struct image_filter *f, const struct image *i)
{
	int64_t created = image_created_ns(i);

	if (created >= f->before || created <= f->since)
		return false;
	if (f->dangling >= 0 && (i->tags.n == 0) != f->dangling)
		return false;
	for (size_t k = 0; k < f->labels.n; k++)
		if (!labels_match(&i->config.labels, f->labels.v[k]))
			return false;
	return true;
}

struct images_print {
	struct call *call;
	struct row_printer p;
	struct image_filter filter;
	const char *wanted; /* the word behind `images` */
	int64_t now;
};

static struct value *image_row(struct json_doc *m, const struct image *i, bool full, int64_t now)
{
	struct value *v = value_new(m, VALUE_OBJECT);
	struct str ago autostr = {0};
	int64_t created = image_created_ns(i);
	const char *size = memory_text(m, size_decimal((double)i->size, 3).s);

	if (created)
		str_putf(&ago, "%s ago", duration_text(now - created).s);
	value_put(m, v, "ID", cli_short_id(m, i->id, full));
	value_put(m, v, "CreatedSince", created ? memory_take(m, &ago) : "N/A");
	value_put(m, v, "CreatedAt", created ? memory_text(m, moment_text(created).s) : "N/A");
	value_put(m, v, "Size", size);
	value_put(m, v, "VirtualSize", size);
	value_put(m, v, "Containers", "N/A");
	value_put(m, v, "SharedSize", "N/A");
	value_put(m, v, "UniqueSize", "N/A");
	value_put(m, v, "Platform", i->platform ? i->platform : "");
	return v;
}

/* One line a name; with none of them one line all the same. */
static int images_add(struct images_print *p, const struct image *i, const char *full, const char *digest_of,
		      struct err *err)
{
	const struct images_flags *f = p->call->options;
	struct json_doc m autojson = {0};
	const char *repository = "<none>", *tag = "<none>", *digest = "<none>", *ignored;
	struct value *v = image_row(&m, i, f->no_trunc, p->now);

	if (full)
		cut_name(&m, full, &repository, &tag, &ignored);
	if (digest_of) {
		const char *other, *none;
		cut_name(&m, digest_of, &other, &none, &digest);
		if (!full)
			repository = other;
	}
	if (p->wanted && !image_name_matches(&m, p->wanted, repository, tag))
		return 0;
	bool named = p->filter.references.n == 0;
	for (size_t k = 0; !named && k < p->filter.references.n; k++)
		named = image_name_matches(&m, p->filter.references.v[k], repository, tag);
	if (!named)
		return 0;
	value_put(&m, v, "Repository", repository);
	value_put(&m, v, "Tag", tag);
	value_put(&m, v, "Digest", digest);
	return rows_add(&p->p, &m, v, err);
}

/* The "repository@digest" of the repository that a tag is of. */
static const char *digest_for(const struct image *i, const char *tag)
{
	size_t len = strlen(tag);

	for (const char *colon = strrchr(tag, ':'); colon && !strchr(colon, '/'); colon = NULL)
		len = (size_t)(colon - tag);
	for (size_t k = 0; k < i->digests.n; k++)
		if (strncmp(i->digests.v[k], tag, len) == 0 && i->digests.v[k][len] == '@')
			return i->digests.v[k];
	return NULL;
}

static int images_add_image(struct images_print *p, const struct image *i, struct err *err)
{
	const struct images_flags *f = p->call->options;
	int r = 0;

	if (!image_passes(&p->filter, i))
		return 0;
	if (f->quiet && !f->format && !p->wanted && !p->filter.references.n)
		return images_add(p, i, NULL, NULL, err);
	for (size_t k = 0; r == 0 && k < i->tags.n; k++)
		r = images_add(p, i, i->tags.v[k], digest_for(i, i->tags.v[k]), err);
	if (r == 0 && i->tags.n == 0)
		r = images_add(p, i, NULL, i->digests.n ? i->digests.v[0] : NULL, err);
	return r;
}

static int run_images(struct call *call, struct err *err)
{
	const struct images_flags *f = call->options;
	struct images_print p = {.call = call, .wanted = call->args[0], .now = moment_now()};
	struct str out autostr = {0};
	image_list list = {0};
	const struct config *c;
	struct engine *e;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = cli_config(call, &c, err);
	if (r == 0)
		r = filter_read(call, engine_images(e), &f->filters, &p.filter, err);
	if (r < 0)
		return r;
	struct row_format format = {
		.format = f->format ? f->format : c->formats.images,
		.table = f->digests ? "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{"
				      ".Size}}"
				    : "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
		.no_header = f->no_header,
		.quiet = f->quiet && !f->format ? "{{.ID}}" : NULL,
		.columns = images_columns,
		.ncolumns = ARRAY_LEN(images_columns)};
	r = rows_begin(&p.p, &call->memory, &format, &out, err);
	if (r == 0)
		r = image_list_all(engine_images(e), &list, err);
	for (size_t i = 0; r == 0 && i < list.n; i++)
		r = images_add_image(&p, &list.v[i], err);
	image_list_free(&list);
	if (r < 0)
		return r;
	rows_end(&p.p);
	return cli_print_str(&out, err);
}

/* ---- history ---- */

struct history_flags {
	bool human, no_trunc, quiet;
	const char *format;
};
static const struct history_flags history_defaults = {.human = true};
#define HISTORY struct history_flags
static const struct opt history_options[] = {
	O_STR(HISTORY, format, "format", 0, HELP_FORMAT),
	O_BOOL(HISTORY, human, "human", 'H', "Print sizes and dates for people (default true)"),
	O_BOOL(HISTORY, no_trunc, "no-trunc", 0, "Do not cut ids and commands"),
	O_BOOL(HISTORY, quiet, "quiet", 'q', "Print ids alone"),
};
static const struct row_column history_columns[] = {
	{"Comment", "COMMENT"},
	{"CreatedAt", "CREATED AT"},
	{"CreatedBy", "CREATED BY"},
	{"CreatedSince", "CREATED"},
	{"ID", "IMAGE"},
	{"Size", "SIZE"},
};

static struct value *history_row(struct json_doc *m, const struct history_flags *f,
				 const struct oci_history *h, const char *id, uint64_t size)
{
	struct value *v = value_new(m, VALUE_OBJECT);
	const char *by = h->created_by ? h->created_by : "";
	struct str ago autostr = {0}, bytes autostr = {0};
	int64_t created = 0;
	bool known = h->created && moment_parse(h->created, 0, &created) == 0;

	str_putf(&ago, "%s ago", duration_text(moment_now() - created).s);
	str_putf(&bytes, "%llu", (unsigned long long)size);
	value_put(m, v, "ID", id);
	value_put(m, v, "CreatedSince", !known ? "N/A" : f->human ? memory_take(m, &ago) : h->created);
	value_put(m, v, "CreatedAt", known ? memory_text(m, moment_rfc3339(created).s) : "N/A");
	value_put(m, v, "CreatedBy", f->no_trunc ? by : rows_ellipsis(m, by, 45));
	value_put(m, v, "Size",
		  f->human ? memory_text(m, size_decimal((double)size, 3).s) : memory_take(m, &bytes));
	value_put(m, v, "Comment", h->comment ? h->comment : "");
	return v;
}

static int history_print(struct call *call, struct image_store *s, const struct image *i,
			 struct row_printer *p, struct err *err)
{
	const struct history_flags *f = call->options;
	const struct oci_history unknown = {0};
	size_t layer = i->diff_ids.n;
	int r = 0;

	/* An image without a history has its layers all the same. */
	size_t n = i->config.history.n ? i->config.history.n : layer;
	for (size_t k = n; r == 0 && k > 0; k--) {
		const struct oci_history *h = i->config.history.n ? &i->config.history.v[k - 1] : &unknown;
		struct json_doc m autojson = {0};
		uint64_t size = 0;
		if (!h->empty_layer && layer > 0)
			size = image_layer_size(s, i->diff_ids.v[--layer]);
		r = rows_add(p, &m,
			     history_row(&m, f, h,
					 k == n ? cli_short_id(&m, i->id, f->no_trunc) : "<missing>", size),
			     err);
	}
	return r;
}

static int run_history(struct call *call, struct err *err)
{
	const struct history_flags *f = call->options;
	struct image image autoimage = {0};
	struct str out autostr = {0};
	struct row_printer p;
	const struct config *c;
	struct engine *e;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = cli_config(call, &c, err);
	if (r == 0)
		r = image_find(engine_images(e), config_image_name(c, &call->memory, call->args[0]), NULL,
			       &image, err);
	if (r < 0)
		return r;
	struct row_format format = {
		.format = f->format ? f->format : c->formats.history,
		.table = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
		.quiet = f->quiet && !f->format ? "{{.ID}}" : NULL,
		.columns = history_columns,
		.ncolumns = ARRAY_LEN(history_columns)};
	r = rows_begin(&p, &call->memory, &format, &out, err);
	if (r == 0)
		r = history_print(call, engine_images(e), &image, &p, err);
	if (r < 0)
		return r;
	rows_end(&p);
	return cli_print_str(&out, err);
}

const struct command command_images = {
	.name = "images",
	.summary = "List images",
	.usage = "[OPTIONS] [REPOSITORY[:TAG]]",
	.examples = "coffer images\ncoffer images -f dangling=true -q\ncoffer images --format "
		    "'{{.Repository}}:{{.Tag}} {{.Size}}'\n",
	.options = {OPT_TABLE(images_options)},
	.options_size = sizeof(struct images_flags),
	.max_args = 1,
	.words = "@image",
	.run = run_images,
};
const struct command command_history = {
	.name = "history",
	.summary = "Show the history of an image",
	.usage = "[OPTIONS] IMAGE",
	.examples = "coffer history --no-trunc nginx\n",
	.options = {OPT_TABLE(history_options)},
	.options_size = sizeof(struct history_flags),
	.defaults = &history_defaults,
	.min_args = 1,
	.max_args = 1,
	.words = "@image",
	.run = run_history,
};
