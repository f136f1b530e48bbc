/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/* `coffer-sentry join`: the proxy of a further process.  Returns its exit status; with err set where it did
 * not start. */
int join_main(int control, int request, int keep, int argc, char **argv, struct err *err);
