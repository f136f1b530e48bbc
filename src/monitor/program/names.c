/* SPDX-License-Identifier: Apache-2.0 */
/* The container's resolver (net/dns.h) in the monitor's loop. */
#include "monitor/program/mon.h"

#include "net/dns.h"

/* RUN_ROOT/containers/ID -> RUN_ROOT; the caller frees. */
static char *run_root_of(const char *run_dir)
{
	char *root = strdup(run_dir);

	for (int up = 0; root && up < 2; up++) {
		char *slash = strrchr(root, '/');
		if (!slash || slash == root) {
			free(root);
			return NULL;
		}
		*slash = '\0';
	}
	return root;
}

void names_begin(struct mon *m, int udp, int tcp)
{
	autofree char *root = run_root_of(m->plan.run_dir);
	struct dns_options o = {.udp = udp,
				.tcp = tcp,
				.run_root = root,
				.id = m->plan.id,
				.networks = m->plan.dns_networks,
				.servers = m->plan.dns_servers};
	struct err err = {0};

	names_end(m);
	if (udp < 0 && tcp < 0)
		return;
	/* Without names the container runs all the same; its questions are refused at once. */
	if (!root || dns_open(&o, &m->dns, &err) < 0) {
		fd_drop(&udp);
		fd_drop(&tcp);
	}
}

void names_end(struct mon *m)
{
	if (m->dns)
		dns_close(m->dns);
	m->dns = NULL;
	m->dns_at = m->dns_n = 0;
}

/* Its descriptors stand together in the loop's set; they are handed back after poll(), not one by one. */
void names_watch(struct mon *m, int *timeout_ms)
{
	m->dns_at = m->nfds;
	m->dns_n = 0;
	if (!m->dns || m->nfds + DNS_POLL_MAX > WATCH_MAX)
		return;
	m->dns_n = dns_poll_set(m->dns, m->fds + m->nfds, timeout_ms);
	for (size_t i = 0; i < m->dns_n; i++)
		m->on[m->nfds++].fn = NULL;
}

void names_done(struct mon *m)
{
	if (m->dns)
		dns_poll_done(m->dns, m->fds + m->dns_at, m->dns_n);
}
