/* SPDX-License-Identifier: Apache-2.0 */
/* What requests carry, as plain structs: pure functions, for a fuzzer's sake too. */
#pragma once

#include "base/json.h"
#include "wire/guest.h"

struct mount_order {
	unsigned long flags;
	const char *type, *source, *target, *data; /* in the payload */
};
must_use int decode_mount(const void *payload, size_t len, struct mount_order *ret, struct err *err);

struct network_card {
	const char *name, *mac;
	const char *card; /* the address that the hypervisor gave it; NULL: mac */
	uint32_t mtu;
	str_list addresses;
};
struct network_route {
	const char *destination, *gateway, *interface;
};
struct network_order {
	LIST_OF(struct network_card) cards;
	LIST_OF(struct network_route) routes;
	struct json_doc doc;
};
/* -> json_doc_free(&ret->doc), failed or not. */
must_use int decode_network(const void *payload, size_t len, struct network_order *ret, struct err *err);

/* A payload of exactly one struct. */
must_use int decode_struct(const void *payload, size_t len, void *ret, size_t size, struct err *err);
/* A struct guest_process and the document behind it. */
must_use int decode_process(const void *payload, size_t len, struct guest_process *ret, const char **ret_json,
			    size_t *ret_len, struct err *err);
