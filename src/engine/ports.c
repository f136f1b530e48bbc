/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports in the words of `ps`. */
#include "engine/engine_int.h"

struct port_line {
	char ip[64];
	char proto[5];
	uint16_t host, container;
	bool published;
};

static int by_ip_and_port(const void *a, const void *b)
{
	const struct port_line *x = a, *y = b;
	int r = strcmp(x->ip, y->ip);

	if (x->published != y->published)
		return x->published ? 1 : -1;
	if (r == 0)
		r = strcmp(x->proto, y->proto);
	if (r == 0)
		r = (int)x->container - (int)y->container;
	return r ? r : (int)x->host - (int)y->host;
}

static bool goes_on(const struct port_line *a, const struct port_line *b)
{
	return streq(a->ip, b->ip) && streq(a->proto, b->proto) && a->published == b->published &&
	       b->container == a->container + 1 && (!a->published || b->host == a->host + 1);
}

static void put_run(struct str *out, const struct port_line *first, const struct port_line *last)
{
	if (out->len)
		str_put(out, ", ");
	if (first->published) {
		str_putf(out, "%s:%u", first->ip, first->host);
		if (last != first)
			str_putf(out, "-%u", last->host);
		str_put(out, "->");
	}
	str_putf(out, "%u", first->container);
	if (last != first)
		str_putf(out, "-%u", last->container);
	str_putf(out, "/%s", first->proto);
}

static bool is_published(const struct net_port *ports, size_t n, unsigned port, const char *proto)
{
	for (size_t i = 0; i < n; i++) {
		if (streq(ports[i].proto, proto) && port >= ports[i].container_port &&
		    port < ports[i].container_port + (unsigned)(ports[i].count ? ports[i].count : 1))
			return true;
	}
	return false;
}

static size_t add_exposed(struct port_line *v, size_t n, const struct net_port *ports, size_t n_ports,
			  const char *text)
{
	char proto[5] = "tcp";
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (*end == '/' && strlen(end + 1) < sizeof(proto))
		for (size_t k = 0; k <= strlen(end + 1); k++)
			proto[k] = end[1 + k];
	if (port == 0 || port > 65535 || is_published(ports, n_ports, (unsigned)port, proto))
		return n;
	v[n] = (struct port_line){.container = (uint16_t)port};
	memcpy(v[n].proto, proto, sizeof(proto));
	return n + 1;
}

static size_t add_published(struct port_line *v, size_t n, const struct net_port *p)
{
	for (unsigned k = 0; k < (p->count ? p->count : 1U); k++, n++) {
		const char *ip = p->host_ip && *p->host_ip ? p->host_ip : "0.0.0.0";
		bool colon = strchr(ip, ':') && ip[0] != '[' && !streq(ip, "::");
		v[n] = (struct port_line){.host = (uint16_t)(p->host_port ? p->host_port + k : 0),
					  .container = (uint16_t)(p->container_port + k),
					  .published = true};
		if (snprintf(v[n].ip, sizeof(v[n].ip), colon ? "[%s]" : "%s", ip) < 0)
			v[n].ip[0] = '\0';
		memcpy(v[n].proto, p->proto, sizeof(v[n].proto));
	}
	return n;
}

char *engine_ports_text(const struct net_port *ports, size_t n, const str_list *exposed)
{
	struct str out autostr = {0};
	size_t room = exposed ? exposed->n : 0, have = 0;

	for (size_t i = 0; i < n; i++)
		room += ports[i].count ? ports[i].count : 1;
	autofree struct port_line *v = calloc(room ? room : 1, sizeof(*v));
	if (!v)
		return NULL;
	for (size_t i = 0; i < n; i++)
		have = add_published(v, have, &ports[i]);
	for (size_t i = 0; exposed && i < exposed->n; i++)
		have = add_exposed(v, have, ports, n, exposed->v[i]);
	qsort(v, have, sizeof(*v), by_ip_and_port);
	for (size_t i = 0; i < have;) {
		size_t k = i;
		while (k + 1 < have && goes_on(&v[k], &v[k + 1]))
			k++;
		put_run(&out, &v[i], &v[k]);
		i = k + 1;
	}
	if (!out.s)
		str_put(&out, "");
	return str_take(&out);
}
