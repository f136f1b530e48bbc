/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the guest through its keeper: a further process, limits, the table of processes. */
#include "isolate/vm/exec.h"

#include "base/clock.h"
#include "base/fd.h"
#include "isolate/carrier.h"
#include "wire/guest.h"

#include <poll.h>

enum { ANSWER_MS = 30000, SAVE_MS = 120000, ROWS_BYTES_MAX = 64 << 20 };

int vm_exec(const struct isolate_exec *x, pid_t *ret_pid, struct err *err)
{
	if (x->stdio.preserve_fds + x->stdio.listen_fds > 0)
		return err_set(
			err, ENOTSUP,
			"isolation level \"vm\" cannot hand on descriptors beyond the standard streams: "
			"they are of another kernel");
	if (x->sub_cgroup)
		return err_set(err, ENOTSUP,
			       "isolation level \"vm\" cannot put a process into the cgroup %s: the guest's "
			       "groups are its own",
			       x->sub_cgroup);
	int r = vm_pod_check_awake(&x->sandbox, err);
	return r < 0 ? r : supervised_exec(x, vm_keeper_program, &vm_caps, true, ret_pid, err);
}

static void take_guest_row(const struct guest_process_row *row, struct isolate_process *ret)
{
	*ret = (struct isolate_process){.pid = row->pid,
					.parent = row->parent,
					.uid = row->uid,
					.started = (int64_t)(row->started_ns / 1000000000),
					.cpu_ns = row->user_ns + row->system_ns,
					.resident = row->resident};
	memcpy(ret->terminal, row->terminal, sizeof(ret->terminal));
	memcpy(ret->command, row->command, sizeof(ret->command));
	ret->terminal[sizeof(ret->terminal) - 1] = '\0';
	ret->command[sizeof(ret->command) - 1] = '\0';
}

int vm_inner_processes(const struct sandbox *s, struct isolate_process **ret, size_t *ret_n, struct err *err)
{
	const struct supervisor_request q = {.kind = SUPERVISOR_PROCESSES};
	autofree char *rows = NULL;
	size_t len = 0, n;
	int fd = -1;

	*ret = NULL;
	*ret_n = 0;
	if (supervised_waits(s))
		return 0;
	int r = isolate_carrier->paused(s, err);
	if (r > 0)
		return err_set(err, EBUSY, "the container is paused: its machine cannot be asked");
	if (r == 0)
		r = vm_pod_check_awake(s, err);
	if (r == 0)
		r = supervised_ask(s, &q, -1, &fd, ANSWER_MS, err);
	autoclose int file = fd;
	if (r < 0)
		return r;
	r = file < 0 || lseek(file, 0, SEEK_SET) < 0 ? -EBADMSG
						     : fd_read_all(file, ROWS_BYTES_MAX, &rows, &len);
	if (r < 0)
		return err_num(err, r, "cannot read the guest's table of processes");
	n = len / sizeof(struct guest_process_row);
	autofree struct isolate_process *v = calloc(n + 1, sizeof(*v));
	if (!v)
		return err_oom(err);
	for (size_t i = 0; i < n; i++) {
		struct guest_process_row row;
		memcpy(&row, rows + i * sizeof(row), sizeof(row));
		take_guest_row(&row, &v[i]);
	}
	*ret = take_ptr(&v);
	*ret_n = n;
	return 0;
}

int vm_guest_stats(const struct sandbox *s, struct guest_stats *ret, struct err *err)
{
	const struct supervisor_request q = {.kind = SUPERVISOR_STATS};
	int fd = -1, r;

	if (supervised_waits(s) || isolate_carrier->paused(s, err) != 0 || vm_pod_is_paused(s, err) != 0)
		return -ENOTSUP;
	r = supervised_ask(s, &q, -1, &fd, ANSWER_MS, err);
	autoclose int file = fd;
	if (r < 0)
		return r;
	return pread(file, ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret)
		       ? 0
		       : err_set(err, EBADMSG, "the guest's statistics are cut short");
}

int vm_set_clock(const struct sandbox *s, struct err *err)
{
	const struct supervisor_request q = {.kind = SUPERVISOR_TIME};

	return supervised_waits(s) ? 0 : supervised_ask(s, &q, -1, NULL, ANSWER_MS, err);
}

int vm_stand(const struct sandbox *s, bool still, struct err *err)
{
	const struct supervisor_request q = {.kind = still ? SUPERVISOR_PAUSE : SUPERVISOR_RESUME};
	int r = vm_pod_check_awake(s, err);

	return r < 0 || supervised_waits(s) ? r : supervised_ask(s, &q, -1, NULL, ANSWER_MS, err);
}

/* The machine stands still until *ret_hold is closed. */
int vm_save(const struct sandbox *s, int file, int *ret_hold, struct err *err)
{
	const struct supervisor_request q = {.kind = SUPERVISOR_SAVE};
	struct supervisor_reply reply;
	struct pollfd p = {.events = POLLIN};

	if (supervised_waits(s))
		return err_set(err, EBUSY, "the machine has not been started");
	int r = isolate_carrier->paused(s, err);
	if (r > 0)
		return err_set(err, EBUSY, "the container is paused: its machine cannot be asked");
	autoclose int sock = r < 0 ? -1 : supervisor_connect(s->state_dirfd, err);
	r = sock < 0 ? -err->code : supervisor_send(sock, &q, &file, 1, err);
	p.fd = sock;
	if (r == 0 && poll(&p, 1, SAVE_MS) == 0)
		r = err_set(err, ETIMEDOUT, "the machine was not saved within %d s", SAVE_MS / 1000);
	if (r == 0)
		r = supervisor_receive(sock, &reply, NULL, err);
	if (r < 0)
		return r;
	if (reply.kind != SUPERVISOR_DONE) {
		r = supervisor_refused(&reply, err);
		err->exit_status = 0; /* no program was to be executed */
		return r;
	}
	*ret_hold = take_fd(&sock);
	return 0;
}

int vm_update_guest(const struct sandbox *s, const struct oci_resources *r, struct err *err)
{
	const struct supervisor_request q = {.kind = SUPERVISOR_UPDATE};
	struct json_out out autojsonout = {0};

	vm_guest_resources(&out, NULL, r);
	autoclose int fd = supervised_memory_file("resources", &out, err);
	return fd < 0 ? fd : supervised_ask(s, &q, fd, NULL, ANSWER_MS, err);
}
