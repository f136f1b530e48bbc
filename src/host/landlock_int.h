/* SPDX-License-Identifier: Apache-2.0 */
/* Between landlock.c and landlock_parse.c. */
#pragma once

#include "host/landlock.h"

#define LL_ANNOTATION "annotation \"dev.coffer.landlock\": "

#define LL_EXECUTE     (UINT64_C(1) << 0)
#define LL_WRITE_FILE  (UINT64_C(1) << 1)
#define LL_READ_FILE   (UINT64_C(1) << 2)
#define LL_READ_DIR    (UINT64_C(1) << 3)
#define LL_REMOVE_DIR  (UINT64_C(1) << 4)
#define LL_REMOVE_FILE (UINT64_C(1) << 5)
#define LL_MAKE_CHAR   (UINT64_C(1) << 6)
#define LL_MAKE_DIR    (UINT64_C(1) << 7)
#define LL_MAKE_REG    (UINT64_C(1) << 8)
#define LL_MAKE_SOCK   (UINT64_C(1) << 9)
#define LL_MAKE_FIFO   (UINT64_C(1) << 10)
#define LL_MAKE_BLOCK  (UINT64_C(1) << 11)
#define LL_MAKE_SYM    (UINT64_C(1) << 12)
#define LL_FS_V1       ((UINT64_C(1) << 13) - 1)
#define LL_REFER       (UINT64_C(1) << 13)
#define LL_TRUNCATE    (UINT64_C(1) << 14)
#define LL_IOCTL_DEV   (UINT64_C(1) << 15)
#define LL_FS_ALL      ((UINT64_C(1) << 16) - 1)
/* What can be said of a single file. */
#define LL_FS_FILE (LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE | LL_IOCTL_DEV)

#define LL_NET_BIND    (UINT64_C(1) << 0)
#define LL_NET_CONNECT (UINT64_C(1) << 1)

#define LL_SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0)
#define LL_SCOPE_SIGNAL	       (UINT64_C(1) << 1)
