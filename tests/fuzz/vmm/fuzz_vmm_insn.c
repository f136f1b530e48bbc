/* SPDX-License-Identifier: Apache-2.0 */
/* Code bytes of a guest's, with registers of its choice. */
#include "vmm/pvm_insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 8192 };

static void *at(void *data, uint64_t linear, size_t len)
{
	return linear % 4096 + len > 4096 ? NULL : memory_at(data, linear, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_Alignas(16) static unsigned char bytes[MEMORY];
	struct guest_memory m = {.base = bytes, .size = sizeof(bytes)};
	struct insn_cpu c = {.at = at, .data = &m};

	insn_bind(&c);
	for (size_t i = 0; i < 16 && size >= 2; i++, data += 2, size -= 2)
		*c.gpr[i] = (uint64_t)(data[0] | data[1] << 8) & 0x1fff;
	autofree uint8_t *copy = malloc(size + !size);
	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	if (insn_do(&c, copy, size) == 0 && c.regs.rip > INSN_MAX)
		abort();
	ignore_result(insn_skip_prologue(&c.regs, copy, size) < 0);
	return 0;
}
