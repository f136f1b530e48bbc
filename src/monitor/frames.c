/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/frames.h"

#include "base/fd.h"
#include "monitor/health.h"
#include "monitor/monitor.h"

/* Both ends are on one machine: its own byte order. */
struct frame_head {
	uint32_t version;
	uint16_t type, text_len;
	uint32_t flags;
	int32_t a, b;
	uint32_t reserved; /* 0 */
};
_Static_assert(sizeof(struct frame_head) == FRAME_HEAD, "no padding in the head");

size_t frame_encode(const struct frame *f, unsigned char buf[static FRAME_MAX])
{
	size_t len = strnlen(f->text, sizeof(f->text) - 1);
	struct frame_head h = {.version = FRAME_VERSION,
			       .type = (uint16_t)f->type,
			       .text_len = (uint16_t)len,
			       .flags = f->flags,
			       .a = f->a,
			       .b = f->b};

	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), f->text, len);
	return sizeof(h) + len;
}

/* What each type may carry. */
struct frame_rule {
	const char *name;
	uint32_t flags;
	int32_t a_min, a_max, b_min, b_max;
	bool text;
};

static const struct frame_rule frame_rules[FRAME_LAST + 1] = {
	[FRAME_HELLO] = {"hello", FRAME_IN | FRAME_OUT | FRAME_ERR | FRAME_FINISHES, 0, 0, 0, 0, false},
	[FRAME_SIGNAL] = {"signal", 0, 1, 64, 0, 0, false},
	[FRAME_INPUT_END] = {"end of input", 0, 0, 0, 0, 0, false},
	[FRAME_RESIZE] = {"resize", 0, 0, UINT16_MAX, 0, UINT16_MAX, false},
	[FRAME_NO_RESTART] = {"no restart", 0, 0, 0, 0, 0, false},
	[FRAME_SET_RESTART] = {"restart policy", 0, MONITOR_RESTART_NO, MONITOR_RESTART_UNLESS_STOPPED, 0,
			       INT32_MAX, false},
	[FRAME_FINISHED] = {"finished", 0, 0, 0, 0, 0, false},
	[FRAME_WELCOME] = {"welcome", FRAME_IN | FRAME_OUT | FRAME_ERR | FRAME_TERMINAL, 0, 0, 0, 0, false},
	[FRAME_FAILED] = {"failed", 0, 1, 4095, 0, 255, true},
	[FRAME_EXIT] = {"exit", FRAME_FINISHES | FRAME_FOLLOWS, 0, 255, 0, 0, false},
	[FRAME_OK] = {"ok", 0, 0, 0, 0, 0, false},
	[FRAME_CHECK_HEALTH] = {"check of health", 0, 0, 0, 0, 0, false},
	[FRAME_CHECKED] = {"checked", 0, -1, 255, HEALTH_STARTING, HEALTH_UNHEALTHY, false},
};

static int check_frame(const struct frame_head *h, size_t len, const unsigned char *text, struct err *err)
{
	const struct frame_rule *r;

	if (h->version != FRAME_VERSION)
		return err_set(err, EPROTO, "version %u of the monitor's messages, not %d", h->version,
			       FRAME_VERSION);
	if (h->type == 0 || h->type > FRAME_LAST)
		return err_set(err, EPROTO, "unknown message %u", h->type);
	r = &frame_rules[h->type];
	if (h->text_len != len || h->text_len >= ERR_MSG_MAX || (len > 0 && !r->text) ||
	    memchr(text, '\0', len) || h->reserved != 0)
		return err_set(err, EPROTO, "malformed message \"%s\" of %zu bytes", r->name,
			       len + FRAME_HEAD);
	if ((h->flags & ~r->flags) || h->a < r->a_min || h->a > r->a_max || h->b < r->b_min ||
	    h->b > r->b_max)
		return err_set(err, EPROTO, "message \"%s\" with values out of range (0x%x, %d, %d)", r->name,
			       h->flags, h->a, h->b);
	return 0;
}

int frame_decode(const unsigned char *buf, size_t len, struct frame *ret, struct err *err)
{
	struct frame_head h;
	int r;

	if (len < sizeof(h))
		return err_set(err, EPROTO, "a message of %zu bytes: too short", len);
	memcpy(&h, buf, sizeof(h));
	len -= sizeof(h);
	r = check_frame(&h, len, buf + sizeof(h), err);
	if (r < 0)
		return r;
	ret->type = (enum frame_type)h.type;
	ret->flags = h.flags;
	ret->a = h.a;
	ret->b = h.b;
	memcpy(ret->text, buf + sizeof(h), len);
	ret->text[len] = '\0';
	return 0;
}

int frame_send(int sock, const struct frame *f, const int *fds, size_t nfds)
{
	unsigned char buf[FRAME_MAX];
	size_t len = frame_encode(f, buf);

	return fd_send(sock, buf, len, fds, nfds);
}

int frame_recv(int sock, struct frame *ret, int *ret_fds, size_t *ret_nfds, struct err *err)
{
	unsigned char buf[FRAME_MAX + 1];
	int fds[FRAME_FDS_MAX];
	size_t nfds = 0;
	ssize_t n = fd_recv(sock, buf, sizeof(buf), fds, ret_fds ? FRAME_FDS_MAX : 0, &nfds);

	if (n < 0)
		return n == -ECONNRESET ? 0 : err_num(err, (int)n, "cannot receive a message");
	if (n == 0)
		return 0; /* no message is empty */
	int r = frame_decode(buf, (size_t)n, ret, err);
	for (size_t i = 0; i < nfds; i++) {
		if (r < 0)
			(void)close(fds[i]); /* of a message that is none */
		else
			ret_fds[i] = fds[i];
	}
	if (r == 0 && ret_nfds)
		*ret_nfds = nfds;
	return r < 0 ? r : 1;
}
