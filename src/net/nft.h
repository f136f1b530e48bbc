/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elements of nftables sets and maps, and the few requests around them, as
 * netlink messages of our own: what changes with each container must not cost
 * the start of a program.  The rules themselves are text (rules.c).
 */
#pragma once

#include "net/addr.h"
#include "net/batch.h"

#define NFT_TABLE "coffer"

struct element {
	const char *set; /* static */
	uint8_t key[36], data[20];
	uint8_t key_len, data_len;
	bool interval_end;
};
struct elements {
	struct element *v;
	size_t n, cap;
	bool failed; /* lack of memory */
};
static inline void elements_free(struct elements *l)
{
	free(l->v);
	l->v = NULL;
}
#define autoelements __attribute__((cleanup(elements_free)))

void element_interface(struct elements *l, const char *set, const char *name);
void element_pair(struct elements *l, const char *set, const char *in, const char *out);
void element_subnet(struct elements *l, const char *set, const struct cidr *c); /* an interval: two */
/* `at` NULL: a key without the host's address. */
void element_port(struct elements *l, const char *set, const struct ip *at, uint8_t proto, uint16_t port,
		  const struct ip *to, uint16_t to_port);

/*
 * One transaction.  NFT_ADD: what is there already is fine, unless its data
 * is another (-EEXIST, -EBUSY).  NFT_DESTROY: what is not there is fine.
 * NFT_REPLACE: destroy, then add.  -ENOENT: the table or the set is not there.
 */
enum nft_change { NFT_ADD, NFT_DESTROY, NFT_REPLACE };
must_use int nft_apply(int fd, enum nft_change change, const struct elements *l);
/*
 * Closes a netfilter socket without waiting: after elements were removed the
 * kernel holds up close(2) for a grace period of RCU (12 ms), which a process
 * of its own, gone when that is over, sits out.
 */
void nft_close(int fd);
/* 1: the set is there; 0: not; -errno. */
must_use int nft_set_there(int fd, const char *set);
/*
 * Inside a container's namespace: what goes to 127.0.0.11:53 goes to `udp` and
 * `tcp`, and what comes from there comes from port 53.  Ports are rewritten
 * without connection tracking, which the container would pay for with each of
 * its packets.
 */
must_use int nft_names_redirect(int fd, uint16_t udp, uint16_t tcp);
/* Chains that drop what is forwarded, of others' tables. */
struct nft_foreign {
	int (*each)(void *data, uint8_t family, const char *table, const char *chain);
	void *data;
};
must_use int nft_forward_drops(int fd, const struct nft_foreign *f);
