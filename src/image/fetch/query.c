/* SPDX-License-Identifier: Apache-2.0 */
/* catalog, tags, inspect: what a registry has, without moving it. */
#include "image/fetch/fetch.h"

#include "base/json_write.h"
#include "image/fetch/registry.h"

#include <fnmatch.h>

struct listing {
	const char *pattern;
	uint64_t limit, n;
	bool json;
};

static bool matches(const char *pattern, const char *name)
{
	if (!pattern || !*pattern)
		return true;
	if (strpbrk(pattern, "*?["))
		return fnmatch(pattern, name, 0) == 0;
	return strstr(name, pattern) != NULL;
}

static int print_name(void *data, const char *name, struct err *err)
{
	struct listing *l = data;

	(void)err;
	if (!matches(l->pattern, name))
		return 0;
	if (l->json) {
		struct json_out out autojsonout = {0};
		json_begin_object(&out, NULL);
		json_put_str(&out, "name", name);
		json_end(&out);
		autofree char *text = json_take(&out);
		(void)printf("%s\n", text ? text : "");
	} else {
		/* A registry may write what it likes; a terminal need not obey it. */
		for (const char *p = name; *p; p++)
			(void)putchar(char_is_control(*p) || (unsigned char)*p == 0xc2 ? '?' : *p);
		(void)putchar('\n');
	}
	return ++l->n == l->limit ? 1 : 0;
}

int fetch_catalog(struct fetch *f, const struct catalog_options *o, struct err *err)
{
	struct session *s autosession = NULL;
	struct remote *r autoremote = NULL;
	struct listing l = {.pattern = o->pattern, .limit = o->limit, .json = o->json};

	int rc = session_new(f->settings, &s, err);
	if (rc == 0)
		rc = remote_open(s, o->server, &r, err);
	if (rc == 0)
		rc = registry_list(r, NULL, print_name, &l, err);
	return rc;
}

int fetch_tags(struct fetch *f, const char *repository, uint64_t limit, struct err *err)
{
	struct reference ref autoreference = {0};
	struct session *s autosession = NULL;
	struct remote *r autoremote = NULL;
	struct listing l = {.limit = limit};

	int rc = reference_parse_short(repository, &f->settings->rules, &ref, err);
	if (rc == 0)
		rc = session_new(f->settings, &s, err);
	if (rc == 0)
		rc = remote_open(s, ref.domain, &r, err);
	if (rc == 0)
		rc = registry_list(r, ref.path, print_name, &l, err);
	return rc;
}

static void put_descriptor(struct json_out *out, const char *key, const struct oci_descriptor *d)
{
	json_begin_object(out, key);
	json_put_opt_str(out, "mediaType", d->media_type);
	json_put_str(out, "digest", d->digest);
	json_put_u64(out, "size", d->size);
	json_end(out);
}

static int print_summary(const struct reference *ref, const struct resolved *v, struct err *err)
{
	const struct document *d = resolved_image(v);
	struct json_out out autojsonout = {.indent = "  "};
	autofree char *name = reference_full(ref);

	json_begin_object(&out, NULL);
	json_put_str(&out, "reference", name ? name : "");
	json_put_str(&out, "digest", v->top.digest);
	json_put_opt_str(&out, "mediaType", v->top.media_type);
	json_put_str(&out, "manifest", d->digest);
	if (v->platform.os) {
		autofree char *platform = str_format(
			"%s/%s%s%s", v->platform.os, v->platform.architecture ? v->platform.architecture : "",
			v->platform.variant ? "/" : "", v->platform.variant ? v->platform.variant : "");
		json_put_str(&out, "platform", platform ? platform : "");
	}
	put_descriptor(&out, "config", &d->manifest.config);
	json_begin_list(&out, "layers");
	for (size_t i = 0; i < d->manifest.layers.n; i++)
		put_descriptor(&out, NULL, &d->manifest.layers.v[i]);
	json_end(&out);
	json_end(&out);
	autofree char *text = json_take(&out);
	if (!text)
		return err_oom(err);
	(void)printf("%s\n", text);
	return 0;
}

int fetch_inspect(struct fetch *f, const struct inspect_options *o, struct err *err)
{
	struct reference ref autoreference = {0};
	struct session *s autosession = NULL;
	struct remote *r autoremote = NULL;
	struct resolved v autoresolved = {0};
	struct document d autodocument = {0};
	autofree char *config = NULL;

	int rc = reference_parse_short(o->reference, &f->settings->rules, &ref, err);
	if (rc == 0)
		rc = session_new(f->settings, &s, err);
	if (rc == 0)
		rc = remote_open(s, ref.domain, &r, err);
	if (rc < 0)
		return rc;
	if (o->raw && !o->config) {
		rc = registry_manifest(r, ref.path, ref.digest ? ref.digest : ref.tag, &d, err);
		if (rc == 0)
			(void)fwrite(d.text, 1, d.len, stdout); /* reported by the last flush */
		return rc;
	}
	rc = registry_resolve(r, &ref, o->platform, &v, err);
	if (rc < 0)
		return rc;
	if (!o->config)
		return print_summary(&ref, &v, err);
	const struct oci_descriptor *c = &resolved_image(&v)->manifest.config;
	rc = digest_check(c->digest, err);
	if (rc == 0)
		rc = registry_blob(r, ref.path, c, OCI_IMAGE_CONFIG_MAX, &config, err);
	if (rc == 0)
		(void)fwrite(config, 1, (size_t)c->size, stdout); /* as above */
	return rc;
}
