/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share_mount SOURCE TARGET [ROOT-TTL-MS VOLUME-TTL-MS [NOFILE]]
 *
 * Shares SOURCE at TARGET through relay, socket and server, as a guest would
 * see it, and stays until it is unmounted.  Prints "ready" and the server's
 * pid.  For tests/share.
 */
#include "agent/fuse_relay.h"
#include "base/fd.h"
#include "base/proc.h"
#include "vm/share/share.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static uint32_t number(char **argv, int argc, int i, uint32_t otherwise)
{
	return i < argc ? (uint32_t)strtoul(argv[i], NULL, 10) : otherwise;
}

static int fail(const struct err *err)
{
	fprintf(stderr, "share_mount: %s\n", err->msg);
	return 1;
}

int main(int argc, char **argv)
{
	struct err err = {0};
	int pair[2];
	if (argc < 3)
		return 2;
	struct rlimit l = {.rlim_cur = number(argv, argc, 5, 0)};
	l.rlim_max = l.rlim_cur;
	autoclose int root = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 1;
	pid_t server = fork();
	if (server == 0) {
		(void)close(pair[1]);
		if (l.rlim_cur && setrlimit(RLIMIT_NOFILE, &l) < 0)
			_exit(1);
		struct share s = {.sock = pair[0],
				  .root_fd = root,
				  .proc_fd = -1,
				  .root_ttl_ms = number(argv, argc, 3, 1000),
				  .volume_ttl_ms = number(argv, argc, 4, 0)};
		_exit(share_serve(&s, &err) < 0 ? fail(&err) : 0);
	}
	(void)close(pair[0]);
	if (server < 0 || fuse_relay_mount(pair[1], argv[2], 0, &err) < 0)
		return fail(&err);
	(void)close(pair[1]);
	printf("ready %d\n", (int)server);
	(void)fflush(stdout);
	while (proc_wait(-1) >= 0) {
	}
	return 0;
}
