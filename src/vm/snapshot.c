/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * A machine with a container that runs is kept in a file, and other keepers
 * begin there.  Its state is in three places: the machine's memory and
 * devices (the hypervisor's to save), the file share's table of files
 * (share/table.c), and what this keeper and the agent owe each other: windows,
 * credit, the first process's number (struct vm_kept).  They are of one
 * moment, because nothing is under way between them:
 *
 *	holding	  from FREEZE on, nothing is sent to the agent
 *	frozen	  the agent has answered: all that it sent is here (wire/guest.h)
 *	paused	  by the hypervisor; the share has answered all that it was asked
 *	saved	  who asked is answered, copies the container's files, and ends his
 *		  connection: the machine goes on
 *
 * A template that is kept by name is the same without the container: it is
 * made at READY, by a keeper that ends then (snapshot_of_template()).
 *
 * The file is a template's (template.h) with struct vm_kept and the share's
 * table behind it.  What restores it is another container: its root must have
 * the same files at the same places, which is the engine's care.
 */
#include "vm/keeper.h"

#include "base/clock.h"
#include "base/str.h"
#include "vm/share/share.h"

#include <signal.h>
#include <sys/stat.h>

enum {
	KEPT_VERSION = 1,
	KEPT_TERMINAL = 1,
	KEPT_INPUT_ENDED = 2,
	KEPT_OUTPUT_ENDED = 4, /* of stream 1; of stream 2 the next bit */
	KEPT_FLAGS = 15,
	TABLE_ASKS = 100,
	TABLE_WAIT_MS = 50, /* for each */
	TABLE_BYTES_MAX = 128 << 20,
};
static const char snapshot_magic[16] = "coffer-vm-snap1";

/* ---- saving ---- */

/* What the share says of its table: 0 or -errno.  What it says of an earlier question came too late. */
static int hear_share(const struct keeper *k, int number, int wait_ms)
{
	struct pollfd p = {.fd = k->told, .events = POLLIN};
	struct share_told told = {.result = -ETIMEDOUT};

	if (poll(&p, 1, wait_ms) <= 0)
		return -ETIMEDOUT;
	if (read(k->told, &told, sizeof(told)) != (ssize_t)sizeof(told))
		return -EIO;
	return told.number == number ? told.result : -ETIMEDOUT;
}

/* The signal may come just before the share waits (share.h): again, until it answers. */
static int ask_table(struct keeper *k, struct err *err)
{
	const union sigval number = {.sival_int = ++k->table_number};
	int told = -ETIMEDOUT;

	for (int i = 0; i < TABLE_ASKS && told == -ETIMEDOUT; i++) {
		if (k->share <= 0 || sigqueue(k->share, SIGUSR1, number) < 0)
			return err_set(err, ESRCH, "the file share has ended");
		told = hear_share(k, number.sival_int, TABLE_WAIT_MS);
	}
	if (told == -EBUSY)
		return err_set(
			err, EBUSY,
			"a file is open in the container that has been removed: it would not be in the copy");
	return told < 0 ? err_num(err, told, "cannot keep the file share's table") : 0;
}

int snapshot_share_taken(const struct keeper *k, struct err *err)
{
	int told = hear_share(k, 0, TABLE_ASKS * TABLE_WAIT_MS);

	return told < 0 ? err_num(err, told,
				  "the snapshot cannot be used (`coffer vm snapshot-rm` it): its table of "
				  "files")
			: 0;
}

static struct vm_kept describe_session(const struct keeper *k, uint64_t table_len)
{
	const struct inmate *i = k->first;
	struct vm_kept s = {.version = KEPT_VERSION,
			    .process = i->id,
			    .last_id = k->last_id,
			    .in_window = i->in.window,
			    .age_ns = k->booted_ns ? (uint64_t)(clock_ns(CLOCK_REALTIME) - k->booted_ns) : 0,
			    .table_len = table_len};

	s.flags = (i->terminal ? KEPT_TERMINAL : 0) | (i->in.fd < 0 ? KEPT_INPUT_ENDED : 0);
	for (unsigned n = 0; n < 2; n++) {
		/* What waits here is for this one's reader; the guest is owed the room all the same. */
		s.owed[n] = i->out[n].owed + i->out[n].len;
		s.flags |= i->out[n].ended ? KEPT_OUTPUT_ENDED << n : 0;
	}
	return s;
}

static int write_rest(const struct keeper *k, struct vm_machine_head *h, struct err *err)
{
	struct stat st;
	off_t at = (off_t)(h->state_at + h->state_len);

	if (fstat(k->table, &st) < 0)
		return err_sys(err, "cannot look at the file share's table");
	if (st.st_size > TABLE_BYTES_MAX)
		return err_set(err, E2BIG, "the guest's kernel knows too many files to be saved");
	const struct vm_kept kept = describe_session(k, (uint64_t)st.st_size);
	if (pwrite(k->save_in, &kept, sizeof(kept), at) != (ssize_t)sizeof(kept))
		return err_sys(err, "cannot write the snapshot");
	int r = vm_memory_copy(k->table, 0, k->save_in, at + (off_t)sizeof(kept), kept.table_len);
	if (r < 0)
		return err_num(err, r, "cannot write the snapshot");
	h->more_len = sizeof(kept) + kept.table_len;
	if (pwrite(k->save_in, h, sizeof(*h), 0) != (ssize_t)sizeof(*h) || fsync(k->save_in) < 0)
		return err_sys(err, "cannot write the snapshot");
	return 0;
}

static int save_machine(struct keeper *k, struct err *err)
{
	struct vm_machine_head h = {.boot_ns = 0};

	memcpy(h.magic, snapshot_magic, sizeof(h.magic));
	memcpy(h.key, k->template.key, sizeof(h.key));
	int r = k->vm.driver->pause(&k->vm, err);
	if (r == 0)
		r = ask_table(k, err);
	if (r == 0)
		r = vm_machine_write(k->save_in, &h, &k->vm, &k->spec, err);
	return r < 0 ? r : write_rest(k, &h, err);
}

/* ---- going on ---- */

/* Streams and orders go on; signals that came meanwhile are sent. */
static void stop_holding(struct keeper *k)
{
	k->holding = false;
	fd_drop(&k->save_in);
	for (uint32_t sig = 1; sig <= 64 && k->first; sig++)
		if (k->held_signals >> (sig - 1) & 1)
			session_signal(k, k->first, sig);
	k->held_signals = 0;
}

static void thawed(struct keeper *k, const struct question *q unused, const struct guest_reply *reply,
		   const void *rest, size_t len)
{
	if (reply->code < 0) {
		keeper_abort(k, "the machine does not go on after it was saved: %.*s", (int)len,
			     (const char *)rest);
		return;
	}
	k->frozen = false;
	keeper_log(k, "the machine goes on");
	stop_holding(k);
}

static void thaw(struct keeper *k)
{
	struct err err = {0};

	if (k->vm.driver->resume(&k->vm, &err) < 0) {
		keeper_abort(k, "%s", err.msg);
		return;
	}
	session_set_time(k, NULL);
	struct question *q = session_ask(k, GUEST_THAW, 0, NULL, 0, NULL, 0);
	if (q)
		q->answered = thawed;
}

/* It goes on as if nobody had asked. */
static void save_failed(struct keeper *k, const struct err *err)
{
	control_failed(k->saver, err);
	k->saver = NULL;
	stop_holding(k);
}

static void frozen_came(struct keeper *k, const struct question *q, const struct guest_reply *reply,
			const void *rest, size_t len)
{
	bool heard = q->connection && q->connection == k->saver; /* who asked is there still */
	struct err err = {0};

	if (reply->code < 0) {
		(void)err_set(&err, -reply->code, "cannot save the machine: %.*s", (int)len,
			      (const char *)rest); /* told below */
		if (heard)
			save_failed(k, &err);
		return;
	}
	k->frozen = true;
	if (heard && save_machine(k, &err) == 0) {
		keeper_log(k, "the machine is saved");
		control_done(k->saver, 0, -1);
		return;
	}
	if (heard) {
		(void)err_prefix(&err, "cannot save the machine"); /* told below */
		save_failed(k, &err);
	}
	thaw(k);
}

static int may_save(const struct keeper *k, struct err *err)
{
	if (k->saver || k->holding)
		return err_set(err, EBUSY, "the machine is being saved already");
	if (k->member || k->last_member)
		return err_set(err, ENOTSUP,
			       "cannot save the machine: it is, or was, a pod's with further containers");
	if (!k->template.key[0])
		return err_set(err, ENOTSUP, "cannot save the machine: what it was made of is not known");
	if (!k->first || k->first->exited || k->inmates != k->first || k->first->next)
		return err_set(err, EBUSY,
			       "cannot save the machine: processes of `exec` are at work in it, or it ends");
	return 0;
}

int snapshot_begin(struct keeper *k, struct connection *c, int *file, struct err *err)
{
	int r = may_save(k, err);
	struct question *q = r < 0 ? NULL : session_ask(k, GUEST_FREEZE, 0, NULL, 0, NULL, 0);

	if (r == 0 && !q)
		r = err_oom(err);
	if (r < 0)
		return r;
	q->answered = frozen_came;
	q->connection = c;
	k->saver = c;
	k->holding = true;
	k->save_in = take_fd(file);
	return 0;
}

void snapshot_end(struct keeper *k)
{
	k->saver = NULL;
	if (k->frozen) {
		thaw(k);
		return;
	}
	/* The agent has not answered yet, and what it says finds nobody: the streams need not wait for it. */
	stop_holding(k);
}

/* ---- from one ---- */

static int check_kept(const struct vm_kept *kept, const struct vm_machine_head *h)
{
	bool good = kept->version == KEPT_VERSION && !(kept->flags & ~(uint32_t)KEPT_FLAGS) &&
		    kept->process > 0 && kept->last_id >= kept->process && kept->last_id < UINT32_MAX / 2 &&
		    kept->in_window <= GUEST_WINDOW && kept->owed[0] <= GUEST_WINDOW &&
		    kept->owed[1] <= GUEST_WINDOW && kept->table_len <= TABLE_BYTES_MAX &&
		    h->more_len == sizeof(*kept) + kept->table_len;

	return good ? 0 : -EBADMSG;
}

static int read_snapshot(struct keeper *k, struct vm_machine_head *h, struct err *err)
{
	int r = vm_machine_read(k->from, snapshot_magic, &k->spec, h, &k->snapshot, err);
	off_t at = (off_t)(h->state_at + h->state_len);

	if (r < 0)
		return r;
	if (pread(k->from, &k->kept, sizeof(k->kept), at) != (ssize_t)sizeof(k->kept) ||
	    check_kept(&k->kept, h) < 0)
		return err_set(err, EBADMSG, "it is damaged");
	if (vm_memory_copy(k->from, at + (off_t)sizeof(k->kept), k->table, 0, k->kept.table_len) < 0 ||
	    ftruncate(k->table, (off_t)k->kept.table_len) < 0)
		return err_set(err, EBADMSG, "its table of files cannot be read");
	return 0;
}

int snapshot_open(struct keeper *k, const struct hypervisor *driver, struct err *err)
{
	autofree struct vm_machine_head *h = calloc(1, sizeof(*h));

	if (!h)
		return err_oom(err);
	int r = vm_template_named(&k->template, k->from, driver, &k->spec, err);
	if (r == 1 || r == -ESTALE)
		return MIN_OF(r, 0);
	if (r == 0)
		r = read_snapshot(k, h, err);
	if (r < 0)
		return err_prefix(err, "the snapshot cannot be used (`coffer vm snapshot-rm` it)");
	r = vm_machine_same(h->key, k->template.key, err);
	if (r < 0)
		return r;
	if (!!(k->kept.flags & KEPT_TERMINAL) != !!k->terminal)
		return err_set(err, EINVAL, "the snapshot's container %s a terminal, this one %s",
			       k->terminal ? "has not" : "has", k->terminal ? "has" : "has not");
	k->spec.from = &k->snapshot;
	return 0;
}

int snapshot_inmate(struct keeper *k, struct err *err)
{
	int fds[3] = {0, 1, 2};
	struct inmate *i = inmate_new(k, fds, k->terminal, err);

	if (!i)
		return -err->code;
	i->id = k->kept.process;
	i->first = true;
	i->in.window = (size_t)k->kept.in_window;
	k->last_id = k->kept.last_id;
	if (k->kept.flags & KEPT_INPUT_ENDED && i->in.fd >= 0) {
		i->tty = -1;
		fd_drop(&i->in.fd);
	}
	for (unsigned n = 0; n < 2; n++) {
		i->out[n].owed = (uint32_t)k->kept.owed[n];
		i->out[n].ended = (k->kept.flags & KEPT_OUTPUT_ENDED << n) != 0;
	}
	k->first = i;
	return 0;
}

void snapshot_of_template(struct keeper *k)
{
	struct err err = {0};
	int r = k->restored ? vm_template_copy(&k->template, k->into, &err) : 0;

	if (!k->restored && !k->template.kept)
		r = err_set(&err, EIO, "this machine can be no template: its console says why");
	if (r == 0 && fsync(k->into) < 0)
		r = err_sys(&err, "cannot write the template");
	if (r < 0) {
		keeper_fail(k, &err);
		return;
	}
	keeper_log(k, "the template is kept; nothing is run");
	k->stage = STAGE_RUNNING;
	if (k->starter)
		control_started(k->starter);
	k->starter = NULL;
	k->status = 0;
	k->over = true;
}
