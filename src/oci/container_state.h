/* SPDX-License-Identifier: Apache-2.0 */
/* The message to a seccomp agent: config-linux.md, "The Container Process State". */
#pragma once

#include "oci/state.h"

/* The name in `fds` that goes with the notification descriptor. */
#define OCI_SECCOMP_FD_NAME "seccompFd"

struct oci_container_process_state {
	const char *const *fds; /* names, in the order of the descriptors sent */
	size_t nfds;
	pid_t pid;	      /* as the runtime sees it */
	const char *metadata; /* linux.seccomp.listenerMetadata; may be NULL */
	const struct oci_state *state;
};

/* One line of JSON, which the caller frees. */
must_use int oci_container_process_state_text(const struct oci_container_process_state *s, char **ret_text,
					      struct err *err);
