/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is who on a network, for the resolvers (dns_names.c): a file an
 * endpoint, so that the five hundredth container writes as little as the
 * first.  Written by rename, so that a reader sees all of it or nothing.
 */
#include "base/file.h"
#include "base/str.h"
#include "net/net_int.h"

int names_write(struct net *n, const struct names_entry *q, struct err *err)
{
	autofree char *dir = str_format("%s/%s", n->dir, q->network);
	autofree char *path = str_format("%s/%s/%s", n->dir, q->network, q->container);
	autofree char *mark = str_format("%s/%s/internal", n->dir, q->network);
	struct str s autostr = {0};

	str_putf(&s, "%s %s %s\n", q->ip4->family ? ip_text(q->ip4).s : "-",
		 q->ip6->family ? ip_text(q->ip6).s : "-", q->outside ? "out" : "-");
	for (size_t i = 0; i < q->n_names; i++)
		if (q->names[i] && *q->names[i])
			str_putf(&s, "%s\n", q->names[i]);
	if (!dir || !path || !mark || s.failed)
		return err_oom(err);
	int r = q->internal ? -ENOENT : file_replace_at(AT_FDCWD, path, s.s, s.len, 0600, false);
	if (r == -ENOENT) {
		r = file_mkdir_all(dir, 0700);
		/* Who resolves for a network that is closed must not ask outside (CVE-2024-29018). */
		if (r == 0 && q->internal)
			r = file_replace_at(AT_FDCWD, mark, "", 0, 0600, false);
		if (r == 0)
			r = file_replace_at(AT_FDCWD, path, s.s, s.len, 0600, false);
	}
	return r < 0 ? err_num(err, r, "cannot write \"%s\"", path) : 0;
}

void names_remove(struct net *n, const char *network, const char *container)
{
	autoclose int dir = open(n->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofree char *path = str_format("%s/%s", network, container ? container : "");

	/* Not there is what is wanted. */
	if (dir < 0 || !path)
		return;
	ignore_result(container ? unlinkat(dir, path, 0) < 0 : file_remove_tree_at(dir, network) < 0);
}
