/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages: what is parsed is answered within bounds, and the answer parses to the same question. */
#include "net/dns_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool b)
{
	if (!b)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_question q, back;
	struct dns_answer a;
	struct ip ip = {.family = AF_INET, .b = {10, 1, 2, 3}}, reverse;
	int r = dns_parse(data, size, &q);

	if (r == -EBADMSG)
		return 0;
	dns_answer_begin(&a, data, &q, r < 0 ? DNS_FORMERR : DNS_NOERROR);
	must(a.len <= sizeof(a.buf) && a.len >= DNS_HEADER);
	if (r < 0)
		return 0;
	must(q.end <= size && strlen(q.name) < DNS_NAME_MAX);
	must(dns_same_question(data, size, data, size));
	if (dns_reverse_name(q.name, &reverse))
		must(reverse.family == AF_INET || reverse.family == AF_INET6);
	for (int i = 0; i < 100 && !a.full; i++) {
		dns_answer_address(&a, &ip, 600, 512);
		dns_answer_name(&a, q.name, 600, 512);
	}
	must(a.len <= 512);
	must(dns_parse(a.buf, a.len, &back) == 0 && back.response && back.id == q.id && back.type == q.type);
	must(strcmp(back.name, q.name) == 0 && dns_same_question(a.buf, a.len, data, size));
	return 0;
}
