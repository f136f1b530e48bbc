/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net_int.h"

#include "base/fd.h"

int result_new(struct net_result *ret, size_t n, struct err *err)
{
	struct result_memory *m = calloc(1, sizeof(*m));
	struct net_result r = {.dns_udp = -1, .dns_tcp = -1, .memory = m};

	if (!m)
		return err_oom(err);
	m->plugs = json_doc_alloc(&m->doc, MAX_OF(n, (size_t)1) * sizeof(*m->plugs));
	r.endpoints.v = json_doc_alloc(&m->doc, MAX_OF(n, (size_t)1) * sizeof(*r.endpoints.v));
	r.endpoints.n = n;
	if (!m->plugs || !r.endpoints.v) {
		net_result_free(&r);
		return err_oom(err);
	}
	*ret = r;
	return 0;
}

void net_result_free(struct net_result *r)
{
	struct result_memory *m = result_memory(r);

	if (!m)
		return;
	for (size_t i = 0; i < r->held.n; i++)
		(void)close(r->held.v[i]); /* copies that were handed on go on holding the port */
	free(r->held.v);
	fd_drop(&r->dns_udp);
	fd_drop(&r->dns_tcp);
	free(m->ports.v);
	json_doc_free(&m->doc);
	free(m);
	*r = (struct net_result){.dns_udp = -1, .dns_tcp = -1};
}

int result_ports(struct net_result *r, struct err *err)
{
	struct result_memory *m = result_memory(r);
	struct net_port *v = json_doc_alloc(&m->doc, MAX_OF(m->ports.n, (size_t)1) * sizeof(*v));

	if (!v)
		return err_oom(err);
	for (size_t i = 0; i < m->ports.n; i++) {
		const struct port_row *p = &m->ports.v[i];
		v[i] = (struct net_port){.host_ip = net_keep(&m->doc, ip_text(&p->host).s),
					 .host_port = p->host_port,
					 .container_port = p->to_port,
					 .count = 1};
		memcpy(v[i].proto, p->proto, sizeof(v[i].proto));
	}
	r->ports.v = v;
	r->ports.n = m->ports.n;
	return 0;
}
