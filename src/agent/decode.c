/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/decode.h"

int decode_struct(const void *payload, size_t len, void *ret, size_t size, struct err *err)
{
	if (len != size)
		return err_set(err, EBADMSG, "the request has %zu bytes, not %zu", len, size);
	memcpy(ret, payload, size);
	return 0;
}

int decode_process(const void *payload, size_t len, struct guest_process *ret, const char **ret_json,
		   size_t *ret_len, struct err *err)
{
	if (len < sizeof(*ret))
		return err_set(err, EBADMSG, "the request has %zu bytes: too few for a process", len);
	memcpy(ret, payload, sizeof(*ret));
	*ret_json = (const char *)payload + sizeof(*ret);
	*ret_len = len - sizeof(*ret);
	return 0;
}

int decode_mount(const void *payload, size_t len, struct mount_order *ret, struct err *err)
{
	const char *strings[4], *p = payload;
	struct guest_mount head;
	size_t at = sizeof(head);

	if (len < sizeof(head))
		return err_set(err, EBADMSG, "the request has %zu bytes: too few for a mount", len);
	memcpy(&head, p, sizeof(head));
	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		size_t n = strnlen(p + at, len - at);
		if (n == len - at)
			return err_set(err, EBADMSG, "a mount's strings have no end");
		strings[i] = p + at;
		at += n + 1;
	}
	if (at != len || strings[2][0] != '/')
		return err_set(err, EBADMSG, "a mount is a type, a source, an absolute target and data");
	*ret = (struct mount_order){.flags = (unsigned long)head.flags,
				    .type = strings[0],
				    .source = strings[1],
				    .target = strings[2],
				    .data = strings[3]};
	return 0;
}

static const struct json_field card_fields[] = {
	F_STR(struct network_card, name, "name", .required = true),
	F_STR(struct network_card, mac, "mac", .required = true),
	F_STR(struct network_card, card, "card"),
	F_U32(struct network_card, mtu, "mtu", .max = 65535),
	F_STRS(struct network_card, addresses, "addresses"),
};
static const struct json_table card_table = JSON_TABLE(struct network_card, card_fields);

static const struct json_field route_fields[] = {
	F_STR(struct network_route, destination, "destination", .required = true),
	F_STR(struct network_route, gateway, "gateway", .empty_is_null = true),
	F_STR(struct network_route, interface, "interface", .required = true),
};
static const struct json_table route_table = JSON_TABLE(struct network_route, route_fields);

static const struct json_field network_fields[] = {
	F_OBJECTS(struct network_order, cards, "interfaces", struct network_card, &card_table),
	F_OBJECTS(struct network_order, routes, "routes", struct network_route, &route_table),
};
static const struct json_table network_table = JSON_TABLE(struct network_order, network_fields);

int decode_network(const void *payload, size_t len, struct network_order *ret, struct err *err)
{
	struct json_doc doc = {0};

	memset(ret, 0, sizeof(*ret));
	int r = json_decode(&doc, payload, len, "network", &network_table, ret, err);
	if (r < 0)
		memset(ret, 0, sizeof(*ret));
	ret->doc = doc;
	return r;
}
