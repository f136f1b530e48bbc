/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups by name, of the container's own files: hostile, so that
 * they are found by the resolver, must be regular files, and are never read
 * by the C library's functions, which would ask the host.
 */
#include "engine/engine_int.h"

#include "host/resolve.h"

#include <sys/stat.h>

enum { USER_FILE_MAX = 4 << 20 };

/* The text of a file of the container; NULL where there is none worth reading. */
static char *read_inside(int root, const char *path)
{
	char *text = NULL;
	size_t len;
	struct stat st;

	autoclose int at = resolve_in_root(root, path, RESOLVE_EXISTING, NULL);
	if (at < 0 || fstat(at, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > USER_FILE_MAX)
		return NULL;
	autoclose int fd = open(fd_path(at).s, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fd_read_all(fd, USER_FILE_MAX, &text, &len) < 0)
		return NULL;
	return text;
}

/* The fields of "a:b:c" lines. */
struct user_line {
	const char *field[7];
	size_t len[7];
	size_t n;
};

static const char *users_next_line(const char *p, struct user_line *l)
{
	size_t len = strcspn(p, "\n");
	const char *end = p + len;

	l->n = 0;
	for (const char *f = p; l->n < ARRAY_LEN(l->field);) {
		const char *colon = memchr(f, ':', (size_t)(end - f));
		l->field[l->n] = f;
		l->len[l->n] = (size_t)((colon ? colon : end) - f);
		l->n++;
		if (!colon)
			break;
		f = colon + 1;
	}
	return *end ? end + 1 : end;
}

static bool field_is(const struct user_line *l, size_t i, const char *text)
{
	return i < l->n && l->len[i] == strlen(text) && memcmp(l->field[i], text, l->len[i]) == 0;
}

static bool text_number(const char *text, size_t len, uint32_t *ret)
{
	char digits[12];
	uint64_t v;

	if (len == 0 || len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (str_to_u64(digits, 10, &v) < 0 || v >= UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool field_number(const struct user_line *l, size_t i, uint32_t *ret)
{
	return i < l->n && text_number(l->field[i], l->len[i], ret);
}

/* "a,b,c" has `name`. */
static bool is_member(const struct user_line *l, size_t i, const char *name)
{
	size_t want = strlen(name);

	if (i >= l->n)
		return false;
	for (const char *p = l->field[i], *end = p + l->len[i]; p < end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t len = (size_t)((comma ? comma : end) - p);
		if (len == want && memcmp(p, name, len) == 0)
			return true;
		p += len + 1;
	}
	return false;
}

/* Digits are an id and never a name: a line "1000:x:0:0" of an image would make root of `--user 1000`
 * (CVE-2016-3697). */
static bool is_digits(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

static void add_group(struct engine_user *u, uint32_t gid)
{
	for (size_t i = 0; i < u->n_groups; i++) {
		if (u->groups[i] == gid)
			return;
	}
	if (u->n_groups < ARRAY_LEN(u->groups))
		u->groups[u->n_groups++] = gid;
}

/* The user's line in passwd; its name goes to `name`, "" where there is none. */
static int find_passwd(const char *passwd, const char *user, struct engine_user *ret, char *name,
		       size_t name_len, struct err *err)
{
	uint32_t number = 0, uid, gid;
	bool numeric = !*user || text_number(user, strlen(user), &number);
	bool named = *user && !is_digits(user);
	struct user_line l;

	name[0] = '\0';
	for (const char *p = passwd ? passwd : ""; *p;) {
		p = users_next_line(p, &l);
		if (!field_number(&l, 2, &uid) || !field_number(&l, 3, &gid))
			continue;
		if (!(named && field_is(&l, 0, user)) && !(numeric && uid == number))
			continue;
		ret->uid = uid;
		ret->gid = gid;
		if (l.len[0] < name_len) {
			memcpy(name, l.field[0], l.len[0]);
			name[l.len[0]] = '\0';
		}
		return 0;
	}
	if (!numeric)
		return err_set(err, EINVAL, "unable to find user %s: no matching entries in passwd file",
			       user);
	ret->uid = number;
	ret->gid = 0;
	return 0;
}

/* -ENOENT without a message. */
static int find_group(const char *group_file, const char *name, uint32_t *ret)
{
	struct user_line l;
	uint32_t gid;

	for (const char *p = group_file && !is_digits(name) ? group_file : ""; *p;) {
		p = users_next_line(p, &l);
		if (field_is(&l, 0, name) && field_number(&l, 2, &gid)) {
			*ret = gid;
			return 0;
		}
	}
	return text_number(name, strlen(name), ret) ? 0 : -ENOENT;
}

static void add_memberships(const char *group_file, const char *name, struct engine_user *ret)
{
	struct user_line l;
	uint32_t gid;

	for (const char *p = group_file ? group_file : ""; *p && *name;) {
		p = users_next_line(p, &l);
		if (field_number(&l, 2, &gid) && is_member(&l, 3, name))
			add_group(ret, gid);
	}
}

int engine_user_find(int root, const char *user, const str_list *group_add, struct engine_user *ret,
		     struct err *err)
{
	autofree char *passwd = NULL, *groups = NULL, *who = strdup(user ? user : "");
	char name[256];
	int r;

	if (!who)
		return err_oom(err);
	char *group = strchr(who, ':');
	if (group)
		*group++ = '\0';
	*ret = (struct engine_user){0};
	passwd = read_inside(root, "/etc/passwd");
	groups = read_inside(root, "/etc/group");
	r = find_passwd(passwd, who, ret, name, sizeof(name), err);
	if (r < 0)
		return r;
	if (group && *group && find_group(groups, group, &ret->gid) < 0)
		return err_set(err, EINVAL, "unable to find group %s: no matching entries in group file",
			       group);
	/* Among the others as well, or who gives that one up passes by files that say what its group may not.
	 */
	add_group(ret, ret->gid);
	if (!group || !*group)
		add_memberships(groups, name, ret);
	for (size_t i = 0; group_add && i < group_add->n; i++) {
		uint32_t gid;
		if (find_group(groups, group_add->v[i], &gid) < 0)
			return err_set(err, EINVAL,
				       "Unable to find group %s: no matching entries in group file",
				       group_add->v[i]);
		add_group(ret, gid);
	}
	return 0;
}
