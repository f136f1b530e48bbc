/* SPDX-License-Identifier: Apache-2.0 */
#include "net/conntrack.h"

#include "net/batch.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

/* Which fields of a tuple a filter compares (the kernel's net/netfilter/nf_conntrack_netlink.c). */
enum { BY_PROTO_NUM = 1 << 3, BY_DEST_PORT = 1 << 5 };

void conntrack_forget(int fd, const struct port_rows *ports)
{
	struct batch b autobatch = {0};

	for (size_t i = 0; i < ports->n; i++) {
		const struct port_row *p = &ports->v[i];
		struct nfgenmsg h = {.nfgen_family = p->host.family};
		uint16_t port = htons(p->host_port);
		if (!streq(p->proto, "udp"))
			continue;
		/*
		 * Both a tuple and a filter: a kernel that has no filters takes the tuple for
		 * a whole one and refuses it, instead of forgetting everything.
		 */
		batch_message(&b, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE), NLM_F_ACK,
			      &h, sizeof(h));
		size_t tuple = batch_nest(&b, CTA_TUPLE_ORIG, NULL, 0);
		size_t proto = batch_nest(&b, CTA_TUPLE_PROTO, NULL, 0);
		batch_put(&b, CTA_PROTO_NUM, &(uint8_t){IPPROTO_UDP}, 1);
		batch_put(&b, CTA_PROTO_DST_PORT, &port, sizeof(port));
		batch_end(&b, proto);
		batch_end(&b, tuple);
		size_t filter = batch_nest(&b, CTA_FILTER, NULL, 0);
		batch_u32(&b, CTA_FILTER_ORIG_FLAGS, BY_PROTO_NUM | BY_DEST_PORT);
		batch_end(&b, filter);
		ignore_result(batch_send(&b, fd, NULL) < 0); /* they expire */
	}
}
