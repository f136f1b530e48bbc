/* SPDX-License-Identifier: Apache-2.0 */
/* The document for GUEST_NETWORK (net.h has its schema). */
#include "base/json_write.h"
#include "vm/net_int.h"

#include <arpa/inet.h>

static const char *ip_text(const struct net_ip *ip, char buf[static INET6_ADDRSTRLEN])
{
	if (!inet_ntop(ip->len == 4 ? AF_INET : AF_INET6, ip->v, buf, INET6_ADDRSTRLEN))
		buf[0] = '\0'; /* cannot be: the buffer is large enough for both families */
	return buf;
}

static void put_mac(struct json_out *out, const char *key, const unsigned char m[6])
{
	char text[18];

	(void)snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
		       m[5]); /* fits */
	json_put_str(out, key, text);
}

static void put_prefixed(struct json_out *out, const char *key, const struct net_ip *ip, unsigned prefix)
{
	char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 8];

	(void)snprintf(text, sizeof(text), "%s/%u", ip_text(ip, address), prefix); /* fits */
	json_put_str(out, key, text);
}

static void put_ip(struct json_out *out, const char *key, const struct net_ip *ip)
{
	char text[INET6_ADDRSTRLEN];

	if (ip->len)
		json_put_str(out, key, ip_text(ip, text));
}

static void put_routes(struct json_out *out, const struct net_view *v, bool link)
{
	for (size_t i = 0; i < v->nroutes; i++) {
		const struct net_route *r = &v->routes[i];
		struct net_ip to = r->to;

		if (r->link != link)
			continue;
		if (!to.len) /* the default: zeros of the family */
			to.len = r->family == AF_INET ? 4 : 16;
		json_begin_object(out, NULL);
		put_prefixed(out, "destination", &to, r->prefix);
		put_ip(out, "gateway", &r->gateway);
		json_put_str(out, "interface", v->interfaces[r->interface].name);
		put_ip(out, "source", &r->source);
		if (r->metric)
			json_put_u64(out, "metric", r->metric);
		if (r->link)
			json_put_bool(out, "link", true);
		json_end(out);
	}
}

char *net_view_json(const struct net_view *v)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_begin_list(&out, "interfaces");
	for (size_t i = 0; i < v->n; i++) {
		const struct net_interface *n = &v->interfaces[i];
		unsigned char card[6];

		vm_card_mac(i, card);
		json_begin_object(&out, NULL);
		put_mac(&out, "card", card);
		json_put_str(&out, "name", n->name);
		put_mac(&out, "mac", n->mac);
		json_put_u64(&out, "mtu", n->mtu);
		json_begin_list(&out, "addresses");
		for (size_t k = 0; k < n->n; k++)
			put_prefixed(&out, NULL, &n->addresses[k].ip, n->addresses[k].prefix);
		json_end(&out);
		json_end(&out);
	}
	json_end(&out);
	json_begin_list(&out, "routes");
	put_routes(&out, v, true);
	put_routes(&out, v, false);
	json_end(&out);
	json_begin_list(&out, "neighbors");
	for (size_t i = 0; i < v->nneighbors; i++) {
		json_begin_object(&out, NULL);
		put_ip(&out, "address", &v->neighbors[i].ip);
		put_mac(&out, "mac", v->neighbors[i].mac);
		json_put_str(&out, "interface", v->interfaces[v->neighbors[i].interface].name);
		json_end(&out);
	}
	json_end(&out);
	json_end(&out);
	return json_take(&out);
}
