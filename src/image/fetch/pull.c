/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pull: index -> manifest -> configuration and layers, all that can be at
 * once at once.  Layers begin to come before the configuration is there;
 * those that it shows to be in the store already are broken off.
 */
#include "image/fetch/fetch.h"

#include "base/fd.h"
#include "host/userns_self.h"
#include "image/fetch/inflate_isal.h"
#include "image/fetch/job.h"
#include "image/fetch/progress.h"
#include "image/fetch/registry.h"
#include "image/sha256.h"

enum { PULL_JOBS_AT_ONCE = 6, PULL_TURN_MS = 100 };

struct pull {
	struct fetch *fetch;
	struct session *session;
	struct remote *remote;
	const struct reference *ref;
	const char *platform;
	struct progress *progress;
	char *scope;
	const struct document *manifest;

	struct call config_call;
	char *config_text;
	size_t config_len;
	struct json_doc config_doc;
	struct oci_image_config config;
	bool config_known;

	struct layer_job *jobs; /* one a digest */
	size_t njobs;
	size_t *job_of; /* layer -> job */
	bool failed;
	struct err err;
};

static void pull_failed(struct pull *p, const struct err *err)
{
	if (!p->failed)
		p->err = *err;
	p->failed = true;
}

/* ---- configuration ---- */

static int use_config(struct pull *p, struct err *err)
{
	const struct oci_manifest *m = &p->manifest->manifest;

	int r = oci_image_config_decode(p->config_text, p->config_len, "image configuration", &p->config_doc,
					&p->config, err);
	if (r < 0)
		return r;
	const struct oci_platform have = {
		.os = p->config.os, .architecture = p->config.architecture, .variant = p->config.variant};
	if (p->platform && (!have.os || !have.architecture || !image_platform_score(p->platform, &have)))
		return err_set(
			err, ENOENT, "the image does not match the platform: wanted %s, it is for %s/%s",
			p->platform, have.os ? have.os : "?", have.architecture ? have.architecture : "?");
	if (p->config.diff_ids.n != m->layers.n)
		return err_set(err, EBADMSG, "the configuration tells of %zu layers, the manifest of %zu",
			       p->config.diff_ids.n, m->layers.n);
	for (size_t i = 0; i < m->layers.n; i++) {
		struct layer_job *j = &p->jobs[p->job_of[i]];
		const char *id = p->config.diff_ids.v[i];
		r = digest_check(id, err);
		if (r < 0)
			return err_prefix(err, "diffID of layer %zu", i + 1);
		if (j->diff_id && !streq(j->diff_id, id))
			return err_set(err, EBADMSG, "the configuration has two diffIDs for the layer %s",
				       j->d->digest);
		if (!j->diff_id)
			job_set_diff_id(j, id);
	}
	p->config_known = true;
	return 0;
}

static int take_config(struct pull *p, char *text, size_t len, struct err *err)
{
	const struct oci_descriptor *d = &p->manifest->manifest.config;
	char have[DIGEST_MAX];
	struct sha256 sum;

	p->config_text = text;
	p->config_len = len;
	sha256_init(&sum);
	sha256_update(&sum, text, len);
	sha256_digest(&sum, have);
	if (len != d->size || !streq(have, d->digest))
		return err_set(err, EBADMSG,
			       "configuration %s: the registry sent something else: %zu bytes, digest %s",
			       d->digest, len, have);
	return use_config(p, err);
}

static void config_done(struct call *c)
{
	struct pull *p = c->data;
	struct err err = {0};
	char *text = NULL;
	int r;

	if (c->result < 0 || c->x.status != 200) {
		r = call_fail(c, &err, "configuration %s", p->manifest->manifest.config.digest);
	} else {
		size_t len = c->x.text.len;
		text = str_take(&c->x.text);
		r = text ? take_config(p, text, len, &err) : err_oom(&err);
	}
	if (r < 0)
		pull_failed(p, &err);
}

static int start_config(struct pull *p, struct err *err)
{
	const struct oci_descriptor *d = &p->manifest->manifest.config;
	char *text = NULL;
	size_t len = 0;

	if (d->size > OCI_IMAGE_CONFIG_MAX)
		return err_set(err, EFBIG, "the configuration is too large: %llu bytes",
			       (unsigned long long)d->size);
	int r = blob_exists(p->fetch->store, d->digest, NULL, err);
	if (r < 0)
		return r;
	/* A damaged one is fetched anew. */
	if (r > 0 && blob_read(p->fetch->store, d->digest, OCI_IMAGE_CONFIG_MAX, &text, &len, err) == 0)
		return take_config(p, text, len, err);
	*err = (struct err){0};
	p->config_call = (struct call){
		.remote = p->remote,
		.method = "GET",
		.repository = p->ref->path,
		.path = str_format("blobs/%s", d->digest),
		.scope = p->scope,
		.text_max = (size_t)d->size + 1,
		.total_seconds = 120,
		.done = config_done,
		.data = p,
	};
	if (!p->config_call.path)
		return err_oom(err);
	return call_start(&p->config_call, err);
}

/* ---- layers ---- */

static int make_jobs(struct pull *p, struct err *err)
{
	const struct oci_manifest *m = &p->manifest->manifest;

	p->jobs = calloc(m->layers.n + 1, sizeof(*p->jobs));
	p->job_of = calloc(m->layers.n + 1, sizeof(*p->job_of));
	if (!p->jobs || !p->job_of)
		return err_oom(err);
	for (size_t i = 0; i < m->layers.n; i++) {
		const struct oci_descriptor *d = &m->layers.v[i];
		size_t at = 0;
		while (at < p->njobs && !streq(p->jobs[at].d->digest, d->digest))
			at++;
		p->job_of[i] = at;
		if (at < p->njobs)
			continue;
		struct layer_job *j = &p->jobs[at];
		job_init(j);
		p->njobs++;
		j->store = p->fetch->store;
		j->session = p->session;
		j->remote = p->remote;
		j->repository = p->ref->path;
		j->scope = p->scope;
		memcpy(j->digest, d->digest, strlen(d->digest) + 1); /* checked by registry_check_image() */
		j->own = (struct oci_descriptor){.digest = j->digest, .size = d->size};
		j->d = &j->own;
		j->inflate = &layer_inflate_isal;
		j->rootless = geteuid() != 0 || !userns_is_first();
		j->mirrored = p->remote->n > 1;
		j->item = progress_add(p->progress, d->digest + strlen("sha256:"), err);
		if (j->item < 0)
			return j->item;
		progress_set(p->progress, j->item, "Pulling fs layer", 0, 0);
	}
	return 0;
}

struct job_view {
	bool opened, exists, restart, verified, published, built, ended, cancel;
	struct err err;
};

static struct job_view look(struct layer_job *j)
{
	struct job_view v;

	(void)pthread_mutex_lock(&j->lock);
	v = (struct job_view){
		.opened = j->opened,
		.exists = j->exists,
		.restart = j->restart,
		.verified = j->verified,
		.published = j->published,
		.built = j->built,
		.ended = j->feeder_ended && j->builder_ended,
		.cancel = j->cancel,
	};
	if (j->err.code)
		v.err = j->err;
	else
		v.err.code = 0;
	(void)pthread_mutex_unlock(&j->lock);
	return v;
}

static void show(struct pull *p, struct layer_job *j, const struct job_view *v)
{
	uint64_t size = j->d->size;
	uint64_t fed = atomic_load_explicit(&j->fed, memory_order_relaxed);

	if (v->built && (v->published || v->exists))
		progress_set(p->progress, j->item, "Pull complete", 0, 0);
	else if (v->opened && !v->exists && j->received < size)
		progress_set(p->progress, j->item, "Downloading", j->received, size);
	else if (v->opened && !v->verified)
		progress_set(p->progress, j->item, "Verifying Checksum", 0, 0);
	else if (v->opened && fed < size)
		progress_set(p->progress, j->item, "Extracting", fed, size);
	else if (v->opened)
		progress_set(p->progress, j->item, "Download complete", 0, 0);
	else if (j->started)
		progress_set(p->progress, j->item, "Waiting", 0, 0);
}

/* In the store already?  Then neither bytes nor threads are needed. */
static int skip_if_there(struct pull *p, struct layer_job *j, struct err *err)
{
	int r = j->diff_id ? layer_exists(p->fetch->store, j->diff_id, err) : 0;

	if (r > 0) {
		progress_set(p->progress, j->item, "Already exists", 0, 0);
		job_abort_transfers(j);
		job_stop(j);
		if (!j->started && !j->exists) {
			/* Nobody may wait for what we do not fetch. */
			ingest_close(&j->in);
			j->fd = -1;
		}
		j->done = true;
	}
	return MIN_OF(r, 0);
}

/* One look at a job that has been started: what its threads ask for is done. */
static int attend(struct pull *p, struct layer_job *j, struct err *err)
{
	struct job_view v = look(j);
	int r = 0;

	if (v.err.code) {
		*err = v.err;
		return -v.err.code;
	}
	if (v.opened && !v.exists && !j->planned)
		r = job_plan(j, err);
	if (r == 0 && v.restart)
		r = job_replan(j, err);
	show(p, j, &v);
	if (v.ended && r == 0) {
		job_stop(j);
		j->done = true;
	}
	return r;
}

static int start_jobs(struct pull *p, struct err *err)
{
	size_t active = 0;

	for (size_t i = 0; i < p->njobs; i++)
		active += p->jobs[i].started && !p->jobs[i].done;
	for (size_t i = 0; i < p->njobs && active < PULL_JOBS_AT_ONCE; i++) {
		struct layer_job *j = &p->jobs[i];
		if (j->started || j->done)
			continue;
		int r = skip_if_there(p, j, err);
		if (r == 0 && !j->done) {
			r = job_start(j, err);
			active++;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int start_transfers(struct pull *p, struct err *err)
{
	size_t running = 0, max = session_settings(p->session)->parallel;
	int r = 1;

	for (size_t i = 0; i < p->njobs; i++)
		running += p->jobs[i].running;
	/* In turns, so that a large layer does not hold up the small ones. */
	while (r > 0 && running < max) {
		r = 0;
		for (size_t i = 0; i < p->njobs && running < max; i++) {
			if (!p->jobs[i].started || p->jobs[i].done)
				continue;
			int one = job_transfer(&p->jobs[i], err);
			if (one < 0)
				return one;
			running += one > 0;
			r |= one > 0;
		}
	}
	return 0;
}

static int turn(struct pull *p, bool *ret_more, struct err *err)
{
	bool knew = p->config_known, more = false;
	int r = start_jobs(p, err);

	if (r == 0)
		r = start_transfers(p, err);
	if (r == 0)
		r = session_turn(p->session, PULL_TURN_MS, err);
	if (r == 0 && p->failed) {
		*err = p->err;
		return -err->code;
	}
	for (size_t i = 0; r == 0 && i < p->njobs; i++) {
		struct layer_job *j = &p->jobs[i];
		if (j->started && !j->done && !knew && p->config_known)
			r = skip_if_there(p, j, err);
		if (r == 0 && j->started && !j->done)
			r = attend(p, j, err);
		more |= !j->done;
	}
	progress_tick(p->progress);
	*ret_more = more || !p->config_known;
	return r;
}

static int move_content(struct pull *p, struct err *err)
{
	bool more = true;
	int r = make_jobs(p, err);

	if (r == 0)
		r = start_config(p, err);
	while (r == 0 && p->failed == false && more)
		r = turn(p, &more, err);
	if (r == 0 && p->failed) {
		*err = p->err;
		r = -err->code;
	}
	return r;
}

/* ---- the record ---- */

static int write_documents(struct pull *p, const struct resolved *v, struct err *err)
{
	char digest[DIGEST_MAX];
	int r = blob_write(p->fetch->store, p->config_text, p->config_len, digest, err);

	for (size_t i = 0; r == 0 && i < v->ninner; i++)
		r = blob_write(p->fetch->store, v->inner[i].text, v->inner[i].len, digest, err);
	if (r == 0)
		r = blob_write(p->fetch->store, p->manifest->text, p->manifest->len, digest, err);
	if (r == 0 && v->indexed)
		r = blob_write(p->fetch->store, v->top.text, v->top.len, digest, err);
	return r;
}

static int record_image(struct pull *p, const struct resolved *v, struct err *err)
{
	const struct oci_manifest *m = &p->manifest->manifest;
	autofree const char **digests = calloc(m->layers.n + 1, sizeof(*digests));
	autofree uint64_t *sizes = calloc(m->layers.n + 1, sizeof(*sizes));
	autofree char *name = reference_full(p->ref);
	bool known = true;

	if (!digests || !sizes || !name)
		return err_oom(err);
	for (size_t i = 0; i < m->layers.n; i++) {
		const struct layer_job *j = &p->jobs[p->job_of[i]];
		int r = blob_exists(p->fetch->store, m->layers.v[i].digest, NULL, err);
		if (r < 0)
			return r;
		/* A layer that was there without its blob stays without it. */
		digests[i] = r > 0 ? m->layers.v[i].digest : "";
		sizes[i] = j->result.size;
		known = known && sizes[i];
	}
	int r = write_documents(p, v, err);
	if (r < 0)
		return r;
	str_list list = {.v = digests, .n = m->layers.n};
	struct image_record record = {
		.reference = name,
		.manifest_digest = p->manifest->digest,
		.index_digest = v->indexed ? v->top.digest : NULL,
		.config_digest = m->config.digest,
		.layer_digests = &list,
		.diff_ids = &p->config.diff_ids,
		.layer_sizes = known ? sizes : NULL,
	};
	return image_record(p->fetch->store, &record, err);
}

static void pull_end(struct pull *p)
{
	call_free(&p->config_call);
	for (size_t i = 0; i < p->njobs; i++)
		job_abort_transfers(&p->jobs[i]);
	for (size_t i = 0; i < p->njobs; i++)
		job_free(&p->jobs[i]);
	/* A thread that waits for another process still looks at its job. */
	bool busy = false;
	for (size_t i = 0; i < p->njobs; i++)
		busy |= p->jobs[i].started;
	if (!busy)
		free(p->jobs);
	p->fetch->store_in_use |= busy;
	free(p->job_of);
	free(p->scope);
	free(p->config_text);
	json_doc_free(&p->config_doc);
}

/* ---- the command ---- */

static bool has_digest(const struct image *i, const char *digest)
{
	if (streq(i->manifest_digest, digest))
		return true;
	for (size_t n = 0; n < i->digests.n; n++) {
		const char *at = strchr(i->digests.v[n], '@');
		if (at && streq(at + 1, digest))
			return true;
	}
	return false;
}

/* 1: what the name leads to here has this digest. */
static int have_already(struct pull *p, const char *name, const char *digest, struct image *ret)
{
	struct err ignored = {0};
	struct image i = {0};

	if (image_find(p->fetch->store, name, p->platform, &i, &ignored) < 0)
		return 0;
	if (!has_digest(&i, digest)) {
		image_free(&i);
		return 0;
	}
	*ret = i;
	return 1;
}

static void tell_end(struct pull *p, const char *digest, const char *id, bool fresh, bool quiet)
{
	autofree char *full = reference_full(p->ref), *familiar = reference_familiar(p->ref);
	const char *name = familiar ? familiar : "";

	progress_settle(p->progress);
	if (progress_is_json(p->progress)) {
		progress_result(p->progress, fresh ? "Downloaded newer image" : "Image is up to date", digest,
				full, id);
	} else if (!quiet) {
		progress_say(p->progress, "Digest: %s", digest);
		progress_say(p->progress, "Status: %s for %s",
			     fresh ? "Downloaded newer image" : "Image is up to date", name);
	}
	if (full && !progress_is_json(p->progress))
		(void)printf("%s\n", full);
	(void)fflush(stdout);
}

static int pull_fresh(struct pull *p, const char *name, bool quiet, struct err *err)
{
	struct resolved v autoresolved = {0};
	struct image have autoimage = {0};

	int r = registry_resolve(p->remote, p->ref, p->platform, &v, err);
	if (r < 0)
		return r;
	if (have_already(p, name, v.top.digest, &have)) {
		tell_end(p, v.top.digest, have.id, false, quiet);
		return 0;
	}
	p->manifest = resolved_image(&v);
	r = registry_check_image(&p->manifest->manifest, err);
	if (r == 0)
		r = move_content(p, err);
	if (r == 0)
		r = record_image(p, &v, err);
	if (r == 0)
		tell_end(p, v.top.digest, p->manifest->manifest.config.digest, true, quiet);
	else
		progress_settle(p->progress);
	pull_end(p);
	return r;
}

static int pull_one(struct fetch *f, struct session *s, const struct reference *ref,
		    const struct pull_options *o, struct err *err)
{
	struct remote *remote autoremote = NULL;
	struct pull p = {
		.fetch = f, .session = s, .ref = ref, .platform = o->platform, .progress = o->progress};
	autofree char *name = reference_full(ref);
	struct image have autoimage = {0};
	char digest[DIGEST_MAX];

	p.scope = registry_scope(ref->path, "pull");
	if (!name || !p.scope)
		return err_oom(err);
	progress_say(o->progress, "%s: Pulling from %s", ref->digest ? ref->digest : ref->tag, ref->path);
	int r = remote_open(s, ref->domain, &remote, err);
	if (r < 0)
		return err_prefix(err, "cannot pull %s", name);
	p.remote = remote;
	/* What is here already is asked for by HEAD, which costs the registry (and its rate limit) nothing.
	 */
	struct err ignored = {0};
	struct image known autoimage = {0};
	if (image_find(f->store, name, o->platform, &known, &ignored) == 0 &&
	    registry_digest(remote, ref->path, ref->digest ? ref->digest : ref->tag, digest, &ignored) == 1 &&
	    have_already(&p, name, digest, &have)) {
		tell_end(&p, digest, have.id, false, o->quiet);
		free(p.scope);
		return 0;
	}
	r = pull_fresh(&p, name, o->quiet, err);
	return r < 0 ? err_prefix(err, "cannot pull %s", name) : 0;
}

static int add_tag(void *data, const char *name, struct err *err)
{
	LIST_OF(char *) *l = data;
	char **v = reallocarray(l->v, l->n + 1, sizeof(*v));

	if (!v)
		return err_oom(err);
	l->v = v;
	l->v[l->n] = strdup(name);
	return l->v[l->n] ? (l->n++, 0) : err_oom(err);
}

static int pull_all(struct fetch *f, struct session *s, const struct reference *ref,
		    const struct pull_options *o, struct err *err)
{
	struct remote *remote autoremote = NULL;
	LIST_OF(char *) tags = {0};

	int r = remote_open(s, ref->domain, &remote, err);
	if (r == 0)
		r = registry_list(remote, ref->path, add_tag, &tags, err);
	for (size_t i = 0; i < tags.n; i++) {
		struct reference one autoreference = {0};
		autofree char *text = str_format("%s/%s:%s", ref->domain, ref->path, tags.v[i]);
		if (r == 0)
			r = text ? reference_parse(text, &one, err) : err_oom(err);
		if (r == 0)
			r = pull_one(f, s, &one, o, err);
		free(tags.v[i]);
	}
	free(tags.v);
	return r;
}

int fetch_pull(struct fetch *f, const struct pull_options *o, struct err *err)
{
	struct reference ref autoreference = {0};
	struct session *s autosession = NULL;

	int r = reference_parse_short(o->reference, &f->settings->rules, &ref, err);
	if (r == 0)
		r = fetch_open_store(f, err);
	if (r < 0)
		return r;
	const char *slash = strrchr(o->reference, '/');
	bool bare = !ref.digest && !strchr(slash ? slash : o->reference, ':');
	if (o->all_tags && !bare)
		return err_set(err, EINVAL, "tag can't be used with --all-tags/-a");
	autoclose int use = content_use(f->store, err);
	if (use < 0)
		return use;
	r = session_new(f->settings, &s, err);
	if (r < 0)
		return r;
	if (o->all_tags)
		return pull_all(f, s, &ref, o, err);
	if (bare && !o->quiet)
		progress_say(o->progress, "Using default tag: latest");
	return pull_one(f, s, &ref, o, err);
}
