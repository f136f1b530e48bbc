/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar.h"

#include "base/str.h"

enum { COMPONENT_MAX = 255 };

int tar_clean_name(const char *name, uint32_t max, char **ret, struct err *err)
{
	struct str out autostr = {0};

	if (strlen(name) > max)
		return err_set(err, ENAMETOOLONG,
			       "\"%.60s…\" is longer than %u bytes (limit layer.path_bytes)", name, max);
	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return err_set(err, EINVAL, "\"%.200s\": a name in an archive may not hold \"..\"",
				       name);
		if (n > COMPONENT_MAX)
			return err_set(err, ENAMETOOLONG, "\"%.60s…\": no name may be longer than 255 bytes",
				       p);
		if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (out.len > 0)
				str_put_n(&out, "/", 1);
			str_put_n(&out, p, n);
		}
		p += n;
		p += strspn(p, "/");
	}
	*ret = str_take(&out);
	return *ret ? 0 : err_oom(err);
}

uint32_t tar_implied_mode(const char *clean)
{
	if (streq(clean, "tmp") || streq(clean, "var/tmp"))
		return 01777;
	return streq(clean, "root") ? 0700 : 0755;
}

int tar_whiteout(const char *clean, enum tar_whiteout *ret, const char **ret_name, struct err *err)
{
	const char *slash = strrchr(clean, '/'), *base = slash ? slash + 1 : clean;

	for (const char *p = clean; p < base; p = strchr(p, '/') + 1)
		if (str_starts(p, ".wh.") && !str_starts(p, ".wh..wh."))
			return err_set(err, EINVAL, "\"%.200s\": nothing can lie in a whiteout", clean);
	if (str_starts(clean, ".wh..wh.") && slash) {
		*ret = TAR_WHITEOUT_SKIP; /* what lies in AUFS's own directories */
		return 0;
	}
	if (!str_starts(base, ".wh.")) {
		*ret = TAR_WHITEOUT_NONE;
		return 0;
	}
	const char *name = base + 4;
	if (streq(name, ".wh..opq")) {
		*ret = TAR_WHITEOUT_OPAQUE;
		return 0;
	}
	if (str_starts(name, ".wh.")) {
		*ret = TAR_WHITEOUT_SKIP;
		return 0;
	}
	if (!name[0] || streq(name, ".") || streq(name, ".."))
		return err_set(err, EINVAL, "\"%.200s\": a whiteout of no file", clean);
	*ret = TAR_WHITEOUT_ONE;
	*ret_name = name;
	return 0;
}
