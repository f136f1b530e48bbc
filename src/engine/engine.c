/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing, paths, and the database's tables. */
#include "engine/engine_int.h"

#include "base/file.h"

#include <sys/stat.h>

enum { ENGINE_SCHEMA = 1 };

/* What `ps` reads stands together; records, which are long and do not change, have a table of their own. */
static const char schema[] =
	"CREATE TABLE IF NOT EXISTS container ("
	" id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, slot INTEGER UNIQUE, state TEXT NOT NULL,"
	" flags INTEGER NOT NULL, exit_code INTEGER NOT NULL DEFAULT 0, oom INTEGER NOT NULL DEFAULT 0,"
	" stopped INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, started INTEGER NOT NULL DEFAULT 0,"
	" finished INTEGER NOT NULL DEFAULT 0, restarts INTEGER NOT NULL DEFAULT 0, error TEXT,"
	" image TEXT, image_id TEXT, command TEXT, labels TEXT, mounts TEXT, networks TEXT, ports TEXT,"
	" exposed TEXT, isolation TEXT);"
	"CREATE TABLE IF NOT EXISTS container_record (id TEXT PRIMARY KEY REFERENCES container (id)"
	" ON DELETE CASCADE, record TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS volume (name TEXT PRIMARY KEY, created INTEGER NOT NULL,"
	" anonymous INTEGER NOT NULL, labels TEXT, options TEXT) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS volume_use (volume TEXT NOT NULL, container TEXT NOT NULL,"
	" PRIMARY KEY (volume, container)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS volume_use_container ON volume_use (container);";

static int open_directory_of(const char *root, const char *name, mode_t mode, struct err *err)
{
	autofree char *path = str_format("%s/%s", root, name);

	if (!path)
		return err_oom(err);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		int r = file_mkdir_all(path, mode);
		if (r < 0)
			return err_num(err, r, "cannot make \"%s\"", path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return fd < 0 ? err_sys(err, "cannot open \"%s\"", path) : fd;
}

int engine_open_all(struct engine *e, struct err *err)
{
	struct image_store_options store = {
		.root = e->data_root, .layers = e->o.layers, .sync = e->o.sync, .rules = e->o.rules};
	int r = e->db ? 0 : image_store_open(&store, &e->store, err);

	if (r < 0 || e->db)
		return r;
	e->db = image_store_db(e->store);
	r = db_schema(e->db, "engine", ENGINE_SCHEMA, schema, err);
	if (r < 0)
		return r;
	/* 0711: below it lie the roots of containers with users of their own. */
	e->data_fd = open_directory_of(e->data_root, "containers", 0711, err);
	if (e->data_fd < 0)
		return e->data_fd;
	if (e->run_fd < 0)
		e->run_fd = open_directory_of(e->run_root, "containers", 0711, err);
	return MIN_OF(e->run_fd, 0);
}

int engine_open(const struct engine_options *o, struct engine **ret, struct err *err)
{
	struct engine *e = calloc(1, sizeof(*e));
	int r = 0;

	if (!e)
		return err_oom(err);
	e->data_fd = e->run_fd = e->events_fd = -1;
	e->o = *o;
	e->data_root = strdup(o->data_root);
	e->run_root = strdup(o->run_root);
	e->rt = (struct runtime){
		.root = str_format("%s/oci", o->run_root),
		.systemd_cgroup = o->systemd_cgroup,
		.rootless = o->rootless,
		.rootless_cgroup = o->rootless,
		.warn = o->warn,
		.warn_data = o->warn_data,
	};
	if (!e->data_root || !e->run_root || !e->rt.root)
		r = err_oom(err);
	if (r == 0 && o->running_only)
		e->run_fd = open_directory_of(e->run_root, "containers", 0711, err);
	if (r == 0)
		r = o->running_only ? MIN_OF(e->run_fd, 0) : engine_open_all(e, err);
	if (r < 0) {
		engine_close(e);
		return r;
	}
	*ret = e;
	return 0;
}

struct engine_lent *engine_lend(struct engine *e)
{
	struct engine_lent *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->c.lock = -1;
	k->next = e->lent;
	e->lent = k;
	return k;
}

void engine_settle_down(struct engine *e)
{
	net_close(e->net);
	image_store_close(e->store);
	e->net = NULL;
	e->store = NULL;
	e->db = NULL;
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	for (struct engine_lent *k; (k = e->lent);) {
		e->lent = k->next;
		engine_snapshot_free(&k->snapshot);
		engine_container_free(&k->c);
		free(k);
	}
	engine_settle_down(e);
	fd_drop(&e->data_fd);
	fd_drop(&e->run_fd);
	fd_drop(&e->events_fd);
	free(e->data_root);
	free(e->run_root);
	free(e->rt.root);
	free(e);
}

struct image_store *engine_images(struct engine *e)
{
	return e->store;
}

static void left_network(void *engine, const struct net_told *told)
{
	engine_tell_network(engine, told, "disconnect");
}

int engine_net_get(struct engine *e, struct net **ret, struct err *err)
{
	struct net_options o = {
		.db = e->db,
		.run_root = e->run_root,
		.data_root = e->data_root,
		.rootless = e->o.rootless,
		.cni_config_dirs = e->o.cni_config_dirs,
		.cni_plugin_dirs = e->o.cni_plugin_dirs,
		.pools = e->o.address_pools,
		.warn = e->o.warn,
		.warn_data = e->o.warn_data,
		.left = left_network,
		.left_data = e,
	};

	if (!e->net) {
		int r = net_open(&o, &e->net, err);
		if (r < 0)
			return r;
	}
	*ret = e->net;
	return 0;
}

struct net *engine_net(struct engine *e)
{
	struct err err = {0};
	struct net *n = NULL;

	if (engine_net_get(e, &n, &err) < 0)
		engine_warn(e, "%s", err.msg);
	return n;
}

void engine_warn(const struct engine *e, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	if (!e->o.warn)
		return;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) >= 0)
		e->o.warn(e->o.warn_data, text);
	va_end(ap);
}

char *engine_data_path(const struct engine *e, const char *id, const char *file)
{
	return str_format("%s/containers/%s%s%s", e->data_root, id, file ? "/" : "", file ? file : "");
}

char *engine_trash_path(const struct engine *e)
{
	return str_format("%s/ingest", e->data_root);
}

char *engine_run_path(const struct engine *e, const char *id, const char *file)
{
	return str_format("%s/containers/%s%s%s", e->run_root, id, file ? "/" : "", file ? file : "");
}

int engine_run_dir(struct engine *e, const char *id, const char **ret, struct err *err)
{
	int n = snprintf(e->run_dir, sizeof(e->run_dir), "%s/containers/%s", e->run_root, id);

	if (n < 0 || (size_t)n >= sizeof(e->run_dir))
		return err_set(err, ENAMETOOLONG, "the path of \"%s\" is too long", e->run_root);
	*ret = e->run_dir;
	return 0;
}

int engine_strs_add(str_list *l, const char *text, struct err *err)
{
	const char **v = realloc((void *)(uintptr_t)l->v, (l->n + 1) * sizeof(*v));

	if (!v)
		return err_oom(err);
	l->v = v;
	v[l->n] = strdup(text);
	if (!v[l->n])
		return err_oom(err);
	l->n++;
	return 0;
}

void engine_strs_free(str_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free((void *)(uintptr_t)l->v[i]); /* engine_strs_add() made it */
	free((void *)(uintptr_t)l->v);
	*l = (str_list){0};
}
