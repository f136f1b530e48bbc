/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolation level `vm`: a virtual machine with a kernel of its own for each
 * container.
 *
 * The keeper `coffer-vm` (src/vm) is a supervisor (isolate.h) of a container
 * of the carrier, level ns: that builds the mounts, joins the network, enters
 * the cgroup, and executes the keeper in place of the user's program.  The
 * keeper starts the hypervisor, in the guest of which an agent makes the
 * container a second time, of what plan.c leaves to it.  So everything that
 * concerns a container from outside (limits, freezing, statistics, death) is
 * the carrier's and the same as there.
 */
#pragma once

#include "isolate/isolate.h"

extern const struct isolate_level vm_level;
