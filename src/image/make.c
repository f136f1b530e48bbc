/* SPDX-License-Identifier: Apache-2.0 */
/* Images that are made here: `commit` and `import`. */
#include "image/intake.h"

#include "base/str.h"
#include "oci/state.h"

#include <time.h>

static int check_compression(int fd, struct err *err)
{
	char head[3];

	/* Of a pipe nothing can be read twice: the tar reader says what it thinks of it. */
	if (pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) && memcmp(head, "BZh", 3) == 0)
		return err_set(
			err, EOPNOTSUPP,
			"it is compressed with bzip2, which is not read here: unpack it on the way, as "
			"in \"bzip2 -dc FILE | coffer import -\"");
	return 0;
}

/* 1: a layer was made; 0: none is wanted. */
static int make_layer(const struct image_make *q, struct store_layer *ret, struct err *err)
{
	struct intake in;

	if (!q->changes && q->tar_fd < 0)
		return 0;
	int r = q->changes ? 0 : check_compression(q->tar_fd, err);
	if (r == 0)
		r = intake_begin(q->store, NULL, &in, err);
	if (r < 0)
		return r;
	r = q->changes ? layer_write_changes(q->store, q->changes, intake_feed, &in, err)
		       : intake_feed_fd(&in, q->tar_fd, err);
	if (r == 0)
		r = intake_finish(&in, ret, err);
	intake_free(&in);
	return r < 0 ? r : 1;
}

static int base_layers(const struct image_make *q, struct store_layer *to, struct err *err)
{
	for (size_t i = 0; q->base && i < q->base->diff_ids.n; i++) {
		int r = store_layer_look(q->store, q->base->diff_ids.v[i], q->base->layer_digests.v[i],
					 &to[i], err);
		if (r < 0)
			return r;
		if (r == 0)
			return err_set(err, ENOENT,
				       "the layer %s of the image %s is not whole: pull the image again",
				       q->base->diff_ids.v[i], q->base->id);
	}
	return 0;
}

/* The document: what the caller gave, and how it came about. */
static int make_config(const struct image_make *q, const struct store_layer *layers, size_t n, bool empty,
		       char **ret, struct err *err)
{
	struct json_out out autojsonout = {0};
	struct oci_image_config c = q->config;
	size_t old = q->base ? q->base->config.history.n : 0;
	autofree const char **diffs = calloc(n + 1, sizeof(*diffs));
	autofree struct oci_history *history = calloc(old + 1, sizeof(*history));
	const char *here = strchr(image_platform_here(), '/') + 1;
	autofree char *arch = strndup(here, strcspn(here, "/"));
	struct timespec now;

	if (!diffs || !history || !arch)
		return err_oom(err);
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	struct oci_time created = oci_time(now);
	for (size_t i = 0; i < n; i++)
		diffs[i] = layers[i].diff_id;
	if (old)
		memcpy(history, q->base->config.history.v, old * sizeof(*history));
	history[old] = (struct oci_history){
		.created = created.s,
		.created_by = q->created_by,
		.author = q->author,
		.comment = q->comment,
		.empty_layer = empty,
	};
	c.created = created.s;
	if (q->author)
		c.author = q->author;
	if (!c.architecture) {
		c.architecture =
			q->base && q->base->config.architecture ? q->base->config.architecture : arch;
		c.variant = q->base ? q->base->config.variant : NULL;
	}
	if (!c.os)
		c.os = q->base && q->base->config.os ? q->base->config.os : "linux";
	c.diff_ids = (str_list){diffs, n};
	c.history.v = history;
	c.history.n = old + 1;
	oci_image_config_write(&out, &c);
	char *text = json_take(&out);
	if (!text)
		return err_oom(err);
	*ret = text;
	return 0;
}

static int make_name(const struct image_make *q, char **ret, struct err *err)
{
	struct reference ref autoreference = {0};

	if (!q->name)
		return 0;
	int r = reference_parse_short(q->name, image_store_rules(q->store), &ref, err);
	if (r < 0)
		return r;
	if (ref.digest)
		return err_set(err, EINVAL, "refusing to create a tag with a digest reference");
	*ret = reference_full(&ref);
	return *ret ? 0 : err_oom(err);
}

static int assemble_made(const struct image_make *q, const char *name, char ret_id[static DIGEST_MAX],
			 struct err *err)
{
	size_t n = q->base ? q->base->diff_ids.n : 0;
	autofree struct store_layer *layers = calloc(n + 1, sizeof(*layers));
	autofree char *config = NULL;

	if (!layers)
		return err_oom(err);
	if (n == OCI_LAYERS_MAX)
		return err_set(err, E2BIG, "the image has %zu layers already, the most there may be", n);
	int r = base_layers(q, layers, err);
	if (r < 0)
		return r;
	int added = make_layer(q, &layers[n], err);
	if (added < 0)
		return added;
	n += (size_t)added;
	r = make_config(q, layers, n, added == 0, &config, err);
	if (r < 0)
		return r;
	struct assembly a = {.config = config, .config_len = strlen(config), .layers = layers, .n = n};
	str_list names = {&name, name != NULL};
	return store_assemble(q->store, &a, &names, ret_id, err);
}

int image_make(const struct image_make *q, char **ret_id, struct err *err)
{
	autofree char *name = NULL;
	char id[DIGEST_MAX];
	int r = make_name(q, &name, err);

	if (r < 0)
		return r;
	autoclose int use = content_use(q->store, err);
	if (use < 0)
		return use;
	r = assemble_made(q, name, id, err);
	if (r < 0)
		return err_prefix(err, "cannot make the image");
	char *copy = strdup(id);
	if (!copy)
		return err_oom(err);
	*ret_id = copy;
	return 0;
}
