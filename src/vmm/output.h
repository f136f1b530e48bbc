/* SPDX-License-Identifier: Apache-2.0 */
/* Text of the guest's for a log. */
#pragma once

#include "base/base.h"

/* Writes what the descriptor takes without waiting; what it does not is lost.  fd -1: all of it. */
void output_put(int fd, const void *text, size_t len);
