/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is who on a network, for the resolvers (dns_names.c): a file an
 * endpoint, so that the five hundredth container writes as little as the
 * first.  Written by rename, so that a reader sees all of it or nothing.
 */
#include "base/file.h"
#include "base/str.h"
#include "net/net_int.h"

int names_write(struct net *n, const char *network, const char *container, const struct ip *ip4,
		const struct ip *ip6, const char *const *names, size_t n_names, struct err *err)
{
	autofree char *dir = str_format("%s/%s", n->dir, network);
	autofree char *path = str_format("%s/%s/%s", n->dir, network, container);
	struct str s autostr = {0};

	str_putf(&s, "%s %s\n", ip4->family ? ip_text(ip4).s : "-", ip6->family ? ip_text(ip6).s : "-");
	for (size_t i = 0; i < n_names; i++)
		if (names[i] && *names[i])
			str_putf(&s, "%s\n", names[i]);
	if (!dir || !path || s.failed)
		return err_oom(err);
	int r = file_replace_at(AT_FDCWD, path, s.s, s.len, 0600, false);
	if (r == -ENOENT) {
		r = file_mkdir_all(dir, 0700);
		if (r == 0)
			r = file_replace_at(AT_FDCWD, path, s.s, s.len, 0600, false);
	}
	return r < 0 ? err_num(err, r, "cannot write \"%s\"", path) : 0;
}

void names_remove(struct net *n, const char *network, const char *container)
{
	autofree char *path =
		str_format("%s/%s%s%s", n->dir, network, container ? "/" : "", container ? container : "");

	/* Not there is what is wanted. */
	if (path)
		ignore_result(container ? unlink(path) : rmdir(path));
}
