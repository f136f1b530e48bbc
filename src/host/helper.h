/* SPDX-License-Identifier: Apache-2.0 */
/* Helper programs: heavy libraries live in them, and they are run only when needed. */
#pragma once

#include "base/err.h"

/*
 * Absolute path of the helper `name` ("coffer-sdbus"); the caller frees.
 * Looks in the directory that the environment variable COFFER_LIBEXECDIR
 * names, beside the executable (the one that was started, whatever
 * sealed_exe_ensure() has done since), and in the directory of the
 * installation.  One that everybody may write is refused.  Where the program
 * was started by a relative path, it must not have changed its directory.
 */
must_use int helper_path(const char *name, char **ret, struct err *err);
