/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --trace: one line a call, as strace writes it, from the types in the table;
 * and the table itself as a page of documentation.
 *
 * A line is what a hostile program chose: strings are escaped and cut, and a
 * line has an end.  What cannot be read is shown as its address.  Lines are
 * written whole, by one write(2), so that threads do not mix; where the
 * reader is slow or gone, the guest does not wait for it: the line is lost.
 */
#include "base/str.h"
#include "sentry/boot.h"
#include "sentry/guest.h"
#include "sentry/task.h"

#include <ctype.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { SHOWN_STRING = 64, SHOWN_VECTOR = 4, SHOWN_ADDRESS = 32 };

static void escape(struct str *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char ch = (unsigned char)text[i];

		switch (ch) {
		case '\n':
			str_put(out, "\\n");
			break;
		case '\t':
			str_put(out, "\\t");
			break;
		case '\r':
			str_put(out, "\\r");
			break;
		case '"':
		case '\\':
			str_putf(out, "\\%c", ch);
			break;
		default:
			if (ch >= 0x20 && ch < 0x7f)
				str_put_n(out, &text[i], 1);
			else
				str_putf(out, "\\x%02x", ch);
		}
	}
}

static void put_guest_address(struct str *out, uint64_t address)
{
	if (address)
		str_putf(out, "%#llx", (unsigned long long)address);
	else
		str_put(out, "NULL");
}

static void put_guest_bytes(struct str *out, const struct task *t, uint64_t address, uint64_t size)
{
	char text[SHOWN_STRING];
	ssize_t n = address && size ? guest_read_some(t, text, address, MIN_OF(size, (uint64_t)sizeof(text)))
				    : -EFAULT;

	if (n < 0) {
		put_guest_address(out, address);
		return;
	}
	str_put(out, "\"");
	escape(out, text, (size_t)n);
	str_put(out, size > (uint64_t)n ? "\"..." : "\"");
}

static void put_guest_string(struct str *out, const struct task *t, uint64_t address)
{
	char text[SHOWN_STRING + 1];
	ssize_t n = address ? guest_read_some(t, text, address, sizeof(text)) : -EFAULT;
	size_t len;

	if (n < 0) {
		put_guest_address(out, address);
		return;
	}
	len = strnlen(text, (size_t)n);
	str_put(out, "\"");
	escape(out, text, MIN_OF(len, (size_t)SHOWN_STRING));
	str_put(out, len > SHOWN_STRING ? "\"..." : "\"");
}

static void put_vector(struct str *out, const struct task *t, uint64_t address, uint64_t count)
{
	struct iovec iov[SHOWN_VECTOR];
	size_t n = MIN_OF(count, (uint64_t)SHOWN_VECTOR);

	if (!n || guest_read(t, iov, address, n * sizeof(*iov))) {
		put_guest_address(out, address);
		return;
	}
	str_put(out, "[");
	for (size_t i = 0; i < n; i++)
		str_putf(out, "%s{%p, %zu}", i ? ", " : "", iov[i].iov_base, iov[i].iov_len);
	str_put(out, count > n ? ", ...]" : "]");
}

static void put_guest_time(struct str *out, const struct task *t, uint64_t address)
{
	struct timespec ts;

	if (!address || guest_get(t, &ts, address))
		put_guest_address(out, address);
	else
		str_putf(out, "{%lld, %ld}", (long long)ts.tv_sec, ts.tv_nsec);
}

static void put_signal(struct str *out, uint64_t sig)
{
	const char *name = sig <= 64 ? sigabbrev_np((int)sig) : NULL;

	if (name)
		str_putf(out, "SIG%s", name);
	else
		str_putf(out, "%d", (int)sig);
}

/* One argument by its letter; `next` is the argument behind it. */
static void put_argument(struct str *out, const struct task *t, char type, uint64_t arg, uint64_t next,
			 bool failed)
{
	switch (type) {
	case 'd':
	case 'f':
	case 'n':
		str_putf(out, "%d", (int)arg);
		break;
	case 'u':
		str_putf(out, "%u", (unsigned)arg);
		break;
	case 'l':
		str_putf(out, "%lld", (long long)arg);
		break;
	case 'z':
		str_putf(out, "%llu", (unsigned long long)arg);
		break;
	case 'x':
		str_putf(out, arg ? "%#llx" : "%llx", (unsigned long long)arg);
		break;
	case 'o':
		str_putf(out, "%#o", (unsigned)arg);
		break;
	case 'D':
		if ((int)arg == AT_FDCWD)
			str_put(out, "AT_FDCWD");
		else
			str_putf(out, "%d", (int)arg);
		break;
	case 's':
	case 'S':
		put_guest_string(out, t, arg);
		break;
	case 'b':
		put_guest_bytes(out, t, arg, next);
		break;
	case 'B':
		if (failed)
			put_guest_address(out, arg);
		else
			put_guest_bytes(out, t, arg, next);
		break;
	case 'v':
		put_vector(out, t, arg, next);
		break;
	case 't':
		put_guest_time(out, t, arg);
		break;
	case 'g':
		put_signal(out, arg);
		break;
	case 'a':
		put_guest_bytes(out, t, arg, MIN_OF(next, (uint64_t)SHOWN_ADDRESS));
		break;
	default:
		put_guest_address(out, arg);
	}
}

static void put_result(struct str *out, char type, long result)
{
	if (result <= -4096) {
		/* The host executes it, or the thread has a new image. */
		str_put(out, result == CALL_HOST ? "(by the host)" : "?");
	} else if (result < 0) {
		const char *name = strerrorname_np((int)-result);

		if (name)
			str_putf(out, "-1 %s (%s)", name, strerrordesc_np((int)-result));
		else
			str_putf(out, "? (interrupted, %ld)", result);
	} else if (type == 'x' || type == 'p') {
		str_putf(out, "%#lx", (unsigned long)result);
	} else {
		str_putf(out, "%ld", result);
	}
}

/* Regular files need no RWF_NOWAIT, and some do not know it; a pipe that is full loses the line. */
static void put_trace_line(int fd, const char *line, size_t n)
{
	const struct iovec one = {.iov_base = (void *)line, .iov_len = n};

	if (pwritev2(fd, &one, 1, -1, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP)
		ignore_result(write(fd, line, n));
}

void call_trace(struct task *t, const struct call *c, long result)
{
	const struct call_row *row = call_row(c->nr);
	struct str autostr out = {0};
	size_t n = row ? strlen(row->types) : 6;

	if (kernel.boot->trace_fd < 0)
		return;
	str_putf(&out, "[%d] ", t->tid);
	if (row)
		str_put(&out, row->name);
	else
		str_putf(&out, "syscall_%d", c->nr);
	str_put(&out, "(");
	for (size_t i = 0; i < n && i < 6; i++) {
		/* What a read has brought is as long as its result. */
		uint64_t next = i < 5 ? c->args[i + 1] : 0;

		if (i)
			str_put(&out, ", ");
		if (row && row->types[i] == 'B' && result >= 0 && (uint64_t)result < next)
			next = (uint64_t)result;
		put_argument(&out, t, row ? row->types[i] : 'x', c->args[i], next, result < 0);
	}
	str_put(&out, ") = ");
	put_result(&out, row ? row->returns : 'd', result);
	str_put(&out, "\n");
	if (out.s && !out.failed)
		put_trace_line(kernel.boot->trace_fd, out.s, out.len);
}

/* ---- the page ---- */

static const char *row_support(const struct call_row *row)
{
	switch (row->route) {
	case ROUTE_NATIVE:
		return "native";
	case ROUTE_GUARDED:
		return "yes, partly native";
	case ROUTE_REFUSED:
		return strerrorname_np(row->error);
	case ROUTE_TRAP:
	default:
		return row->support == FULL ? "yes" : "partly";
	}
}

int call_table_print(FILE *to)
{
	fputs("# System calls of isolation level `kernel`\n\n"
	      "Written by `coffer-sentry --table` from the table that the sentry answers by; a test "
	      "compares.\n\n"
	      "*yes*: answered by the sentry; *native*: executed by the host's kernel for the guest's own "
	      "process, passed "
	      "by the filter; an errno: refused.\n\n"
	      "| nr | call | support | remarks |\n|---|---|---|---|\n",
	      to);
	for (int nr = 0; nr < call_count(); nr++) {
		const struct call_row *row = call_row(nr);

		if (row)
			fprintf(to, "| %d | %s | %s | %s |\n", nr, row->name, row_support(row),
				row->reason ? row->reason : "");
	}
	return fflush(to) == 0 && !ferror(to) ? 0 : -EIO;
}
