/* SPDX-License-Identifier: Apache-2.0 */
#include "host/userns_self.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/procfs.h"
#include "host/userns.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum {
	SELF_IDS = 65536, /* of a range: what every image gets along with */
	PASSWD_MAX = 1 << 22,
	MAP_TEXT_MAX = 1 << 14,
};

/* ---- maps ---- */

/*
 * The name that /etc/passwd has for an id; the caller frees.  $USER is what
 * somebody says, and stands only for those that a directory service knows.
 */
static char *name_of_user(uid_t uid)
{
	autofree char *text = NULL;
	const char *said = getenv("USER");
	uint64_t n;

	if (file_read_at(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &text, NULL) < 0)
		return said ? strdup(said) : NULL;
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		char *password = strchr(line, ':'), *id = password ? strchr(password + 1, ':') : NULL;
		char *end = id ? strchr(id + 1, ':') : NULL;
		if (!end)
			continue;
		*password = *end = '\0';
		if (str_to_u64(id + 1, 10, &n) == 0 && n == uid)
			return strdup(line);
	}
	return said ? strdup(said) : NULL;
}

static void subordinate(const char *file, const char *user, uint32_t own, struct oci_idmap *maps,
			idmap_list *list)
{
	struct userns_subids ids = {0};
	struct err ignored = {0};

	maps[0] = (struct oci_idmap){.container = 0, .host = own, .size = 1};
	*list = (idmap_list){.v = maps, .n = 1};
	if (userns_subids(file, user, getuid(), &ids, &ignored) == 0 && ids.n > 0) {
		uint32_t n = ids.v[0].count;
		maps[1] = (struct oci_idmap){
			.container = 1, .host = ids.v[0].first, .size = n < SELF_IDS ? n : SELF_IDS};
		list->n = 2;
	}
	free(ids.v);
}

/* What the namespace that we are in has, onto itself. */
static void onto_itself(const char *file, struct oci_idmap *maps, idmap_list *list)
{
	autofree char *text = NULL;
	unsigned first, host, size;

	maps[0] = (struct oci_idmap){.container = 0, .host = 0, .size = 1};
	*list = (idmap_list){.v = maps, .n = 1};
	if (file_read_at(AT_FDCWD, file, MAP_TEXT_MAX, &text, NULL) < 0)
		return;
	size_t n = 0;
	for (char *line = text, *next; line && n < 2; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (sscanf(line, "%u %u %u", &first, &host, &size) == 3)
			maps[n++] = (struct oci_idmap){.container = first, .host = first, .size = size};
	}
	if (n)
		list->n = n;
}

void userns_self_maps(struct userns_self *ret)
{
	if (geteuid() == 0) {
		onto_itself("/proc/self/uid_map", ret->uid_maps, &ret->uids);
		onto_itself("/proc/self/gid_map", ret->gid_maps, &ret->gids);
		return;
	}
	autofree char *user = name_of_user(getuid());
	subordinate("/etc/subuid", user, geteuid(), ret->uid_maps, &ret->uids);
	subordinate("/etc/subgid", user, getegid(), ret->gid_maps, &ret->gids);
}

bool userns_is_first(void)
{
	autofree char *text = NULL;
	unsigned first, host, size;

	return file_read_at(AT_FDCWD, "/proc/self/uid_map", MAP_TEXT_MAX, &text, NULL) < 0 ||
	       (sscanf(text, "%u %u %u", &first, &host, &size) == 3 && first == 0 && host == 0 &&
		size == UINT32_MAX);
}

/* ---- entering ---- */

static int become_root(struct err *err)
{
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(err, "cannot become root of the user namespace");
	return 0;
}

static int map_from_outside(pid_t pid, struct err *err)
{
	struct userns_self maps;
	autoclose int procfs = procfs_open(err);

	if (procfs < 0)
		return procfs;
	userns_self_maps(&maps);
	return userns_write_maps(procfs, pid, &maps.uids, &maps.gids, true, NULL, err);
}

/* The child that stays outside: waits for the namespace, has the maps written, tells how it went. */
static _Noreturn void map_parent(pid_t parent, int sock)
{
	struct err told = {0};
	size_t nfds;
	char made;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* else the closed socket ends it as well */
	if (fd_recv(sock, &made, 1, NULL, 0, &nfds) != 1)
		_exit(1);
	if (map_from_outside(parent, &told) == 0)
		told.code = 0;
	_exit(fd_send(sock, &told, sizeof(told), NULL, 0) < 0);
}

static int enter_and_be_mapped(int sock, struct err *err)
{
	struct err told;
	size_t nfds;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_sys(err,
			       "cannot make a user namespace (is user.max_user_namespaces 0, or does the "
			       "machine refuse them to ordinary users?)");
	if (fd_send(sock, "m", 1, NULL, 0) < 0 ||
	    fd_recv(sock, &told, sizeof(told), NULL, 0, &nfds) != sizeof(told))
		return err_set(err, EIO, "the process that maps ids of the user namespace ended");
	if (told.code) {
		*err = told;
		return -err->code;
	}
	return become_root(err);
}

int userns_self_enter(struct err *err)
{
	pid_t self = getpid();
	int pair[2];

	if (geteuid() == 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a pair of sockets");
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(pair[0]); /* so that our parent's end is ours */
		map_parent(self, pair[1]);
	}
	(void)close(pair[1]); /* the child's */
	autoclose int sock = pair[0];
	if (pid < 0)
		return err_sys(err, "cannot fork");
	int r = enter_and_be_mapped(sock, err);
	fd_drop(&sock);
	ignore_result(proc_wait(pid)); /* it told us */
	return r;
}

int userns_self_join(pid_t pid, struct err *err)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid); /* always fits */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWUSER) < 0)
		return err_sys(err, "cannot join the user namespace of process %d", (int)pid);
	return become_root(err);
}

int userns_self_run(pid_t of, int (*run)(void *data, struct err *err), void *data, struct err *err)
{
	struct err told = {0};
	size_t nfds;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a pair of sockets");
	pid_t pid = fork();
	if (pid == 0) {
		int r = of ? userns_self_join(of, &told) : userns_self_enter(&told);
		r = r == 0 ? run(data, &told) : r;
		if (r == 0)
			told.code = 0;
		_exit(fd_send(pair[1], &told, sizeof(told), NULL, 0) < 0);
	}
	(void)close(pair[1]); /* the child's */
	autoclose int sock = pair[0];
	if (pid < 0)
		return err_sys(err, "cannot fork");
	ssize_t n = fd_recv(sock, &told, sizeof(told), NULL, 0, &nfds);
	ignore_result(proc_wait(pid)); /* it told us */
	if (n != sizeof(told))
		return err_set(err, EIO, "the process in the user namespace ended");
	if (told.code)
		*err = told;
	return -told.code;
}
