/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's requests (wire/vmm.h), served by the loop: between two of its rounds no device works. */
#include "vmm/machine.h"

#include "wire/vmm.h"

#include <sys/socket.h>

struct control {
	struct loop_source source;
	struct machine *machine;
};

void control_reply(int fd, const struct err *err)
{
	struct vmm_reply r = {.code = -err->code};

	if (err->code)
		memcpy(r.msg, err->msg, strnlen(err->msg, sizeof(r.msg) - 1));
	/* Nobody there: the keeper has ended, and so do we. */
	ignore_result(send(fd, &r, sizeof(r), MSG_NOSIGNAL) < 0);
}

static int do_request(struct machine *m, const struct vmm_request *q, int fd, struct err *err)
{
	switch (q->type) {
	case VMM_PAUSE:
		vcpus_pause(m);
		return 0;
	case VMM_RESUME:
		vcpus_resume(m);
		return 0;
	case VMM_SAVE:
		if (!m->paused || fd < 0)
			return err_set(err, EINVAL, "a machine is saved while it is paused, into a file");
		return snapshot_save(m, fd, q->at, q->memory_at, err);
	default:
		return err_set(err, EINVAL, "coffer-vmm knows no request %u", q->type);
	}
}

static void on_request(struct loop_source *s, unused uint32_t events)
{
	struct control *c = container_of(s, struct control, source);
	struct vmm_request q = {0};
	struct err err = {0};
	size_t nfds = 0;
	int fd = -1;

	ssize_t n = fd_recv(s->fd, &q, sizeof(q), &fd, 1, &nfds);
	if (n <= 0) {
		loop_want(&c->machine->loop, s, 0);
		machine_stop(c->machine, MACHINE_RESET, "the keeper has ended");
		return;
	}
	int r = n == sizeof(q) ? do_request(c->machine, &q, nfds ? fd : -1, &err)
			       : err_set(&err, EBADMSG, "coffer-vmm got half a request");
	if (r == 0)
		err.code = 0;
	control_reply(s->fd, &err);
	if (nfds)
		fd_drop(&fd);
}

int control_open(struct machine *m, int fd, struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return err_oom(err);
	*c = (struct control){.source = {.fd = fd, .ready = on_request}, .machine = m};
	loop_want(&m->loop, &c->source, EPOLLIN);
	return 0;
}
