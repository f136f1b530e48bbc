/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  A blob is one piece, or for large ones many ranges, of
 * which the first goes ahead: its answer tells whether the registry takes
 * ranges (206), ignores them (200: then this answer is the whole blob and is
 * taken as such) or refuses them (416: the blob is asked for whole).  A piece
 * that breaks off goes on from where it came to; where a whole answer comes
 * for a piece in the middle, what stands before it is skipped.
 */
#include "image/fetch/job.h"

#include "image/fetch/fields.h"
#include "image/fetch/url.h"

static struct piece *piece_of(struct call *c)
{
	return c->data;
}

static void move_frontier(struct layer_job *j)
{
	(void)pthread_mutex_lock(&j->lock);
	while (j->first_open < j->npieces && j->pieces[j->first_open].pos == j->pieces[j->first_open].end)
		j->first_open++;
	uint64_t to = j->first_open < j->npieces ? j->pieces[j->first_open].pos : j->d->size;
	if (to > j->frontier) {
		j->frontier = to;
		(void)pthread_cond_broadcast(&j->moved);
	}
	(void)pthread_mutex_unlock(&j->lock);
}

/* ---- hooks of a transfer ---- */

static int piece_before(struct call *c)
{
	struct piece *p = piece_of(c);

	p->skip = 0;
	p->ranged = false;
	c->range[0] = '\0';
	if (!p->whole && (p->pos > 0 || p->end < p->job->d->size))
		(void)snprintf(c->range, sizeof(c->range), "bytes=%llu-%llu", (unsigned long long)p->pos,
			       (unsigned long long)p->end - 1); /* fits */
	return 0;
}

static int too_much(struct call *c)
{
	const struct layer_job *j = piece_of(c)->job;

	return err_set(&c->err, EBADMSG,
		       "layer %s: the registry sends more than the %llu bytes that the manifest tells of",
		       j->d->digest, (unsigned long long)j->d->size);
}

static int range_head(struct call *c, struct piece *p)
{
	const char *field = c->x.fields[FIELD_CONTENT_RANGE];
	struct content_range range;
	struct layer_job *j = p->job;

	if (!field || field_content_range(field, &range) < 0 || range.start != p->pos)
		return err_set(&c->err, EBADMSG,
			       "layer %s: the registry answers with another range than was asked for",
			       j->d->digest);
	if (range.end >= p->end || (range.total != UINT64_MAX && range.total != j->d->size))
		return too_much(c);
	p->ranged = true;
	j->ranges_known = true;
	if (c->off_origin && !j->direct && c->x.url)
		j->direct = strdup(c->x.url); /* without it each range asks for itself */
	return 0;
}

static int piece_head(struct call *c)
{
	struct piece *p = piece_of(c);
	struct layer_job *j = p->job;
	uint64_t length;

	if (c->x.status == 206)
		return range_head(c, p);
	if (c->x.status != 200)
		return err_set(&c->err, EBADMSG, "layer %s: unexpected answer %ld", j->d->digest,
			       c->x.status);
	if (c->x.fields[FIELD_CONTENT_LENGTH] &&
	    field_number(c->x.fields[FIELD_CONTENT_LENGTH], &length) == 0 && length > j->d->size)
		return too_much(c);
	p->skip = p->pos;
	/* The first one found out that there are no ranges: what comes is all that is wanted. */
	if (!j->ranges_known) {
		j->no_ranges = true;
		(void)pthread_mutex_lock(&j->lock);
		size_t at = (size_t)(p - j->pieces);
		p->end = j->d->size;
		j->npieces = at + 1;
		(void)pthread_mutex_unlock(&j->lock);
	}
	return 0;
}

static int piece_sink(struct call *c, const void *bytes, size_t len)
{
	struct piece *p = piece_of(c);
	struct layer_job *j = p->job;
	const char *b = bytes;

	if (p->skip > 0) {
		size_t n = (size_t)MIN_OF(p->skip, (uint64_t)len);
		p->skip -= n;
		b += n;
		len -= n;
	}
	if (len > p->end - p->pos) {
		if (p->ranged || p->end == j->d->size)
			return too_much(c);
		len = (size_t)(p->end - p->pos);
	}
	if (len == 0)
		return 0;
	int r = ingest_write(&j->in, p->pos, b, len, &c->err);
	if (r < 0)
		return r;
	p->pos += len;
	j->received += len;
	move_frontier(j);
	/* The rest of a whole answer for a piece in the middle is others' work. */
	if (p->pos == p->end && !p->ranged && p->end < j->d->size)
		return err_set(&c->err, ECANCELED, "enough");
	return 0;
}

static uint64_t piece_moved(struct call *c)
{
	return piece_of(c)->pos;
}

/* Something came that may go better another time: true while there are tries left. */
static bool piece_retries(struct piece *p)
{
	if (p->pos >= p->began + (64 << 10))
		p->tries = 0;
	return ++p->tries < session_settings(p->job->session)->retries;
}

static void piece_done(struct call *c)
{
	struct piece *p = piece_of(c);
	struct layer_job *j = p->job;
	struct err err = {0};
	bool failed = false;

	p->state = PIECE_TODO;
	j->running--;
	if (p->pos == p->end) {
		p->state = PIECE_DONE;
	} else if (c->url && (c->result < 0 || c->x.status >= 400) && piece_retries(p)) {
		/* The address that a redirect led to has had its time. */
		free(j->direct);
		j->direct = NULL;
	} else if (c->result == 0 && c->x.status == 416 && !p->whole) {
		p->whole = true;
	} else if (c->result == 0 && c->x.status / 100 == 2) {
		/* It ended early and in order: a shorter answer than promised. */
		failed = !piece_retries(p);
		(void)err_set(
			&err, EBADMSG,
			"layer %s: the registry sends fewer than the %llu bytes that the manifest tells of",
			j->d->digest, (unsigned long long)j->d->size);
	} else {
		failed = true;
		(void)call_fail(c, &err, "layer %s", j->d->digest);
	}
	call_free(c);
	if (failed)
		job_fail(j, &err);
	else
		move_frontier(j);
}

/* ---- planning ---- */

int job_plan(struct layer_job *j, struct err *err)
{
	uint64_t from = j->frontier, size = j->d->size, left = size - MIN_OF(from, size);
	size_t n = left >= JOB_SPLIT_MIN ? (size_t)((left + JOB_PIECE - 1) / JOB_PIECE) : 1;

	free(j->pieces);
	free(j->direct);
	j->direct = NULL;
	j->npieces = j->first_open = 0;
	j->pieces = calloc(n, sizeof(*j->pieces));
	if (!j->pieces)
		return err_oom(err);
	for (size_t i = 0; i < n; i++) {
		uint64_t at = from + i * (uint64_t)JOB_PIECE;
		uint64_t end = i + 1 == n ? size : at + JOB_PIECE;
		j->pieces[i] = (struct piece){.job = j, .pos = at, .end = end};
		if (at == end)
			j->pieces[i].state = PIECE_DONE;
	}
	j->npieces = n;
	j->planned = true;
	j->received = from;
	return 0;
}

int job_replan(struct layer_job *j, struct err *err)
{
	job_abort_transfers(j);
	j->distrusted = true;
	int r = ingest_restart(&j->in, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&j->lock);
	j->frontier = j->resumed = 0;
	j->generation++;
	j->restart = false;
	(void)pthread_cond_broadcast(&j->moved);
	(void)pthread_mutex_unlock(&j->lock);
	return job_plan(j, err);
}

static int start_piece(struct layer_job *j, struct piece *p, struct err *err)
{
	struct call *c = &p->call;

	p->began = p->pos;
	*c = (struct call){
		.method = "GET",
		.remote = j->remote,
		.repository = j->repository,
		.scope = j->scope,
		.no_mirrors = j->distrusted,
		.before = piece_before,
		.head = piece_head,
		.sink = piece_sink,
		.moved = piece_moved,
		.moved_before = p->pos,
		.done = piece_done,
		.data = p,
		.path = str_format("blobs/%s", j->d->digest),
		.url = j->direct ? strdup(j->direct) : NULL,
	};
	if (!c->path || (j->direct && !c->url)) {
		call_free(c);
		return err_oom(err);
	}
	p->state = PIECE_RUNNING;
	j->running++;
	int r = call_start(c, err);
	if (r < 0) {
		p->state = PIECE_TODO;
		j->running--;
		call_free(c);
	}
	return r;
}

int job_transfer(struct layer_job *j, struct err *err)
{
	size_t max = j->ranges_known ? JOB_PIECES_AT_ONCE : 1;

	if (!j->planned || j->running >= max)
		return 0;
	for (size_t i = j->first_open; i < j->npieces; i++) {
		if (j->pieces[i].state != PIECE_TODO)
			continue;
		int r = start_piece(j, &j->pieces[i], err);
		return r < 0 ? r : 1;
	}
	return 0;
}

void job_abort_transfers(struct layer_job *j)
{
	for (size_t i = 0; i < j->npieces; i++) {
		if (j->pieces[i].state != PIECE_RUNNING)
			continue;
		call_free(&j->pieces[i].call);
		j->pieces[i].state = PIECE_TODO;
	}
	j->running = 0;
}
