/* SPDX-License-Identifier: Apache-2.0 */
/* Where an ordinary user's state is. */
#pragma once

#include "base/json.h"

#include <sys/types.h>

/* $XDG_RUNTIME_DIR/coffer, /run/user/UID/coffer where that is the user's, else a directory in /tmp. */
const char *places_run_root(struct json_doc *memory, uid_t uid);
/* Makes a directory of /tmp, where anybody may have been first, or finds it to be the caller's alone. */
must_use int places_check(const char *run_root, struct err *err);
/* Whether a manager of the user's own, systemd's, can make control groups: it is there, and they are unified.
 */
bool places_user_manager(void);
