/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  Files of cgroupfs are small, and every write is one
 * command to the kernel: it goes down in one write(2), on a file that exists
 * (never O_CREAT), by a plain name below a directory descriptor, so that
 * nothing in a name taken from config.json can lead elsewhere.
 */
#include "host/cgroup_int.h"

#include "base/clock.h"
#include "base/file.h"

#include <ctype.h>
#include <inttypes.h>
#include <time.h>

bool cgroup_is_denied(int code)
{
	if (code < 0)
		code = -code;
	return code == EPERM || code == EACCES || code == EROFS;
}

int cgroup_dir_open(const char *path, struct cgroup_dir *ret, struct err *err)
{
	char text[64];
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0) {
		int code = errno;
		return err_set(err, code, "open %s: %s", path, err_text_lower(code, text));
	}
	*ret = (struct cgroup_dir){.fd = fd, .path = path};
	return 0;
}

int cgroup_try_put(const struct cgroup_dir *d, const char *file, const char *text)
{
	if (strchr(file, '/') || !*file)
		return -EINVAL;
	return file_write_at(d->fd, file, text);
}

int cgroup_put(const struct cgroup_dir *d, const char *file, const char *text, struct err *err)
{
	char reason[64];
	int r = cgroup_try_put(d, file, text);

	if (r == 0)
		return 0;
	return err_set(err, -r, "failed to write \"%s\": write %s/%s: %s", text, d->path, file,
		       err_text_lower(-r, reason));
}

int cgroup_put_i64(const struct cgroup_dir *d, const char *file, int64_t v, struct err *err)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRId64, v); /* 20 digits fit */
	return cgroup_put(d, file, text, err);
}

int cgroup_put_u64(const struct cgroup_dir *d, const char *file, uint64_t v, struct err *err)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, v); /* 20 digits fit */
	return cgroup_put(d, file, text, err);
}

int cgroup_get(const struct cgroup_dir *d, const char *file, char *buf, size_t size)
{
	if (strchr(file, '/'))
		return -EINVAL;
	autoclose int fd = openat(d->fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	ssize_t n = fd_read_full(fd, buf, size - 1);
	if (n < 0)
		return (int)n;
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return (int)n;
}

int cgroup_get_all(const struct cgroup_dir *d, const char *file, char **ret)
{
	size_t len;

	if (strchr(file, '/'))
		return -EINVAL;
	return file_read_at(d->fd, file, 8 << 20, ret, &len);
}

static int parse_value(const char *s, uint64_t *ret)
{
	if (streq(s, "max") || *s == '-') {
		*ret = UINT64_MAX;
		return 0;
	}
	return str_to_u64(s, 10, ret);
}

int cgroup_get_u64(const struct cgroup_dir *d, const char *file, uint64_t *ret)
{
	char buf[64];
	int n = cgroup_get(d, file, buf, sizeof(buf));

	if (n < 0)
		return n;
	while (n > 0 && isspace((unsigned char)buf[n - 1]))
		buf[--n] = '\0';
	return parse_value(buf, ret);
}

int cgroup_get_key(const struct cgroup_dir *d, const char *file, const char *key, uint64_t *ret)
{
	char buf[4096], *s = buf, *line;
	size_t len = strlen(key);
	int n = cgroup_get(d, file, buf, sizeof(buf));

	if (n < 0)
		return n;
	while ((line = cgroup_next(&s, '\n')))
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return parse_value(line + len + 1, ret);
	return -ENODATA;
}

bool cgroup_has_file(const struct cgroup_dir *d, const char *file)
{
	return faccessat(d->fd, file, F_OK, 0) == 0;
}

bool cgroup_list_has(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *s = list; (s = strstr(s, word)); s += len)
		if ((s == list || s[-1] == ' ') && (s[len] == '\0' || s[len] == ' ' || s[len] == '\n'))
			return true;
	return false;
}

char *cgroup_next(char **s, char sep)
{
	char *start = *s;

	if (!start || !*start)
		return NULL;
	char *end = strchr(start, sep);
	if (end)
		*end++ = '\0';
	*s = end;
	return start;
}

int64_t cgroup_now_us(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000;
}

void cgroup_pause_us(int64_t us)
{
	struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	(void)nanosleep(&t, NULL); /* cut short is fine */
}
