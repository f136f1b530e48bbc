/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/log_file.h"

#include "base/fd.h"
#include "base/str.h"
#include "monitor/log_line.h"

#include <sys/stat.h>

enum { LOG_OUT_MIN = 16384 }; /* gathered before a write */

int log_file_begin(struct log_file *l, int fd, char *attrs, struct err *err)
{
	struct stat st;
	char last = '\n';

	l->fd = fd;
	l->attrs = attrs;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot examine the log \"%s\"", l->path);
	l->size = (uint64_t)st.st_size;
	if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) < 0)
		return err_sys(err, "cannot read the log \"%s\"", l->path);
	if (last != '\n' && write(fd, "\n", 1) == 1)
		l->size++;
	return 0;
}

/* So many bytes of an entry fit behind what is gathered; the buffer grows to what one needs at most. */
static bool log_file_room(struct log_file *l, size_t need)
{
	if (l->room - l->len >= need)
		return true;
	if (l->len > 0)
		ignore_result(log_file_flush(l)); /* lost: said by the next flush that fails */
	if (l->room >= need)
		return true;
	char *bigger = realloc(l->out, MAX_OF(need, (size_t)LOG_OUT_MIN));
	if (!bigger)
		return false;
	l->out = bigger;
	l->room = MAX_OF(need, (size_t)LOG_OUT_MIN);
	return true;
}

static void rename_log(const char *path, uint32_t from, uint32_t to)
{
	autofree char *old = from ? str_format("%s.%u", path, from) : strdup(path);
	autofree char *new = str_format("%s.%u", path, to);

	if (old && new)
		ignore_result(rename(old, new) < 0); /* not that many yet */
}

static void rotate(struct log_file *l)
{
	if (l->max_files <= 1) {
		if (ftruncate(l->fd, 0) == 0)
			l->size = 0;
		return;
	}
	for (uint32_t i = l->max_files - 1; i > 0; i--)
		rename_log(l->path, i - 1, i);
	int fd = open(l->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (fd < 0) /* go on with the old one, under its new name: better than nothing */
		return;
	fd_drop(&l->fd);
	l->fd = fd;
	l->size = 0;
}

int log_file_flush(struct log_file *l)
{
	size_t len = l->len;
	struct stat before;

	l->len = 0;
	if (len == 0)
		return 0;
	int r = fd_write_all(l->fd, l->out, len);
	if (r == 0) {
		l->size += len;
		return 0;
	}
	/* Entries behind a torn one could not be read. */
	if (fstat(l->fd, &before) == 0 && (uint64_t)before.st_size > l->size)
		ignore_result(ftruncate(l->fd, (off_t)l->size) < 0); /* the reader passes over what is torn */
	return r;
}

void log_file_add(struct log_file *l, const char *text, size_t len, bool whole, bool is_err, const char *time)
{
	if (l->max_size > 0 && l->size + l->len >= l->max_size) {
		ignore_result(log_file_flush(l)); /* as above */
		if (l->size >= l->max_size)
			rotate(l);
	}
	if (!log_file_room(l, len * 6 + 256 + strlen(l->attrs)))
		return;
	l->len += log_line_encode(l->out + l->len, text, len, whole, is_err, l->attrs, time);
}

void log_file_end(struct log_file *l)
{
	ignore_result(log_file_flush(l)); /* nobody is left to tell */
	fd_drop(&l->fd);
	free(l->out);
	free(l->attrs);
	l->out = l->attrs = NULL;
	l->len = l->room = 0;
}
