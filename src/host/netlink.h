/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces: loopback up, and the host's devices moved into a namespace (linux.netDevices, 1.3). */
#pragma once

#include "base/err.h"
#include "oci/config.h"

/* `lo` of the calling process's network namespace is up. */
must_use int net_lo_up(struct err *err);

/* linux.netDevices against the rest of the config, with runc's texts. */
must_use int net_devices_check(const struct oci_config *c, bool rootless, struct err *err);
/*
 * Moves the device `host_name` of the caller's network namespace into
 * `netns_fd`, there called `name` (NULL: as before), and gives it back its
 * permanent addresses of global scope, MTU and hardware address, and sets it
 * up.  Move and rename are one request.  The caller must be single-threaded:
 * it visits the other namespace for the time of one socket(2).
 * `netns_name` names the namespace in messages ("/proc/12/ns/net").
 */
must_use int net_move_device(const char *host_name, const char *name, int netns_fd, const char *netns_name,
			     struct err *err);
