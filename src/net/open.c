/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/str.h"
#include "net/net_int.h"
#include "net/nft.h"

#include <sched.h>

enum { SCHEMA = 1 };

/* Addresses and ports are texts: few rows, read by people too. */
static const char schema[] =
	"CREATE TABLE IF NOT EXISTS net_network (id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL,"
	" driver TEXT NOT NULL, bridge TEXT UNIQUE, created TEXT, internal INTEGER, ipv6 INTEGER,"
	" attachable INTEGER, mtu INTEGER, subnet4 TEXT, gateway4 TEXT, range4 TEXT, cursor4 INTEGER,"
	" subnet6 TEXT, gateway6 TEXT, range6 TEXT, cursor6 INTEGER, options TEXT, labels TEXT);"
	"CREATE TABLE IF NOT EXISTS net_endpoint (container TEXT, network TEXT, position INTEGER,"
	" interface TEXT, veth TEXT, mac TEXT, ip4 TEXT, ip6 TEXT, aliases TEXT,"
	" PRIMARY KEY (container, network)) WITHOUT ROWID;"
	"CREATE UNIQUE INDEX IF NOT EXISTS net_endpoint_ip4 ON net_endpoint (network, ip4);"
	"CREATE UNIQUE INDEX IF NOT EXISTS net_endpoint_ip6 ON net_endpoint (network, ip6);"
	"CREATE TABLE IF NOT EXISTS net_port (proto TEXT, host_port INTEGER, host_ip TEXT, container TEXT,"
	" ip TEXT, port INTEGER, PRIMARY KEY (proto, host_port, host_ip)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS net_port_container ON net_port (container);"
	"INSERT OR IGNORE INTO net_network (id, name, driver, bridge, created) VALUES"
	" (lower(hex(randomblob(32))), 'bridge', 'bridge', 'coffer0',"
	" strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),"
	" (lower(hex(randomblob(32))), 'host', 'host', NULL, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),"
	" (lower(hex(randomblob(32))), 'none', 'none', NULL, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))";

int net_open(const struct net_options *o, struct net **ret, struct err *err)
{
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return err_oom(err);
	n->o = *o;
	n->nft = -1;
	n->dir = str_format("%s/net", o->run_root);
	int r = n->dir ? db_schema(o->db, "net", SCHEMA, schema, err) : err_oom(err);
	if (r < 0) {
		net_close(n);
		return r;
	}
	*ret = n;
	return 0;
}

void net_close(struct net *n)
{
	if (!n)
		return;
	if (n->nft_destroyed)
		nft_close(n->nft);
	else
		cleanup_close(&n->nft);
	free(n->dir);
	free(n);
}

int net_nft(struct net *n, struct err *err)
{
	if (n->nft < 0)
		n->nft = netlink_open(NETLINK_NETFILTER);
	if (n->nft >= 0)
		return n->nft;
	int r = n->nft;
	n->nft = -1;
	return err_num(err, r,
		       "cannot make a netfilter socket: bridge networks need nf_tables in the kernel");
}

void net_nft_done(struct net *n)
{
	n->nft_destroyed = true;
}

void net_warn(const struct net *n, const char *fmt, ...)
{
	struct err e = {0};
	va_list ap;

	if (!n->o.warn)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(e.msg, sizeof(e.msg), fmt, ap); /* cut where too long */
	va_end(ap);
	n->o.warn(n->o.warn_data, e.msg);
}

char *net_keep(struct json_doc *doc, const char *text)
{
	size_t len = text ? strlen(text) + 1 : 0;
	char *copy = text ? json_doc_alloc(doc, len) : NULL;

	if (copy)
		memcpy(copy, text, len);
	return copy;
}

int net_visit(int netns_fd, int (*body)(void *data, struct err *err), void *data, struct err *err)
{
	autoclose int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return err_sys(err, "cannot open this process's network namespace");
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return err_sys(err, "cannot enter the container's network namespace");
	int r = body(data, err);
	if (setns(home, CLONE_NEWNET) < 0)
		return err_sys(err, "cannot return to the host's network namespace");
	return r;
}

int net_lock(struct net *n, struct err *err)
{
	autofree char *path = str_format("%s/lock", n->dir);

	if (!path)
		return err_oom(err);
	int r = file_mkdir_all(n->dir, 0700);
	if (r < 0)
		return err_num(err, r, "cannot make the directory \"%s\"", n->dir);
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, "cannot open \"%s\"", path);
	struct flock whole = {.l_type = F_WRLCK};
	while (fcntl(fd, F_OFD_SETLKW, &whole) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot lock \"%s\"", path);
	return take_fd(&fd);
}
