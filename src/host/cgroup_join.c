/* SPDX-License-Identifier: Apache-2.0 */
/* Getting processes into the group: see the comment in host/cgroup.h. */
#include "host/cgroup_int.h"

#include "base/file.h"
#include "host/systemd.h"

/* --- `exec --cgroup` --- */

/* True where entry "a,b:path" is for `name` (NULL: the unified tree); *ret_path is its path. */
static bool entry_is_for(char *entry, const char *name, const char **ret_path)
{
	char *colon = strchr(entry, ':'), *word;

	if (!colon) {
		*ret_path = entry;
		return true;
	}
	*colon = '\0';
	*ret_path = colon + 1;
	while ((word = cgroup_next(&entry, ',')))
		if (name && streq(word, name))
			return true;
	return false;
}

/* base, or base/sub where `sub` has something for `name`; the caller frees. */
static int sub_dir(const char *base, const char *sub, const char *name, char **ret, struct err *err)
{
	const char *path = NULL, *found = NULL;
	autofree char *list = strdup(sub ? sub : ""), *clean = NULL;
	char *s = list, *entry;

	if (!list)
		return err_oom(err);
	while (!found && (entry = cgroup_next(&s, '\n')))
		if (entry_is_for(entry, name, &path))
			found = path;
	if (found) {
		clean = cgroup_clean_path(found);
		/* What cleaning changes but for slashes had ".." or the like in it. */
		if (!clean || strstr(found, ".."))
			return clean ? err_set(err, EINVAL, "bad sub cgroup path: %s", found) : err_oom(err);
	}
	*ret = clean && !streq(clean, "/") ? str_format("%s%s", base, clean) : strdup(base);
	return *ret ? 0 : err_oom(err);
}

/* Every controller that `sub` names must be one of the group's. */
static int check_sub(const struct cgroup *cg, const char *sub, struct err *err)
{
	autofree char *list = strdup(sub ? sub : "");
	char *s = list, *entry, *word;

	if (!list)
		return err_oom(err);
	while ((entry = cgroup_next(&s, '\n'))) {
		char *colon = strchr(entry, ':');
		if (!colon)
			continue;
		*colon = '\0';
		while ((word = cgroup_next(&entry, ','))) {
			int c = 0;
			while (c < CG_V1_COUNT && !(cg->v1_dir[c] && streq(word, cgroup_v1_name(c))))
				c++;
			if (c == CG_V1_COUNT)
				return err_set(err, EINVAL, "unknown controller %s in SubCgroupPaths", word);
		}
	}
	return 0;
}

/* A group that somebody named and that is not there reads as runc says it. */
static int join_failed(const char *sub, const char *path, int code, struct err *err)
{
	char text[64];

	(void)err_text_lower(code, text); /* it is `text` */
	return sub ? err_set(err, code, "error adding pid %d to cgroup: open %s: %s", getpid(), path, text)
		   : err_set(err, code, "open %s: %s", path, text);
}

/* --- the unified tree --- */

int cgroup_open_dir(const struct cgroup *cg, const char *sub, struct err *err)
{
	autofree char *dir = NULL;
	int r;

	if (cg->none || !cg->v2_dir)
		return -ENOTSUP;
	r = check_sub(cg, sub, err);
	if (r == 0)
		r = sub_dir(cg->v2_dir, sub, NULL, &dir, err);
	if (r < 0)
		return r;
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? join_failed(sub, dir, errno, err) : fd;
}

/* The directory of the unified group that `pid` is in (the caller frees); what of it is below cg's begins at
 * *ret_below. */
static int dir_of(const struct cgroup *cg, pid_t pid, char **ret, size_t *ret_below, struct err *err)
{
	struct cgroup_own own = {0};
	size_t root, len;
	int r;

	if (cg->none || !cg->v2_dir)
		return -ENOTSUP;
	r = cgroup_own_read(pid, &own, err);
	if (r < 0)
		return r;
	autofree char *clean = own.v2 ? cgroup_clean_path(own.v2) : NULL;
	cgroup_own_free(&own);
	if (!clean)
		return err_set(err, ENOENT, "process %d is in no unified cgroup", pid);
	root = cgroup_v2_root_len(cg);
	const char *group = cg->v2_dir + root;
	len = strlen(group);
	if (strncmp(clean, group, len) != 0 || (clean[len] && clean[len] != '/'))
		return err_set(err, EXDEV, "process %d is in cgroup \"%s\", which is not below \"%s\"", pid,
			       clean, group);
	*ret = str_format("%.*s%s", (int)root, cg->v2_dir, clean);
	*ret_below = root + len;
	return *ret ? 0 : err_oom(err);
}

/* --- moving --- */

void cgroup_join_close(struct cgroup_join *j)
{
	while (j->n > 0)
		(void)close(j->fds[--j->n]); /* nothing is lost with it */
}

static int open_in(const char *base, const char *sub, const char *name, const char *file,
		   struct cgroup_join *j, struct err *err)
{
	autofree char *dir = NULL, *path = NULL;
	int r = sub_dir(base, sub, name, &dir, err);

	if (r < 0)
		return r;
	path = str_format("%s/%s", dir, file);
	if (!path)
		return err_oom(err);
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return join_failed(sub, path, errno, err);
	j->fds[j->n++] = fd;
	return 0;
}

static int open_all(const struct cgroup *cg, const char *sub, bool skip_v2, const char *v1_file,
		    struct cgroup_join *ret, struct err *err)
{
	struct cgroup_join j = {0};
	int r = 0;

	if (!cg->none)
		r = check_sub(cg, sub, err);
	for (int c = 0; c < CG_V1_COUNT && r == 0 && !cg->none && !cg->v2; c++)
		/* systemd's own hierarchy is systemd's business. */
		if (cg->v1_dir[c] && !(cg->systemd && c == CG_NAMED_SYSTEMD && !sub))
			r = open_in(cg->v1_dir[c], sub, cgroup_v1_name(c), v1_file, &j, err);
	if (r == 0 && !cg->none && cg->v2_dir && !skip_v2)
		r = open_in(cg->v2_dir, sub, NULL, "cgroup.procs", &j, err);
	if (r < 0) {
		cgroup_join_close(&j);
		return r;
	}
	*ret = j;
	return 0;
}

int cgroup_join_open(const struct cgroup *cg, const char *sub, bool skip_v2, struct cgroup_join *ret,
		     struct err *err)
{
	/* "0" in `tasks` moves the calling thread alone: the one way that needs no lock against all forks. */
	return open_all(cg, sub, skip_v2, "tasks", ret, err);
}

/* A task that is just being made (TASK_NEW) is refused with EINVAL for a moment. */
static int write_pid(int fd, const char *text)
{
	for (int tries = 0;; tries++) {
		if (write(fd, text, strlen(text)) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EINVAL || tries == 5)
			return -errno;
		cgroup_pause_us(30000);
	}
}

int cgroup_join_self(const struct cgroup_join *j, struct err *err)
{
	for (size_t i = 0; i < j->n; i++)
		if (write(j->fds[i], "0", 1) < 0)
			return err_sys(err, "cannot join the container's cgroup");
	return 0;
}

int cgroup_attach(const struct cgroup *cg, const char *sub, pid_t pid, bool skip_v2, struct err *err)
{
	struct cgroup_join j;
	char text[16];
	int r = open_all(cg, sub, skip_v2, "cgroup.procs", &j, err);

	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%d", pid); /* fits */
	for (size_t i = 0; i < j.n && r == 0; i++) {
		r = write_pid(j.fds[i], text);
		if (r < 0) {
			char reason[64];
			r = err_set(err, -r, "failed to write %d: write cgroup.procs: %s", pid,
				    err_text_lower(-r, reason));
		}
	}
	cgroup_join_close(&j);
	return r;
}

int cgroup_attach_beside(const struct cgroup *cg, pid_t beside, pid_t pid, struct err *err)
{
	autofree char *dir = NULL;
	struct err none = {0};
	char text[16];
	size_t below = 0;

	if (dir_of(cg, beside, &dir, &below, &none) < 0)
		return cgroup_attach(cg, NULL, pid, false, err);
	autoclose int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(err, "cannot open \"%s\"", dir);
	(void)snprintf(text, sizeof(text), "%d", pid); /* fits */
	int r = file_write_at(fd, "cgroup.procs", text);
	if (r == -EACCES && cg->systemd && cg->user_manager)
		return systemd_attach(cg, dir + below, pid, err);
	return r < 0 ? err_num(err, r, "cannot move the process into the container's cgroup") : 0;
}
