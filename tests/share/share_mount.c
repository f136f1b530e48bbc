/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share_mount SOURCE TARGET [ROOT-TTL-MS VOLUME-TTL-MS [NOFILE [FIRST-ID]]]
 *
 * Shares SOURCE at TARGET through relay, socket and server, as a guest would
 * see it, and stays until it is unmounted.  FIRST-ID: the server stands in a
 * user namespace whose ids 0 to 65535 are those from it on, as a carrier's.  Prints "ready" and the server's
 * pid.  For tests/share.
 */
#include "agent/fuse_relay.h"
#include "base/fd.h"
#include "base/proc.h"
#include "vm/share/share.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static uint32_t number(char **argv, int argc, int i, uint32_t otherwise)
{
	return i < argc ? (uint32_t)strtoul(argv[i], NULL, 10) : otherwise;
}

static int map_ids(pid_t pid, uint32_t first)
{
	for (int i = 0; i < 2; i++) {
		char path[64], map[64];
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, i ? "gid_map" : "uid_map");
		(void)snprintf(map, sizeof(map), "0 %u 65536", first);
		autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || fd_write_all(fd, map, strlen(map)) < 0)
			return -1;
	}
	return 0;
}

/* In the server: a namespace, whose maps the parent writes between two bytes. */
static void enter_user_namespace(int sync)
{
	char c = 0;
	if (unshare(CLONE_NEWUSER) < 0 || write(sync, &c, 1) != 1 || read(sync, &c, 1) != 1)
		_exit(1);
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		_exit(1);
}

static int fail(const struct err *err)
{
	fprintf(stderr, "share_mount: %s\n", err->msg);
	return 1;
}

int main(int argc, char **argv)
{
	struct err err = {0};
	int pair[2], sync[2];
	char c = 0;
	uint32_t first_id = number(argv, argc, 6, 0);
	if (argc < 3)
		return 2;
	struct rlimit l = {.rlim_cur = number(argv, argc, 5, 0)};
	l.rlim_max = l.rlim_cur;
	autoclose int root = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync) < 0)
		return 1;
	pid_t server = fork();
	if (server == 0) {
		(void)close(pair[1]);
		if (l.rlim_cur && setrlimit(RLIMIT_NOFILE, &l) < 0)
			_exit(1);
		if (first_id)
			enter_user_namespace(sync[1]);
		struct share s = {.sock = pair[0],
				  .table_fd = -1,
				  .root_fd = root,
				  .proc_fd = -1,
				  .root_ttl_ms = number(argv, argc, 3, 1000),
				  .volume_ttl_ms = number(argv, argc, 4, 0)};
		_exit(share_serve(&s, &err) < 0 ? fail(&err) : 0);
	}
	(void)close(pair[0]);
	if (first_id &&
	    (read(sync[0], &c, 1) != 1 || map_ids(server, first_id) < 0 || write(sync[0], &c, 1) != 1))
		return 1;
	if (server < 0 || fuse_relay_mount(pair[1], argv[2], 0, &err) < 0)
		return fail(&err);
	(void)close(pair[1]);
	printf("ready %d\n", (int)server);
	(void)fflush(stdout);
	while (proc_wait(-1) >= 0) {
	}
	return 0;
}
