/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/output.h"

#include <poll.h>

enum { PART = 4096 }; /* PIPE_BUF: as much does not block once poll() says that there is room */

void output_put(int fd, const void *text, size_t len)
{
	const char *p = text;

	while (fd >= 0 && len) {
		struct pollfd f = {.fd = fd, .events = POLLOUT};
		if (poll(&f, 1, 0) != 1 || !(f.revents & POLLOUT))
			return;
		ssize_t n = write(fd, p, MIN_OF(len, (size_t)PART));
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}
