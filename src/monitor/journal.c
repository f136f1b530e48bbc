/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/journal.h"

#include "base/fd.h"
#include "base/str.h"

#include <endian.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

int journal_open(struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
	/* A journal that is stuck must not hold the container for ever. */
	struct timeval patience = {.tv_sec = 5};
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket for the journal");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "cannot log to journald: there is no journal at " JOURNAL_SOCKET
				    " (use another --log-driver, as json-file)");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return err_sys(err, "cannot set up the journal's socket");
	return take_fd(&fd);
}

/* NAME=value as long as it is one line; the length in binary where it is not. */
static void put_journal_field(struct str *b, const char *name, size_t name_len, const char *value, size_t len)
{
	str_put_n(b, name, name_len);
	if (memchr(value, '\n', len)) {
		uint64_t le = htole64(len);
		str_put(b, "\n");
		str_put_n(b, &le, sizeof(le));
	} else {
		str_put(b, "=");
	}
	str_put_n(b, value, len);
	str_put(b, "\n");
}

/* The journal takes A-Z, 0-9 and _, not at the front, in names: what else stands in a label becomes _. */
static void put_label(struct str *b, const char *label)
{
	const char *eq = strchr(label, '=');
	char name[65];
	size_t n = 0;

	if (!eq)
		return;
	for (const char *p = label; p < eq && n < sizeof(name) - 1; p++) {
		char c = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
		bool good = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (n > 0 || good)
			name[n++] = good ? c : '_';
	}
	if (n > 0 && !(name[0] >= '0' && name[0] <= '9'))
		put_journal_field(b, name, n, eq + 1, strlen(eq + 1));
}

int journal_prepare(struct journal_source *s, struct err *err)
{
	struct str b autostr = {0};
	const char *const fields[][2] = {
		{"CONTAINER_ID_FULL", s->id}, {"CONTAINER_NAME", s->name}, {"IMAGE_NAME", s->image}};
	size_t short_len = strnlen(s->id, 12);

	put_journal_field(&b, "CONTAINER_ID", strlen("CONTAINER_ID"), s->id, short_len);
	put_journal_field(&b, "CONTAINER_TAG", strlen("CONTAINER_TAG"), s->id, short_len);
	put_journal_field(&b, "SYSLOG_IDENTIFIER", strlen("SYSLOG_IDENTIFIER"), s->id, short_len);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i][1])
			put_journal_field(&b, fields[i][0], strlen(fields[i][0]), fields[i][1],
					  strlen(fields[i][1]));
	for (size_t i = 0; i < s->labels.n; i++)
		put_label(&b, s->labels.v[i]);
	s->fields_len = b.len;
	s->fields = str_take(&b);
	return s->fields ? 0 : err_oom(err);
}

int journal_send(int sock, const struct journal_source *s, bool is_err, const void *text, size_t len,
		 bool partial)
{
	static const char out_head[] = "PRIORITY=6\nMESSAGE\n", err_head[] = "PRIORITY=3\nMESSAGE\n";
	static const char end[] = "\n", partial_end[] = "\nCONTAINER_PARTIAL_MESSAGE=true\n";
	uint64_t le = htole64(len);
	struct iovec iov[] = {
		{s->fields, s->fields_len},
		{(void *)(uintptr_t)(is_err ? err_head : out_head), sizeof(out_head) - 1},
		{&le, sizeof(le)},
		{(void *)(uintptr_t)text, len},
		{(void *)(uintptr_t)(partial ? partial_end : end), strlen(partial ? partial_end : end)},
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};
	ssize_t n;

	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
