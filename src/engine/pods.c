/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pods that there are, and what `pod create` makes one of.
 *
 * A pod is its first container, whose the machine is, with those that are in
 * that machine (pod.c).  There is no row of its own, which could say anything
 * else than the containers' rows do.  `pod create` makes a first container of
 * an image without files: coffer-init alone runs in it, and waits.
 */
#include "engine/engine_int.h"
#include "engine/record.h"

#include <sys/mman.h>

#define POD_IMAGE "localhost/coffer-pod:1"

enum { TAR_END = 1024 }; /* an archive of nothing: two blocks of zeros */

static struct engine_pod *pod_of(struct engine_pods *p, const char *id)
{
	for (size_t i = 0; i < p->pods.n; i++)
		if (streq(p->pods.v[i].first->id, id))
			return &p->pods.v[i];
	return NULL;
}

static const struct engine_row *row_by_id(const struct engine_pods *p, const char *id)
{
	for (size_t i = 0; i < p->rows.rows.n; i++)
		if (streq(p->rows.rows.v[i].id, id))
			return &p->rows.rows.v[i];
	return NULL;
}

static int open_pod(struct engine_pods *p, const struct engine_row *first, struct engine_pod **ret,
		    struct err *err)
{
	struct engine_pod *v = realloc(p->pods.v, (p->pods.n + 1) * sizeof(*v));

	if (!v)
		return err_oom(err);
	p->pods.v = v;
	v[p->pods.n] = (struct engine_pod){.first = first};
	*ret = &v[p->pods.n++];
	return 0;
}

/* A further container whose first one has been removed is in no pod any more. */
static int join_pod(struct engine_pods *p, const struct engine_row *row, const char *first_id,
		    struct err *err)
{
	const struct engine_row *first = row_by_id(p, first_id);
	struct engine_pod *pod = first ? pod_of(p, first_id) : NULL;
	int r = first && !pod ? open_pod(p, first, &pod, err) : 0;

	if (r < 0 || !pod)
		return r;
	const struct engine_row **v = realloc(pod->members, (pod->nmembers + 1) * sizeof(const void *));
	if (!v)
		return err_oom(err);
	pod->members = v;
	v[pod->nmembers++] = row;
	return 0;
}

static int sort_row(struct engine *e, struct engine_pods *p, const struct engine_row *row, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct engine_pod *pod;
	struct err gone = {0};
	int r = engine_load(e, row->id, &c, &gone);

	if (r < 0) /* removed meanwhile, or of another version of coffer: `ps` shows that one */
		return 0;
	if (c.record.q.pod && c.record.net_container)
		return join_pod(p, row, c.record.net_container, err);
	if (!pair_find(&row->labels, ENGINE_POD_LABEL) || pod_of(p, row->id))
		return 0;
	return open_pod(p, row, &pod, err);
}

/* As the rows are, which they point to; a pod was opened where its first or a further one came. */
static int pods_by_row(const void *a, const void *b)
{
	const struct engine_pod *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

int engine_pods(struct engine *e, struct engine_pods *ret, struct err *err)
{
	const char *vm = "isolation=vm";
	const struct engine_list q = {.all = true, .filters = {.v = &vm, .n = 1}};
	struct engine_pods p = {0};
	int r = engine_list(e, &q, &p.rows, err);

	for (size_t i = 0; r == 0 && i < p.rows.rows.n; i++)
		r = sort_row(e, &p, &p.rows.rows.v[i], err);
	if (r < 0) {
		engine_pods_free(&p);
		return r;
	}
	if (p.pods.n)
		qsort(p.pods.v, p.pods.n, sizeof(*p.pods.v), pods_by_row);
	*ret = p;
	return 0;
}

void engine_pods_free(struct engine_pods *p)
{
	for (size_t i = 0; i < p->pods.n; i++)
		free(p->pods.v[i].members);
	free(p->pods.v);
	engine_rows_free(&p->rows);
	*p = (struct engine_pods){0};
}

int engine_pod_image(struct engine *e, const char **ret, struct err *err)
{
	static const char *const command[] = {"/run/coffer-init", "--wait"};
	static const char *args[ARRAY_LEN(command)];
	struct image image autoimage = {0};
	autofree char *id = NULL;

	*ret = POD_IMAGE;
	int r = image_find(e->store, POD_IMAGE, NULL, &image, err);
	if (r != -ENOENT)
		return r;
	*err = (struct err){0};
	memcpy(args, command, sizeof(command));
	autoclose int tar = memfd_create("coffer-pod", MFD_CLOEXEC);
	if (tar < 0 || ftruncate(tar, TAR_END) < 0)
		return err_sys(err, "cannot make the image of pods");
	const struct image_make q = {.store = e->store,
				     .tar_fd = tar,
				     .name = POD_IMAGE,
				     .comment = "No files: what a pod's first container is made of",
				     .config = {.cmd = {.v = args, .n = ARRAY_LEN(args)}}};
	return image_make(&q, &id, err);
}
