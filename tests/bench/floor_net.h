/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network half of the engine's floor: a veth pair whose far end is born in
 * another namespace, its address and default route, by raw netlink and in as
 * few messages as the kernel takes.  A container that publishes no port needs
 * nothing in nftables: the rules name bridges.
 */
#pragma once

/* The bridge, once before all runs. */
void floor_net_prepare(const char *bridge);
/* Plugs eth0 with 10.99.X.Y/16 into the network namespace of `pid`, on `bridge`. */
void floor_net_plug(const char *bridge, int pid, unsigned number);
