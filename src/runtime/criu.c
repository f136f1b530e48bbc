/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/criu.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/sys.h"
#include "runtime/protobuf.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
	REPLY_MAX = 64 << 10,
	LOG_MAX = 64 << 20,
	SOCKET_FD = 3, /* in criu */
	HIGH_FD = 256, /* above all that criu is to see, so that nothing is overwritten while it is moved down
			*/
};

/* Fields of CriuReq and CriuResp. */
enum { REQ_TYPE = 1, REQ_OPTS = 2, REQ_NOTIFY_SUCCESS = 3, REQ_FEATURES = 5 };
enum {
	RESP_TYPE = 1,
	RESP_SUCCESS = 2,
	RESP_NOTIFY = 5,
	RESP_ERRNO = 7,
	RESP_FEATURES = 8,
	RESP_MESSAGE = 9
};
enum { NOTIFY_SCRIPT = 1, NOTIFY_PID = 2 };

/* ---- the process ---- */

/* The first criu in $PATH, or where distributions put it. */
static char *find_criu(void)
{
	const char *path = getenv("PATH");
	static const char fallback[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

	for (const char *p = path && *path ? path : fallback; *p; p += *p == ':') {
		size_t len = strcspn(p, ":");
		char *name = *p == '/' ? str_format("%.*s/criu", (int)len, p) : NULL;
		if (name && access(name, X_OK) == 0)
			return name;
		free(name);
		p += len;
	}
	return NULL;
}

static int move_up(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);

	if (high < 0)
		_exit(1);
	return high;
}

static _Noreturn void criu_child(const struct criu_call *call, const char *program, int sock)
{
	const char *const argv[] = {"criu", "swrk", "3", NULL};
	int high[64];
	sigset_t none;

	if (call->nfds >= ARRAY_LEN(high))
		_exit(1);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		_exit(1);
	if (call->mount_ns >= 0 && setns(call->mount_ns, CLONE_NEWNS) < 0)
		_exit(1);
	high[0] = move_up(sock);
	for (size_t i = 0; i < call->nfds; i++)
		high[i + 1] = move_up(call->fds[i]);
	for (size_t i = 0; i <= call->nfds; i++)
		if (dup2(high[i], SOCKET_FD + (int)i) < 0)
			_exit(1);
	if (sys_close_range(SOCKET_FD + 1 + (unsigned)call->nfds, ~0U, 0) < 0)
		_exit(1);
	execv(program, (char **)(uintptr_t)argv);
	_exit(127);
}

/* ---- messages ---- */

struct reply {
	unsigned type;
	bool success;
	int code;
	char script[64], message[256];
	pid_t pid;
	uint32_t features;
};

static void copy_text(char *to, size_t size, const struct pb_field *f)
{
	size_t n = MIN_OF(f->len, size - 1);

	memcpy(to, f->data, n);
	to[n] = '\0';
}

static int parse_notify(const struct pb_field *f, struct reply *reply)
{
	struct pb_in in = {.p = f->data, .end = f->data + f->len};
	struct pb_field part;
	int r;

	while ((r = pb_next(&in, &part)) > 0) {
		if (part.number == NOTIFY_SCRIPT && part.data)
			copy_text(reply->script, sizeof(reply->script), &part);
		else if (part.number == NOTIFY_PID)
			reply->pid = (pid_t)part.value;
	}
	return r;
}

static int parse_features(const struct pb_field *f, struct reply *reply)
{
	struct pb_in in = {.p = f->data, .end = f->data + f->len};
	struct pb_field part;
	int r;

	while ((r = pb_next(&in, &part)) > 0)
		if (part.number < 32 && part.value)
			reply->features |= 1U << part.number;
	return r;
}

static int parse_reply(const uint8_t *data, size_t len, struct reply *ret)
{
	struct pb_in in = {.p = data, .end = data + len};
	struct reply reply = {0};
	struct pb_field f;
	int r;

	while ((r = pb_next(&in, &f)) > 0) {
		if (f.number == RESP_TYPE)
			reply.type = (unsigned)f.value;
		else if (f.number == RESP_SUCCESS)
			reply.success = f.value != 0;
		else if (f.number == RESP_ERRNO)
			reply.code = (int)f.value;
		else if (f.number == RESP_MESSAGE && f.data)
			copy_text(reply.message, sizeof(reply.message), &f);
		else if (f.number == RESP_NOTIFY && f.data)
			r = parse_notify(&f, &reply);
		else if (f.number == RESP_FEATURES && f.data)
			r = parse_features(&f, &reply);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret = reply;
	return 0;
}

static int send_request(int sock, const struct criu_call *call, struct err *err)
{
	struct str b autostr = {0};

	pb_put_int(&b, REQ_TYPE, call->type);
	if (call->opts)
		pb_put_bytes(&b, REQ_OPTS, call->opts->s, call->opts->len);
	if (call->features)
		pb_put_bytes(&b, REQ_FEATURES, call->features->s, call->features->len);
	if (b.failed || (call->opts && call->opts->failed))
		return err_oom(err);
	int r = fd_send(sock, b.s, b.len, NULL, 0);
	return r < 0 ? err_num(err, r, "cannot send the request to criu") : 0;
}

static int send_consent(int sock, struct err *err)
{
	struct str b autostr = {0};

	pb_put_int(&b, REQ_TYPE, CRIU_NOTIFY);
	pb_put_int(&b, REQ_NOTIFY_SUCCESS, 1);
	int r = b.failed ? -ENOMEM : fd_send(sock, b.s, b.len, NULL, 0);
	return r < 0 ? err_num(err, r, "cannot answer criu") : 0;
}

/* The last lines of criu's log that say "Error": the reason is mostly among them. */
static void put_log_lines(struct str *text, const struct criu_call *call)
{
	autofree char *path = str_format("%s/%s", call->log_dir ? call->log_dir : ".", call->log_file);
	autofree char *log = NULL;
	const char *found[3] = {NULL};
	size_t len;

	if (!call->log_file || !path)
		return;
	str_putf(text, "; log file: %s", path);
	if (file_read_at(AT_FDCWD, path, LOG_MAX, &log, &len) < 0)
		return;
	for (const char *p = log; (p = strstr(p, "Error")); p += strcspn(p, "\n")) {
		found[0] = found[1];
		found[1] = found[2];
		found[2] = p;
	}
	for (size_t i = 0; i < ARRAY_LEN(found); i++)
		if (found[i])
			str_putf(text, "; %.*s", (int)MIN_OF(strcspn(found[i], "\n"), 200U), found[i]);
}

static int refused(const struct criu_call *call, const struct reply *reply, struct err *err)
{
	static const char *const names[] = {[CRIU_DUMP] = "DUMP",
					    [CRIU_RESTORE] = "RESTORE",
					    [CRIU_PRE_DUMP] = "PRE_DUMP",
					    [CRIU_NOTIFY] = "NOTIFY",
					    [CRIU_FEATURE_CHECK] = "FEATURE_CHECK"};
	const char *name = reply->type < ARRAY_LEN(names) ? names[reply->type] : NULL;
	struct str text autostr = {0};

	str_putf(&text, "criu failed: type %s errno %d", name ? name : "unknown", reply->code);
	if (reply->message[0])
		str_putf(&text, " (%s)", reply->message);
	put_log_lines(&text, call);
	return err_set(err, EIO, "%s", text.failed ? "criu failed" : text.s);
}

/* ---- the conversation ---- */

static int receive(int sock, struct reply *ret, int *ret_fd, struct err *err)
{
	autofree uint8_t *buf = malloc(REPLY_MAX);
	size_t nfds = 0;
	int fd = -1;

	if (!buf)
		return err_oom(err);
	ssize_t n = fd_recv(sock, buf, REPLY_MAX, &fd, 1, &nfds);
	autoclose int received = nfds ? fd : -1;
	if (n < 0)
		return err_num(err, (int)n, "cannot hear from criu");
	if (n == 0)
		return err_set(err, ECONNRESET, "criu ended without an answer");
	if (parse_reply(buf, (size_t)n, ret) < 0)
		return err_set(err, EBADMSG, "criu's answer is not understood");
	*ret_fd = take_fd(&received);
	return 0;
}

static int converse(int sock, struct criu_call *call, struct err *err)
{
	struct reply reply;
	int r = send_request(sock, call, err);

	while (r == 0) {
		int fd = -1;
		r = receive(sock, &reply, &fd, err);
		autoclose int received = fd;
		if (r < 0)
			return r;
		if (!reply.success)
			return refused(call, &reply, err);
		if (reply.type != CRIU_NOTIFY) {
			call->ret_features = reply.features;
			return 0;
		}
		if (call->notify)
			r = call->notify(call->data, reply.script, reply.pid, take_fd(&received), err);
		if (r == 0)
			r = send_consent(sock, err);
	}
	return r;
}

int criu_run(struct criu_call *call, struct err *err)
{
	autofree char *program = find_criu();
	int s[2];

	if (!program)
		return err_set(err, ENOENT, "exec: \"criu\": executable file not found in $PATH");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
		return err_sys(err, "cannot make a socket pair for criu");
	autoclose int ours = s[0], theirs = s[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork for criu");
	if (pid == 0)
		criu_child(call, program, theirs);
	fd_drop(&theirs);
	int r = call->ready ? call->ready(call->data, pid, err) : 0;
	if (r == 0)
		r = converse(ours, call, err);
	fd_drop(&ours); /* tells it that there is nothing more to come */
	int status = proc_wait(pid);
	if (r < 0)
		return r;
	/* After a pre-dump criu waits for more, and is told by the end of the connection that none comes. */
	if (status != 0 && call->type != CRIU_PRE_DUMP)
		return err_set(err, EIO, "criu failed: exit status %d",
			       status < 0 ? 255 : proc_exit_code(status));
	return 0;
}
