/* SPDX-License-Identifier: Apache-2.0 */
/* All that QEMU's monitor says to a start and to the making of a snapshot, by a QEMU that its guest took
 * over. */
#include "base/fd.h"
#include "vm/qemu_int.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct qmp q = {0};
	int pair[2];

	if (size > (96 << 10) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	if (send(pair[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size && size)
		abort();
	(void)shutdown(pair[1], SHUT_WR); /* connected */
	int r = qmp_open(&q, pair[0], &err);
	if (r == 0) {
		for (int i = 0; i < 4 && r == 0; i++)
			r = qmp_command(&q, "stop", NULL, -1, "pause the machine", &err);
		if (r == 0)
			r = qmp_wait_migration(&q, "save the machine", &err);
		if (q.len > QMP_LINE_MAX || q.used > q.len || !memchr(q.migration, '\0', sizeof(q.migration)))
			abort();
		qmp_close(&q);
	}
	if (r < 0 && !err.msg[0])
		abort();
	(void)close(pair[0]);
	(void)close(pair[1]);
	return 0;
}
