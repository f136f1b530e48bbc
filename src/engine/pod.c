/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `run --pod NAME`: a container in the machine of another one.
 *
 * To the engine it is a container that has joined the other one's network, as
 * with --network=container:NAME: whoever is to start it must find that one
 * running, and its hosts, resolv.conf and user namespace are the other one's.
 * Level `vm` is told by the annotation which machine it is.
 */
#include "engine/create.h"

#include "isolate/machine.h"

static int check_alone(const struct engine_create *q, struct err *err)
{
	const struct {
		const char *flag, *value;
	} other[] = {{"--ipc", q->ipc_mode},	      {"--uts", q->uts_mode},
		     {"--userns", q->userns_mode},    {"--hostname", q->hostname},
		     {"--domainname", q->domainname}, {"--mac-address", q->mac_address}};

	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		if (other[i].value && *other[i].value)
			return err_set(
				err, EINVAL,
				"conflicting options: %s and --pod, which says what the container shares",
				other[i].flag);
	return 0;
}

/*
 * Processes may be those of the pod's first container: where --pid says so, or where the pod was made with
 * --share pid and nothing is said.
 */
static int settle_pids(struct engine_making *m, const struct engine_container *other, struct err *err)
{
	struct engine_record *rec = &m->c.record;
	const char *mode = rec->q.pid_mode;
	bool said = mode && *mode;

	if (said && rec->pid_container && streq(rec->pid_container, other->id))
		return 0;
	if (said && !streq(mode, "private"))
		return err_set(
			err, EINVAL,
			"conflicting options: --pid and --pod: a container of a pod has processes of its "
			"own (\"private\"), or those of the pod (\"container:%s\")",
			other->name);
	if (said || !pair_find(&other->record.config.labels, ENGINE_POD_PIDS_LABEL))
		return 0;
	rec->pid_container = rec->net_container;
	rec->q.pid_mode = engine_keep_f(m, "container:%s", other->id);
	return rec->q.pid_mode ? 0 : err_oom(err);
}

static int check_other(const struct engine_container *other, struct err *err)
{
	const char *level = other->record.isolation ? other->record.isolation : "ns";

	if (!streq(level, "vm"))
		return err_set(
			err, EINVAL,
			"container %s is of isolation level \"%s\": only one of \"vm\" has a machine, which "
			"others can go into",
			other->name, level);
	if (other->record.q.pod)
		return err_set(
			err, EINVAL,
			"container %s is in the pod of container %.12s: name that one, whose the machine is",
			other->name, other->record.net_container ? other->record.net_container : "");
	return 0;
}

/* The host name too: what is outside of the machine (its environment, `inspect`) shall say what is inside. */
static int annotate(struct engine_making *m, const struct engine_container *other, struct err *err)
{
	struct engine_record *rec = &m->c.record;
	size_t n = rec->q.annotations.n;
	struct oci_pair *notes = engine_keep(m, (n + 1) * sizeof(*notes));

	if (!notes)
		return err_oom(err);
	if (n)
		memcpy(notes, rec->q.annotations.v, n * sizeof(*notes));
	notes[n] = (struct oci_pair){.key = GUEST_POD_ANNOTATION, .value = rec->net_container};
	rec->q.annotations.v = notes;
	rec->q.annotations.n = n + 1;
	const char *name = other->record.q.hostname;
	rec->q.hostname = name && *name ? engine_keep_text(m, name)
					: engine_keep_f(m, "%.*s", ENGINE_SHORT_ID, other->id);
	return rec->q.hostname ? 0 : err_oom(err);
}

int engine_pod_settle(struct engine_making *m, struct err *err)
{
	struct engine_container other autocontainer_row = {.lock = -1};
	const struct engine_record *rec = &m->c.record;

	if (pair_find(&rec->q.annotations, GUEST_POD_ANNOTATION))
		return err_set(err, EINVAL, "annotation " GUEST_POD_ANNOTATION " is set by --pod alone");
	if (!m->q->pod)
		return 0;
	if (!streq(rec->isolation, "vm"))
		return err_set(err, EINVAL,
			       "--pod puts a container into another one's machine: it needs --isolation=vm, "
			       "not \"%s\"",
			       rec->isolation);
	int r = check_alone(m->q, err);
	if (r == 0 && !rec->net_container)
		r = err_set(err, EINVAL, "conflicting options: --pod and another network than the pod's");
	if (r == 0)
		r = engine_load(m->e, rec->net_container, &other, err);
	if (r == 0)
		r = check_other(&other, err);
	if (r == 0)
		r = settle_pids(m, &other, err);
	return r < 0 ? r : annotate(m, &other, err);
}
