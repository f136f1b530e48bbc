/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/report.h"

#include "base/fd.h"
#include "host/held_mounts.h"

/* After an upgrade the maker of a restart may be newer than the monitor: the version says what the bytes
 * are. */
struct report_wire {
	uint32_t version, fds; /* bits: which descriptors come along, in this order */
	uint32_t held;	       /* how many more come behind them */
	uint32_t reserved;
	int64_t pid;
	uint64_t start_time;
	int32_t error, exit_status;
	char message[ERR_MSG_MAX];
};
/* Of the mounts, which come as a message of their own: those with their files, then those to be closed. */
struct report_mounts {
	uint32_t version, offered, spent;
};
enum {
	REPORT_VERSION = 3,
	REPORT_MOUNTS_VERSION = 4,
	REPORT_FDS = 4,
	REPORT_FDS_MAX = REPORT_FDS + MONITOR_HELD_MAX,
	REPORT_MOUNTS_MAX = 2 * HELD_MOUNTS_MAX + HELD_SPENT_MAX,
};

int report_send(int sock, const struct monitor_made *m, struct err *err)
{
	struct report_wire w = {.version = REPORT_VERSION,
				.pid = m->pid,
				.start_time = m->start_time,
				.held = (uint32_t)m->n_held,
				.error = m->error,
				.exit_status = m->exit_status};
	const int all[REPORT_FDS] = {m->master, m->dns_udp, m->dns_tcp, m->root};
	int fds[REPORT_FDS_MAX];
	size_t n = 0;

	memcpy(w.message, m->message, strnlen(m->message, sizeof(w.message) - 1));
	for (size_t i = 0; i < REPORT_FDS; i++) {
		if (all[i] < 0)
			continue;
		w.fds |= 1U << i;
		fds[n++] = all[i];
	}
	memcpy(fds + n, m->held, m->n_held * sizeof(*fds));
	n += m->n_held;
	int r = fd_send(sock, &w, sizeof(w), fds, n);
	return r < 0 ? err_num(err, r, "cannot report to the container's monitor") : 0;
}

int monitor_report(const struct monitor_made *m, struct err *err)
{
	return report_send(MONITOR_REPORT_FD, m, err);
}

int report_recv(int sock, struct monitor_made *ret, struct err *err)
{
	struct report_wire w;
	int fds[REPORT_FDS_MAX], all[REPORT_FDS] = {-1, -1, -1, -1};
	size_t nfds = 0, at = 0;
	ssize_t n = fd_recv(sock, &w, sizeof(w), fds, REPORT_FDS_MAX, &nfds);

	if (n == -EAGAIN)
		return -EAGAIN;
	if (n < 0 && n != -ECONNRESET)
		return err_num(err, (int)n, "cannot receive the maker's report");
	if (n <= 0)
		return 0;
	bool good = n == sizeof(w) && w.version == REPORT_VERSION && w.fds < 1U << REPORT_FDS &&
		    w.held <= MONITOR_HELD_MAX && (size_t)__builtin_popcount(w.fds) + w.held == nfds &&
		    memchr(w.message, '\0', sizeof(w.message)) && w.error >= 0 && w.exit_status >= 0 &&
		    w.exit_status <= 255 && (w.error > 0 || (w.pid > 0 && w.pid <= INT32_MAX));
	if (!good) {
		for (size_t i = 0; i < nfds; i++)
			(void)close(fds[i]); /* of a report that is none */
		return err_set(
			err, EPROTO,
			"the maker's report is of another version, or broken (was coffer upgraded while "
			"the container ran?)");
	}
	for (size_t i = 0; i < REPORT_FDS; i++)
		if (w.fds & 1U << i)
			all[i] = fds[at++];
	*ret = (struct monitor_made){.pid = (pid_t)w.pid,
				     .start_time = w.start_time,
				     .master = all[0],
				     .dns_udp = all[1],
				     .dns_tcp = all[2],
				     .root = all[3],
				     .n_held = w.held,
				     .error = w.error,
				     .exit_status = w.exit_status};
	memcpy(ret->message, w.message, sizeof(w.message));
	memcpy(ret->held, fds + at, w.held * sizeof(*fds));
	return 1;
}

void monitor_report_layers(const struct held_mounts *held)
{
	const struct report_mounts w = {REPORT_MOUNTS_VERSION, (uint32_t)held->n, (uint32_t)held->n_spent};
	int fds[REPORT_MOUNTS_MAX];

	memcpy(fds, held->fd, held->n * sizeof(*fds));
	memcpy(fds + held->n, held->spent, held->n_spent * sizeof(*fds));
	/* Lost: others do not share this container's mounts. */
	if (held->n + held->n_spent > 0)
		ignore_result(fd_send(MONITOR_REPORT_FD, &w, sizeof(w), fds, held->n + held->n_spent) < 0);
}

int report_recv_layers(int sock, struct held_mounts *ret)
{
	struct report_mounts w;
	int fds[REPORT_MOUNTS_MAX];
	size_t nfds = 0;

	ret->n = ret->n_spent = 0;
	ssize_t n = fd_recv(sock, &w, sizeof(w), fds, ARRAY_LEN(fds), &nfds);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n == sizeof(w) && w.version == REPORT_MOUNTS_VERSION && nfds > 0 &&
	    w.offered <= ARRAY_LEN(ret->fd) && w.spent <= ARRAY_LEN(ret->spent) &&
	    w.offered + w.spent == nfds) {
		ret->n = w.offered;
		ret->n_spent = w.spent;
		memcpy(ret->fd, fds, ret->n * sizeof(*fds));
		memcpy(ret->spent, fds + ret->n, ret->n_spent * sizeof(*fds));
		return 1;
	}
	for (size_t i = 0; i < nfds; i++)
		(void)close(fds[i]); /* of a message that is none */
	return 0;
}
