/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * A question by UDP gets a socket of its own towards the resolver, which may
 * tell its clients apart by their ports, and the asker's address is kept until
 * the answer has come, or the place is needed.  By TCP bytes go both ways
 * until both sides have ended, one of them is broken, or all was silent for
 * long: who has asked may say that it asks no more, and waits for the answer.
 * The relay understands nothing of what it carries.
 *
 * The guest's packets come from an address that this namespace calls its own
 * (the interface keeps it, net.c), so that an answer goes to the guest only
 * when it is sent out on the tap: the sockets are bound to it.
 */
#include "vm/names.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/caps.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

enum {
	FILE_MAX = 64 << 10,
	QUESTIONS = 64,
	CONNECTIONS = 16,
	MESSAGE = 65536,
	SILENT_MS = 15000,
	NAMES_PORT = 53,
};

/* ---- resolv.conf ---- */

/* The server of a line "nameserver ADDRESS", or nothing. */
static size_t server_at(const char *line, size_t *ret_len)
{
	static const char word[] = "nameserver";
	size_t at = sizeof(word) - 1;

	if (!str_starts(line, word) || (line[at] != ' ' && line[at] != '\t'))
		return 0;
	at += strspn(line + at, " \t");
	*ret_len = strcspn(line + at, " \t\r\n");
	return at;
}

/* NULL: no line names the resolver (or there is no memory: *ret_found). */
static char *without_resolver(const char *text, bool *ret_found)
{
	struct str out autostr = {0};

	*ret_found = false;
	for (const char *line = text; *line;) {
		size_t all = strcspn(line, "\n"), len = 0, at = server_at(line, &len);
		all += line[all] == '\n';
		if (at && len == strlen(VM_NAMES_RESOLVER) &&
		    memcmp(line + at, VM_NAMES_RESOLVER, len) == 0) {
			*ret_found = true;
			str_put(&out, "nameserver " VM_NAMES_ADDRESS "\n");
		} else {
			str_put_n(&out, line, all);
		}
		line += all;
	}
	return *ret_found ? str_take(&out) : NULL;
}

/* A file of a new tmpfs, which is nowhere but for a moment on the directory that has the place. */
static int mount_over(const char *text, struct err *err)
{
	if (mount("tmpfs", "/etc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=128k,nr_inodes=8,mode=755") < 0)
		return err_sys(err, "cannot mount a tmpfs for the guest's resolv.conf");
	int r = file_replace_at(AT_FDCWD, VM_NAMES_FILE, text, strlen(text), 0644, false);
	autoclose int tree =
		r < 0 ? -1 : sys_open_tree(AT_FDCWD, VM_NAMES_FILE, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (r == 0 && tree < 0)
		r = -errno;
	if (umount2("/etc", MNT_DETACH) < 0 && r == 0)
		r = -errno;
	if (r == 0 && sys_move_mount(tree, "", AT_FDCWD, VM_NAMES_FILE, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = -errno;
	return r < 0 ? err_num(err, r, "cannot replace the guest's resolv.conf") : 1;
}

int vm_names_replace(struct err *err)
{
	autofree char *text = NULL;
	struct stat st;
	size_t len = 0;
	bool found;

	if (lstat(VM_NAMES_FILE, &st) < 0 || !S_ISREG(st.st_mode) ||
	    file_read_named(VM_NAMES_FILE, FILE_MAX, &text, &len) < 0)
		return 0; /* the image has none of ours */
	autofree char *other = without_resolver(text, &found);
	if (!found)
		return 0;
	return other ? mount_over(other, err) : err_oom(err);
}

/* ---- sockets ---- */

static struct sockaddr_in names_address(const char *text)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(NAMES_PORT)};

	(void)inet_pton(AF_INET, text, &a.sin_addr); /* an address that was checked, or is a constant */
	return a;
}

static int listen_on(const char *tap, int type, struct err *err)
{
	const struct sockaddr_in at = names_address(VM_NAMES_ADDRESS);
	autoclose int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int yes = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, tap, (socklen_t)strlen(tap) + 1) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, CONNECTIONS) < 0))
		return err_sys(err, "cannot listen for the guest's questions for names");
	return take_fd(&fd);
}

int vm_names_listen(const char *tap, struct vm_names *ret, struct err *err)
{
	struct vm_names n = {.udp = listen_on(tap, SOCK_DGRAM, err), .tcp = -1};

	if (n.udp >= 0)
		n.tcp = listen_on(tap, SOCK_STREAM, err);
	if (n.tcp < 0) {
		vm_names_close(&n);
		return -err->code;
	}
	*ret = n;
	return 0;
}

void vm_names_close(struct vm_names *n)
{
	fd_drop(&n->udp);
	fd_drop(&n->tcp);
}

/* ---- the relay ---- */

struct name_question {
	int fd; /* -1: free */
	struct sockaddr_in asker;
	int64_t since;
};
struct name_connection {
	int guest, server;    /* -1: free */
	bool asked, answered; /* that side has ended, and the other was told */
	int64_t since;
};
struct name_relay {
	const struct vm_names *sockets;
	struct sockaddr_in resolver;
	struct name_question questions[QUESTIONS];
	struct name_connection connections[CONNECTIONS];
	unsigned char message[MESSAGE];
};

static int towards_resolver(const struct name_relay *r, int type)
{
	/* Who does not take what is sent holds up the guest's questions, and nobody else's. */
	const struct timeval patience = {.tv_sec = 2};
	autoclose int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (const struct sockaddr *)&r->resolver, sizeof(r->resolver)) < 0)
		return -1;
	return take_fd(&fd);
}

/* The one that is free, or waited longest. */
static void take_question(struct name_relay *r)
{
	struct sockaddr_in from = {0};
	socklen_t size = sizeof(from);
	ssize_t n =
		recvfrom(r->sockets->udp, r->message, sizeof(r->message), 0, (struct sockaddr *)&from, &size);
	struct name_question *q = &r->questions[0];

	for (size_t i = 1; i < QUESTIONS && q->fd >= 0; i++)
		if (r->questions[i].fd < 0 || r->questions[i].since < q->since)
			q = &r->questions[i];
	if (n <= 0)
		return;
	fd_drop(&q->fd);
	*q = (struct name_question){
		.fd = towards_resolver(r, SOCK_DGRAM), .asker = from, .since = clock_ms()};
	if (q->fd >= 0)
		(void)send(q->fd, r->message, (size_t)n, MSG_NOSIGNAL); /* lost: it is asked again */
}

static void pass_answer(struct name_relay *r, struct name_question *q)
{
	ssize_t n = recv(q->fd, r->message, sizeof(r->message), MSG_DONTWAIT);

	if (n > 0)
		(void)sendto(r->sockets->udp, r->message, (size_t)n, 0, (const struct sockaddr *)&q->asker,
			     sizeof(q->asker)); /* lost: it is asked again */
	fd_drop(&q->fd);
}

static void hang_up(struct name_connection *c)
{
	fd_drop(&c->guest);
	fd_drop(&c->server);
}

static void take_connection(struct name_relay *r)
{
	const struct timeval patience = {.tv_sec = 2};
	int fd = accept4(r->sockets->tcp, NULL, NULL, SOCK_CLOEXEC);
	struct name_connection *c = &r->connections[0];

	for (size_t i = 1; i < CONNECTIONS && c->guest >= 0; i++)
		if (r->connections[i].guest < 0 || r->connections[i].since < c->since)
			c = &r->connections[i];
	if (fd < 0)
		return;
	hang_up(c);
	*c = (struct name_connection){
		.guest = fd, .server = towards_resolver(r, SOCK_STREAM), .since = clock_ms()};
	if (c->server < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		hang_up(c);
}

/* false: the connection is broken. */
static bool carry_bytes(struct name_relay *r, int from, int to, bool *ended)
{
	ssize_t n = recv(from, r->message, sizeof(r->message), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n > 0)
		return fd_write_all(to, r->message, (size_t)n) == 0;
	*ended = true;
	return shutdown(to, SHUT_WR) == 0;
}

static void carry(struct name_relay *r, struct name_connection *c, bool asks, bool answers)
{
	c->since = clock_ms();
	if ((asks && !carry_bytes(r, c->guest, c->server, &c->asked)) ||
	    (answers && !carry_bytes(r, c->server, c->guest, &c->answered)) || (c->asked && c->answered))
		hang_up(c);
}

static void names_turn(struct name_relay *r)
{
	struct pollfd p[2 + QUESTIONS + 2 * CONNECTIONS];
	int64_t old = clock_ms() - SILENT_MS;
	size_t n = 0;

	p[n++] = (struct pollfd){.fd = r->sockets->udp, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = r->sockets->tcp, .events = POLLIN};
	for (size_t i = 0; i < QUESTIONS; i++) {
		if (r->questions[i].since < old)
			fd_drop(&r->questions[i].fd);
		p[n++] = (struct pollfd){.fd = r->questions[i].fd, .events = POLLIN};
	}
	for (size_t i = 0; i < CONNECTIONS; i++) {
		if (r->connections[i].since < old)
			hang_up(&r->connections[i]);
		const struct name_connection *c = &r->connections[i];
		/* Of one that has ended only that it is broken is still to be heard. */
		p[n++] = (struct pollfd){.fd = c->guest, .events = c->asked ? 0 : POLLIN};
		p[n++] = (struct pollfd){.fd = c->server, .events = c->answered ? 0 : POLLIN};
	}
	if (poll(p, n, -1) < 0)
		return;
	for (size_t i = 0; i < QUESTIONS; i++)
		if (p[2 + i].revents)
			pass_answer(r, &r->questions[i]);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		const struct pollfd *at = &p[2 + QUESTIONS + 2 * i];
		if (at[0].revents || at[1].revents)
			carry(r, &r->connections[i], at[0].revents != 0, at[1].revents != 0);
	}
	if (p[0].revents)
		take_question(r);
	if (p[1].revents)
		take_connection(r);
}

_Noreturn void vm_names_serve(const struct vm_names *sockets, const char *resolver)
{
	struct name_relay *r = calloc(1, sizeof(*r));
	const struct caps none = {.set = true};
	struct err err = {0};

	if (!r || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || caps_apply(&none, 0, &err) < 0)
		_exit(1);
	(void)signal(SIGPIPE, SIG_IGN); /* of one who asked, ended, and goes before all is answered */
	r->sockets = sockets;
	r->resolver = names_address(resolver);
	for (size_t i = 0; i < QUESTIONS; i++)
		r->questions[i].fd = -1;
	for (size_t i = 0; i < CONNECTIONS; i++)
		r->connections[i].guest = r->connections[i].server = -1;
	for (;;)
		names_turn(r);
}
