/* SPDX-License-Identifier: Apache-2.0 */
/* The program's environment and where it is found, as seen from inside the root. */
#pragma once

#include "oci/config.h"

/*
 * process.env, the last of several with one name winning (as runc), HOME from
 * the container's /etc/passwd where it is not given, LISTEN_FDS and
 * LISTEN_PID where there are such descriptors.
 */
must_use int env_build(const struct oci_process *process, int listen_fds, char ***ret, struct err *err);
void env_free(char **envp);
/*
 * Looks `name` up along PATH of `envp`.  Texts and exit statuses are those
 * that clients parse: `exec: "x": executable file not found in $PATH` (127),
 * `exec: "/x": permission denied` (126).
 */
must_use int env_find_program(const char *name, char *const *envp, char **ret, struct err *err);
