/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of a container's resolv.conf and hosts. */
#include "base/file.h"
#include "base/str.h"
#include "net/net_int.h"

enum { TEXT_MAX = 1 << 16, SERVERS_MAX = 3 /* what C libraries look at */ };

/* ---- resolv.conf ---- */

/* systemd-resolved's own list stands apart, where its stub is what resolv.conf names. */
static char *read_host(bool verbatim)
{
	char *text = NULL, *real = NULL;
	size_t len;

	if (file_read_named("/etc/resolv.conf", TEXT_MAX, &text, &len) < 0)
		return strdup("");
	if (verbatim || !strstr(text, "127.0.0.53"))
		return text;
	if (file_read_named("/run/systemd/resolve/resolv.conf", TEXT_MAX, &real, &len) < 0)
		return text;
	free(text);
	return real;
}

struct host_file {
	struct str servers, search, options; /* lines, words, words */
	unsigned n_servers;
};

static void take_server(struct host_file *h, const char *word, bool verbatim)
{
	char bare[64];
	struct ip ip;

	/* A zone ("fe80::1%eth0") is of the host's interfaces. */
	(void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(word, "%"),
		       word); /* what is longer is none */
	if (!ip_parse(bare, &ip))
		return;
	if (!verbatim && (ip_loopback(&ip) || strchr(word, '%')))
		return;
	str_putf(&h->servers, "nameserver %s\n", word);
	h->n_servers++;
}

static void take_resolv_line(struct host_file *h, char *line, bool verbatim)
{
	char *save = line, *key = strsep(&save, " \t");
	char *word;

	if (streq(key, "search") || streq(key, "domain"))
		str_free(&h->search); /* the last one counts */
	while (save && (word = strsep(&save, " \t"))) {
		if (!*word)
			continue;
		if (streq(key, "nameserver"))
			take_server(h, word, verbatim);
		else if (streq(key, "search") || streq(key, "domain"))
			str_putf(&h->search, " %s", word);
		else if (streq(key, "options"))
			str_putf(&h->options, " %s", word);
	}
}

static void put_words(struct str *s, const char *key, const str_list *given, const struct str *host)
{
	struct str words autostr = {0};

	for (size_t i = 0; i < given->n; i++)
		if (*given->v[i] && !streq(given->v[i], ".")) /* "--dns-search ." is none */
			str_putf(&words, " %s", given->v[i]);
	if (given->n == 0 && host->s)
		str_put(&words, host->s);
	if (words.s && *words.s)
		str_putf(s, "%s%s\n", key, words.s);
	s->failed |= words.failed;
}

static void put_servers(struct str *s, const struct net_resolv *q, const struct host_file *h)
{
	if (q->internal) {
		str_put(s, "nameserver 127.0.0.11\n");
	} else if (q->dns.n) {
		for (size_t i = 0; i < q->dns.n; i++)
			str_putf(s, "nameserver %s\n", q->dns.v[i]);
	} else if (h->n_servers) {
		str_put(s, h->servers.s);
	} else {
		/* Docker's choice for hosts whose only resolver is on a loopback address. */
		str_put(s, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
	}
}

char *net_resolv_conf(const struct net_resolv *q)
{
	autofree char *host = read_host(q->verbatim);
	struct host_file h = {0};
	struct str s autostr = {0};
	char *save = host, *line;

	if (!host)
		return NULL;
	if (q->verbatim && q->dns.n + q->search.n + q->options.n == 0)
		return take_ptr(&host);
	while ((line = strsep(&save, "\n"))) {
		line[strcspn(line, "#;\r")] = '\0';
		line += strspn(line, " \t");
		take_resolv_line(&h, line, q->verbatim);
	}
	put_servers(&s, q, &h);
	put_words(&s, "search", &q->search, &h.search);
	/* A name without a dot is a container's first: "web" must not be asked as "web.example.org". */
	if (q->internal && q->options.n == 0 && !(h.options.s && strstr(h.options.s, "ndots:")))
		str_put(&h.options, " ndots:0");
	put_words(&s, "options", &q->options, &h.options);
	s.failed |= h.servers.failed || h.search.failed || h.options.failed;
	str_free(&h.servers);
	str_free(&h.search);
	str_free(&h.options);
	return str_take(&s);
}

/* ---- hosts ---- */

static const char *gateway_of(const struct net_hosts *q)
{
	if (q->host_gateway && *q->host_gateway)
		return q->host_gateway;
	for (size_t i = 0; q->net && i < q->net->endpoints.n; i++)
		if (q->net->endpoints.v[i].gateway)
			return q->net->endpoints.v[i].gateway;
	return NULL;
}

static int put_extra(struct str *s, const struct net_hosts *q, const char *text, struct err *err)
{
	size_t at = strcspn(text, ":=");
	const char *address = text[at] ? text + at + 1 : "";
	char bare[INET6_ADDRSTRLEN];
	struct ip ip;
	size_t n = strlen(address);

	if (at == 0 || !*address)
		return err_set(err, EINVAL, "bad format for add-host: \"%s\"", text);
	if (streq(address, "host-gateway")) {
		address = gateway_of(q);
		if (!address)
			return err_set(err, EINVAL,
				       "unable to derive the IP value for host-gateway: the container has no "
				       "network with a gateway");
	} else if (n > 2 && n < sizeof(bare) && address[0] == '[' && address[n - 1] == ']') {
		memcpy(bare, address + 1, n - 2);
		bare[n - 2] = '\0';
		address = bare;
	}
	if (!ip_parse(address, &ip))
		return err_set(err, EINVAL, "invalid IP address in add-host: \"%s\"", address);
	str_putf(s, "%s\t%.*s\n", address, (int)at, text);
	return 0;
}

static void put_own(struct str *s, const char *ip, const struct net_hosts *q)
{
	if (!ip || !q->hostname || !*q->hostname)
		return;
	if (q->domainname && *q->domainname)
		str_putf(s, "%s\t%s.%s %s\n", ip, q->hostname, q->domainname, q->hostname);
	else
		str_putf(s, "%s\t%s\n", ip, q->hostname);
}

int net_hosts_text(const struct net_hosts *q, char **ret, struct err *err)
{
	struct str s autostr = {0};
	int r = 0;

	str_put(&s, "127.0.0.1\tlocalhost\n"
		    "::1\tlocalhost ip6-localhost ip6-loopback\n"
		    "fe00::0\tip6-localnet\n"
		    "ff00::0\tip6-mcastprefix\n"
		    "ff02::1\tip6-allnodes\n"
		    "ff02::2\tip6-allrouters\n");
	for (size_t i = 0; r == 0 && i < q->add_host.n; i++)
		r = put_extra(&s, q, q->add_host.v[i], err);
	if (r < 0)
		return r;
	for (size_t i = 0; q->net && i < q->net->endpoints.n; i++) {
		put_own(&s, q->net->endpoints.v[i].ip, q);
		put_own(&s, q->net->endpoints.v[i].ip6, q);
	}
	char *text = str_take(&s);
	if (!text)
		return err_oom(err);
	*ret = text;
	return 0;
}
