/* SPDX-License-Identifier: Apache-2.0 */
#include "image/erofs.h"

#include "base/str.h"

static const struct {
	const char *prefix;
	uint8_t index;
	bool whole; /* the prefix is all of the name */
} prefixes[] = {
	{"user.", EROFS_XATTR_USER, false},
	{"system.posix_acl_access", EROFS_XATTR_ACL_ACCESS, true},
	{"system.posix_acl_default", EROFS_XATTR_ACL_DEFAULT, true},
	{"trusted.", EROFS_XATTR_TRUSTED, false},
	{"security.", EROFS_XATTR_SECURITY, false},
};

bool layer_keeps_xattr(const char *name)
{
	if (str_starts(name, "user."))
		return name[5] && !str_starts(name, "user.overlay.") && !streq(name, "user.overlay");
	return streq(name, "security.capability") || streq(name, "system.posix_acl_access") ||
	       streq(name, "system.posix_acl_default");
}

static void put_xattr(struct str *b, const char *name, const void *value, size_t len)
{
	size_t i = 0;

	while (!str_starts(name, prefixes[i].prefix)) /* layer_keeps_xattr() lets none else through */
		i++;
	name += strlen(prefixes[i].prefix);
	if (prefixes[i].whole)
		name = "";
	struct erofs_xattr_entry e = {.name_len = (uint8_t)strlen(name),
				      .name_index = prefixes[i].index,
				      .value_len = htole16((uint16_t)len)};
	str_put_n(b, &e, sizeof(e));
	str_put_n(b, name, strlen(name));
	str_put_n(b, value, len);
	str_put_n(b, "\0\0\0", -b->len % 4);
}

static int take_blob(struct str *b, uint8_t **ret, size_t *ret_len, struct err *err)
{
	size_t len = b->len;
	char *text = len > 0 ? str_take(b) : NULL;

	if (b->failed || (len > 0 && !text))
		return err_oom(err);
	*ret = (uint8_t *)text;
	*ret_len = len;
	return 0;
}

int erofs_xattrs(const struct tar_xattr *v, size_t n, uint8_t **ret, size_t *ret_len, struct err *err)
{
	const struct erofs_xattr_head head = {0};
	struct str b autostr = {0};

	for (size_t i = 0; i < n; i++) {
		if (!layer_keeps_xattr(v[i].name))
			continue;
		if (v[i].len > UINT16_MAX)
			return err_set(err, E2BIG, "extended attribute %.100s has %zu bytes, more than 65535",
				       v[i].name, v[i].len);
		if (b.len == 0)
			str_put_n(&b, &head, sizeof(head));
		put_xattr(&b, v[i].name, v[i].value, v[i].len);
	}
	return take_blob(&b, ret, ret_len, err);
}

int erofs_xattrs_opaque(uint8_t **blob, size_t *len, struct err *err)
{
	const struct erofs_xattr_head head = {0};
	struct str b autostr = {0};

	if (*len > 0)
		str_put_n(&b, *blob, *len);
	else
		str_put_n(&b, &head, sizeof(head));
	put_xattr(&b, "trusted.overlay.opaque", "y", 1);
	free(*blob);
	*blob = NULL;
	*len = 0;
	return take_blob(&b, blob, len, err);
}
