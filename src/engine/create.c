/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `create`: a row, and no more.
 *
 * Everything that can be said to be wrong before the start is said here.  Directories
 * are made by who starts the container, but for the one that is its lock.
 */
#include "engine/create.h"

#include "base/file.h"
#include "base/proc.h"
#include "engine/spec.h"
#include "host/helper.h"
#include "image/content.h"

#include <spawn.h>
#include <sys/stat.h>

extern char **environ;

enum { NAME_TRIES = 16 };

/* What coffer-fetch reads its settings from, inheritable; -1 where there are none. */
static int settings_fd(const struct engine *e, struct err *err)
{
	if (!e->o.fetch_config)
		return -1;
	int fd = open(e->o.fetch_config, O_RDONLY); /* for a child: not close-on-exec */
	return fd < 0 ? err_sys(err, "cannot open the settings of coffer-fetch, \"%s\"", e->o.fetch_config)
		      : fd;
}

/* `quiet_stdout`: what it says is not this command's result and goes to standard error. */
static int create_run_fetch(struct engine *e, const char *const *args, bool quiet_stdout, int *ret_status,
			    struct err *err)
{
	autofree char *program = NULL;
	char number[16];
	size_t n = 0, k = 0;
	pid_t pid;
	int r = helper_path("coffer-fetch", &program, err);

	if (r < 0)
		return r;
	while (args[n])
		n++;
	autofree const char **argv = calloc(n + 8, sizeof(*argv));
	autoclose int settings = settings_fd(e, err);
	if (!argv)
		return err_oom(err);
	if (settings < 0 && e->o.fetch_config)
		return settings;
	argv[k++] = program;
	argv[k++] = "--root";
	argv[k++] = e->data_root;
	if (settings >= 0 && snprintf(number, sizeof(number), "%d", settings) > 0) {
		argv[k++] = "--settings";
		argv[k++] = number;
	}
	memcpy(argv + k, args, n * sizeof(*argv));
	posix_spawn_file_actions_t actions;
	r = posix_spawn_file_actions_init(&actions);
	if (r == 0 && quiet_stdout)
		r = posix_spawn_file_actions_adddup2(&actions, 2, 1);
	if (r == 0)
		r = posix_spawn(&pid, program, &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions); /* memory alone */
	if (r != 0)
		return err_num(err, r, "cannot run \"%s\"", program);
	int status = proc_wait(pid);
	if (status < 0)
		return err_num(err, status, "cannot wait for \"%s\"", program);
	*ret_status = proc_exit_code(status);
	return 0;
}

int engine_fetch(struct engine *e, const char *const *args, int *ret_status, struct err *err)
{
	return create_run_fetch(e, args, false, ret_status, err);
}

static int pull_image(struct engine *e, const struct engine_create *q, struct err *err)
{
	const char *args[8] = {"pull"};
	size_t n = 1;
	int status = 0;

	if (q->quiet)
		args[n++] = "--quiet";
	if (q->platform && *q->platform) {
		args[n++] = "--platform";
		args[n++] = q->platform;
	}
	args[n++] = q->image;
	int r = create_run_fetch(e, args, true, &status, err);
	if (r == 0 && status != 0)
		r = err_set(err, EIO, "cannot pull \"%s\": see above", q->image);
	return r;
}

static int get_image(struct engine_making *m, struct err *err)
{
	const struct engine_create *q = m->q;
	const char *pull = q->pull && *q->pull ? q->pull : "missing";
	int r;

	if (!q->image || !*q->image)
		return err_set(err, EINVAL, "no image was named");
	if (!streq(pull, "missing") && !streq(pull, "always") && !streq(pull, "never"))
		return err_set(err, EINVAL,
			       "invalid pull option: '%.64s': must be one of \"always\", \"missing\" or "
			       "\"never\"",
			       pull);
	if (streq(pull, "always")) {
		r = pull_image(m->e, q, err);
		return r < 0 ? r : image_find(m->e->store, q->image, q->platform, &m->image, err);
	}
	r = image_find(m->e->store, q->image, q->platform, &m->image, err);
	if (r != -ENOENT || streq(pull, "never"))
		return r;
	if (!q->quiet)
		engine_warn(m->e, "Unable to find image '%s' locally", q->image);
	r = pull_image(m->e, q, err);
	return r < 0 ? r : image_find(m->e->store, q->image, q->platform, &m->image, err);
}

/* ---- other containers whose namespaces are joined ---- */

/* "container:NAME" -> the id; NULL where it is something else. */
static int joined_id(struct engine_making *m, const char *mode, const char **ret, struct err *err)
{
	autofree char *id = NULL;

	*ret = NULL;
	if (!mode || !str_starts(mode, "container:"))
		return 0;
	int r = engine_resolve(m->e, mode + strlen("container:"), &id, err);
	if (r < 0)
		return r;
	*ret = engine_keep_text(m, id);
	return *ret ? 0 : err_oom(err);
}

/* The user namespace that owns what is joined is the container's own. */
static int settle_users(struct engine_making *m, struct err *err)
{
	struct engine_record *rec = &m->c.record;
	const struct engine_create *q = m->q;
	const char *joined[] = {rec->net_container, rec->pid_container, rec->ipc_container};
	/* An ordinary user has the host's for no container: what owns a namespace must be joined first. */
	bool user = m->e->o.rootless;
	bool host = engine_users_host(m->e, q);

	for (size_t i = 0; i < ARRAY_LEN(joined); i++) {
		struct engine_container other autocontainer_row = {.lock = -1};
		if (!joined[i])
			continue;
		int r = engine_load(m->e, joined[i], &other, err);
		if (r < 0)
			return r;
		if (host)
			continue;
		/* It may have joined a third one's. */
		const char *owner = other.record.user_container ? other.record.user_container : joined[i];
		if (rec->user_container && !streq(rec->user_container, owner) &&
		    (user || (rec->user_base && other.record.user_base)))
			return err_set(err, EINVAL,
				       "the containers to be joined have different user namespaces: use "
				       "--userns=host, or join one of them alone");
		rec->user_container = engine_keep_text(m, owner);
		rec->user_base = other.record.user_base;
		if (!rec->user_container)
			return err_oom(err);
	}
	if (rec->user_container && rec->user_base == 0 && !user)
		rec->user_container = NULL; /* the host's, as the other has it */
	else if (!host && !rec->user_container && !user)
		m->c.slot = 0; /* wanted; which one is settled with the row */
	return 0;
}

static int settle_joins(struct engine_making *m, struct err *err)
{
	struct engine_record *rec = &m->c.record;
	int r = joined_id(m, m->q->network_mode, &rec->net_container, err);

	if (r == 0)
		r = joined_id(m, m->q->pid_mode, &rec->pid_container, err);
	if (r == 0)
		r = joined_id(m, m->q->ipc_mode, &rec->ipc_container, err);
	return r < 0 ? r : settle_users(m, err);
}

/* A network that was named by its id is kept by its name, as far as there is one now. */
static int settle_network_names(struct engine_making *m, struct err *err)
{
	struct engine_create *q = &m->c.record.q;
	struct net *net;
	int r = 0;

	for (size_t i = 0; r == 0 && i < q->networks.n; i++) {
		struct net_join *join = &q->networks.v[i];
		struct err gone = {0};
		network_list l = {0};
		if (streq(join->network, "bridge"))
			continue;
		r = engine_net_get(m->e, &net, err);
		if (r < 0 || net_find(net, join->network, &l, &gone) < 0)
			continue;
		join->network = engine_keep_text(m, l.v[0].name);
		net_list_free(&l);
		r = join->network ? 0 : err_oom(err);
	}
	return r;
}

/* Networks: those that were named, else the mode, else the default one. */
static int create_settle_networks(struct engine_making *m, struct err *err)
{
	struct engine_record *rec = &m->c.record;
	const struct engine_create *q = m->q;
	const char *mode = q->network_mode;

	if (mode && (streq(mode, "none") || streq(mode, "host") || str_starts(mode, "container:"))) {
		rec->q.networks.v = NULL;
		rec->q.networks.n = 0;
		if (streq(mode, "host") && q->ports.n)
			engine_warn(m->e, "Published ports are discarded when using host network mode");
		if (q->ports.n)
			rec->ports.n = 0;
		return 0;
	}
	rec->q.network_mode = NULL;
	if (q->networks.n == 0) {
		struct net_join *join = engine_keep(m, sizeof(*join));
		if (!join)
			return err_oom(err);
		join->network = mode && *mode && !streq(mode, "default") ? mode : "bridge";
		rec->q.networks.v = join;
		rec->q.networks.n = 1;
	}
	if (q->mac_address && rec->q.networks.n && !rec->q.networks.v[0].mac)
		rec->q.networks.v[0].mac = q->mac_address;
	return settle_network_names(m, err);
}

static int settle_record(struct engine_making *m, struct err *err)
{
	struct engine_record *rec = &m->c.record;
	const struct image *i = &m->image;
	const char *level = m->q->isolation && *m->q->isolation ? m->q->isolation : m->e->o.isolation;
	enum monitor_restart restart;
	uint32_t max;
	int r;

	rec->version = ENGINE_RECORD_VERSION;
	rec->q = *m->q;
	rec->image_id = i->id;
	rec->image_ref = i->reference;
	rec->manifest_digest = i->manifest_digest;
	rec->platform = i->platform;
	rec->diff_ids = i->diff_ids;
	rec->isolation = level && *level ? level : "ns";
	if (!rec->q.log_driver || !*rec->q.log_driver)
		rec->q.log_driver = m->e->o.log_driver;
	r = engine_create_config(m, err);
	if (r == 0)
		r = engine_create_mounts(m, err);
	if (r == 0)
		r = settle_joins(m, err);
	if (r == 0)
		r = create_settle_networks(m, err);
	if (r == 0)
		r = engine_pod_settle(m, err);
	if (r == 0)
		r = engine_links_settle(m, err);
	if (r == 0)
		r = engine_restart_parse(m->q->restart, &restart, &max, err);
	if (r < 0)
		return r;
	const struct oci_healthcheck *h = rec->config.healthcheck;
	bool health = h && h->test.n && !streq(h->test.v[0], "NONE");
	m->c.flags = (m->q->auto_remove ? ENGINE_AUTO_REMOVE : 0) |
		     (restart != MONITOR_RESTART_NO ? ENGINE_RESTARTS : 0) | (health ? ENGINE_HEALTH : 0) |
		     (m->q->tty ? ENGINE_TTY : 0);
	return 0;
}

/* ---- the row ---- */

static int name_is_free(struct engine *e, const char *name, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(e->db, &q, err, "SELECT id FROM container WHERE name = ?", "s", name);

	if (r == 0)
		r = db_next(&q, err);
	if (r <= 0)
		return r;
	return err_set(
		err, EEXIST,
		"Conflict. The container name \"/%s\" is already in use by container \"%s\". You have to "
		"remove (or rename) that container to be able to reuse that name.",
		name, db_text(&q, 0));
}

static int insert_all(struct engine_making *m, struct err *err)
{
	struct engine *e = m->e;
	int r = 0;

	if (m->c.slot >= 0) {
		r = engine_slot_find(e, &m->c.slot, err);
		if (r == 0)
			m->c.record.user_base = engine_slot_base(m->c.slot);
	}
	if (r == 0)
		r = engine_insert(e, &m->c, err);
	for (size_t i = 0; r == 0 && i < m->n_new; i++) {
		r = engine_volume_ensure(e, &m->new_volumes[i], err);
		if (r == 0)
			r = MIN_OF(db_exec(e->db, err, "INSERT OR IGNORE INTO volume_use VALUES (?, ?)", "ss",
					   m->new_volumes[i].name, m->c.id),
				   0);
	}
	return r;
}

static int insert_named(struct engine_making *m, const char *name, struct err *err)
{
	free(m->c.name);
	m->c.name = strdup(name);
	if (!m->c.name)
		return err_oom(err);
	int r = db_begin(m->e->db, err);
	if (r < 0)
		return r;
	r = name_is_free(m->e, name, err);
	if (r == 0)
		r = insert_all(m, err);
	if (r == 0)
		r = db_commit(m->e->db, err);
	if (r < 0)
		db_rollback(m->e->db);
	return r;
}

/* Who has the name, goes: as late as it can be, since whatever is wrong with the new one leaves the old one.
 */
static int remove_replaced(struct engine_making *m, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(m->e->db, &q, err, "SELECT id FROM container WHERE name = ?", "s", m->q->name);

	if (r == 0)
		r = db_next(&q, err);
	if (r <= 0)
		return r;
	autofree char *id = strdup(db_text(&q, 0));
	if (!id)
		return err_oom(err);
	db_row_end(&q);
	const char *joined[] = {m->c.record.net_container, m->c.record.pid_container,
				m->c.record.ipc_container};
	for (size_t i = 0; i < ARRAY_LEN(joined); i++)
		if (joined[i] && streq(joined[i], id))
			return err_set(err, EINVAL,
				       "--replace would remove container %s, whose namespaces the new one is "
				       "to join",
				       m->q->name);
	return engine_remove(m->e, id, true, false, err);
}

static int insert_anyhow(struct engine_making *m, struct err *err)
{
	char name[64];
	int r = -EEXIST;

	if (m->q->name && *m->q->name)
		return insert_named(m, m->q->name, err);
	for (int i = 0; i < NAME_TRIES && r == -EEXIST; i++) {
		engine_random_name(name, sizeof(name));
		/* The more there are, the likelier a name is taken: then with a number. */
		size_t n = strlen(name);
		if (i > 2 &&
		    snprintf(name + n, sizeof(name) - n, "%u", (unsigned)(engine_now() % 100000)) < 0)
			name[n] = '\0';
		r = insert_named(m, name, err);
	}
	return r;
}

static int write_cidfile(const struct engine_making *m, struct err *err)
{
	if (!m->q->cidfile)
		return 0;
	autoclose int fd = open(m->q->cidfile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, "failed to create the container ID file \"%s\"", m->q->cidfile);
	int r = fd_write_all(fd, m->c.id, strlen(m->c.id));
	return r < 0 ? err_num(err, r, "failed to write the container ID file \"%s\"", m->q->cidfile) : 0;
}

static int create_it(struct engine_making *m, struct err *err)
{
	char id[ENGINE_ID_LEN + 1];
	int r = get_image(m, err);

	if (r < 0)
		return r;
	engine_random_id(id);
	m->c.id = strdup(id);
	m->c.image = strdup(m->q->image);
	m->c.created = engine_now();
	if (!m->c.id || !m->c.image)
		return err_oom(err);
	r = settle_record(m, err);
	if (r == 0 && m->q->replace)
		r = remove_replaced(m, err);
	if (r == 0)
		r = insert_anyhow(m, err);
	if (r == 0 && mkdirat(m->e->data_fd, id, 0710) < 0 && errno != EEXIST)
		r = err_sys(err, "cannot make \"%s/containers/%s\"", m->e->data_root, id);
	if (r < 0)
		return r;
	r = write_cidfile(m, err);
	if (r < 0) {
		struct err ignored = {0};
		ignore_result(engine_remove(m->e, id, true, true, &ignored)); /* nobody knows its id */
	}
	return r;
}

int engine_create(struct engine *e, const struct engine_create *q, char **ret_id, struct err *err)
{
	struct engine_making m = {.e = e, .q = q, .c = {.lock = -1, .slot = -1}};
	int r = q->name && *q->name ? engine_name_check(q->name, err) : 0;

	if (r == 0)
		r = engine_create_check(e, q, err);
	/* From the look at the image to the row that names its layers, no sweep may come between. */
	autoclose int use = r == 0 ? content_use(e->store, err) : -1;
	if (r == 0)
		r = MIN_OF(use, 0);
	if (r == 0)
		r = create_it(&m, err);
	if (r == 0) {
		engine_tell_container(e, &m.c, "create", NULL, NULL);
		*ret_id = take_ptr(&m.c.id);
	}
	image_free(&m.image);
	engine_container_free(&m.c);
	return r;
}
