/* SPDX-License-Identifier: Apache-2.0 */
/* All families' rows; included several times by table.c with other meanings of CALL and its kin. */
#include "sentry/calls_file.def"
#include "sentry/calls_io.def"
#include "sentry/calls_ipc.def"
#include "sentry/calls_mem.def"
#include "sentry/calls_misc.def"
#include "sentry/calls_net.def"
#include "sentry/calls_proc.def"
#include "sentry/calls_sig.def"
#include "sentry/calls_time.def"
