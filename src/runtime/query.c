/* SPDX-License-Identifier: Apache-2.0 */
/* `state`, `list` and `ps`: looking, without changing anything. */
#include "runtime/runtime.h"

#include "base/file.h"
#include "base/str.h"
#include "oci/state.h"
#include "runtime/container.h"
#include "runtime/lacks.h"

#include <dirent.h>
#include <sys/stat.h>

static int describe(const struct container *c, const char *owner, struct oci_state *ret, struct err *err)
{
	enum life_state state;
	int r = container_state(c, &state, err);

	if (r < 0)
		return r;
	*ret = (struct oci_state){
		.id = c->id,
		.status = life_state_name(state),
		.pid = state != LIFE_STOPPED && c->has_init ? c->init.pid : 0,
		.bundle = c->record.bundle,
		.annotations = &c->record.annotations,
		.rootfs = c->record.rootfs,
		.created = {.tv_sec = c->record.created_sec, .tv_nsec = c->record.created_nsec},
		.owner = owner,
	};
	return 0;
}

int runtime_state(const struct runtime *rt, const char *id, char **ret_json, struct err *err)
{
	autocontainer struct container c;
	struct json_out out autojsonout = {.indent = "  "};
	struct oci_state state;

	int r = container_load(rt, id, 0, &c, err);
	if (r == 0)
		r = describe(&c, "", &state, err);
	if (r < 0)
		return r;
	oci_state_write(&out, NULL, &state);
	*ret_json = json_take(&out);
	return *ret_json ? 0 : err_oom(err);
}

static int load_for_ps(const struct runtime *rt, const char *id, struct container *ret,
		       enum life_state *state, struct err *err)
{
	int r = container_load(rt, id, CONTAINER_CONFIG, ret, err);
	return r < 0 ? r : container_may(ret, LIFE_PS, state, err);
}

int runtime_processes(const struct runtime *rt, const char *id, pid_t **ret, size_t *ret_n, struct err *err)
{
	autocontainer struct container c;
	enum life_state state;

	int r = load_for_ps(rt, id, &c, &state, err);
	if (r < 0)
		return r;
	r = c.level->processes(&c.sandbox, ret, ret_n, err);
	/* The group of a container that has stopped may be gone already. */
	if (r == -ENOENT && state == LIFE_STOPPED) {
		*ret = NULL;
		*ret_n = 0;
		return 0;
	}
	return r < 0 ? err_prefix(err, "unable to get all container pids") : 0;
}

int runtime_inner_processes(const struct runtime *rt, const char *id, struct isolate_process **ret,
			    size_t *ret_n, struct err *err)
{
	autocontainer struct container c;
	enum life_state state;

	int r = load_for_ps(rt, id, &c, &state, err);
	if (r < 0)
		return r;
	if (!c.level->inner_processes)
		return -ENOTSUP;
	*ret = NULL;
	*ret_n = 0;
	if (state == LIFE_STOPPED)
		return 0;
	r = c.level->inner_processes(&c.sandbox, ret, ret_n, err);
	return r < 0 ? err_prefix(err, "unable to get the container's processes") : 0;
}

/* ---- list ---- */

/*
 * The name of a user, by /etc/passwd alone: a static program has no other
 * name services.
 */
static char *user_name(const char *passwd, uid_t uid)
{
	for (const char *line = passwd; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		int name_end = 0;
		unsigned number;
		if (sscanf(line, "%*[^:\n]%n:%*[^:\n]:%u:", &name_end, &number) == 1 && number == uid)
			return strndup(line, (size_t)name_end);
	}
	return str_format("#%u", uid);
}

static bool row_complete(const struct list_row *row)
{
	return row->id && row->status && row->bundle && row->created && row->owner && row->json;
}

static void row_free(struct list_row *row)
{
	free(row->id);
	free(row->status);
	free(row->bundle);
	free(row->created);
	free(row->owner);
	free(row->json);
}

static int fill_row(const struct container *c, const char *passwd, struct list_row *row, struct err *err)
{
	struct json_out out autojsonout = {0};
	struct oci_state state;
	struct stat st;

	if (fstat(c->dirfd, &st) < 0)
		return err_sys(err, "cannot look at the state directory");
	*row = (struct list_row){.owner = user_name(passwd, st.st_uid)};
	int r = describe(c, row->owner, &state, err);
	if (r < 0) {
		row_free(row);
		return r;
	}
	oci_state_write(&out, NULL, &state);
	row->json = json_take(&out);
	row->id = strdup(state.id);
	row->status = strdup(state.status);
	row->bundle = strdup(state.bundle);
	row->created = strdup(oci_time(state.created).s);
	row->pid = state.pid;
	if (row_complete(row))
		return 0;
	row_free(row);
	return err_oom(err);
}

static int add_row(const struct runtime *rt, const char *id, const char *passwd, struct list_rows *rows,
		   struct err *err)
{
	autocontainer struct container c;
	struct list_row *v = reallocarray(rows->v, rows->n + 1, sizeof(*v));
	struct err why = {0};

	c = (struct container){.dirfd = -1};
	if (!v)
		return err_oom(err);
	rows->v = v;
	int r = container_load(rt, id, CONTAINER_SALVAGE, &c, &why);
	if (r == 0)
		r = fill_row(&c, passwd, &rows->v[rows->n], &why);
	if (r == 0)
		rows->n++;
	else if (c.dirfd >= 0) /* else it was deleted a moment ago */
		runtime_warn(rt, "load container %s: %s", id, why.msg);
	return r == -ENOMEM ? err_oom(err) : 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct list_row *)a)->id, ((const struct list_row *)b)->id);
}

static void close_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir); /* was only read */
}

int runtime_list(const struct runtime *rt, struct list_rows *ret, struct err *err)
{
	__attribute__((cleanup(close_dir))) DIR *dir = opendir(rt->root);
	__attribute__((cleanup(runtime_list_free))) struct list_rows rows = {0};
	autofree char *passwd = NULL;
	struct err not_an_id;
	struct dirent *d;
	size_t len;
	char text[64];

	/* The default root appears with the first container. */
	if (!dir && errno == ENOENT && rt->root_is_default) {
		*ret = rows;
		return 0;
	}
	if (!dir)
		return err_set(err, errno, "open %s: %s", rt->root, err_text_lower(errno, text));
	if (file_read_at(AT_FDCWD, "/etc/passwd", 1 << 20, &passwd, &len) < 0)
		passwd = NULL; /* numbers will do */
	while ((d = readdir(dir))) {
		if ((d->d_type != DT_DIR && d->d_type != DT_UNKNOWN) ||
		    store_check_id(d->d_name, &not_an_id) < 0)
			continue;
		int r = add_row(rt, d->d_name, passwd, &rows, err);
		if (r < 0)
			return r;
	}
	if (rows.n)
		qsort(rows.v, rows.n, sizeof(*rows.v), by_id);
	*ret = rows;
	rows = (struct list_rows){0};
	return 0;
}

void runtime_list_free(struct list_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		row_free(&rows->v[i]);
	free(rows->v);
	*rows = (struct list_rows){0};
}
