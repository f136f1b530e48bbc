/* SPDX-License-Identifier: Apache-2.0 */
/* memfd_create: the host's own memory files, sealed by the host. */
#include "sentry/fs/host.h"
#include "sentry/fs/hostfile.h"
#include "sentry/task.h"

#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8U
#define MFD_EXEC	0x10U
#endif

enum { MEMFD_NAME_MAX = NAME_MAX - (sizeof("memfd:") - 1) };

HANDLER(sys_memfd_create)
{
	unsigned flags = (unsigned)c->args[1];
	char name[MEMFD_NAME_MAX + 1];
	struct file *f;
	struct stat st;
	ssize_t n;
	long fd;
	int r;

	if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC))
		return -EINVAL; /* huge pages as well: there are none to have */
	n = guest_string(t, name, c->args[0], sizeof(name));
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	r = fd_check_room(t);
	if (r < 0)
		return r;
	fd = host_call(memfd_create(name, flags | MFD_CLOEXEC));
	if (fd < 0)
		return fd;
	(void)fstat((int)fd, &st); /* cannot fail on a descriptor that is open */
	r = hostfile_new((int)fd, &st, O_RDWR | 0100000, &f);
	return r < 0 ? r : fd_install(t, f, 0, flags & MFD_CLOEXEC);
}
