/* SPDX-License-Identifier: Apache-2.0 */
/* The annotation dev.coffer.landlock: what is accepted must govern something and stay within what is known.
 */
#include "host/landlock_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct landlock_rules r = {0};
	struct err err = {0};
	autofree char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (landlock_parse(text, &r, &err) < 0) {
		if (!err.msg[0] || r.paths || r.ports)
			abort();
		return 0;
	}
	if (!r.set || !(r.handled_fs | r.handled_net | r.scoped) || (r.named_fs & ~r.handled_fs))
		abort();
	for (size_t i = 0; i < r.npaths; i++)
		if (r.paths[i].path[0] != '/' || !r.paths[i].access || (r.paths[i].access & ~LL_FS_ALL))
			abort();
	for (size_t i = 0; i < r.nports; i++)
		if (!(r.ports[i].access & r.handled_net))
			abort();
	for (int abi = 0; abi < 8; abi++)
		ignore_result(landlock_check(&r, abi, &err));
	landlock_rules_free(&r);
	return 0;
}
