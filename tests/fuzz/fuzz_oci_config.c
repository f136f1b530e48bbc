/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Whatever is accepted keeps the promises of config.h, which its users lean on. */
static void check_config(const struct oci_config *c, size_t len)
{
	size_t strings = 0;

	if (!c->oci_version || !c->root_path || c->oci_version[0] != '1')
		abort();
	if (c->process && (!c->process->args.n || !c->process->cwd || c->process->cwd[0] != '/'))
		abort();
	for (size_t i = 0; c->process && i < c->process->args.n; i++)
		strings += strlen(c->process->args.v[i]) + 1;
	for (size_t i = 0; i < c->mounts.n; i++)
		if (c->mounts.v[i].destination[0] != '/')
			abort();
	for (size_t i = 0; i < c->linux.devices.n; i++)
		if (!memchr("cubp", c->linux.devices.v[i].type, 4) || c->linux.devices.v[i].path[0] != '/')
			abort();
	for (size_t i = 0; i < c->annotations.n; i++)
		strings +=
			strlen(c->annotations.v[i].key) + strlen(oci_annotation(c, c->annotations.v[i].key));
	if (c->linux.seccomp && (c->linux.seccomp->json_offset + c->linux.seccomp->json_len > len ||
				 !c->linux.seccomp->default_action))
		abort();
	if (strings > 2 * len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct oci_config c;
	struct err err = {0};
	int r = oci_config_parse((const char *)data, len, "F", &c, &err);

	if (r == 0) {
		check_config(&c, len);
		oci_config_free(&c);
	} else if (r != -err.code || !str_starts(err.msg, "F: ")) {
		abort(); /* every refusal has a code and names the file */
	}
	return 0;
}
