/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/job.h"

#include "base/fd.h"
#include "image/sha256.h"

#include <sys/file.h>

enum { JOB_WRITEBACK = 8 << 20 };

void job_init(struct layer_job *j)
{
	j->fd = j->in.fd = -1;
	(void)pthread_mutex_init(&j->lock, NULL); /* cannot fail on Linux */
	(void)pthread_cond_init(&j->moved, NULL);
}

/* With the lock held. */
static void told(struct layer_job *j)
{
	(void)pthread_cond_broadcast(&j->moved);
	if (!j->abandoned)
		session_wake(j->session);
}

static void lock_job(struct layer_job *j)
{
	(void)pthread_mutex_lock(&j->lock); /* never taken twice by one thread */
}

static void unlock_job(struct layer_job *j)
{
	(void)pthread_mutex_unlock(&j->lock);
}

void job_fail(struct layer_job *j, const struct err *why)
{
	lock_job(j);
	if (!j->err.code)
		j->err = *why;
	j->cancel = true;
	told(j);
	unlock_job(j);
}

void job_set_diff_id(struct layer_job *j, const char *diff_id)
{
	lock_job(j);
	j->diff_id = diff_id;
	told(j);
	unlock_job(j);
}

/* Bytes from `at` to the frontier, at most a buffer full.  -errno, or 0 at the end of the file. */
static ssize_t read_some(const struct layer_job *j, uint64_t at, uint64_t frontier, void *buf,
			 struct err *err)
{
	size_t want = (size_t)MIN_OF(frontier - at, (uint64_t)JOB_READ);

	for (;;) {
		ssize_t n = pread(j->fd, buf, want, (off_t)at);
		if (n > 0)
			return n;
		if (n == 0)
			return err_set(err, EIO, "layer %s: the file was cut while it was read",
				       j->d->digest);
		if (errno != EINTR)
			return err_sys(err, "layer %s: cannot read what was fetched", j->d->digest);
	}
}

/* ---- feeder ---- */

/* 1: there are bytes to take from `at` on; 0: all are taken; -ECANCELED. */
static int await_bytes(struct layer_job *j, uint64_t at, unsigned generation, uint64_t *ret_frontier)
{
	int r;

	lock_job(j);
	while (!j->cancel && j->generation == generation && j->frontier <= at && at < j->d->size)
		(void)pthread_cond_wait(&j->moved, &j->lock);
	*ret_frontier = j->frontier;
	r = j->cancel || j->generation != generation ? -ECANCELED : at < j->d->size;
	unlock_job(j);
	return r;
}

static int hash_all(struct layer_job *j, unsigned generation, char *buf, char ret[static DIGEST_MAX],
		    struct err *err)
{
	uint64_t at = 0, frontier = 0, flushed = 0;
	struct sha256 sum;
	int r;

	sha256_init(&sum);
	while ((r = await_bytes(j, at, generation, &frontier)) > 0) {
		while (at < frontier) {
			ssize_t n = read_some(j, at, frontier, buf, err);
			if (n < 0)
				return (int)n;
			sha256_update(&sum, buf, (size_t)n);
			at += (uint64_t)n;
			atomic_store_explicit(&j->hashed, at, memory_order_relaxed);
		}
		/* So that the sync at the end finds little to do. */
		if (at - flushed >= JOB_WRITEBACK) {
			(void)sync_file_range(j->fd, (off_t)flushed, (off_t)(at - flushed),
					      SYNC_FILE_RANGE_WRITE); /* a hint */
			flushed = at;
		}
	}
	if (r < 0)
		return r;
	sha256_digest(&sum, ret);
	return 0;
}

/* Bytes of an earlier try may be rotten, and a mirror may lie: once, all is fetched anew. */
static bool ask_restart(struct layer_job *j)
{
	bool granted = false;

	lock_job(j);
	if ((j->resumed > 0 || j->mirrored) && j->generation == 0 && !j->cancel) {
		j->restart = true;
		told(j);
		while (j->restart && !j->cancel)
			(void)pthread_cond_wait(&j->moved, &j->lock);
		granted = !j->cancel;
	}
	unlock_job(j);
	return granted;
}

static int feed_verified(struct layer_job *j, struct err *err)
{
	autofree char *buf = malloc(JOB_READ);
	char have[DIGEST_MAX] = "";

	if (!buf)
		return err_oom(err);
	for (;;) {
		int r = hash_all(j, j->generation, buf, have, err);
		if (r < 0)
			return r;
		if (streq(have, j->d->digest))
			break;
		if (!ask_restart(j))
			return err_set(
				err, EBADMSG,
				"layer %s: what the registry sent has another digest, %s: it is damaged, or "
				"not what the manifest means",
				j->d->digest, have);
	}
	lock_job(j);
	j->verified = true;
	told(j);
	unlock_job(j);
	int r = ingest_commit(&j->in, true, err);
	if (r < 0)
		return r;
	/* Others wait for it who may have what we wait for.  The descriptor stays: the builder reads from it.
	 */
	if (flock(j->in.fd, LOCK_UN) < 0)
		return err_sys(err, "cannot unlock what came of the layer %s", j->d->digest);
	lock_job(j);
	j->published = true;
	told(j);
	unlock_job(j);
	return 0;
}

/* Opens what is to be read: the file in ingest/ or the blob that is there already. */
static int open_source(struct layer_job *j, struct err *err)
{
	struct ingest in = {.fd = -1};
	uint64_t offset = 0;

	int r = ingest_begin(j->store, j->d->digest, j->d->size, &in, &offset, err);
	if (r < 0)
		return r;
	int fd = in.exists ? blob_open(j->store, j->d->digest, err) : in.fd;
	if (fd < 0)
		return fd;
	lock_job(j);
	if (j->abandoned) {
		unlock_job(j);
		if (in.exists)
			(void)close(fd); /* read only */
		ingest_close(&in);
		return -ECANCELED;
	}
	j->in = in;
	j->fd = fd;
	j->opened = true;
	j->exists = in.exists;
	j->resumed = in.exists ? 0 : offset;
	j->frontier = in.exists ? j->d->size : offset;
	/* What stands under a digest's name has been verified when it came there. */
	j->verified = j->published = in.exists;
	told(j);
	unlock_job(j);
	return 0;
}

static void thread_ends(struct layer_job *j, int r, const struct err *err, bool *ended)
{
	if (r < 0 && err->code)
		job_fail(j, err);
	lock_job(j);
	*ended = true;
	told(j);
	unlock_job(j);
}

static void *feeder_main(void *data)
{
	struct layer_job *j = data;
	struct err err = {0};

	int r = open_source(j, &err);
	if (r == 0 && !j->exists)
		r = feed_verified(j, &err);
	thread_ends(j, r, &err, &j->feeder_ended);
	return NULL;
}

/* ---- builder ---- */

static int build_once(struct layer_job *j, unsigned generation, char *buf, struct err *err)
{
	struct layer_builder_options o = {.store = j->store,
					  .codec = LAYER_CODEC_AUTO,
					  .rootless = j->rootless,
					  .expected_diff_id = j->diff_id,
					  .threads = true,
					  .inflate = j->inflate};
	struct layer_builder *b = NULL;
	uint64_t at = 0, frontier = 0;

	int r = layer_builder_new(&o, &b, err);
	if (r < 0)
		return r;
	while (r >= 0 && (r = await_bytes(j, at, generation, &frontier)) > 0) {
		while (r >= 0 && at < frontier) {
			ssize_t n = read_some(j, at, frontier, buf, err);
			r = n < 0 ? (int)n : layer_builder_feed(b, buf, (size_t)n, err);
			at += (uint64_t)MAX_OF(n, 0);
			atomic_store_explicit(&j->fed, at, memory_order_relaxed);
		}
	}
	lock_job(j);
	while (r == 0 && !j->verified && !j->cancel && j->generation == generation)
		(void)pthread_cond_wait(&j->moved, &j->lock);
	if (r == 0 && (j->cancel || j->generation != generation))
		r = -ECANCELED;
	unlock_job(j);
	if (r == 0)
		r = layer_commit(b, &j->result, err);
	layer_builder_free(b);
	return r;
}

/* What damaged bytes make of the builder is not the news: the digest is. */
static bool await_verdict(struct layer_job *j, unsigned generation)
{
	bool again;

	lock_job(j);
	while (!j->verified && !j->cancel && j->generation == generation)
		(void)pthread_cond_wait(&j->moved, &j->lock);
	again = !j->cancel && j->generation != generation;
	unlock_job(j);
	return again;
}

static int build_layer(struct layer_job *j, struct err *err)
{
	autofree char *buf = malloc(JOB_READ);
	unsigned generation;
	int r;

	if (!buf)
		return err_oom(err);
	do {
		lock_job(j);
		generation = j->generation;
		unlock_job(j);
		*err = (struct err){0};
		r = build_once(j, generation, buf, err);
	} while (r < 0 && r != -ENOSPC && await_verdict(j, generation));
	return r;
}

static void *builder_main(void *data)
{
	struct layer_job *j = data;
	struct err err = {0};
	int r;

	lock_job(j);
	while (!j->cancel && !(j->diff_id && j->opened))
		(void)pthread_cond_wait(&j->moved, &j->lock);
	r = j->cancel ? -ECANCELED : 0;
	unlock_job(j);
	if (r == 0)
		r = layer_exists(j->store, j->diff_id, &err);
	if (r == 0)
		r = build_layer(j, &err);
	if (r < 0 && err.code)
		(void)err_prefix(&err, "layer %.19s", j->d->digest);
	lock_job(j);
	j->built = r >= 0;
	unlock_job(j);
	thread_ends(j, r, &err, &j->builder_ended);
	return NULL;
}

int job_start(struct layer_job *j, struct err *err)
{
	int r = pthread_create(&j->feeder, NULL, feeder_main, j);

	if (r != 0)
		return err_num(err, r, "cannot start a thread");
	r = pthread_create(&j->builder, NULL, builder_main, j);
	if (r != 0) {
		struct err e = {0};
		(void)err_num(&e, r, "cannot start a thread");
		job_fail(j, &e);
		(void)pthread_join(j->feeder, NULL);
		return err_num(err, r, "cannot start a thread");
	}
	j->started = true;
	return 0;
}

void job_stop(struct layer_job *j)
{
	if (!j->started || j->abandoned) /* twice would join what is joined already */
		return;
	lock_job(j);
	j->cancel = true;
	told(j);
	bool waits = !j->opened && !j->feeder_ended;
	j->abandoned = waits;
	unlock_job(j);
	(void)pthread_join(j->builder, NULL);
	/* It may wait for another process's lock: the process's end is its end. */
	if (waits)
		(void)pthread_detach(j->feeder);
	else
		(void)pthread_join(j->feeder, NULL);
	j->started = waits;
}

void job_free(struct layer_job *j)
{
	job_abort_transfers(j);
	job_stop(j);
	if (j->started)
		return; /* a thread still looks at it */
	if (j->exists)
		fd_drop(&j->fd);
	ingest_close(&j->in);
	free(j->pieces);
	free(j->direct);
	(void)pthread_cond_destroy(&j->moved);
	(void)pthread_mutex_destroy(&j->lock);
}
