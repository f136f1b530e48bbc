/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that have no safe use here: naming one is a compile error. */
#pragma once

/* Under clang, <stdio.h> makes a macro of it for _FORTIFY_SOURCE. */
#undef sprintf

#pragma GCC poison strcpy strcat stpcpy sprintf vsprintf gets strtok strtok_r system popen
#pragma GCC poison mktemp tmpnam tempnam atoi atol atoll
