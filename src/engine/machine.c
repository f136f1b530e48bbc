/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `vm snapshot` and `run --from-snapshot`: a container's machine with all that
 * runs in it, and its files as an image, of one moment.
 *
 * The machine stands still while the image is made (monitor and cgroup go on:
 * this is not `pause`).  The image has the tag MACHINE_TAG NAME, so that it is
 * there as long as the snapshot is; a snapshot that was half made when its
 * maker was killed is taken away with its image by whoever makes or removes
 * the next one (isolate/vm/snapshots.c).
 *
 * A template is a machine without a container: one is made for it, whose
 * keeper keeps the machine at its agent's first word and ends.  Every image
 * can begin there, so it has none of its own.
 *
 * Of a container only what is in the machine or in its root can be kept.  Its
 * volumes are others' as well: a container with volumes is refused.
 */
#include "engine/engine_int.h"
#include "engine/record.h"

#include "isolate/machine.h"

#include <sys/stat.h>

#define MACHINE_TAG "localhost/vm-snapshot:"

struct kept_machine {
	const char *image, *container; /* of a template "" */
	const char *record;	       /* struct engine_record's own JSON */
	int64_t created;
	bool template;
};

#define K struct kept_machine
static const struct json_field kept_fields[] = {
	F_STR(K, image, "image", .required = true),
	F_STR(K, container, "container", .required = true),
	F_I64(K, created, "created", .required = true),
	F_STR(K, record, "record", .required = true),
	F_BOOL(K, template, "template"),
};
static const struct json_table kept_table = JSON_TABLE(K, kept_fields);

/* A copy's image stays without a name, for it is what `commit` goes by. */
static int copy_has_image(void *data, const char *image_id, char ret_container[static 65])
{
	enum { KEEP = 2 };
	struct engine *e = data;
	struct db_row q autodbrow;
	struct err ignored = {0};

	if (db_query(e->db, &q, &ignored, "SELECT id FROM container WHERE image_id = ? LIMIT 1", "s",
		     image_id) < 0)
		return KEEP;
	int r = db_next(&q, &ignored);
	(void)snprintf(ret_container, 65, "%s", r > 0 ? db_text(&q, 0) : ""); /* 64 digits */
	return r == 0 ? 0 : KEEP;
}

/* What a removed or half made snapshot has left: its image. */
static void drop_machine_image(void *data, const char *name)
{
	struct engine *e = data;
	autofree char *tag = str_format(MACHINE_TAG "%s", name);
	const struct image_remove q = {.name = tag, .force = true, .in_use = copy_has_image, .data = e};
	struct err err = {0};

	if (tag && image_remove(e->store, &q, &err) < 0 && err.code != ENOENT)
		engine_warn(e, "%s", err.msg);
}

static int may_keep(const struct engine_container *c, struct err *err)
{
	const struct engine_record *r = &c->record;

	if (!r->isolation || !streq(r->isolation, "vm"))
		return err_set(err, EINVAL,
			       "container %s is of isolation level \"%s\": only \"vm\" has a machine",
			       c->name, r->isolation ? r->isolation : "ns");
	if (!streq(c->state, "running"))
		return err_set(err, EINVAL, "container %s is %s: it must run to be saved", c->name, c->state);
	for (size_t i = 0; i < r->mounts.n; i++)
		if (!streq(r->mounts.v[i].type, "tmpfs"))
			return err_set(err, ENOTSUP,
				       "container %s has a volume at %s, which is outside of its machine: a "
				       "snapshot "
				       "of it would not be whole",
				       c->name, r->mounts.v[i].target);
	if (r->net_container || r->pid_container || r->ipc_container)
		return err_set(err, ENOTSUP, "container %s has joined another one: it cannot be saved alone",
			       c->name);
	return 0;
}

/* image: NULL: of a template. */
static char *describe_machine(const struct engine_container *c, const char *image)
{
	struct json_out out autojsonout = {0};
	autofree char *record = engine_record_write(&c->record);

	if (!record)
		return NULL;
	json_begin_object(&out, NULL);
	json_put_str(&out, "image", image ? image : "");
	json_put_str(&out, "container", image ? c->name : "");
	json_put_bool(&out, "template", !image);
	json_put_i64(&out, "created", engine_now());
	json_put_str(&out, "record", record);
	json_end(&out);
	return json_take(&out);
}

static int keep_machine(struct engine *e, struct engine_container *c, struct guest_snapshot *s,
			struct err *err)
{
	autofree char *tag = str_format(MACHINE_TAG "%s", s->name), *image = NULL;
	const struct image_make q = {.name = tag, .comment = "files of a machine's snapshot"};
	int hold = -1;
	int r = tag ? runtime_save_machine(&e->rt, c->id, s->machine, &hold, err) : err_oom(err);
	autoclose int standing = hold; /* until the files are kept too */

	if (r == 0)
		r = engine_commit_image(e, c, &q, NULL, &image, err);
	if (r < 0)
		return r;
	autofree char *info = describe_machine(c, image);
	r = info ? guest_snapshot_finish(s, info, err) : err_oom(err);
	if (r < 0)
		drop_machine_image(e, s->name);
	return r;
}

int engine_machine_save(struct engine *e, const char *id, const char *name, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct guest_snapshot s;
	int r = engine_load_locked(e, id, &c, err);

	if (r == 0)
		r = may_keep(&c, err);
	if (r == 0)
		r = guest_snapshot_begin(name, drop_machine_image, e, &s, err);
	if (r < 0)
		return r;
	r = keep_machine(e, &c, &s, err);
	guest_snapshot_drop(&s);
	if (r == 0)
		engine_tell_container(e, &c, "snapshot", "name", name);
	return r;
}

/* Runs the container to its end, which is the template's beginning. */
static int make_template(struct engine *e, struct engine_create *q, struct guest_snapshot *s, char **ret_info,
			 struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	const struct engine_start start = {0};
	autofree char *id = NULL;
	struct err ignored = {0};
	struct stat st;
	int status = 0;
	int r = engine_create(e, q, &id, err);

	if (r < 0)
		return r;
	r = engine_load(e, id, &c, err);
	if (r == 0 && !(*ret_info = describe_machine(&c, NULL)))
		r = err_oom(err);
	if (r == 0)
		r = engine_start(e, id, &start, NULL, err);
	if (r < 0) {
		ignore_result(engine_remove(e, id, true, true, &ignored)); /* the failure is what counts */
		return r;
	}
	/* It removes itself, and may be gone already: what it was for is told by the file. */
	r = engine_wait(e, id, "removed", &status, &ignored);
	if (r < 0 && r != -ENOENT)
		return err_set(err, -r, "%s", ignored.msg);
	if (fstat(s->machine, &st) < 0 || st.st_size == 0)
		return err_set(err, EIO, "the machine ended before it could be kept");
	return 0;
}

int engine_machine_template(struct engine *e, struct engine_create *q, const char *name, struct err *err)
{
	autofree struct oci_pair *notes = calloc(q->annotations.n + 1, sizeof(*notes));
	autofree char *info = NULL;
	struct guest_snapshot s;
	int r = notes ? engine_pod_image(e, &q->image, err) : err_oom(err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < q->annotations.n; i++)
		notes[i] = q->annotations.v[i];
	notes[q->annotations.n] = (struct oci_pair){.key = GUEST_TEMPLATE_ANNOTATION, .value = name};
	q->annotations = (pair_list){.v = notes, .n = q->annotations.n + 1};
	q->isolation = "vm";
	q->pull = "never";
	q->init = true;
	q->auto_remove = true; /* it goes, also where its maker is killed meanwhile */
	r = engine_guard(e, q, err);
	if (r == 0)
		r = guest_snapshot_begin(name, drop_machine_image, e, &s, err);
	if (r == 0) {
		r = make_template(e, q, &s, &info, err);
		if (r == 0)
			r = guest_snapshot_finish(&s, info, err);
		guest_snapshot_drop(&s);
	}
	q->annotations = (pair_list){0}; /* ours */
	return r;
}

int engine_machine_remove(struct engine *e, const char *name, struct err *err)
{
	uint64_t bytes;
	int r = guest_snapshot_remove(name, drop_machine_image, e, err);

	return r < 0 ? r : engine_sweep(e, false, &bytes, err);
}

static int read_kept(const char *name, const char *info, size_t len, struct json_doc *doc, K *ret,
		     struct err *err)
{
	int r = json_decode(doc, info, len, "info.json", &kept_table, ret, err);

	return r < 0 ? err_prefix(err, "snapshot %s is damaged (coffer vm snapshot-rm %s)", name, name) : 0;
}

struct noting_images {
	int (*note)(void *data, const char *image, const char *name, struct err *err);
	void *data;
};

static int note_kept(void *data, const char *name, const char *info, size_t len, struct err *err)
{
	const struct noting_images *n = data;
	struct json_doc doc autojson = {0};
	struct err broken = {0};
	K kept = {0};

	/* A damaged one has none that could be of use. */
	if (read_kept(name, info, len, &doc, &kept, &broken) < 0 || kept.template)
		return 0;
	return n->note(n->data, kept.image, name, err);
}

int engine_machine_images(int (*note)(void *data, const char *image, const char *name, struct err *err),
			  void *data, struct err *err)
{
	struct noting_images n = {.note = note, .data = data};
	struct err why = {0};
	int r = guest_snapshots_each(note_kept, &n, &why);

	if (r < 0)
		*err = why;
	return r;
}

int engine_machine_describe(const char *name, const char *info, size_t len, struct json_doc *doc,
			    struct engine_machine *ret, struct err *err)
{
	struct engine_record record;
	K kept = {0};
	int r = read_kept(name, info, len, doc, &kept, err);

	if (r == 0)
		r = engine_record_read(kept.record, strlen(kept.record), name, doc, &record, err);
	if (r == 0)
		*ret = (struct engine_machine){.image = kept.image,
					       .container = kept.container,
					       .template = kept.template,
					       .created = kept.created,
					       .image_ref = record.image_ref,
					       .command = record.config.cmd,
					       .memory = record.q.memory};
	return r;
}

/* Settings of the one that was saved, but for what names and keeps this one. */
static int settle_from(const char *name, const K *kept, const struct engine_record *r, struct json_doc *doc,
		       struct engine_create *q, struct err *err)
{
	struct engine_create all = r->q;
	struct oci_pair *notes = json_doc_alloc(doc, (all.annotations.n + 1) * sizeof(*notes));

	if (!notes)
		return err_oom(err);
	size_t n = 0;
	for (size_t i = 0; i < all.annotations.n; i++)
		if (!streq(all.annotations.v[i].key, GUEST_SNAPSHOT_ANNOTATION))
			notes[n++] = all.annotations.v[i];
	notes[n++] = (struct oci_pair){.key = GUEST_SNAPSHOT_ANNOTATION, .value = name};
	all.annotations.v = notes;
	all.annotations.n = n;
	all.image = kept->image;
	all.pull = "never";
	all.isolation = "vm";
	all.name = q->name;
	all.auto_remove = q->auto_remove;
	all.cidfile = q->cidfile;
	all.quiet = q->quiet;
	all.hostname = q->hostname;
	all.cgroup_parent = q->cgroup_parent;
	all.restart = NULL; /* it would be another program's */
	all.labels = q->labels;
	all.ports = q->ports;
	all.publish_all = q->publish_all;
	all.mac_address = NULL;
	all.attach_stdin = q->attach_stdin && all.interactive;
	all.attach_stdout = q->attach_stdout;
	all.attach_stderr = q->attach_stderr;
	for (size_t i = 0; i < all.networks.n; i++) /* addresses that were asked for are the other one's */
		((struct net_join *)(uintptr_t)all.networks.v)[i].ip =
			((struct net_join *)(uintptr_t)all.networks.v)[i].ip6 =
				((struct net_join *)(uintptr_t)all.networks.v)[i].mac = NULL;
	struct engine_mount *mounts = json_doc_alloc(doc, (r->mounts.n + 1) * sizeof(*mounts));
	if (!mounts)
		return err_oom(err);
	for (size_t i = 0; i < r->mounts.n; i++)
		mounts[i] = (struct engine_mount){.kind = ENGINE_TMPFS,
						  .target = r->mounts.v[i].target,
						  .options = r->mounts.v[i].options};
	all.mounts.v = mounts;
	all.mounts.n = r->mounts.n;
	*q = all;
	return 0;
}

/* A machine of the template's size, for whatever image. */
static int settle_from_template(const char *name, const struct engine_create *machine, struct json_doc *doc,
				struct engine_create *q, struct err *err)
{
	struct oci_pair *notes = json_doc_alloc(doc, (q->annotations.n + 1) * sizeof(*notes));

	if (!notes)
		return err_oom(err);
	for (size_t i = 0; i < q->annotations.n; i++)
		notes[i] = q->annotations.v[i];
	notes[q->annotations.n] = (struct oci_pair){.key = GUEST_SNAPSHOT_ANNOTATION, .value = name};
	q->annotations = (pair_list){.v = notes, .n = q->annotations.n + 1};
	q->isolation = "vm";
	if (!q->memory)
		q->memory = machine->memory;
	if (!q->nano_cpus && !q->cpu_quota && !q->cpuset_cpus)
		q->nano_cpus = machine->nano_cpus;
	return 0;
}

int engine_machine_create(const char *name, struct json_doc *doc, struct engine_create *q, struct err *err)
{
	struct engine_record record = {0};
	autofree char *info = NULL;
	size_t len = 0;
	K kept = {0};
	int r = guest_snapshot_info(name, &info, &len, err);

	if (r == 0)
		r = read_kept(name, info, len, doc, &kept, err);
	if (r == 0)
		r = engine_record_read(kept.record, strlen(kept.record), name, doc, &record, err);
	if (r == 0 && kept.template)
		return settle_from_template(name, &record.q, doc, q, err);
	return r < 0 ? r : settle_from(name, &kept, &record, doc, q, err);
}

static const char *snapshot_of(const struct engine_container *c)
{
	return c->record.isolation && streq(c->record.isolation, "vm")
		       ? pair_find(&c->record.q.annotations, GUEST_SNAPSHOT_ANNOTATION)
		       : NULL;
}

int engine_machine_check(const struct engine_container *c, struct err *err)
{
	const char *name = snapshot_of(c);
	struct json_doc doc autojson = {0};
	autofree char *info = NULL;
	size_t len = 0;
	K kept = {0};

	if (!name)
		return 0;
	int r = guest_snapshot_info(name, &info, &len, err);
	if (r == 0)
		r = read_kept(name, info, len, &doc, &kept, err);
	if (r == 0 && !kept.template && !streq(kept.image, c->record.image_id))
		r = err_set(err, ESTALE,
			    "snapshot %s has been made anew: it is not the one that container %s began with",
			    name, c->name);
	return r;
}
