/* SPDX-License-Identifier: Apache-2.0 */
/* Where credentials are kept, and in what order the places are looked at. */
#include "image/fetch/auth.h"

#include "base/file.h"
#include "base/json_write.h"
#include "image/fetch/fields.h"

#include <sys/file.h>
#include <sys/stat.h>

enum { AUTH_PLACES = 3, LOCK_WAIT_MS = 10000, LOCK_TURN_MS = 20 };

/* The files in their order, as many as there are; strings owned by the caller. */
struct auth_places {
	char *v[AUTH_PLACES];
	size_t n;
};

static void places_free(struct auth_places *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i]);
}
#define autoplaces __attribute__((cleanup(places_free)))

static int add_place(struct auth_places *p, const char *dir, const char *name)
{
	p->v[p->n] = str_format("%s%s", dir, name);
	if (!p->v[p->n])
		return -ENOMEM;
	p->n++;
	return 0;
}

static int find_places(struct auth_places *p, struct err *err)
{
	const char *own = getenv("REGISTRY_AUTH_FILE"), *docker = getenv("DOCKER_CONFIG");
	const char *home = getenv("HOME"), *run = getenv("XDG_RUNTIME_DIR"),
		   *config = getenv("XDG_CONFIG_HOME");
	int r = 0;

	if (own && *own)
		return add_place(p, own, "") < 0 ? err_oom(err) : 0;
	if (!home || !*home)
		home = geteuid() == 0 ? "/root" : "/";
	if (docker && *docker)
		r = add_place(p, docker, "/config.json");
	else
		r = add_place(p, home, "/.docker/config.json");
	if (r == 0 && run && *run)
		r = add_place(p, run, "/containers/auth.json");
	if (r == 0)
		r = config && *config ? add_place(p, config, "/containers/auth.json")
				      : add_place(p, home, "/.config/containers/auth.json");
	return r < 0 ? err_oom(err) : 0;
}

/* A file that is there and not to be read is none to be passed over, or even written anew without what is in
 * it; where we may not even look, there is none for us. */
static bool no_such_place(const char *path, int r)
{
	return r == -ENOENT || r == -ENOTDIR || (r == -EACCES && access(path, F_OK) < 0);
}

/* 0 with *ret NULL where there is no file. */
static int read_place(const char *path, char **ret, size_t *ret_len, struct err *err)
{
	int r = file_read_at(AT_FDCWD, path, AUTH_FILE_MAX, ret, ret_len);

	if (no_such_place(path, r)) {
		*ret = NULL;
		*ret_len = 0;
		return 0;
	}
	if (r < 0)
		return err_num(err, r, "cannot read \"%s\"", path);
	if (strspn(*ret, " \t\r\n") == *ret_len) { /* an empty file is as good as none */
		free(*ret);
		*ret = NULL;
	}
	return 0;
}

/* 1 where the entry says something. */
static int use_entry(const struct auth_entry *e, const char *path, struct credentials *ret, struct err *err)
{
	struct credentials c autocredentials = {0};
	size_t len = 0;

	if (e->registry_token && *e->registry_token && !(c.registry_token = strdup(e->registry_token)))
		return err_oom(err);
	if (e->identity_token && *e->identity_token && !(c.identity_token = strdup(e->identity_token)))
		return err_oom(err);
	if (e->auth && *e->auth) {
		autofree char *pair = NULL;
		int r = base64_decode(e->auth, &pair, &len);
		char *colon = r == 0 ? memchr(pair, ':', len) : NULL;
		if (!colon || memchr(pair, '\0', len))
			return err_set(
				err, EINVAL,
				"%s: the entry of \"%s\" is no base64 of \"user:password\": log in again",
				path, e->server);
		*colon = '\0';
		c.user = strdup(pair);
		c.password = strdup(colon + 1);
		explicit_bzero(pair, len);
		if (!c.user || !c.password)
			return err_oom(err);
	} else if (e->username && *e->username && e->password) {
		c.user = strdup(e->username);
		c.password = strdup(e->password);
		if (!c.user || !c.password)
			return err_oom(err);
	}
	if (!c.registry_token && !c.identity_token && (!c.user || !*c.user))
		return 0;
	*ret = c;
	c = (struct credentials){0};
	return 1;
}

static int find_in_place(const char *path, const char *host, const char *repository, struct credentials *ret,
			 struct err *err)
{
	struct auth_file f autoauthfile = {0};
	autofree char *text = NULL;
	size_t len;

	int r = read_place(path, &text, &len, err);
	if (r < 0 || !text)
		return r;
	r = auth_file_decode(text, len, path, &f, err);
	if (r < 0)
		return r;
	const char *helper = auth_file_helper(&f, host);
	if (helper) {
		r = cred_helper_get(helper, auth_file_key(host), ret, err);
		if (r != 0)
			return r;
	}
	const struct auth_entry *e = auth_file_find(&f, host, repository);
	return e ? use_entry(e, path, ret, err) : 0;
}

int credentials_find(const char *host, const char *repository, struct credentials *ret, struct err *err)
{
	struct auth_places p autoplaces = {0};

	int r = find_places(&p, err);
	for (size_t i = 0; r == 0 && i < p.n; i++)
		r = find_in_place(p.v[i], host, repository, ret, err);
	return r;
}

/* The file that a chain of links may lead to, and its directory. */
static int real_place(const char *path, char **ret_real, char **ret_dir, struct err *err)
{
	autofree char *real = realpath(path, NULL);

	if (!real)
		real = strdup(path);
	const char *slash = real ? strrchr(real, '/') : NULL;
	char *dir = real ? (slash ? strndup(real, (size_t)(slash - real)) : strdup(".")) : NULL;
	if (!dir)
		return err_oom(err);
	*ret_real = take_ptr(&real);
	*ret_dir = dir;
	return 0;
}

/*
 * Between reading the file and writing it anew nobody else of ours does so, or one of two logins at once
 * would be lost.  The lock is the directory's, so that nothing more lies about in it.  *ret stays as it is
 * where there is no directory and none is to be made.  Whoever may read the directory may lock it, and need
 * not be a login: it is not waited for without end.
 */
static int lock_place(const char *path, bool make, int *ret, struct err *err)
{
	autofree char *real = NULL, *dir = NULL;
	int r = real_place(path, &real, &dir, err);

	if (r == 0 && make && *dir && (r = file_mkdir_all(dir, 0700)) < 0)
		r = err_num(err, r, "cannot make the directory \"%s\"", dir);
	if (r < 0)
		return r;
	autoclose int fd = open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && !make)
		return 0;
	if (fd < 0)
		return err_sys(err, "cannot open the directory \"%s\"", dir);
	for (int left = LOCK_WAIT_MS; (r = fd_flock(fd, LOCK_EX | LOCK_NB)) < 0; left -= LOCK_TURN_MS) {
		if (r != -EWOULDBLOCK || left <= 0)
			return err_num(err, r, "cannot lock the directory \"%s\"", dir);
		(void)usleep(LOCK_TURN_MS * 1000);
	}
	*ret = take_fd(&fd);
	return 0;
}

static int write_place(const char *path, const char *text, struct err *err)
{
	autofree char *real = NULL, *dir = NULL;
	int r = real_place(path, &real, &dir, err);

	if (r < 0)
		return r;
	r = file_replace_at(AT_FDCWD, real, text, strlen(text), 0600, true);
	return r < 0 ? err_num(err, r, "cannot write \"%s\"", real) : 0;
}

static int edit_place(const char *path, const char *text, size_t len, const char *host, const char *entry,
		      bool *ret_changed, struct err *err)
{
	autofree char *edited = NULL;

	if (!text) {
		text = "{}";
		len = 2;
	}
	int r = auth_file_edit(text, len, path, auth_file_key(host), entry, &edited, ret_changed, err);
	if (r < 0 || (!entry && !*ret_changed))
		return r;
	return write_place(path, edited, err);
}

/* {"auth": "…"} or {"identitytoken": "…"}. */
static char *entry_text(const struct credentials *c)
{
	struct json_out out autojsonout = {0};
	autofree char *pair =
		c->user ? str_format("%s:%s", c->user, c->identity_token ? "" : c->password) : NULL;
	autofree char *auth = pair ? base64_encode(pair, strlen(pair)) : NULL;

	json_begin_object(&out, NULL);
	if (auth)
		json_put_str(&out, "auth", auth);
	if (c->identity_token)
		json_put_str(&out, "identitytoken", c->identity_token);
	json_end(&out);
	return json_take(&out);
}

int credentials_store(const char *host, const struct credentials *c, char **ret_where, struct err *err)
{
	struct auth_places p autoplaces = {0};
	struct auth_file f autoauthfile = {0};
	autofree char *text = NULL, *entry = NULL;
	const char *helper = NULL;
	bool changed = false;
	size_t len = 0;

	int r = find_places(&p, err);
	autoclose int lock = -1;
	if (r == 0)
		r = lock_place(p.v[0], true, &lock, err);
	if (r == 0)
		r = read_place(p.v[0], &text, &len, err);
	if (r == 0 && text)
		r = auth_file_decode(text, len, p.v[0], &f, err);
	if (r < 0)
		return r;
	helper = auth_file_helper(&f, host);
	if (helper)
		r = cred_helper_store(helper, auth_file_key(host), c, err);
	if (r < 0)
		return r;
	entry = helper ? strdup("{}") : entry_text(c);
	char *where = helper ? str_format("docker-credential-%s", helper) : strdup(p.v[0]);
	if (!entry || !where) {
		free(where);
		return err_oom(err);
	}
	r = edit_place(p.v[0], text, len, host, entry, &changed, err);
	explicit_bzero(entry, strlen(entry));
	if (r < 0) {
		free(where);
		return r;
	}
	*ret_where = where;
	return 0;
}

int credentials_erase(const char *host, struct err *err)
{
	struct auth_places p autoplaces = {0};
	bool found = false;

	int r = find_places(&p, err);
	for (size_t i = 0; r == 0 && i < p.n; i++) {
		struct auth_file f autoauthfile = {0};
		struct credentials old autocredentials = {0};
		autofree char *text = NULL;
		bool changed = false;
		size_t len = 0;
		autoclose int lock = -1;
		r = lock_place(p.v[i], false, &lock, err);
		if (r == 0)
			r = read_place(p.v[i], &text, &len, err);
		if (r < 0 || !text)
			continue;
		r = auth_file_decode(text, len, p.v[i], &f, err);
		const char *helper = r == 0 ? auth_file_helper(&f, host) : NULL;
		if (helper) {
			r = cred_helper_get(helper, auth_file_key(host), &old, err);
			found = found || r > 0;
			if (r >= 0)
				r = cred_helper_erase(helper, auth_file_key(host), err);
		}
		if (r == 0)
			r = edit_place(p.v[i], text, len, host, NULL, &changed, err);
		found = found || changed;
	}
	return r < 0 ? r : found;
}
