/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/state.h"

void state_put(struct state_writer *w, const void *data, size_t len)
{
	str_put_n(&w->bytes, data, len);
}

bool state_get(struct state_reader *r, void *to, size_t len)
{
	if (len > r->left)
		return false;
	memcpy(to, r->p, len);
	r->p += len;
	r->left -= len;
	return true;
}
