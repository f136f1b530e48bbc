/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.sysctl: kernel parameters of the container's own namespaces.
 *
 * Nothing but what is listed here is written, and only where the namespace
 * that holds it is not the host's.  Keys come as "net.ipv4.ip_forward" or as
 * "net/ipv4/conf/eth0.100/rp_filter"; the character before the first other
 * decides which (sysctl.d(5)).
 */
#pragma once

#include "base/err.h"
#include "oci/config.h"

/* In a guest: the machine's network is the container's, whose parameters it may set.  Once, at the start. */
void sysctl_own_machine(void);
/* Parent, before anything is made.  Texts as runc's: `sysctl "x" is not in a separate kernel namespace`. */
must_use int sysctl_check(const struct oci_config *c, struct err *err);
/* Child, in its namespaces.  `procfs` is the parent's procfs_open(). */
must_use int sysctl_apply(const struct oci_config *c, int procfs, struct err *err);
