/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cgroup_int.h"

#include "base/file.h"

void cgroup_own_free(struct cgroup_own *o)
{
	free(o->v2);
	for (int c = 0; c < CG_V1_COUNT; c++)
		free(o->v1[c]);
	*o = (struct cgroup_own){0};
}

/* "4:cpu,cpuacct:/path", "0::/path" */
static int take_own_line(struct cgroup_own *o, char *line)
{
	char *s = line, *names, *word;

	if (!cgroup_next(&s, ':') || !s)
		return 0;
	names = s;
	char *path = strchr(s, ':');
	if (!path)
		return 0;
	*path++ = '\0';
	if (!*names) {
		if (!o->v2 && !(o->v2 = strdup(path)))
			return -ENOMEM;
		return 0;
	}
	while ((word = cgroup_next(&names, ',')))
		for (int c = 0; c < CG_V1_COUNT; c++)
			if (streq(word, cgroup_v1_name(c)) && !o->v1[c] && !(o->v1[c] = strdup(path)))
				return -ENOMEM;
	return 0;
}

int cgroup_own_read(pid_t pid, struct cgroup_own *ret, struct err *err)
{
	autofree char *text = NULL;
	struct cgroup_own o = {0};
	char path[40];
	char *s, *line;
	size_t len;
	int r;

	if (pid > 0)
		(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid); /* fits */
	else
		(void)snprintf(path, sizeof(path), "/proc/self/cgroup");
	r = file_read_at(AT_FDCWD, path, 1 << 20, &text, &len);
	if (r < 0)
		return err_num(err, r, "cannot read \"%s\"", path);
	for (s = text; (line = cgroup_next(&s, '\n'));) {
		if (take_own_line(&o, line) < 0) {
			cgroup_own_free(&o);
			return err_oom(err);
		}
	}
	*ret = o;
	return 0;
}

char *cgroup_clean_path(const char *path)
{
	char *ret = malloc(strlen(path) + 2), *to = ret;

	if (!ret)
		return NULL;
	for (const char *s = path; *s;) {
		size_t n = strcspn(s, "/");

		if (n == 2 && s[0] == '.' && s[1] == '.') {
			while (to > ret && *--to != '/')
				;
		} else if (n > 0 && !(n == 1 && s[0] == '.')) {
			*to++ = '/';
			memcpy(to, s, n);
			to += n;
		}
		s += n;
		while (*s == '/')
			s++;
	}
	if (to == ret)
		*to++ = '/';
	*to = '\0';
	return ret;
}
