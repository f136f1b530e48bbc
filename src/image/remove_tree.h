/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/*
 * Removes what a container or an archive has made, however deep it is: no link is followed, no mount
 * entered.  0 (also where nothing is there) or -errno.
 */
must_use int image_remove_tree_at(int dirfd, const char *name);
