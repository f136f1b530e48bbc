/* SPDX-License-Identifier: Apache-2.0 */
/* pod create, ls, inspect, start, stop, rm. */
#include "front/cli/cli.h"
#include "front/cli/create_flags.h"
#include "front/cli/units.h"

struct pod_flags {
	struct create_flags create;
	const char *format, *share;
	str_list filters;
	int timeout;
	bool timeout_given, force, quiet, no_trunc;
};
#define POD struct pod_flags
static const struct pod_flags pod_defaults = {
	.create = {.q = {.memory_swappiness = -1, .stop_timeout = -1}},
	.timeout = -1,
};

/* ---- create ---- */

/* What is the machine's: of `run` they mean the same.  Everything else is each container's own. */
static const struct opt pod_create_options[] = {
	O_STR(POD, create.q.name, "name", 'n', "Name of the pod"),
	O_LIST(POD, create.labels, "label", 'l', "Label KEY=VALUE"),
	O_STR(POD, create.q.hostname, "hostname", 'h',
	      "Host name of all containers (default: the pod's name)"),
	O_LIST(POD, create.networks, "network", 0, "Network: a name, none, or name=N,alias=A,ip=I",
	       .value = "network", .words = "@network"),
	O_LIST(POD, create.aliases, "network-alias", 0, "Further name of the pod on its network"),
	O_STR(POD, create.ip, "ip", 0, "IPv4 address on its network"),
	O_STR(POD, create.ip6, "ip6", 0, "IPv6 address on its network"),
	O_STR(POD, create.q.mac_address, "mac-address", 0, "MAC address on its network"),
	O_LIST(POD, create.publish, "publish", 'p',
	       "Publish a port: [IP:][HOST:]CONTAINER[/udp], ranges as 80-90:80-90"),
	O_LIST(POD, create.add_host, "add-host", 0,
	       "Line of /etc/hosts, HOST:ADDRESS; host-gateway is this machine"),
	O_LIST(POD, create.q.dns, "dns", 0, "DNS server"),
	O_LIST(POD, create.q.dns_search, "dns-search", 0, "DNS search domain"),
	O_LIST(POD, create.q.dns_options, "dns-option", 0, "DNS option of resolv.conf"),
	O_SIZE(POD, create.q.memory, "memory", 'm',
	       "Memory of the machine, of all containers together (default: [vm] memory)"),
	O_CPUS(POD, create.q.nano_cpus, "cpus", 0, "Processors of the machine, as 2"),
	O_SIZE(POD, create.q.shm_size, "shm-size", 0, "Size of /dev/shm, which all have (default 64m)",
	       .given = OPT_GIVEN(POD, create.shm_given)),
	O_STR(POD, create.q.userns_mode, "userns", 0, "User namespace: a fresh one (default) or \"host\"",
	      .words = "host"),
	O_STR(POD, share, "share", 0,
	      "What the containers share beside ipc, net and uts, which a machine has once: pid",
	      .value = "ipc,net,uts,pid", .words = "pid"),
	O_STR(POD, create.q.cgroup_parent, "cgroup-parent", 0, "Parent cgroup"),
	O_STR(POD, create.q.restart, "restart", 0,
	      "Restart policy: no, on-failure[:N], always, unless-stopped",
	      .words = "no always unless-stopped on-failure"),
	O_STR(POD, create.q.cidfile, "pod-id-file", 0, "Write the pod's id to this file", .value = "file",
	      .words = "@file"),
};

/* Names of namespaces, by commas.  A machine has one network, IPC and host name: to leave those out asks for
 * what there is not. */
static int read_share(struct call *call, const char *list, bool *ret_pids, struct err *err)
{
	static const char *const always[] = {"ipc", "net", "uts"};

	for (const char *word = *list == '+' ? list + 1 : list; *word;) {
		size_t n = strcspn(word, ",");
		bool known = n == 3 && memcmp(word, "pid", n) == 0;
		*ret_pids |= known;
		for (size_t i = 0; i < ARRAY_LEN(always); i++)
			known |= n == 3 && memcmp(word, always[i], n) == 0;
		if (!known)
			return cli_misused(
				call, err,
				"--share: \"%.*s\" is not shared by a pod's containers: they share "
				"ipc, net and uts always, and pid where it is named",
				(int)n, word);
		word += n + (word[n] == ',');
	}
	return 0;
}

static int add_label(struct call *call, struct create_flags *flags, const char *text, struct err *err)
{
	const char **label = memory_push(&call->memory, &flags->labels, sizeof(*label));

	if (!label)
		return err_oom(err);
	*label = text;
	return 0;
}

static int settle_first(struct call *call, struct engine *e, struct err *err)
{
	struct pod_flags *f = call->options;
	struct create_flags *flags = &f->create;
	struct engine_create *q = &flags->q;
	const struct config *c;
	const char *image = NULL;
	char *words[] = {NULL, NULL};
	bool pids = false;

	if (call->nargs && q->name)
		return cli_misused(call, err, "a pod has one name: \"%s\" or \"%s\"", q->name, call->args[0]);
	if (call->nargs)
		q->name = call->args[0];
	if (q->name && q->name[0] == '/' && q->name[1]) /* as `inspect` shows it */
		q->name++;
	int r = f->share ? read_share(call, f->share, &pids, err) : 0;
	if (r == 0)
		r = add_label(call, flags, ENGINE_POD_LABEL "=1", err);
	if (r == 0 && pids)
		r = add_label(call, flags, ENGINE_POD_PIDS_LABEL "=1", err);
	if (r < 0)
		return r;
	q->isolation = "vm";
	q->pull = "never";
	q->init = flags->init_given = true;
	if (!q->hostname && q->name && strlen(q->name) <= HOST_NAME_MAX)
		q->hostname = q->name;
	r = cli_config(call, &c, err);
	if (r == 0)
		r = engine_pod_image(e, &image, err);
	if (r < 0)
		return r;
	words[0] = strdup(image);
	if (!words[0])
		return err_oom(err);
	const struct create_settle s = {
		.flags = flags, .config = c, .words = words, .detach = true, .memory = &call->memory};
	r = create_settle(&s, err);
	q->image = image;
	free(words[0]);
	call->misused = r == -EINVAL;
	if (r == 0 && q->network_mode && !streq(q->network_mode, "none"))
		r = err_set(err, EINVAL, "a pod has a network of its own, not \"%s\"", q->network_mode);
	return r;
}

static int run_pod_create(struct call *call, struct err *err)
{
	const struct pod_flags *f = call->options;
	const struct engine_start start = {0};
	autofree char *id = NULL;
	struct engine *e;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = settle_first(call, e, err);
	if (r == 0)
		r = engine_guard(e, &f->create.q, err);
	if (r == 0)
		r = engine_create(e, &f->create.q, &id, err);
	if (r < 0)
		return r;
	r = engine_start(e, id, &start, NULL, err);
	if (r < 0) {
		struct err ignored = {0};
		ignore_result(engine_remove(e, id, true, true, &ignored)); /* the failure is what counts */
		if (f->create.q.cidfile)
			ignore_result(unlink(f->create.q.cidfile)); /* ours: it was made by engine_create() */
		return r;
	}
	return cli_println(id, err);
}

/* ---- which one ---- */

static int find_pod(struct engine *e, const char *name, struct engine_pods *ret,
		    const struct engine_pod **ret_pod, struct err *err)
{
	autofree char *id = NULL;
	int r = engine_resolve(e, name, &id, err);

	if (r == -ENOENT)
		return err_set(err, ENOENT, "No such pod: %s", name);
	if (r == 0)
		r = engine_pods(e, ret, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ret->pods.n; i++) {
		*ret_pod = &ret->pods.v[i];
		if (streq((*ret_pod)->first->id, id))
			return 0;
	}
	engine_pods_free(ret);
	return err_set(err, ENOENT, "No such pod: %s is a container, and no other one is in its machine",
		       name);
}

/* ---- ls ---- */

static const struct opt pod_ls_options[] = {
	O_LIST(POD, filters, "filter", 'f', "Filter: name, id, label, status", .value = "filter"),
	O_STR(POD, format, "format", 0, HELP_FORMAT),
	O_BOOL(POD, no_trunc, "no-trunc", 0, "Do not cut ids"),
	O_BOOL(POD, quiet, "quiet", 'q', "Print ids alone"),
};
static const struct row_column pod_columns[] = {
	{"Containers", "CONTAINERS"}, {"Created", "CREATED"},
	{"CreatedAt", "CREATED AT"},  {"ID", "POD ID"},
	{"Labels", "LABELS"},	      {"Name", "NAME"},
	{"Networks", "NETWORKS"},     {"NumberOfContainers", "# OF CONTAINERS"},
	{"Ports", "PORTS"},	      {"State", "STATE"},
	{"Status", "STATUS"},
};

static bool pod_passes(const str_list *filters, const struct engine_row *first)
{
	bool names = false, named = false, ids = false, by_id = false, states = false, in_state = false;

	for (size_t i = 0; i < filters->n; i++) {
		const char *f = filters->v[i], *value;
		if ((value = filter_value(f, "name"))) {
			names = true;
			named |= engine_name_matches(value, first->name);
		} else if ((value = filter_value(f, "id"))) {
			ids = true;
			by_id |= str_starts(first->id, value);
		} else if ((value = filter_value(f, "status"))) {
			states = true;
			in_state |= streq(first->state, value);
		} else if ((value = filter_value(f, "label")) && !labels_match(&first->labels, value)) {
			return false;
		}
	}
	return (!names || named) && (!ids || by_id) && (!states || in_state);
}

static const char *member_names(struct json_doc *m, const struct engine_pod *pod)
{
	struct str names autostr = {0};

	str_put(&names, "");
	for (size_t i = 0; i < pod->nmembers; i++)
		str_putf(&names, "%s%s", i ? "," : "", pod->members[i]->name);
	return memory_take(m, &names);
}

static struct value *pod_row(struct json_doc *m, const struct engine_pod *pod, bool full)
{
	const struct engine_row *first = pod->first;
	struct str created autostr = {0}, count autostr = {0};
	struct value *v = value_new(m, VALUE_OBJECT);

	str_putf(&created, "%s ago", duration_text(moment_now() - first->created_at).s);
	/* Podman counts the first one too, whatever runs in it. */
	str_putf(&count, "%zu", pod->nmembers + 1);
	value_put(m, v, "Containers", member_names(m, pod));
	value_put(m, v, "Created", memory_take(m, &created));
	value_put(m, v, "CreatedAt", first->created);
	value_put(m, v, "ID", cli_short_id(m, first->id, full));
	value_put(m, v, "Labels", cli_join_labels(m, &first->labels));
	value_put(m, v, "Name", first->name);
	value_put(m, v, "Networks", first->networks);
	value_put(m, v, "NumberOfContainers", memory_take(m, &count));
	value_put(m, v, "Ports", first->ports);
	value_put(m, v, "State", first->state);
	value_put(m, v, "Status", first->status);
	value_add(v, "\1Label", cli_labels_value(m, &first->labels));
	return v;
}

static int run_pod_ls(struct call *call, struct err *err)
{
	const struct pod_flags *f = call->options;
	struct engine_pods all = {0};
	struct str out autostr = {0};
	struct row_printer p;
	struct engine *e;
	const struct row_format format = {
		.format = f->format,
		.table = "{{.ID}}\t{{.Name}}\t{{.Status}}\t{{.Created}}\t{{.NumberOfContainers}}\t{{.Ports}}",
		.quiet = f->quiet && !f->format ? "{{.ID}}" : NULL,
		.columns = pod_columns,
		.ncolumns = ARRAY_LEN(pod_columns)};
	int r = filters_check(&f->filters, "name id label status", err);

	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0)
		r = rows_begin(&p, &call->memory, &format, &out, err);
	if (r == 0)
		r = engine_pods(e, &all, err);
	for (size_t i = 0; r == 0 && i < all.pods.n; i++) {
		struct json_doc m autojson = {0};
		if (pod_passes(&f->filters, all.pods.v[i].first))
			r = rows_add(&p, &m, pod_row(&m, &all.pods.v[i], f->no_trunc), err);
	}
	engine_pods_free(&all);
	if (r < 0)
		return r;
	rows_end(&p);
	return cli_print_str(&out, err);
}

/* ---- inspect ---- */

static const struct opt pod_inspect_options[] = {
	O_STR(POD, format, "format", 'f', "Format output: json, or a Go TEMPLATE"),
};

static struct value *pod_container(struct json_doc *m, const struct engine_row *row)
{
	struct value *v = value_new(m, VALUE_OBJECT);

	value_put(m, v, "Id", memory_text(m, row->id));
	value_put(m, v, "Name", memory_text(m, row->name));
	value_put(m, v, "Image", memory_text(m, row->image));
	value_put(m, v, "State", memory_text(m, row->state));
	return v;
}

/* Of the first container's description what is the machine's. */
static void put_machine(struct json_doc *m, struct value *v, const struct value *first)
{
	static const struct {
		const char *name, *path;
	} parts[] = {{"Created", "Created"},
		     {"Hostname", "Config.Hostname"},
		     {"Labels", "Config.Labels"},
		     {"Memory", "HostConfig.Memory"},
		     {"NanoCpus", "HostConfig.NanoCpus"},
		     {"NetworkMode", "HostConfig.NetworkMode"},
		     {"Ports", "NetworkSettings.Ports"},
		     {"Networks", "NetworkSettings.Networks"},
		     {"RestartPolicy", "HostConfig.RestartPolicy"}};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct value *part = value_path(first, parts[i].path);
		struct value *copy = value_new(m, VALUE_NULL);
		if (part && copy)
			*copy = *part;
		value_add(v, parts[i].name, copy);
	}
}

static struct value *shared_by(struct json_doc *m, const struct engine_row *first)
{
	static const char *const always[] = {"net", "ipc", "uts"};
	struct value *list = value_new(m, VALUE_LIST);

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		value_add(list, NULL, value_string(m, always[i]));
	if (pair_find(&first->labels, ENGINE_POD_PIDS_LABEL))
		value_add(list, NULL, value_string(m, "pid"));
	return list;
}

static int describe_pod(struct call *call, struct engine *e, const char *name, struct value **ret,
			struct err *err)
{
	struct json_doc *m = &call->memory;
	const struct engine_pod *pod;
	autofree char *json = NULL;
	struct engine_pods all;
	struct value *first, *v, *list;
	int r = find_pod(e, name, &all, &pod, err);

	if (r < 0)
		return r;
	r = engine_inspect(e, pod->first->id, false, &json, err);
	if (r == 0)
		r = value_read(m, json, strlen(json), "the container's description", &first, err);
	if (r == 0) {
		v = value_new(m, VALUE_OBJECT);
		list = value_new(m, VALUE_LIST);
		value_put(m, v, "Id", memory_text(m, pod->first->id));
		value_put(m, v, "Name", memory_text(m, pod->first->name));
		value_put(m, v, "State", memory_text(m, pod->first->state));
		put_machine(m, v, first);
		value_add(v, "SharedNamespaces", shared_by(m, pod->first));
		value_add(v, "NumContainers", value_number(m, (int64_t)pod->nmembers + 1));
		value_add(list, NULL, pod_container(m, pod->first));
		for (size_t i = 0; i < pod->nmembers; i++)
			value_add(list, NULL, pod_container(m, pod->members[i]));
		value_add(v, "Containers", list);
		*ret = v;
	}
	engine_pods_free(&all);
	return r;
}

static int run_pod_inspect(struct call *call, struct err *err)
{
	const struct pod_flags *f = call->options;
	bool whole = !f->format || !*f->format || streq(f->format, "json");
	struct value *list = value_new(&call->memory, VALUE_LIST);
	struct engine *e;
	int r = list ? cli_engine(call, &e, err) : err_oom(err);

	for (int i = 0; r == 0 && i < call->nargs; i++) {
		struct value *v = NULL;
		r = describe_pod(call, e, call->args[i], &v, err);
		if (r == 0 && whole)
			value_add(list, NULL, v);
		else if (r == 0)
			r = cli_print_document(call, v, f->format, err);
	}
	return r < 0 || !whole ? r : cli_print_document(call, list, f->format, err);
}

/* ---- start, stop, rm ---- */

static const struct opt pod_stop_options[] = {
	O_INT(POD, timeout, "time", 't',
	      "Seconds to wait before killing each container (default 10, -1 = for ever)",
	      .given = OPT_GIVEN(POD, timeout_given)),
};
static const struct opt pod_rm_options[] = {
	O_BOOL(POD, force, "force", 'f', "Kill what runs"),
};

static bool runs(const struct engine_row *row)
{
	return streq(row->state, "running") || streq(row->state, "paused") || streq(row->state, "restarting");
}

/* The machine comes first and goes last. */
static int start_pod(struct call *call unused, struct engine *e, const char *name, struct err *err)
{
	const struct engine_start start = {0};
	const struct engine_pod *pod;
	struct engine_pods all;
	int r = find_pod(e, name, &all, &pod, err);

	if (r < 0)
		return r;
	if (!runs(pod->first))
		r = engine_start(e, pod->first->id, &start, NULL, err);
	for (size_t i = 0; r == 0 && i < pod->nmembers; i++)
		if (!runs(pod->members[i]))
			r = engine_start(e, pod->members[i]->id, &start, NULL, err);
	engine_pods_free(&all);
	return r;
}

static int stop_pod(struct call *call, struct engine *e, const char *name, struct err *err)
{
	const struct pod_flags *f = call->options;
	int timeout = f->timeout_given && f->timeout < 0 ? ENGINE_STOP_NEVER : f->timeout;
	const struct engine_pod *pod;
	struct engine_pods all;
	int r = find_pod(e, name, &all, &pod, err);

	if (r < 0)
		return r;
	/* In a machine that stands still nobody could hear of it. */
	if (streq(pod->first->state, "paused"))
		r = engine_unpause(e, pod->first->id, err);
	for (size_t i = 0; r == 0 && i < pod->nmembers; i++)
		if (runs(pod->members[i]))
			r = engine_stop(e, pod->members[i]->id, NULL, timeout, err);
	if (r == 0 && runs(pod->first))
		r = engine_stop(e, pod->first->id, NULL, timeout, err);
	engine_pods_free(&all);
	return r;
}

/* Told before anything is removed: half a pod is nothing that anybody asked for. */
static int check_pod_ended(const struct engine_pod *pod, struct err *err)
{
	const struct engine_row *row = runs(pod->first) ? pod->first : NULL;

	for (size_t i = 0; i < pod->nmembers && !row; i++)
		row = runs(pod->members[i]) ? pod->members[i] : NULL;
	return row ? err_set(err, EBUSY,
			     "cannot remove pod %s: container %s is %s; stop it first, or use --force",
			     pod->first->name, row->name, row->state)
		   : 0;
}

static int remove_pod(struct call *call, struct engine *e, const char *name, struct err *err)
{
	const struct pod_flags *f = call->options;
	const struct engine_pod *pod;
	struct engine_pods all;
	int r = find_pod(e, name, &all, &pod, err);

	if (r == -ENOENT && f->force)
		return CLI_EACH_SILENT;
	if (r < 0)
		return r;
	if (!f->force)
		r = check_pod_ended(pod, err);
	/* The first one at last: while it is there the rest is found again. */
	for (size_t i = 0; r == 0 && i < pod->nmembers; i++)
		r = engine_remove(e, pod->members[i]->id, f->force, true, err);
	if (r == 0)
		r = engine_remove(e, pod->first->id, f->force, true, err);
	engine_pods_free(&all);
	return r;
}

static int run_pod_start(struct call *call, struct err *err)
{
	return cli_each_word(call, start_pod, err);
}

static int run_pod_stop(struct call *call, struct err *err)
{
	return cli_each_word(call, stop_pod, err);
}

static int run_pod_rm(struct call *call, struct err *err)
{
	return cli_each_word(call, remove_pod, err);
}

#define POD_SIZE .options_size = sizeof(struct pod_flags), .defaults = &pod_defaults
#define PODS	 .min_args = 1, .max_args = -1, .words = "@pod"

const struct command command_pod_create = {
	.name = "create",
	.summary = "Create a pod: a machine that containers go into",
	.usage = "[OPTIONS] [NAME]",
	.description =
		"The machine starts at once, with nothing in it but an init that waits.  'run --pod NAME' "
		"puts\n"
		"containers into it: they share its kernel, network, IPC and host name.  What is published,\n"
		"the addresses and the memory are the pod's, and given here.",
	.examples = "coffer pod create -p 8080:80 --memory 1g web\n"
		    "coffer run -d --isolation vm --pod web nginx\n"
		    "coffer run --rm --isolation vm --pod web alpine wget -qO- http://127.0.0.1/\n",
	.options = {OPT_TABLE(pod_create_options)},
	POD_SIZE,
	.max_args = 1,
	.guards_itself = true,
	.run = run_pod_create,
};
const struct command command_pod_ls = {
	.name = "ls",
	.summary = "List pods",
	.usage = "[OPTIONS]",
	.description =
		"What 'pod create' has made, and each container that others were put into the machine of.",
	.examples = "coffer pod ls\ncoffer pod ls -f status=running --format '{{.Name}} {{.Containers}}'\n",
	.options = {OPT_TABLE(pod_ls_options)},
	POD_SIZE,
	.max_args = 0,
	.run = run_pod_ls,
};
const struct command command_pod_inspect = {
	.name = "inspect",
	.summary = "Return what there is to know about pods",
	.usage = "[OPTIONS] POD [POD...]",
	.examples = "coffer pod inspect web\n"
		    "coffer pod inspect -f '{{range .Containers}}{{.Name}} {{.State}} {{end}}' web\n",
	.options = {OPT_TABLE(pod_inspect_options)},
	POD_SIZE,
	PODS,
	.run = run_pod_inspect,
};
const struct command command_pod_start = {
	.name = "start",
	.summary = "Start pods and the containers in them",
	.usage = "POD [POD...]",
	.examples = "coffer pod start web\n",
	POD_SIZE,
	PODS,
	.enters_container = true,
	.run = run_pod_start,
};
const struct command command_pod_stop = {
	.name = "stop",
	.summary = "Stop the containers in pods, and then their machines",
	.usage = "[OPTIONS] POD [POD...]",
	.examples = "coffer pod stop web\ncoffer pod stop -t 2 web\n",
	.options = {OPT_TABLE(pod_stop_options)},
	POD_SIZE,
	PODS,
	.run = run_pod_stop,
};
const struct command command_pod_rm = {
	.name = "rm",
	.summary = "Remove pods with the containers in them",
	.usage = "[OPTIONS] POD [POD...]",
	.description = "And the containers' anonymous volumes.  Without --force nothing of it may run.",
	.examples = "coffer pod rm web\ncoffer pod rm -f web\n",
	.options = {OPT_TABLE(pod_rm_options)},
	POD_SIZE,
	PODS,
	.run = run_pod_rm,
};
