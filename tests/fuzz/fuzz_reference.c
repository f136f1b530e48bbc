/* SPDX-License-Identifier: Apache-2.0 */
/* A reference becomes parts of URLs and names of rows: what is taken must be clean, and lead back to itself.
 */
#include "image/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool fine)
{
	if (!fine)
		abort();
}

static void check_again(const struct reference *r, const char *text, const struct reference_rules *rules)
{
	struct reference again autoreference = {0};
	struct err err = {0};

	must(reference_parse_short(text, rules, &again, &err) == 0);
	must(streq(again.domain, r->domain) && streq(again.path, r->path));
	must(!again.tag == !r->tag && (!r->tag || streq(again.tag, r->tag)));
	must(!again.digest == !r->digest && (!r->digest || streq(again.digest, r->digest)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct oci_pair aliases[] = {{"nginx", "quay.io/nginx/nginx:1"}, {"a/b", "localhost:5000/b"}};
	struct reference_rules rules = {.default_domain = "quay.io", .aliases = {aliases, 2}};
	struct reference r autoreference = {0}, s autoreference = {0};
	struct err err = {0};
	autofree char *text = malloc(len + 1);

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	if (reference_parse(text, &r, &err) < 0) {
		must(err.code == EINVAL && err.msg[0] && !r.domain);
		return 0;
	}
	must(!strstr(r.path, "..") && !strstr(r.path, "//") && r.path[0] != '/');
	must(strspn(r.path, "abcdefghijklmnopqrstuvwxyz0123456789._-/") == strlen(r.path));
	must(!strpbrk(r.domain, "/@?#% \n") && strlen(r.domain) + strlen(r.path) < 256);
	must(r.tag || r.digest);
	autofree char *full = reference_full(&r), *familiar = reference_familiar(&r);
	check_again(&r, full, NULL);
	check_again(&r, familiar, NULL);
	if (reference_parse_short(text, &rules, &s, &err) == 0) {
		autofree char *shorter = reference_familiar_short(&s, &rules);
		check_again(&s, shorter, &rules);
	}
	return 0;
}
