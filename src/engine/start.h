/* SPDX-License-Identifier: Apache-2.0 */
/* A start in progress: what engine_start() and engine_make_again() share. */
#pragma once

#include "engine/files.h"
#include "engine/spec.h"
#include "host/held_mounts.h"

enum { START_WARNINGS_MAX = 4096 };

struct engine_starting {
	struct engine *e;
	struct engine_container *c;
	struct engine_maps maps;
	char *run_dir, *data_dir, *rootfs;
	char *hosts, *hostname, *resolv, *shm, *init, *log, *trash; /* paths */
	char *host_hosts, *host_resolv;				    /* texts */
	char *join_user, *join_net, *join_pid, *join_ipc;
	const char *apparmor; /* profile; NULL = none */
	char own_name[65];
	struct net *net;
	struct net_attach attach;
	struct net_port *ports;
	struct net_result result;
	bool has_net; /* leases were taken */
	str_list upstreams, log_labels, maker, finish, dns_networks;
	int groups[2]; /* sockets: the caller makes the control groups and tells the maker; 0 = it does not */
	/* What the maker has to say: its standard error is the container's.  Shared memory. */
	char *warnings;
};
#define autostarting __attribute__((cleanup(engine_starting_free)))
void engine_starting_free(struct engine_starting *s);

/* Paths, leases, files: everything before something runs. */
must_use int engine_start_prepare(struct engine_starting *s, struct err *err);
must_use int engine_start_plan(struct engine_starting *s, struct monitor_plan *ret, struct err *err);
/* In the maker: the three files on a file system of the container's own (names_fs.c), whose mounts join
 * `later`. */
must_use int engine_names_bounded(struct engine_starting *s, struct held_mounts *later, struct err *err);
/* In the maker: makes the container and reports. */
void engine_start_make(void *starting);
/* The row says that it runs, with its ports. */
must_use int engine_start_note(struct engine_starting *s, struct err *err);
