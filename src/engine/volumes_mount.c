/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes with options: a file system of the host's (type, o and device, as of mount(8)) on top of the
 * volume's directory while a container that runs has it.
 *
 * The options stand in a file beside the directory, as who mounts is a fork
 * that has no database.  A start makes its run directory before it looks
 * whether the file system is there, and an end notes in its own that it has
 * left before it looks for those of others; both look under the lock of the
 * volume, so that what one of them has found mounted is not taken away by the
 * other.  The run directory goes after that: an end that was cut short is
 * done again by the next command.
 */
#include "engine/rootless.h"

#include "base/file.h"
#include "host/mount.h"
#include "host/mount_options.h"

#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define VOLUME_OPTIONS "options.json"

enum { VOLUME_OPTIONS_MAX = 65536, VOLUME_WORDS_MAX = 128 };

int engine_volume_options_check(const struct engine *e, const pair_list *options, struct err *err)
{
	static const char *const known[] = {"type", "o", "device"};

	for (size_t i = 0; i < options->n; i++) {
		bool found = false;
		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			found |= streq(options->v[i].key, known[k]);
		if (!found)
			return err_set(err, EINVAL,
				       "invalid option: \"%s\": a volume takes type, o and device",
				       options->v[i].key);
	}
	if (options->n == 0)
		return 0;
	if (!pair_find(options, "device"))
		return err_set(err, EINVAL, "missing required option: \"device\"");
	if (!pair_find(options, "type"))
		return err_set(err, EINVAL, "missing required option: \"type\"");
	if (e->o.rootless)
		return err_set(
			err, EPERM,
			"a volume's options mount a file system on this machine, which only root may: bind "
			"a directory with --mount type=bind");
	return 0;
}

static int open_volume(const struct engine *e, const char *name)
{
	autofree char *dir = str_format("%s/volumes/%s", e->data_root, name);

	return dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -ENOMEM;
}

int engine_volume_options_write(const struct engine *e, const char *name, const char *json, struct err *err)
{
	autoclose int dir = open_volume(e, name);

	if (dir < 0)
		return err_sys(err, "cannot open the volume \"%s\"", name);
	/* What a `create` that was killed has left is not this one's. */
	if (!json && unlinkat(dir, VOLUME_OPTIONS, 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot take the options of the volume \"%s\" away", name);
	if (!json)
		return 0;
	int r = file_replace_at(dir, VOLUME_OPTIONS, json, strlen(json), 0600, true);
	return r < 0 ? err_num(err, r, "cannot keep the options of the volume \"%s\"", name) : 0;
}

static bool is_mounted(int dir)
{
	struct statx st;

	return statx(dir, "_data", AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* "o", cut at its commas into `words`; `text` is the caller's copy. */
static int volume_words(char *text, const char **words, str_list *ret, struct err *err)
{
	size_t n = 0;

	while (text && *text) {
		char *comma = strchr(text, ',');
		if (comma)
			*comma++ = '\0';
		if (n == VOLUME_WORDS_MAX)
			return err_set(err, E2BIG, "more than %d mount options", VOLUME_WORDS_MAX);
		if (*text)
			words[n++] = text;
		text = comma;
	}
	*ret = (str_list){.v = words, .n = n};
	return 0;
}

/*
 * A directory of the host's, in no group of peers with what it is of: an end that takes the volume away would
 * take what others have mounted below that directory, too.
 */
static int bind_volume(int at, const struct mount_request *q)
{
	const unsigned long kept = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW;
	const struct mount_change alone = {.propagation = MS_PRIVATE, .recursive = true},
				  as_asked = {.set = mount_attr_of_flags(q->flags & kept)};
	struct mount_kernel k;

	mount_kernel_probe(&k);
	autoclose int tree = mount_clone_path(q->source, (q->flags & MS_REC) != 0);
	if (tree < 0)
		return tree;
	int r = mount_change(&k, tree, &alone);
	if (r == 0 && as_asked.set)
		r = mount_change(&k, tree, &as_asked);
	return r < 0 ? r : mount_attach(tree, at);
}

/* Why it was not mounted; what a share's password is, is told to nobody. */
static int mount_refused(const struct mount_request *q, const char *path, const str_list *words, int code,
			 struct err *err)
{
	struct str told autostr = {0};

	for (size_t i = 0; i < words->n; i++)
		str_putf(&told, "%s%s", i ? "," : "",
			 str_starts(words->v[i], "password=") ? "password=********" : words->v[i]);
	return err_num(err, code, "failed to mount local volume: mount %s:%s, type: %s, data: %s", q->source,
		       path, q->type, told.len ? told.s : "");
}

static int mount_volume(const char *path, const pair_list *options, struct err *err)
{
	const char *words[VOLUME_WORDS_MAX], *o = pair_find(options, "o");
	autofree char *copy = strdup(o ? o : "");
	struct mount_options parsed = {0};
	str_list list;

	if (!copy)
		return err_oom(err);
	int r = volume_words(copy, words, &list, err);
	if (r == 0)
		r = mount_options_parse(&list, &parsed, err);
	if (r < 0)
		return r;
	struct mount_request q = {.type = pair_find(options, "type"),
				  .source = pair_find(options, "device"),
				  .data = parsed.data,
				  .flags = parsed.flags};
	/* Through a link it would be mounted where no end looks for it. */
	autoclose int at = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0)
		r = -errno;
	else if (q.flags & MS_BIND)
		r = bind_volume(at, &q);
	else
		r = mount(q.source, path, q.type, q.flags, q.data) < 0 ? -errno : 0;
	mount_options_free(&parsed);
	return r < 0 ? mount_refused(&q, path, &list, r, err) : 0;
}

int engine_volume_mount(const struct engine *e, const char *name, const char *path, struct err *err)
{
	autofree char *text = NULL;
	struct json_doc doc autojson = {0};
	pair_list options = {0};
	size_t len;
	autoclose int dir = open_volume(e, name);
	int r = dir < 0 ? -errno : file_read_at(dir, VOLUME_OPTIONS, VOLUME_OPTIONS_MAX, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_num(err, r, "cannot read the options of the volume \"%s\"", name);
	r = engine_pairs_read(&doc, text, &options, err);
	if (r < 0)
		return err_prefix(err, "the options of the volume \"%s\" are damaged", name);
	if (fd_flock(dir, LOCK_EX) < 0)
		return err_sys(err, "cannot lock the volume \"%s\"", name);
	return is_mounted(dir) ? 0 : mount_volume(path, &options, err);
}

int engine_volume_unmount(const struct engine *e, const char *name, struct err *err)
{
	autoclose int dir = open_volume(e, name);
	autofree char *path = engine_volume_path(e, name);

	if (!path)
		return err_oom(err);
	/* Somebody may have mounted more than once. */
	while (dir >= 0 && is_mounted(dir)) {
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_sys(err, "cannot unmount the volume \"%s\"", name);
	}
	return 0;
}

static bool left_path(const char *id, char ret[static ENGINE_ID_LEN + 8])
{
	return snprintf(ret, ENGINE_ID_LEN + 8, "%s/left", id) < ENGINE_ID_LEN + 8;
}

/* Does a container that runs, or begins to, have it? */
static int volume_runs(struct engine *e, const char *name, bool *ret, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(e->db, &q, err, "SELECT container FROM volume_use WHERE volume = ?", "s", name);

	*ret = false;
	while (r == 0 && (r = db_next(&q, err)) > 0) {
		char left[ENGINE_ID_LEN + 8];
		const char *id = db_text(&q, 0);
		*ret |= engine_has_run_dir(e, id) &&
			!(left_path(id, left) && faccessat(e->run_fd, left, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
		r = 0;
	}
	return r;
}

/* Before it looks for others, so that of two that end at once one sees that it is the last. */
static int note_left(const struct engine *e, const char *id, struct err *err)
{
	char left[ENGINE_ID_LEN + 8];
	autoclose int fd = left_path(id, left) ? openat(e->run_fd, left,
							O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)
					       : -1;
	/* Without the directory it counts as one that has left. */
	return fd < 0 && errno != ENOENT ? err_sys(err, "cannot make \"%s/containers/%s\"", e->run_root, left)
					 : 0;
}

int engine_volumes_leave(struct engine *e, const struct engine_container *c, struct err *err)
{
	bool noted = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->record.mounts.n; i++) {
		const char *name = c->record.mounts.v[i].name;
		bool runs;
		autoclose int dir = name ? open_volume(e, name) : -1;
		/* What somebody has mounted on a volume without options is theirs. */
		if (dir < 0 || faccessat(dir, VOLUME_OPTIONS, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!noted)
			r = note_left(e, c->id, err);
		noted = true;
		if (r < 0 || !is_mounted(dir))
			continue;
		if (fd_flock(dir, LOCK_EX) < 0)
			return err_sys(err, "cannot lock the volume \"%s\"", name);
		r = volume_runs(e, name, &runs, err);
		if (r == 0 && !runs)
			r = engine_volume_unmount(e, name, err);
	}
	return r;
}
