/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: what is accepted can be edited, and after editing it says the
 * same of everybody else.  The settings are read by the same tables.
 */
#include "image/fetch/auth_file.h"
#include "image/fetch/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && streq(a, b));
}

/* Every entry of `a` but for `server` is in `b`. */
static void check_kept(const struct auth_file *a, const struct auth_file *b, const char *server)
{
	if (!same(a->store, b->store) || a->helpers.n != b->helpers.n)
		abort();
	for (size_t i = 0; i < a->auths.n; i++) {
		const struct auth_entry *e = &a->auths.v[i], *found = NULL;
		if (streq(e->server, server))
			continue;
		for (size_t n = 0; n < b->auths.n; n++)
			if (streq(b->auths.v[n].server, e->server))
				found = &b->auths.v[n];
		if (!found || !same(found->auth, e->auth) || !same(found->identity_token, e->identity_token))
			abort();
	}
}

static void fuzz_edit(const char *text, size_t len, const struct auth_file *f, const char *server,
		      const char *entry)
{
	struct auth_file after autoauthfile = {0};
	struct err err = {0};
	char *edited = NULL;
	bool changed = false;

	if (auth_file_edit(text, len, "f", server, entry, &edited, &changed, &err) < 0) {
		if (err.code != ENOMEM && err.code != E2BIG)
			abort();
		return;
	}
	if (auth_file_decode(edited, strlen(edited), "edited", &after, &err) < 0)
		abort();
	check_kept(f, &after, server);
	const struct auth_entry *e = auth_file_find(&after, "host.example:5000", "a/b");
	if (entry && (!e || !same(e->auth, "eDp5")))
		abort();
	free(edited);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct auth_file f autoauthfile = {0};
	struct settings s = {0};
	struct err err = {0};

	if (settings_decode((const char *)data, size, &s, &err) == 0)
		settings_free(&s);
	if (auth_file_decode((const char *)data, size, "f", &f, &err) < 0) {
		if (!err.msg[0])
			abort();
		return 0;
	}
	ignore_result(auth_file_find(&f, "docker.io", "library/x") != NULL);
	ignore_result(auth_file_helper(&f, "gcr.io") != NULL);
	fuzz_edit((const char *)data, size, &f, "host.example:5000/a/b", "{\"auth\":\"eDp5\"}");
	fuzz_edit((const char *)data, size, &f, "registry.example:5000", NULL);
	return 0;
}
