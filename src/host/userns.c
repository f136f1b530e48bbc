/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps are written once, by somebody outside who may: root (CAP_SETUID in
 * the parent user namespace) writes anything; an unprivileged process only
 * its own single id, and its gid only after setgroups is denied; for more
 * there are newuidmap and newgidmap (setuid programs of the uidmap package),
 * which look into /etc/subuid.
 */
#include "host/userns.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/procfs.h"

#include <linux/magic.h>
#include <sched.h>
#include <sys/vfs.h>
#include <sys/wait.h>

enum {
	MAP_LINES_MAX = 340, /* the kernel's UID_GID_MAP_MAX_EXTENTS */
	SUBID_FILE_MAX = 1 << 22,
};

static bool overlap(uint32_t a, uint32_t an, uint32_t b, uint32_t bn)
{
	return (uint64_t)a < (uint64_t)b + bn && (uint64_t)b < (uint64_t)a + an;
}

int userns_format_map(const idmap_list *map, char **ret, struct err *err)
{
	struct str text autostr = {0};

	if (map->n == 0)
		return err_set(err, EINVAL, "id mapping is empty");
	if (map->n > MAP_LINES_MAX)
		return err_set(err, EINVAL, "id mapping has %zu ranges; the kernel takes %d", map->n,
			       MAP_LINES_MAX);
	for (size_t i = 0; i < map->n; i++) {
		const struct oci_idmap *m = &map->v[i];

		/* The last id (2^32 - 1) stands for "none" and cannot be mapped. */
		if (m->size == 0 || (uint64_t)m->container + m->size > UINT32_MAX ||
		    (uint64_t)m->host + m->size > UINT32_MAX)
			return err_set(err, EINVAL, "id mapping %u:%u:%u is not a range of ids", m->container,
				       m->host, m->size);
		for (size_t k = 0; k < i; k++)
			if (overlap(m->container, m->size, map->v[k].container, map->v[k].size) ||
			    overlap(m->host, m->size, map->v[k].host, map->v[k].size))
				return err_set(err, EINVAL, "id mapping %u:%u:%u overlaps another",
					       m->container, m->host, m->size);
		str_putf(&text, "%u %u %u\n", m->container, m->host, m->size);
	}
	*ret = str_take(&text);
	return *ret ? 0 : err_oom(err);
}

static const char *find_tool(const char *name, char path[static 64])
{
	static const char *const dirs[] = {"/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"};

	/* Not by $PATH: it may be anybody's, and these programs are the system's. */
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		(void)snprintf(path, 64, "%s/%s", dirs[i], name); /* always fits */
		if (access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

static int run_tool(const char *name, pid_t pid, const idmap_list *map, struct err *err)
{
	char path[64], pid_text[16];
	size_t n = 0;
	autofree const char **argv = calloc(map->n * 3 + 3, sizeof(*argv));
	autofree char(*numbers)[16] = calloc(map->n * 3, sizeof(*numbers));
	autofree char *output = NULL;

	if (!argv || !numbers)
		return err_oom(err);
	if (!find_tool(name, path))
		return err_set(err, ENOENT,
			       "rootless container needs %s (package uidmap) for more than one id: mapping "
			       "tool not present",
			       name);
	(void)snprintf(pid_text, sizeof(pid_text), "%d", pid); /* always fits */
	argv[n++] = path;
	argv[n++] = pid_text;
	for (size_t i = 0; i < map->n; i++) {
		const uint32_t v[] = {map->v[i].container, map->v[i].host, map->v[i].size};
		for (size_t k = 0; k < ARRAY_LEN(v); k++) {
			(void)snprintf(numbers[i * 3 + k], sizeof(*numbers), "%u", v[k]); /* always fits */
			argv[n++] = numbers[i * 3 + k];
		}
	}
	struct proc_run run = {.argv = argv, .timeout_ms = 10000, .output_max = 512};
	int status = proc_run(&run, &output, err);
	if (status < 0)
		return status;
	if (status != 0) {
		for (char *s = strpbrk(output, "\r\n"); s; s = strpbrk(s, "\r\n"))
			*s = s[1] ? ' ' : '\0';
		return err_set(err, EPERM, "%s failed on %d (status %d): %s", name, pid,
			       proc_exit_code(status), output);
	}
	return 0;
}

static int write_map(int procfs, pid_t pid, const char *file, const char *tool, const idmap_list *map,
		     bool rootless, struct err *err)
{
	autofree char *text = NULL;
	char rel[32];
	int r = userns_format_map(map, &text, err);

	if (r < 0)
		return err_prefix(err, "%s", file);
	(void)snprintf(rel, sizeof(rel), "%d/%s", pid, file); /* always fits */
	r = procfs_write(procfs, rel, text, err);
	if (r == -EPERM && rootless)
		return run_tool(tool, pid, map, err);
	if (r < 0) { /* runc's words, without the map's line ends */
		int code = err->code;
		return err_num(err, code, "failed to update /proc/%s", rel);
	}
	return 0;
}

int userns_write_maps(int procfs, pid_t pid, const idmap_list *uids, const idmap_list *gids, bool rootless,
		      bool *ret_setgroups_denied, struct err *err)
{
	bool own_gid_only = gids->n == 1 && gids->v[0].size == 1 && gids->v[0].host == getegid();
	bool deny = rootless && own_gid_only;
	char rel[32];
	int r;

	if (deny) {
		(void)snprintf(rel, sizeof(rel), "%d/setgroups", pid); /* always fits */
		r = procfs_write(procfs, rel, "deny", err);
		if (r < 0)
			return r;
	}
	r = write_map(procfs, pid, "uid_map", "newuidmap", uids, rootless, err);
	if (r == 0)
		r = write_map(procfs, pid, "gid_map", "newgidmap", gids, rootless, err);
	if (r == 0 && ret_setgroups_denied)
		*ret_setgroups_denied = deny;
	return r;
}

/* ---- A namespace for its maps alone ---- */

static int hold(void *unused_data unused)
{
	/* Shares our memory: no stack protector's, no C library's business here but this call. */
	for (;;)
		(void)pause(); /* until it is killed */
	return 0;
}

int userns_hold(struct userns_holder *h, int procfs, const idmap_list *uids, const idmap_list *gids,
		struct err *err)
{
	char path[32];
	struct statfs fs;

	/*
	 * The process lives only to have a user namespace to be mapped.  It
	 * shares memory and descriptors with us, which spares their copying, and
	 * ends without SIGCHLD, which the caller may be counting.
	 */
	h->pid = clone(hold, h->stack + sizeof(h->stack), CLONE_VM | CLONE_FILES | CLONE_NEWUSER, NULL);
	if (h->pid < 0) {
		h->pid = 0;
		return err_sys(err, "cannot make a user namespace for an id-mapped mount");
	}
	int r = userns_write_maps(procfs, h->pid, uids, gids, false, NULL, err);
	int fd = -1;
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "%d/ns/user", h->pid); /* always fits */
		fd = openat(procfs, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			r = err_sys(err, "cannot open the user namespace of an id-mapped mount");
		else if (fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC)
			r = err_set(err, EXDEV,
				    "cannot open the user namespace of an id-mapped mount: not a namespace");
	}
	/* Our own child, not reaped: the pid is still its. */
	(void)kill(h->pid, SIGKILL);
	if (r < 0 && fd >= 0)
		(void)close(fd); /* the error is told already */
	return r < 0 ? r : fd;
}

void userns_holder_end(struct userns_holder *h)
{
	while (h->pid > 0 && waitpid(h->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	h->pid = 0;
}

int userns_fd(int procfs, const idmap_list *uids, const idmap_list *gids, struct err *err)
{
	struct userns_holder h;
	int fd = userns_hold(&h, procfs, uids, gids, err);

	userns_holder_end(&h);
	return fd;
}

/* ---- Translation ---- */

int userns_host_id(const idmap_list *map, uint32_t container, uint32_t *ret)
{
	for (size_t i = 0; i < map->n; i++)
		if (container >= map->v[i].container && container - map->v[i].container < map->v[i].size) {
			*ret = map->v[i].host + (container - map->v[i].container);
			return 0;
		}
	return -ENOENT;
}

int userns_container_id(const idmap_list *map, uint32_t host, uint32_t *ret)
{
	for (size_t i = 0; i < map->n; i++)
		if (host >= map->v[i].host && host - map->v[i].host < map->v[i].size) {
			*ret = map->v[i].container + (host - map->v[i].host);
			return 0;
		}
	return -ENOENT;
}

/* ---- /etc/subuid ---- */

/* "name:first:count" or "1000:first:count"; 1 if it is the user's. */
static int parse_subid(char *line, const char *user, uid_t uid, uint32_t *ret_first, uint32_t *ret_count)
{
	char *first = strchr(line, ':'), *count = first ? strchr(first + 1, ':') : NULL;
	uint64_t number, f, c;

	if (!count)
		return 0;
	*first++ = '\0';
	*count++ = '\0';
	bool mine = (user && streq(line, user)) || (str_to_u64(line, 10, &number) == 0 && number == uid);
	if (!mine || str_to_u64(first, 10, &f) < 0 || str_to_u64(count, 10, &c) < 0 || f > UINT32_MAX ||
	    c == 0 || c > UINT32_MAX - f)
		return 0;
	*ret_first = (uint32_t)f;
	*ret_count = (uint32_t)c;
	return 1;
}

int userns_subids(const char *file, const char *user, uid_t uid, struct userns_subids *ret, struct err *err)
{
	struct userns_subids ids = {0};
	autofree char *text = NULL;
	int r = file_read_at(AT_FDCWD, file, SUBID_FILE_MAX, &text, NULL);

	if (r == -ENOENT) {
		*ret = ids;
		return 0;
	}
	if (r < 0)
		return err_num(err, r, "cannot read %s", file);
	for (char *line = text, *next; line; line = next) {
		uint32_t first, count;
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!parse_subid(line, user, uid, &first, &count))
			continue;
		void *bigger = realloc(ids.v, (ids.n + 1) * sizeof(*ids.v));
		if (!bigger) {
			free(ids.v);
			return err_oom(err);
		}
		ids.v = bigger;
		ids.v[ids.n].first = first;
		ids.v[ids.n++].count = count;
	}
	*ret = ids;
	return 0;
}
