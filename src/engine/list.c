/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ps`: one query.
 *
 * What the rows say is held against what is there: the run directories are
 * listed once, and of a container that is said to run its monitor's lock is
 * tried, three system calls.  The monitor's files are read only where a health check or a restart policy says
 * more than the row.  Rows that are wrong are settled, and the query is made again.
 */
#include "engine/engine_int.h"

#include <dirent.h>

#define COLUMNS                                                                                              \
	"id, name, state, flags, exit_code, created, started, finished, image, image_id, command, labels, "  \
	"mounts, networks, ports, exposed, isolation, restarts"
enum {
	C_ID,
	C_NAME,
	C_STATE,
	C_FLAGS,
	C_EXIT,
	C_CREATED,
	C_STARTED,
	C_FINISHED,
	C_IMAGE,
	C_IMAGE_ID,
	C_COMMAND,
	C_LABELS,
	C_MOUNTS,
	C_NETWORKS,
	C_PORTS,
	C_EXPOSED,
	C_ISOLATION,
	C_RESTARTS,
};

/* The names in RUN_ROOT/containers, sorted. */
struct run_dirs {
	char (*v)[ENGINE_ID_LEN + 1];
	size_t n, cap;
};

static int compare_ids(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int read_run_dirs(const struct engine *e, struct run_dirs *ret, struct err *err)
{
	int fd = openat(e->run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (!d) {
		r = err_sys(err, "cannot read \"%s/containers\"", e->run_root);
		if (fd >= 0)
			(void)close(fd); /* read only */
		return r;
	}
	for (const struct dirent *x; r == 0 && (x = readdir(d));) {
		if (strlen(x->d_name) != ENGINE_ID_LEN)
			continue;
		if (ret->n == ret->cap) {
			size_t cap = ret->cap ? 2 * ret->cap : 64;
			void *v = realloc(ret->v, cap * sizeof(*ret->v));
			if (!v) {
				r = err_oom(err);
				break;
			}
			ret->v = v;
			ret->cap = cap;
		}
		memcpy(ret->v[ret->n++], x->d_name, ENGINE_ID_LEN + 1);
	}
	(void)closedir(d); /* read only */
	if (r == 0 && ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), compare_ids);
	return r;
}

static bool has_dir(const struct run_dirs *d, const char *id)
{
	return d->n && bsearch(id, d->v, d->n, sizeof(*d->v), compare_ids);
}

struct listing {
	struct engine *e;
	const struct engine_list *q;
	struct engine_filters filters;
	struct run_dirs dirs;
	struct json_doc *doc;
	struct engine_row *v;
	size_t n, cap;
	str_list wrong;		    /* ids whose rows must be settled */
	bool second;		    /* they were: what is still wrong is shown as it is */
	int64_t now, before, since; /* of the containers that the filters name */
};

static const char *list_keep(struct listing *l, const char *text)
{
	size_t n = strlen(text) + 1;
	char *s = json_doc_alloc(l->doc, n);

	return s ? memcpy(s, text, n) : NULL;
}

static bool live(const char *state)
{
	return streq(state, "running") || streq(state, "paused") || streq(state, "restarting");
}

/* Does the row say what is so? */
static bool row_is_right(const struct listing *l, const struct db_row *q)
{
	const char *id = db_text(q, C_ID), *state = db_text(q, C_STATE);
	bool dir = has_dir(&l->dirs, id);

	if (streq(state, "removing"))
		return false;
	if (!dir)
		return !live(state);
	return live(state) && engine_monitored(l->e, id);
}

static bool matches_list(const struct engine_filters *f, const char *key, const char *list)
{
	bool any = false;

	for (size_t i = 0; i < f->n; i++) {
		if (!streq(f->v[i].key, key))
			continue;
		any = true;
		size_t len = strlen(f->v[i].value);
		for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',') {
			if (strcspn(p, ",") == len && strncmp(p, f->v[i].value, len) == 0)
				return true;
		}
	}
	return !any;
}

static bool any_matches(const struct engine_filters *f, const char *key, const char *have,
			bool (*match)(const char *wanted, const char *have))
{
	bool any = false;

	for (size_t i = 0; i < f->n; i++) {
		if (!streq(f->v[i].key, key))
			continue;
		if (match(f->v[i].value, have))
			return true;
		any = true;
	}
	return !any;
}

static bool is_prefix(const char *wanted, const char *have)
{
	return str_starts(have, wanted);
}

/* By name with or without "latest", or by id. */
static bool image_matches(const struct engine_filters *f, const char *image, const char *image_id)
{
	bool any = false;

	for (size_t i = 0; i < f->n; i++) {
		const char *w = f->v[i].value;
		if (!streq(f->v[i].key, "ancestor"))
			continue;
		any = true;
		size_t n = strlen(w);
		if (streq(w, image) || (strncmp(image, w, n) == 0 && streq(image + n, ":latest")) ||
		    (str_ends(w, ":latest") && strlen(image) == n - 7 && strncmp(w, image, n - 7) == 0))
			return true;
		if (n >= 4 && (str_starts(image_id, w) ||
			       (str_starts(image_id, "sha256:") && str_starts(image_id + 7, w))))
			return true;
	}
	return !any;
}

/* "8080", "8080-8090/udp": the host's port, in ranges too. */
static bool port_matches(const char *wanted, const char *ports)
{
	char *rest;
	unsigned long from = strtoul(wanted, &rest, 10),
		      to = *rest == '-' ? strtoul(rest + 1, NULL, 10) : from;
	const char *proto = strchr(wanted, '/') ? strchr(wanted, '/') : "/tcp";

	for (const char *item = ports; *item;) {
		size_t len = strcspn(item, ",");
		const char *arrow = memmem(item, len, "->", 2), *colon = arrow;
		while (colon && colon > item && *colon != ':')
			colon--;
		if (arrow) {
			char *end;
			unsigned long first = strtoul(colon + 1, &end, 10);
			unsigned long last =
				*end == '-' && end[1] != '>' ? strtoul(end + 1, &end, 10) : first;
			const char *slash = memchr(item, '/', len);
			if (to >= first && from <= last && slash &&
			    strlen(proto) == (size_t)(item + len - slash) &&
			    strncmp(slash, proto, strlen(proto)) == 0)
				return true;
		}
		item += len;
		item += strspn(item, ", ");
	}
	return false;
}

static bool exposes(const char *wanted, const char *exposed)
{
	size_t n = strcspn(wanted, "/");
	char text[32];
	int len = snprintf(text, sizeof(text), "%.*s/%s", (int)MIN_OF(n, 8U), wanted,
			   wanted[n] ? wanted + n + 1 : "tcp");

	for (const char *p = exposed; len > 0 && *p; p += strcspn(p, ","), p += *p == ',') {
		if (strcspn(p, ",") == (size_t)len && strncmp(p, text, (size_t)len) == 0)
			return true;
	}
	return false;
}

static bool exit_matches(const char *wanted, const char *code)
{
	return streq(wanted, code);
}

/* The volume's name or the bind's source, which the row has, or where one is mounted, which the record has.
 */
static bool mounts_match(const struct listing *l, const struct db_row *q)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct err ignored = {0};

	if (matches_list(&l->filters, "volume", db_text(q, C_MOUNTS)))
		return true;
	if (engine_load(l->e, db_text(q, C_ID), &c, &ignored) < 0) /* gone meanwhile */
		return false;
	for (size_t i = 0; i < c.record.mounts.n; i++)
		if (engine_filter_match(&l->filters, "volume", c.record.mounts.v[i].target))
			return true;
	return false;
}

static bool row_wanted(const struct listing *l, const struct db_row *q, const char *state)
{
	const struct engine_filters *f = &l->filters;
	int64_t created = db_int(q, C_CREATED);
	char code[16];

	if (!l->q->all && l->q->last <= 0 && !engine_filter_first(f, "status") &&
	    !engine_filter_first(f, "exited") && !live(state))
		return false;
	if (!engine_filter_match(f, "status", state) || !any_matches(f, "id", db_text(q, C_ID), is_prefix) ||
	    !any_matches(f, "name", db_text(q, C_NAME), engine_name_matches) ||
	    !image_matches(f, db_text(q, C_IMAGE), db_text(q, C_IMAGE_ID)) ||
	    !matches_list(f, "network", db_text(q, C_NETWORKS)) ||
	    !engine_filter_match(f, "isolation", db_text(q, C_ISOLATION)) ||
	    !any_matches(f, "publish", db_text(q, C_PORTS), port_matches) ||
	    !any_matches(f, "expose", db_text(q, C_EXPOSED), exposes))
		return false;
	if (engine_filter_first(f, "volume") && !mounts_match(l, q))
		return false;
	if ((l->before && created >= l->before) || (l->since && created <= l->since))
		return false;
	if (snprintf(code, sizeof(code), "%lld", (long long)db_int(q, C_EXIT)) < 0)
		return false;
	if (engine_filter_first(f, "exited") &&
	    (live(state) || streq(state, "created") || !any_matches(f, "exited", code, exit_matches)))
		return false;
	return true;
}

static int grow_rows(struct listing *l, struct err *err)
{
	if (l->n < l->cap)
		return 0;
	size_t cap = l->cap ? 2 * l->cap : 64;
	struct engine_row *v = realloc(l->v, cap * sizeof(*v));
	if (!v)
		return err_oom(err);
	l->v = v;
	l->cap = cap;
	return 0;
}

static int add_sizes(struct listing *l, struct engine_row *row, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct snapshot s autosnapshot = {0};
	struct engine_maps maps;
	uint64_t inodes;
	int r = engine_load(l->e, row->id, &c, err);

	if (r < 0)
		return r;
	engine_maps_of(l->e, &c, &maps);
	r = engine_snapshot_of(l->e, &c, &maps, &s, err);
	if (r == 0)
		r = snapshot_usage(&s, &row->size_rw, &inodes, err);
	if (r == 0) {
		struct image image autoimage = {0};
		struct err ignored = {0};
		row->size_root = row->size_rw;
		if (image_find(l->e->store, c.record.image_id, NULL, &image, &ignored) == 0)
			row->size_root += image.size;
	}
	return r;
}

/* Is "80/tcp" among "0.0.0.0:8080-8082->80-82/tcp, …"? */
static bool published_already(const char *published, const char *exposed)
{
	unsigned long port = strtoul(exposed, NULL, 10);
	const char *proto = strchr(exposed, '/');

	for (const char *p = published; (p = strstr(p, "->"));) {
		char *end;
		p += 2;
		unsigned long first = strtoul(p, &end, 10),
			      last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
		size_t n = strcspn(end, ",");
		if (port >= first && port <= last && proto && strlen(proto) == n &&
		    strncmp(proto, end, n) == 0)
			return true;
	}
	return false;
}

/* Exposed ports that are not published stand behind those that are. */
static const char *ports_of_row(struct listing *l, const struct db_row *q, bool is_live)
{
	const char *published = db_text(q, C_PORTS), *exposed = db_text(q, C_EXPOSED);
	struct str out autostr = {0};
	str_list list = {0};
	struct err ignored = {0};

	if (!is_live)
		return "";
	if (!*exposed)
		return list_keep(l, published);
	autofree char *copy = strdup(exposed);
	for (char *p = copy; p && *p;) {
		char *comma = strchr(p, ',');
		if (comma)
			*comma++ = '\0';
		if (!published_already(published, p) && engine_strs_add(&list, p, &ignored) < 0)
			break;
		p = comma;
	}
	autofree char *rest = engine_ports_text(NULL, 0, &list);
	engine_strs_free(&list);
	str_putf(&out, "%s%s%s", rest ? rest : "", rest && *rest && *published ? ", " : "", published);
	return list_keep(l, out.s ? out.s : "");
}

static int list_add_row(struct listing *l, const struct db_row *q, struct err *err)
{
	const char *state = db_text(q, C_STATE);
	int64_t flags = db_int(q, C_FLAGS);
	struct monitor_status st = {0};
	bool is_live = live(state);
	char text[96], created[40];

	if (is_live && (flags & (ENGINE_RESTARTS | ENGINE_HEALTH))) {
		(void)engine_runs(l->e, db_text(q, C_ID), &st); /* the rest of it is what counts */
		if (st.restarting && !streq(state, "paused"))
			state = "restarting";
	}
	if (!row_wanted(l, q, state))
		return 0;
	const char *health = flags & ENGINE_HEALTH ? (*st.health ? st.health : "none") : "none";
	if (!engine_filter_match(&l->filters, "health", health))
		return 0;
	int r = grow_rows(l, err);
	if (r < 0)
		return r;
	struct engine_row *row = &l->v[l->n];
	*row = (struct engine_row){
		.id = list_keep(l, db_text(q, C_ID)),
		.name = list_keep(l, db_text(q, C_NAME)),
		.image = list_keep(l, db_text(q, C_IMAGE)),
		.image_id = list_keep(l, db_text(q, C_IMAGE_ID)),
		.command = list_keep(l, db_text(q, C_COMMAND)),
		.state = list_keep(l, state),
		.mounts = list_keep(l, db_text(q, C_MOUNTS)),
		.networks = list_keep(l, db_text(q, C_NETWORKS)),
		.isolation = list_keep(l, db_text(q, C_ISOLATION)),
		.ports = ports_of_row(l, q, is_live),
		.exit_code = (int)db_int(q, C_EXIT),
		.created_at = db_int(q, C_CREATED),
		.started_at = st.started_at ? st.started_at : db_int(q, C_STARTED),
		.finished_at = st.finished_at ? st.finished_at : db_int(q, C_FINISHED),
		.pid = st.running ? st.pid : 0,
	};
	if (streq(state, "restarting"))
		row->exit_code = st.exit_code;
	engine_time_text(row->created_at, created);
	struct engine_status_in in = {.state = state,
				      .health = flags & ENGINE_HEALTH ? st.health : NULL,
				      .exit_code = row->exit_code,
				      .now = l->now,
				      .created = row->created_at,
				      .started = row->started_at,
				      .finished = row->finished_at};
	engine_status_text(&in, text, sizeof(text));
	row->created = list_keep(l, created);
	row->status = list_keep(l, text);
	if (!row->id || !row->name || !row->command || !row->status || !row->created)
		return err_oom(err);
	const char *labels = db_text(q, C_LABELS);
	if (*labels) {
		r = engine_pairs_read(l->doc, labels, &row->labels, err);
		if (r < 0)
			return r;
	}
	if (!engine_filter_labels(&l->filters, row->labels.v, row->labels.n))
		return 0;
	l->n++;
	return 0;
}

static int query_rows(struct listing *l, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(l->e->db, &q, err, "SELECT " COLUMNS " FROM container ORDER BY created DESC", "");

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		r = 0;
		if (!l->second && !row_is_right(l, &q))
			r = engine_strs_add(&l->wrong, db_text(&q, C_ID), err);
		if (r == 0 && !l->wrong.n)
			r = list_add_row(l, &q, err);
		if (l->q->last > 0 && (int64_t)l->n >= l->q->last)
			break;
	}
	return r;
}

static void settle_wrong(struct listing *l)
{
	for (size_t i = 0; i < l->wrong.n; i++) {
		struct engine_container c autocontainer_row = {.lock = -1};
		struct err err = {0};
		/* Somebody is at it: then it is as they will have it. */
		int lock = engine_lock(l->e, l->wrong.v[i], false, &err);
		if (lock < 0)
			continue;
		int r = engine_load(l->e, l->wrong.v[i], &c, &err);
		if (r < 0) {
			(void)unlinkat(l->e->data_fd, l->wrong.v[i], AT_REMOVEDIR); /* while it is empty */
			(void)close(lock);					    /* lets it go */
			continue;
		}
		c.lock = lock;
		r = engine_settle(l->e, &c, &err);
		if (r < 0)
			engine_warn(l->e, "%s", err.msg);
	}
	engine_strs_free(&l->wrong);
	l->second = true;
	l->n = 0;
}

/* When the container was made that before= or since= names. */
static int filter_time(struct listing *l, const char *key, int64_t *ret, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	const char *name = engine_filter_first(&l->filters, key);
	autofree char *id = NULL;

	if (!name)
		return 0;
	int r = engine_resolve(l->e, name, &id, err);
	if (r == 0)
		r = engine_load(l->e, id, &c, err);
	if (r == 0)
		*ret = c.created;
	return r;
}

static bool is_health(const char *word)
{
	return streq(word, "none") || streq(word, "starting") || streq(word, "healthy") ||
	       streq(word, "unhealthy");
}

/* Tasks are a swarm's: there is none. */
static bool is_no_task(const struct engine_filters *f)
{
	const char *word = engine_filter_first(f, "is-task");

	return !word || !streq(word, "true");
}

static int check_filter_values(const struct engine_filters *f, struct err *err)
{
	static const char *const states[] = {"created", "restarting", "running", "removing",
					     "paused",	"exited",     "dead"};

	for (size_t i = 0; i < f->n; i++) {
		bool ok = !streq(f->v[i].key, "status");
		for (size_t k = 0; k < ARRAY_LEN(states); k++)
			ok |= streq(f->v[i].value, states[k]);
		if (!ok)
			return err_set(err, EINVAL, "invalid filter 'status=%.64s'", f->v[i].value);
		if (streq(f->v[i].key, "health") && !is_health(f->v[i].value))
			return err_set(err, EINVAL, "Unrecognised filter value for health: %.64s",
				       f->v[i].value);
		if (streq(f->v[i].key, "publish") && f->v[i].value[strspn(f->v[i].value, "0123456789")] &&
		    !strpbrk(f->v[i].value, "0123456789"))
			return err_set(err, EINVAL, "invalid filter 'publish=%.64s': write a port",
				       f->v[i].value);
		int64_t code;
		if (streq(f->v[i].key, "exited") && str_to_i64(f->v[i].value, &code) < 0)
			return err_set(err, EINVAL, "invalid filter 'exited=%.64s': write an exit code",
				       f->v[i].value);
	}
	return 0;
}

/* A network may be named by its id; rows have its name. */
static int filter_network_names(struct engine *e, struct engine_filters *f, struct err *err)
{
	struct err gone = {0};
	network_list l = {0};
	struct net *net;
	int r = engine_filter_first(f, "network") ? engine_net_get(e, &net, err) : 0;

	for (size_t i = 0; r == 0 && i < f->n; i++) {
		if (!streq(f->v[i].key, "network") || net_find(net, f->v[i].value, &l, &gone) < 0)
			continue;
		char *name = strdup(l.v[0].name);
		net_list_free(&l);
		if (!name)
			return err_oom(err);
		free(f->v[i].value);
		f->v[i].value = name;
	}
	return r;
}

int engine_list(struct engine *e, const struct engine_list *q, struct engine_rows *ret, struct err *err)
{
	static const char *const known[] = {"status",  "name",	 "label",   "label!", "ancestor",
					    "network", "volume", "health",  "exited", "id",
					    "before",  "since",	 "publish", "expose", "isolation",
					    "is-task", NULL};
	struct listing l = {.e = e, .q = q, .now = engine_now(), .doc = calloc(1, sizeof(*l.doc))};
	int r = l.doc ? engine_filters_parse(&q->filters, known, &l.filters, err) : err_oom(err);

	if (r == 0)
		r = check_filter_values(&l.filters, err);
	if (r == 0)
		r = filter_network_names(e, &l.filters, err);
	if (r == 0)
		r = filter_time(&l, "before", &l.before, err);
	if (r == 0)
		r = filter_time(&l, "since", &l.since, err);
	if (r == 0)
		r = read_run_dirs(e, &l.dirs, err);
	if (r == 0 && is_no_task(&l.filters))
		r = query_rows(&l, err);
	if (r >= 0 && l.wrong.n) {
		settle_wrong(&l);
		r = query_rows(&l, err);
	}
	for (size_t i = 0; r >= 0 && q->sizes && i < l.n; i++)
		r = add_sizes(&l, &l.v[i], err);
	free(l.dirs.v);
	engine_strs_free(&l.wrong);
	engine_filters_free(&l.filters);
	struct engine_rows rows = {.memory = l.doc};
	rows.rows.v = l.v;
	rows.rows.n = l.n;
	if (r < 0)
		engine_rows_free(&rows);
	else
		*ret = rows;
	return MIN_OF(r, 0);
}

void engine_rows_free(struct engine_rows *r)
{
	free(r->rows.v);
	if (r->memory)
		json_doc_free(r->memory);
	free(r->memory);
	*r = (struct engine_rows){0};
}
