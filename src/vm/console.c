/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console and the hypervisor's messages come through pipes, not
 * straight into a file: a guest that writes for ever must not fill the host's
 * disk.  console.log keeps the last of it: where it grows past its size, its
 * second half becomes its first.
 */
#include "vm/keeper.h"

#include <sys/stat.h>

enum { LOG_MAX = 1 << 20, READS = 16 };

int console_open(struct console *c, int file, int *ret_writer, struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	*c = (struct console){.pipe = p[0], .file = file};
	*ret_writer = p[1];
	int r = fd_set_nonblock(p[0], true);
	return r < 0 ? err_num(err, r, "cannot set up a pipe") : 0;
}

/* Both logs are one file: its end is looked up each time. */
static void log_append(int file, const void *data, size_t len)
{
	struct stat st;

	if (file < 0 || fstat(file, &st) < 0)
		return;
	off_t at = st.st_size;
	if (at + (off_t)len > LOG_MAX) {
		autofree char *half = malloc(LOG_MAX / 2);
		ssize_t n = half && at > LOG_MAX / 2 ? pread(file, half, LOG_MAX / 2, at - LOG_MAX / 2) : 0;
		n = n > 0 ? pwrite(file, half, (size_t)n, 0) : 0;
		at = n > 0 ? n : 0;
		ignore_result(ftruncate(file, at)); /* then it keeps more than it should, once */
	}
	ignore_result(pwrite(file, data, len, at)); /* a full disk costs the log, not the container */
}

void console_note(struct console *c, const void *text, size_t len)
{
	const char *p = text;

	log_append(c->file, text, len);
	if (len > TAIL_MAX) {
		p += len - TAIL_MAX;
		len = TAIL_MAX;
	}
	if (c->len + len > TAIL_MAX) {
		size_t away = c->len + len - TAIL_MAX;
		memmove(c->tail, c->tail + away, c->len - away);
		c->len -= away;
	}
	memcpy(c->tail + c->len, p, len);
	c->len += len;
}

void console_drain(struct console *c)
{
	char buf[4096];

	for (int i = 0; i < READS && c->pipe >= 0; i++) {
		ssize_t n = read(c->pipe, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (n == 0) {
			fd_drop(&c->pipe);
			return;
		}
		c->heard = true;
		console_note(c, buf, (size_t)n);
	}
}

static void console_ready(struct keeper *k unused, void *data, short revents unused)
{
	console_drain(data);
}

void console_poll(struct console *c, struct poll_set *p)
{
	if (c->pipe >= 0)
		poll_want(p, c->pipe, POLLIN, console_ready, c);
}

/* Where the last lines begin that fit; not in the middle of one, if there is a whole one. */
static size_t last_lines(const struct console *c, size_t end, size_t max)
{
	static const char panic[] = "Kernel panic";
	const char *why = memmem(c->tail, end, panic, sizeof(panic) - 1);
	size_t from = end > max - 1 ? end - (max - 1) : 0;

	/* What comes behind it is where the kernel was, which tells less. */
	if (why && (size_t)(why - c->tail) < from)
		return (size_t)(why - c->tail);
	for (size_t i = from; from > 0 && i < end; i++)
		if (c->tail[i] == '\n')
			return i + 1;
	return from;
}

void console_last(const struct console *c, char *ret, size_t max)
{
	size_t n = 0, end = c->len, from;

	while (end > 0 && (unsigned char)c->tail[end - 1] <= ' ')
		end--;
	from = last_lines(c, end, max);
	for (size_t i = from; i < end && n + 1 < max; i++) {
		unsigned char ch = (unsigned char)c->tail[i];
		if (ch == '\r')
			continue;
		ret[n++] = ch == '\n' ? '|' : ch < ' ' || ch > '~' ? '?' : (char)ch;
	}
	ret[n] = '\0';
}
