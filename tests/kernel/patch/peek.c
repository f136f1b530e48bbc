/* SPDX-License-Identifier: Apache-2.0 */
/* Says whether the call site of getuid(2) is a jump, after it has been used often: "patched" or "plain". */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	unsigned char code[16];
	size_t at = 0;
	for (int i = 0; i < 100; i++)
		(void)getuid();
	memcpy(code, (const void *)getuid, sizeof(code));
	if (code[0] == 0xf3) /* endbr64 */
		at = 4;
	printf("%s, uid %u\n",
	       code[at] == 0xe9	  ? "patched"
	       : code[at] == 0xb8 ? "plain"
				  : "unknown",
	       getuid());
	return 0;
}
