/* SPDX-License-Identifier: Apache-2.0 */
/* `update`: other limits, of a running container at once and of its record for the next start. */
#include "engine/create.h"
#include "engine/spec.h"

#include <sys/mman.h>

static bool merge_update(const struct engine_update *u, struct engine_create *q)
{
	const struct {
		int64_t from;
		int64_t *to;
	} numbers[] = {
		{u->memory, &q->memory},	   {u->memory_reservation, &q->memory_reservation},
		{u->memory_swap, &q->memory_swap}, {u->nano_cpus, &q->nano_cpus},
		{u->cpu_period, &q->cpu_period},   {u->cpu_quota, &q->cpu_quota},
		{u->cpu_shares, &q->cpu_shares},   {u->pids_limit, &q->pids_limit},
	};
	bool changed = false;

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		/* Of swap -1 is a value; it cannot be told from "unchanged" and comes as INT64_MIN then. */
		if (numbers[i].from == -1)
			continue;
		*numbers[i].to = numbers[i].from == INT64_MIN ? -1 : numbers[i].from;
		changed = true;
	}
	if (u->nano_cpus > 0)
		q->cpu_period = q->cpu_quota = 0;
	else if (u->cpu_period > 0 || u->cpu_quota > 0)
		q->nano_cpus = 0;
	if (u->cpuset_cpus)
		q->cpuset_cpus = u->cpuset_cpus;
	if (u->cpuset_mems)
		q->cpuset_mems = u->cpuset_mems;
	if (u->blkio_weight >= 0)
		q->blkio_weight = (uint16_t)u->blkio_weight;
	return changed || u->cpuset_cpus || u->cpuset_mems || u->blkio_weight >= 0;
}

static int apply_live(struct engine *e, const struct engine_container *c, struct err *err)
{
	struct json_out out autojsonout = {0};
	const struct engine_create *q = &c->record.q;

	json_begin_object(&out, NULL);
	engine_spec_memory(&out, q);
	engine_spec_cpu(&out, q);
	if (q->pids_limit) {
		json_begin_object(&out, "pids");
		json_put_i64(&out, "limit", q->pids_limit);
		json_end(&out);
	}
	if (q->blkio_weight) {
		json_begin_object(&out, "blockIO");
		json_put_u64(&out, "weight", q->blkio_weight);
		json_end(&out);
	}
	json_end(&out);
	autofree char *text = json_take(&out);
	autoclose int fd = memfd_create("coffer-resources", MFD_CLOEXEC);
	if (!text)
		return err_oom(err);
	if (fd < 0)
		return err_sys(err, "cannot make memory for the limits");
	int r = fd_write_all(fd, text, strlen(text));
	if (r < 0)
		return err_num(err, r, "cannot write the limits");
	struct fd_path path = fd_path(fd);
	struct update_options o = {.id = c->id, .resources = path.s};
	return runtime_update(&e->rt, &o, err);
}

static int update_restart(struct engine *e, struct engine_container *c, const char *text, struct err *err)
{
	enum monitor_restart policy;
	uint32_t max;
	const char *dir;
	int r = engine_restart_parse(text, &policy, &max, err);

	if (r < 0)
		return r;
	if ((c->flags & ENGINE_AUTO_REMOVE) && policy != MONITOR_RESTART_NO)
		return err_set(
			err, EINVAL,
			"Restart policy cannot be updated because AutoRemove is enabled for the container");
	c->record.q.restart = text;
	c->flags =
		(c->flags & ~(int64_t)ENGINE_RESTARTS) | (policy != MONITOR_RESTART_NO ? ENGINE_RESTARTS : 0);
	if (!engine_monitored(e, c->id))
		return 0;
	r = engine_run_dir(e, c->id, &dir, err);
	return r < 0 ? r : monitor_set_restart(dir, policy, max, err);
}

int engine_update(struct engine *e, const char *id, const struct engine_update *q, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	int r = engine_load_locked(e, id, &c, err);

	if (r < 0)
		return r;
	bool limits = merge_update(q, &c.record.q);
	struct engine_create check = c.record.q;
	check.restart = NULL; /* its own check is below */
	check.cidfile = NULL;
	r = engine_create_check(e, &check, err);
	if (r == 0 && q->restart)
		r = update_restart(e, &c, q->restart, err);
	if (r == 0 && limits && (streq(c.state, "running") || streq(c.state, "paused")))
		r = apply_live(e, &c, err);
	if (r == 0)
		r = engine_store_record(e, &c, err);
	if (r == 0)
		engine_tell_container(e, &c, "update", NULL, NULL);
	return r < 0 ? err_prefix(err, "Cannot update container %.12s", id) : 0;
}
