/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/files.h"

/* The line without its line break; the next one. */
static const char *files_take_line(const char *p, const char **ret, size_t *ret_len)
{
	size_t n = strcspn(p, "\n");

	*ret = p;
	*ret_len = n;
	return p[n] ? p + n + 1 : p + n;
}

/* The gateway by which the host is reached; NULL where there is none. */
static const char *host_gateway(const struct engine_names *n)
{
	for (size_t i = 0; n->net && i < n->net->endpoints.n; i++) {
		if (n->net->endpoints.v[i].gateway)
			return n->net->endpoints.v[i].gateway;
	}
	return n->host_network ? "127.0.0.1" : NULL;
}

/* "name:address" or "name=address". */
static void put_extra_host(struct str *out, const struct engine_names *n, const char *text)
{
	size_t len = strcspn(text, ":=");
	const char *address = text[len] ? text + len + 1 : "";

	if (streq(address, "host-gateway"))
		address = host_gateway(n);
	if (address && *address)
		str_putf(out, "%s\t%.*s\n", address, (int)len, text);
}

char *engine_hosts_text(const struct engine_names *n)
{
	struct str out autostr = {0};

	if (n->host_network && n->host_hosts)
		str_put(&out, n->host_hosts);
	else
		str_put(&out, "127.0.0.1\tlocalhost\n"
			      "::1\tlocalhost ip6-localhost ip6-loopback\n"
			      "fe00::\tip6-localnet\n"
			      "ff00::\tip6-mcastprefix\n"
			      "ff02::1\tip6-allnodes\n"
			      "ff02::2\tip6-allrouters\n");
	for (size_t i = 0; i < n->add_host.n; i++)
		put_extra_host(&out, n, n->add_host.v[i]);
	str_put(&out, n->links ? n->links : "");
	for (size_t i = 0; n->net && i < n->net->endpoints.n; i++) {
		const struct net_endpoint *p = &n->net->endpoints.v[i];
		const char *address[] = {p->ip, p->ip6};
		for (size_t k = 0; k < 2; k++) {
			if (!address[k])
				continue;
			str_put(&out, address[k]);
			if (n->domainname && *n->domainname)
				str_putf(&out, "\t%s.%s", n->hostname, n->domainname);
			str_putf(&out, "%s%s\n", n->domainname && *n->domainname ? " " : "\t", n->hostname);
		}
	}
	return str_take(&out);
}

/* Does the line begin with the word? */
static const char *after_word(const char *line, size_t len, const char *word)
{
	size_t n = strlen(word);

	if (len <= n || strncmp(line, word, n) != 0 || (line[n] != ' ' && line[n] != '\t'))
		return NULL;
	return line + n + strspn(line + n, " \t");
}

/* Resolvers on the host's own loopback are out of a container's reach. */
static bool is_loopback(const char *address)
{
	return str_starts(address, "127.") || str_starts(address, "::1");
}

int engine_upstreams(const struct engine_names *n, str_list *ret, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n->dns.n; i++)
		r = engine_strs_add(ret, n->dns.v[i], err);
	if (n->dns.n || !n->host_resolv)
		return r;
	for (const char *p = n->host_resolv, *line; r == 0 && *p;) {
		size_t len;
		p = files_take_line(p, &line, &len);
		const char *address = after_word(line, len, "nameserver");
		if (!address)
			continue;
		autofree char *text = strndup(address, strcspn(address, " \t\r\n#;"));
		r = text ? engine_strs_add(ret, text, err) : err_oom(err);
	}
	return r;
}

static void put_joined(struct str *out, const char *word, const str_list *l)
{
	if (l->n == 0)
		return;
	str_put(out, word);
	for (size_t i = 0; i < l->n; i++)
		str_putf(out, " %s", l->v[i]);
	str_put(out, "\n");
}

/* The host's lines but for those that are replaced. */
static void put_host_lines(struct str *out, const struct engine_names *n, bool own_servers)
{
	for (const char *p = n->host_resolv ? n->host_resolv : "", *line; *p;) {
		size_t len;
		p = files_take_line(p, &line, &len);
		const char *server = after_word(line, len, "nameserver");
		bool drop = len == 0 || line[0] == '#' || line[0] == ';' || (server && own_servers) ||
			    (server && !n->host_network && is_loopback(server)) ||
			    (n->dns_search.n &&
			     (after_word(line, len, "search") || after_word(line, len, "domain"))) ||
			    (n->dns_options.n && after_word(line, len, "options"));
		if (!drop)
			str_putf(out, "%.*s\n", (int)len, line);
	}
}

char *engine_resolv_text(const struct engine_names *n)
{
	struct str out autostr = {0};
	bool inner = n->net && n->net->needs_dns;

	if (inner)
		str_put(&out, "nameserver 127.0.0.11\n");
	for (size_t i = 0; !inner && i < n->dns.n; i++)
		str_putf(&out, "nameserver %s\n", n->dns.v[i]);
	put_host_lines(&out, n, inner || n->dns.n);
	/* "--dns-search ." is for none at all. */
	if (!(n->dns_search.n == 1 && streq(n->dns_search.v[0], ".")))
		put_joined(&out, "search", &n->dns_search);
	put_joined(&out, "options", &n->dns_options);
	if (inner && n->dns_options.n == 0)
		str_put(&out, "options ndots:0\n");
	if (!strstr(out.s ? out.s : "", "nameserver ") && !n->host_network && n->net && n->net->endpoints.n)
		str_put(&out,
			"nameserver 8.8.8.8\nnameserver 8.8.4.4\n"); /* as Docker: the host's are its own */
	if (!out.s)
		str_put(&out, "");
	return str_take(&out);
}
