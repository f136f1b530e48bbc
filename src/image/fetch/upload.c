/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/upload.h"

#include "base/fd.h"
#include "image/fetch/fields.h"
#include "image/fetch/url.h"

enum { UPLOAD_SECONDS = 300 };

static void upload_done(struct call *c);

static void upload_end(struct upload *u, enum upload_result result)
{
	u->result = result;
	u->state = UPLOAD_ENDED;
	fd_drop(&u->fd);
}

static void upload_failed(struct upload *u, const struct err *err)
{
	u->err = *err;
	(void)err_prefix(&u->err, "blob %.19s", u->digest);
	upload_end(u, UPLOAD_FAILED);
}

/* ---- requests ---- */

static ssize_t upload_read(void *data, void *buf, size_t len)
{
	struct upload *u = data;
	size_t want = (size_t)MIN_OF((uint64_t)len, u->length - u->sent);

	if (want == 0)
		return 0;
	ssize_t n = pread(u->fd, buf, want, (off_t)(u->offset + u->sent));
	if (n <= 0) {
		(void)err_set(&u->call.err, EIO, "cannot read the blob %s", u->digest);
		return -EIO;
	}
	u->sent += (uint64_t)n;
	return n;
}

static int upload_rewind(void *data)
{
	((struct upload *)data)->sent = 0;
	return 0;
}

/* `path` is behind the repository's name, `url` a whole address: one of them.  Takes both. */
static int ask_registry(struct upload *u, enum upload_state state, const char *method, char *path, char *url,
			struct err *err)
{
	bool body = state == UPLOAD_PATCH || (state == UPLOAD_PUT && u->length > 0);

	u->state = state;
	u->sent = 0;
	u->call = (struct call){
		.remote = u->remote,
		.method = method,
		.repository = u->repository,
		.path = path,
		.url = url,
		.scope = state == UPLOAD_POST && u->mount_scope && !u->no_mount ? u->mount_scope : u->scope,
		.no_mirrors = true,
		.text_max = 1 << 20,
		.total_seconds = body ? 0 : UPLOAD_SECONDS,
		.once = body,
		.done = upload_done,
		.data = u,
	};
	if (!path && !url)
		return err_oom(err);
	if (body) {
		u->call.body_read = upload_read;
		u->call.body_rewind = upload_rewind;
		u->call.body_size = u->length;
		u->call.content_type = "application/octet-stream";
	}
	/* By the specification without "bytes", as start-end. */
	if (state == UPLOAD_PATCH)
		(void)snprintf(u->call.content_range, sizeof(u->call.content_range), "%llu-%llu",
			       (unsigned long long)u->offset,
			       (unsigned long long)(u->offset + u->length - 1)); /* fits */
	return call_start(&u->call, err);
}

static int ask_session(struct upload *u, struct err *err)
{
	struct str path autostr = {0};

	u->offset = 0;
	u->patched = false;
	str_put(&path, "blobs/uploads/");
	if (u->mount_from && !u->no_mount) {
		str_put(&path, "?mount=");
		url_escape_into(&path, u->digest);
		str_put(&path, "&from=");
		url_escape_into(&path, u->mount_from);
	}
	return ask_registry(u, UPLOAD_POST, "POST", str_take(&path), NULL, err);
}

/* Where the digest is named: the end. */
static int ask_put(struct upload *u, struct err *err)
{
	struct str url autostr = {0};

	str_putf(&url, "%s%cdigest=", u->location, strchr(u->location, '?') ? '&' : '?');
	url_escape_into(&url, u->digest);
	u->length = u->size - u->offset;
	return ask_registry(u, UPLOAD_PUT, "PUT", NULL, str_take(&url), err);
}

static int ask_next(struct upload *u, struct err *err)
{
	if (u->whole || u->offset == u->size)
		return ask_put(u, err);
	u->length = MIN_OF(u->chunk, u->size - u->offset);
	return ask_registry(u, UPLOAD_PATCH, "PATCH", NULL, strdup(u->location), err);
}

/* ---- answers ---- */

/* The Location of an answer becomes u->location. */
static int take_location(struct upload *u, const struct call *c, struct err *err)
{
	char *url = NULL;

	if (!c->x.fields[FIELD_LOCATION]) {
		/* Some leave it out where nothing has changed. */
		return u->location ? 0
				   : err_set(err, EBADMSG, "the registry names no address for the upload");
	}
	int r = url_resolve(c->final_url, c->x.fields[FIELD_LOCATION], &url, err);
	if (r < 0)
		return r;
	struct url_parts p autourlparts = {0};
	if (url_split(url, &p) < 0 || p.userinfo) {
		free(url);
		return err_set(err, EBADMSG,
			       "the registry names an address for the upload that is none for us");
	}
	/* A registry behind a proxy that ends TLS often does not know that it is https. */
	if (url_is_https(c->final_url) && !url_is_https(url)) {
		const char *base = u->remote->v[u->remote->n - 1].base;
		struct url_parts own autourlparts = {0};
		bool same = url_split(base, &own) == 0 && streq(own.host, p.host);
		const char *path = strchr(strstr(url, "://") + 3, '/');
		char *safe = same && path ? str_format("%s%s", base, path) : NULL;
		free(url);
		if (!safe)
			return err_set(
				err, EPERM,
				"the registry sends the upload from https to http://%s: refused, it would be "
				"unprotected",
				p.host);
		url = safe;
	}
	free(u->location);
	u->location = url;
	return 0;
}

static int after_head(struct upload *u, const struct call *c, struct err *err)
{
	uint64_t length;

	if (c->x.status == 200) {
		if (c->x.fields[FIELD_CONTENT_LENGTH] &&
		    field_number(c->x.fields[FIELD_CONTENT_LENGTH], &length) == 0 && length != u->size)
			return err_set(err, EBADMSG, "the registry has it with %llu bytes, here it has %llu",
				       (unsigned long long)length, (unsigned long long)u->size);
		upload_end(u, UPLOAD_EXISTED);
		return 0;
	}
	if (c->x.status != 404)
		return call_fail(c, err, "cannot ask for it");
	return 1;
}

static int after_post(struct upload *u, const struct call *c, struct err *err)
{
	uint64_t least;

	if (c->x.status == 201 && u->mount_from && !u->no_mount) {
		upload_end(u, UPLOAD_MOUNTED);
		return 0;
	}
	/* Who may not read the other repository may still write this one. */
	if (c->x.status != 202 && u->mount_from && !u->no_mount) {
		u->no_mount = true;
		return 1;
	}
	if (c->x.status != 202)
		return call_fail(c, err, "cannot begin to push it");
	u->chunk = UPLOAD_CHUNK;
	u->whole = u->whole || u->size <= UPLOAD_WHOLE_MAX;
	if (c->x.fields[FIELD_MIN_CHUNK] && field_number(c->x.fields[FIELD_MIN_CHUNK], &least) == 0 &&
	    least > u->chunk) {
		u->chunk = least;
		u->whole = u->whole || least > UPLOAD_CHUNK_MAX;
	}
	return take_location(u, c, err);
}

static int after_patch(struct upload *u, const struct call *c, struct err *err)
{
	uint64_t next = u->offset + u->length;

	if (c->x.status == 416 || c->result < 0 || c->x.status >= 500) {
		if (++u->tries >= session_settings(u->session)->retries)
			return call_fail(c, err, "cannot push it");
		return ask_registry(u, UPLOAD_ASK, "GET", NULL, strdup(u->location), err);
	}
	if (c->x.status != 202 && c->x.status != 201 && c->x.status != 204) {
		if (u->patched || u->whole || c->x.status == 401 || c->x.status == 403)
			return call_fail(c, err, "cannot push it");
		u->whole = true; /* it takes no chunks */
		return ask_session(u, err);
	}
	if (c->x.fields[FIELD_RANGE] && field_upload_range(c->x.fields[FIELD_RANGE], &next) < 0)
		next = u->offset + u->length;
	if (next <= u->offset || next > u->size)
		return err_set(err, EBADMSG, "the registry has %llu of its %llu bytes, which cannot be",
			       (unsigned long long)next, (unsigned long long)u->size);
	u->patched = true;
	u->tries = 0;
	u->offset = next;
	int r = take_location(u, c, err);
	return r < 0 ? r : ask_next(u, err);
}

static int after_ask(struct upload *u, const struct call *c, struct err *err)
{
	uint64_t next;

	/* The session has gone: from the beginning. */
	if (c->result < 0 || (c->x.status != 204 && c->x.status != 202 && c->x.status != 200) ||
	    !c->x.fields[FIELD_RANGE] || field_upload_range(c->x.fields[FIELD_RANGE], &next) < 0 ||
	    next > u->size) {
		if (++u->tries >= session_settings(u->session)->retries)
			return call_fail(c, err, "cannot push it");
		return ask_session(u, err);
	}
	u->offset = next;
	int r = take_location(u, c, err);
	return r < 0 ? r : ask_next(u, err);
}

static int after_put(struct upload *u, const struct call *c, struct err *err)
{
	bool passes = c->result < 0 || c->x.status >= 500 || c->x.status == 416 || c->x.status == 404;

	if (c->result == 0 && (c->x.status == 201 || c->x.status == 204)) {
		u->offset = u->size;
		upload_end(u, UPLOAD_PUSHED);
		return 0;
	}
	if (!passes || ++u->tries >= session_settings(u->session)->retries)
		return call_fail(c, err, "cannot push it");
	return ask_session(u, err);
}

static int after(struct upload *u, enum upload_state state, const struct call *c, struct err *err)
{
	int r;

	switch (state) {
	case UPLOAD_HEAD:
		r = c->result < 0 ? call_fail(c, err, "cannot ask for it") : after_head(u, c, err);
		return r > 0 ? ask_session(u, err) : r;
	case UPLOAD_POST:
		r = c->result < 0 ? call_fail(c, err, "cannot begin to push it") : after_post(u, c, err);
		if (r < 0 || u->state == UPLOAD_ENDED)
			return r;
		return r > 0 ? ask_session(u, err) : ask_next(u, err);
	case UPLOAD_PATCH:
		return after_patch(u, c, err);
	case UPLOAD_ASK:
		return after_ask(u, c, err);
	case UPLOAD_PUT:
		return after_put(u, c, err);
	case UPLOAD_WAITING:
	case UPLOAD_ENDED:
		break;
	}
	return 0;
}

static void upload_done(struct call *c)
{
	struct upload *u = c->data;
	/* The next request takes its place: the answer moves aside. */
	struct call answer = *c;
	struct err err = {0};

	*c = (struct call){0};
	answer.started = false; /* it is in no list any more */
	int r = after(u, u->state, &answer, &err);
	if (r < 0)
		upload_failed(u, &err);
	answer.x.easy = NULL;
	call_free(&answer);
}

int upload_start(struct upload *u, struct err *err)
{
	int r = blob_exists(u->store, u->digest, &u->size, err);

	if (r == 0)
		return err_set(err, ENOENT, "the blob %s is not kept here: pull the image again", u->digest);
	u->fd = r < 0 ? r : blob_open(u->store, u->digest, err);
	if (u->fd < 0)
		return u->fd;
	if (u->mount_from && !(u->mount_scope = str_format("%s repository:%s:pull", u->scope, u->mount_from)))
		return err_oom(err);
	return ask_registry(u, UPLOAD_HEAD, "HEAD", str_format("blobs/%s", u->digest), NULL, err);
}

void upload_free(struct upload *u)
{
	if (u->state != UPLOAD_WAITING && u->state != UPLOAD_ENDED)
		call_free(&u->call);
	if (u->state != UPLOAD_WAITING)
		fd_drop(&u->fd);
	free(u->location);
	free(u->mount_scope);
	u->location = u->mount_scope = NULL;
	u->state = UPLOAD_ENDED;
}
