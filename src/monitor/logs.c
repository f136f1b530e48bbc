/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a json-file log: PATH.N … PATH.1, then PATH, and then what comes.
 *
 * The files are opened from the newest on, and one that was met already
 * (it was renamed between two opens) is left out: a rotation meanwhile neither loses nor
 * doubles a file.  --tail counts line breaks from the end backwards, so that
 * the last lines of a gigabyte cost one block, and --since looks for its place by
 * halves, as entries stand in the order of their times.  Following, inotify tells of
 * writes and renames, and a connection to the monitor of the container's
 * end, which is told after the last line was written.
 *
 * A line that is no entry (torn by a kill -9, or foreign) is passed over; the
 * piece behind the last line break is waited for, or passed over at the end.
 */
#include "base/fd.h"
#include "monitor/conn.h"
#include "monitor/log_print.h"
#include "monitor/logs_journal.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum {
	LOGS_FILES_MAX = 1024,
	LOGS_BLOCK = 65536,
	LOGS_LINE_LIMIT = 4 << 20,	/* a longer one is none of ours */
	LOGS_PROBE = 4 * LOG_ENTRY_MAX, /* bytes in which a whole entry begins and ends */
	LOGS_PLAIN_HALF = 512 << 10,	/* what a console's log keeps when it grows too long (vm/console.c) */
	LOGS_CLOCK_SLACK = 10,		/* seconds by which the clock may have been set back */
};

struct log_source {
	int fd;
	dev_t dev;
	ino_t ino;
};

struct log_reader {
	const struct monitor_log_query *q;
	struct log_source file; /* being read */
	off_t at;		/* what is read of it */
	char *buf;		/* from the start of a line on; owned */
	size_t len, cap;
	bool skipping; /* the rest of a line that is too long */
	struct log_print print;
};

static void reader_free(struct log_reader *r)
{
	fd_drop(&r->file.fd);
	free(r->buf);
	log_print_free(&r->print);
}

static int each_line(struct log_reader *r, struct err *err)
{
	char *p = r->buf, *end = r->buf + r->len, *nl;
	int n = 0;

	while (n == 0 && !r->print.done && (nl = memchr(p, '\n', (size_t)(end - p)))) {
		struct log_entry e = {.text = p, .len = (size_t)(nl + 1 - p)};
		if (!r->skipping && (r->q->plain || log_line_decode(p, (size_t)(nl - p), &e) == 0))
			n = log_print_entry(&r->print, &e, err);
		r->skipping = false;
		p = nl + 1;
	}
	r->len = (size_t)(end - p);
	memmove(r->buf, p, r->len);
	if (r->len > LOGS_LINE_LIMIT) {
		r->skipping = true;
		r->len = 0;
	}
	return n;
}

/* To the end of the file as it is now. */
static int read_file(struct log_reader *r, struct err *err)
{
	struct stat st;

	/* Cut in place (one file only): from the start again, or from where it was halved. */
	if (fstat(r->file.fd, &st) == 0 && st.st_size < r->at) {
		r->at = r->q->plain ? MIN_OF(st.st_size, LOGS_PLAIN_HALF) : 0;
		r->len = 0;
	}
	while (!r->print.done) {
		if (r->cap - r->len < LOGS_BLOCK) {
			char *bigger = realloc(r->buf, r->len + 2 * LOGS_BLOCK);
			if (!bigger)
				return err_oom(err);
			r->buf = bigger;
			r->cap = r->len + 2 * LOGS_BLOCK;
		}
		ssize_t n = pread(r->file.fd, r->buf + r->len, LOGS_BLOCK, r->at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read the log \"%s\"", r->q->path);
		if (n == 0)
			break;
		r->at += n;
		r->len += (size_t)n;
		int e = each_line(r, err);
		if (e < 0)
			return e;
	}
	return 0;
}

/* `number` 0 is PATH itself. */
static int open_log_source(const char *path, unsigned number, struct log_source *ret)
{
	autofree char *name = number ? str_format("%s.%u", path, number) : strdup(path);
	struct stat st;

	if (!name)
		return -ENOMEM;
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd); /* not a log */
		return -EINVAL;
	}
	*ret = (struct log_source){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

static bool same_source(const struct log_source *a, const struct log_source *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static void switch_to(struct log_reader *r, struct log_source *s, off_t at)
{
	fd_drop(&r->file.fd);
	r->file = *s;
	s->fd = -1;
	r->at = at;
	r->len = 0;
	r->skipping = false;
}

/* Where the last `want` whole lines begin; *ret_found is how many there are, at most `want`. */
static off_t tail_start(int fd, int64_t want, int64_t *ret_found)
{
	char block[LOGS_BLOCK / 4];
	off_t at = lseek(fd, 0, SEEK_END), start = 0;
	int64_t breaks = 0;

	*ret_found = 0;
	while (at > 0) {
		size_t n = (size_t)MIN_OF(at, (off_t)sizeof(block));
		at -= (off_t)n;
		if (pread(fd, block, n, at) != (ssize_t)n)
			break;
		for (size_t i = n; i > 0; i--) {
			if (block[i - 1] != '\n')
				continue;
			/* The break before the first of the lines wanted. */
			if (breaks == want) {
				*ret_found = want;
				return at + (off_t)i;
			}
			breaks++;
		}
	}
	*ret_found = breaks;
	return start;
}

/* The first whole entry from `at` on: its time, and where it begins.  False where none is found. */
static bool time_from(int fd, off_t at, char *buf, off_t *ret_start, int64_t *ret)
{
	ssize_t n = pread(fd, buf, LOGS_PROBE, at);
	char *end = n > 0 ? buf + n : buf, *p = buf, *nl;
	struct log_entry e;

	if (at > 0) { /* in the middle of a line, as far as is known */
		nl = memchr(p, '\n', (size_t)(end - p));
		p = nl ? nl + 1 : end;
	}
	for (; (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1) {
		if (log_line_decode(p, (size_t)(nl - p), &e) < 0)
			continue;
		*ret_start = at + (p - buf);
		*ret = e.time;
		return true;
	}
	return false;
}

/*
 * Of `n` files, newest first, the number that have to be read for what is of `since` or later, and where to
 * begin in the last of them.
 */
static size_t since_start(const struct log_source *v, size_t n, int64_t since, off_t *ret_at)
{
	autofree char *buf = malloc(LOGS_PROBE);
	off_t low = 0, high = 0, start;
	int64_t time;
	size_t k = 0;

	*ret_at = 0;
	if (!buf) /* by the longer way */
		return n;
	while (k < n && !(time_from(v[k++].fd, 0, buf, &start, &time) && time < since))
		;
	if (k > 0)
		high = lseek(v[k - 1].fd, 0, SEEK_END);
	while (high - low > LOGS_PROBE) {
		off_t middle = low + (high - low) / 2;
		if (time_from(v[k - 1].fd, middle, buf, &start, &time) && time < since)
			low = start;
		else
			high = middle;
	}
	*ret_at = low;
	return k;
}

/* All files, newest first; returns how many. */
static size_t open_sources(const char *path, struct log_source *v)
{
	size_t n = 0;
	unsigned missing = 0;

	/* A rotation that was killed leaves one number out. */
	for (unsigned i = 0; i < LOGS_FILES_MAX - 1 && missing < 2; i++) {
		struct log_source s;
		if (open_log_source(path, i, &s) < 0) {
			missing += i > 0;
			continue;
		}
		missing = 0;
		if (n > 0 && same_source(&s, &v[n - 1]))
			(void)close(s.fd); /* met already */
		else
			v[n++] = s;
	}
	return n;
}

static int read_all(struct log_reader *r, struct err *err)
{
	autofree struct log_source *v = calloc(LOGS_FILES_MAX, sizeof(*v));
	off_t at = 0;
	int e = 0;

	if (!v)
		return err_oom(err);
	size_t n = open_sources(r->q->path, v), first = n;
	int64_t left = r->q->tail;
	if (left >= 0) {
		for (first = 0; first < n;) {
			int64_t found;
			at = tail_start(v[first++].fd, left, &found);
			left -= found;
			if (left <= 0)
				break;
		}
	} else if (r->q->since) {
		first = since_start(v, n, r->q->since - LOGS_CLOCK_SLACK * INT64_C(1000000000), &at);
	}
	for (size_t i = n; i > first; i--)
		fd_drop(&v[i - 1].fd);
	for (size_t i = first; i > 0; i--) {
		if (e == 0 && !r->print.done) {
			switch_to(r, &v[i - 1], i == first ? at : 0);
			e = read_file(r, err);
		}
		fd_drop(&v[i - 1].fd);
	}
	return e;
}

/* ---- following ---- */

/* The file after the one being read, where it was rotated away: 1, or 0 where it is still the newest. */
static int next_source(struct log_reader *r, struct log_source *ret)
{
	struct log_source s, newer;

	if (open_log_source(r->q->path, 0, &newer) < 0) /* between two renames: looked for again */
		return 0;
	if (r->file.fd >= 0 && same_source(&newer, &r->file)) {
		(void)close(newer.fd); /* it is the one being read */
		return 0;
	}
	for (unsigned i = 1; r->file.fd >= 0 && i < LOGS_FILES_MAX; i++) {
		if (open_log_source(r->q->path, i, &s) < 0)
			break;
		if (same_source(&s, &r->file)) { /* `newer` was made after it */
			(void)close(s.fd);	 /* only asked for */
			break;
		}
		(void)close(newer.fd); /* newer still: its turn comes */
		newer = s;
	}
	*ret = newer;
	return 1;
}

static int read_on(struct log_reader *r, struct err *err)
{
	struct log_source next;
	int e = r->file.fd >= 0 ? read_file(r, err) : 0;

	while (e == 0 && !r->print.done && next_source(r, &next)) {
		/* Written to the old one between our reading and its renaming. */
		e = r->file.fd >= 0 ? read_file(r, err) : 0;
		switch_to(r, &next, 0);
		if (e == 0)
			e = read_file(r, err);
	}
	return e < 0 ? e : log_print_flush(&r->print, err);
}

static int watch_log(const char *path, struct err *err)
{
	autofree char *dir = strdup(path);
	autoclose int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!slash)
		return err_set(err, EINVAL, "the path of the log \"%s\" is not absolute", path);
	slash[slash == dir] = '\0';
	if (fd < 0 || inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0)
		return err_sys(err, "cannot watch \"%s\" for changes of the log", dir);
	return take_fd(&fd);
}

/* A machine's console goes with its machine; the next one's is another. */
static bool is_removed(const struct log_reader *r)
{
	struct stat st;

	return r->q->plain && fstat(r->file.fd, &st) == 0 && st.st_nlink == 0;
}

static int follow_log(struct log_reader *r, int changes, struct err *err)
{
	autoclose int conn = conn_follow(r->q->run_dir);
	char events[4096];

	for (;;) {
		bool last = conn < 0 || is_removed(r);
		int e = read_on(r, err);
		if (e < 0 || r->print.done || last)
			return e;
		struct pollfd p[] = {{.fd = changes, .events = POLLIN},
				     {.fd = conn, .events = POLLIN},
				     {.fd = r->q->out_fd, .events = 0}}; /* who reads us is gone: POLLERR */
		int n = poll(p, ARRAY_LEN(p), log_print_until_ms(r->q));
		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the log");
		if (n == 0) /* `until` is now */
			return read_on(r, err);
		if (n > 0 && p[0].revents)
			ignore_result(read(changes, events, sizeof(events)) <
				      0); /* that there are some is all */
		if (n > 0 && p[1].revents)
			conn_follow_read(r->q->run_dir, &conn);
		if (n > 0 && (p[2].revents & (POLLERR | POLLNVAL)))
			return 0;
	}
}

int monitor_logs(const struct monitor_log_query *q, struct err *err)
{
	if (q->journal_id)
		return logs_journal(q, err);

	struct log_reader r = {.q = q, .file = {.fd = -1}};
	bool on = q->follow && q->run_dir;
	autoclose int changes = -1;
	int e = 0;

	log_print_begin(&r.print, q);
	if (on)
		changes = e = watch_log(q->path, err); /* before reading: nothing falls in between */
	if (e >= 0)
		e = read_all(&r, err);
	if (e == 0)
		e = log_print_flush(&r.print, err);
	if (e == 0 && on && !r.print.done)
		e = follow_log(&r, changes, err);
	if (e == 0 && q->plain && r.len > 0) { /* a last line without an end */
		const struct log_entry rest = {.text = r.buf, .len = r.len};
		e = log_print_entry(&r.print, &rest, err);
		if (e == 0)
			e = log_print_flush(&r.print, err);
	}
	reader_free(&r);
	return MIN_OF(e, 0);
}
