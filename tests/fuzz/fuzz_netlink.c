/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever comes over a netlink socket: walked, and every part taken out. */
#include "host/netlink_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int each(void *data, const struct nl_message *m)
{
	volatile unsigned *sum = data;
	struct nl_link link;
	struct nl_address address;
	struct nl_span span;

	if (nl_parse_link(m, &link) == 0)
		*sum += (unsigned)link.index + (unsigned)strlen(link.name);
	if (nl_parse_address(m, &address) == 0)
		*sum += address.local.v[15] + address.address.len + address.flags;
	for (uint16_t type = 0; type < 64; type++)
		if (nl_attr(m, type, type, &span) && span.len)
			*sum += span.p[span.len - 1];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned sum = 0;
	struct nl_reader r = {.seq = size > 8 ? data[8] : 0, .each = each, .data = &sum};
	/* An exact copy, so that a byte beyond is a byte too far. */
	autofree uint8_t *copy = malloc(size + !size);

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	int e = nl_walk(&r, copy, size);
	if (e == NL_ACKED && (r.error > 0 || r.error < -4095))
		abort();
	return 0;
}
