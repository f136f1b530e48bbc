/* SPDX-License-Identifier: Apache-2.0 */
/* What the file room's calls to the host have in common. */
#pragma once

#include "base/base.h"
#include "sentry/kernel.h"

#include <sys/stat.h>

/* A host call that may sleep: result, or -errno.  The caller holds references to all that the call and it
 * itself uses.  (cppcheck's parser knows no statements in expressions.) */
#ifdef __cppcheck__
#define host_call(expr) ((long)(expr))
#else
#define host_call(expr)                                                                                      \
	({                                                                                                   \
		kernel_host_begin();                                                                         \
		long host_result_ = (long)(expr);                                                            \
		long host_error_ = host_result_ < 0 ? -(long)errno : host_result_;                           \
		kernel_host_end();                                                                           \
		host_error_;                                                                                 \
	})
#endif
/* ... one that sleeps for as long as a disk or another machine likes. */
#define host_call_slow(expr)                                                                                 \
	({                                                                                                   \
		kernel_will_wait();                                                                          \
		host_call(expr);                                                                             \
	})
/* ... one that does not. */
#define host_quick(expr)                                                                                     \
	({                                                                                                   \
		long host_result_ = (long)(expr);                                                            \
		host_result_ < 0 ? -(long)errno : host_result_;                                              \
	})

/* The name of a magic link to the descriptor, relative to every worker's working directory (kernel.h). */
struct fd_name {
	char text[12];
};
static inline struct fd_name fd_name(int fd)
{
	struct fd_name x;

	(void)snprintf(x.text, sizeof(x.text), "%d", fd);
	return x;
}

/* A buffer of the thread's, XFER_SIZE bytes, made at first use; NULL: out of memory. */
enum { XFER_SIZE = 128 << 10, XFER_ALIGN = 4096 };
char *xfer_buffer(void);

void statx_from_stat(const struct stat *st, struct statx *ret);
void stat_from_statx(const struct statx *x, struct stat *ret);
