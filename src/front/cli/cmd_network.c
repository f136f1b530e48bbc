/* SPDX-License-Identifier: Apache-2.0 */
/* network create, ls, rm, connect, disconnect. */
#include "front/cli/cli.h"
#include "front/cli/units.h"

struct network_flags {
	const char *driver, *format, *ip, *ip6, *mac, *ipam_driver, *scope;
	str_list subnets, gateways, ranges, filters, aliases, links;
	pair_list options, labels;
	bool internal, ipv6, attachable, quiet, no_trunc, no_header, force, ipv4;
};
#define NET struct network_flags

static void tell_network_life(struct engine *e, const struct net_network *n, const char *action)
{
	struct oci_pair pairs[] = {{"name", n->name}, {"type", n->driver ? n->driver : "bridge"}};

	engine_tell(e, &(struct engine_event){.type = "network",
					      .action = action,
					      .id = n->id,
					      .attributes = {.v = pairs, .n = ARRAY_LEN(pairs)}});
}

static const struct opt network_create_options[] = {
	O_STR(NET, driver, "driver", 'd', "Driver: bridge (default) or cni", .words = "bridge cni"),
	O_LIST(NET, subnets, "subnet", 0, "Subnet as 10.5.0.0/24; one of each address family"),
	O_LIST(NET, gateways, "gateway", 0, "Gateway of the subnet"),
	O_LIST(NET, ranges, "ip-range", 0, "Part of the subnet to give addresses from"),
	O_BOOL(NET, ipv6, "ipv6", 0, "Give IPv6 addresses too"),
	O_BOOL(NET, ipv4, "ipv4", 0, NULL),
	O_STR(NET, ipam_driver, "ipam-driver", 0, "What gives addresses: default, which is coffer itself",
	      .words = "default"),
	O_STR(NET, scope, "scope", 0, "Where the network is: local", .words = "local"),
	O_BOOL(NET, internal, "internal", 0, "No way to and from outside"),
	O_BOOL(NET, attachable, "attachable", 0, NULL),
	O_PAIRS(NET, labels, "label", 0, "Label KEY=VALUE"),
	O_PAIRS(NET, options, "opt", 'o', "Option of the driver, as com.docker.network.bridge.name=br0",
		.value = "map"),
};

/* The list's word of the same address family as `subnet`, or NULL. */
static const char *of_family(const str_list *list, const char *subnet)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strchr(list->v[i], ':') == !strchr(subnet, ':'))
			return list->v[i];
	return NULL;
}

static int network_subnets(struct call *call, struct net_network *q, struct err *err)
{
	const struct network_flags *f = call->options;

	if (!f->subnets.n && (f->gateways.n || f->ranges.n))
		return cli_misused(call, err, "--gateway and --ip-range belong to a --subnet: give it too");
	for (size_t i = 0; i < f->subnets.n; i++) {
		struct net_subnet *s = memory_push(&call->memory, &q->subnets, sizeof(*s));
		if (!s)
			return err_oom(err);
		*s = (struct net_subnet){f->subnets.v[i], of_family(&f->gateways, f->subnets.v[i]),
					 of_family(&f->ranges, f->subnets.v[i])};
		q->ipv6 |= strchr(f->subnets.v[i], ':') != NULL;
	}
	return 0;
}

/* What Docker and Podman have further kinds of. */
static int check_kinds(struct call *call, struct err *err)
{
	const struct network_flags *f = call->options;
	const char *ipam = f->ipam_driver;

	if (!f->ipv4)
		return err_set(err, EOPNOTSUPP,
			       "--ipv4=false: a network here always has IPv4 addresses; --ipv6 adds others");
	if (ipam && *ipam && !streq(ipam, "default") && !streq(ipam, "host-local"))
		return err_set(err, EOPNOTSUPP,
			       "--ipam-driver \"%s\" is not known: there is \"default\"; a container without "
			       "addresses is one of --network none, and other ways are CNI's (--driver cni)",
			       ipam);
	if (f->scope && *f->scope && !streq(f->scope, "local"))
		return err_set(err, EOPNOTSUPP,
			       "--scope \"%s\" is not known: networks are of this machine, \"local\"",
			       f->scope);
	return 0;
}

static int run_network_create(struct call *call, struct err *err)
{
	const struct network_flags *f = call->options;
	struct net_network q = {.name = call->args[0],
				.driver = f->driver ? f->driver : "bridge",
				.internal = f->internal,
				.ipv6 = f->ipv6,
				.attachable = f->attachable};
	autofree char *id = NULL;
	struct engine *e;
	struct net *net;
	int r = check_kinds(call, err);

	if (r == 0)
		r = network_subnets(call, &q, err);

	q.labels = f->labels;
	q.options = f->options;
	for (size_t i = 0; r == 0 && i < f->options.n; i++) {
		uint64_t mtu;
		if (!streq(f->options.v[i].key, "com.docker.network.driver.mtu") &&
		    !streq(f->options.v[i].key, "mtu"))
			continue;
		if (str_to_u64(f->options.v[i].value, 10, &mtu) < 0 || mtu < 68 || mtu > 65535)
			return cli_misused(call, err, "invalid MTU \"%s\": 68 to 65535",
					   f->options.v[i].value);
		q.mtu = (uint32_t)mtu;
	}
	for (size_t i = 0; i < f->options.n; i++)
		if (streq(f->options.v[i].key, "com.docker.network.bridge.name"))
			q.bridge = f->options.v[i].value;
	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0)
		r = engine_net_get(e, &net, err);
	if (r == 0)
		r = net_create(net, &q, &id, err);
	if (r < 0)
		return r;
	q.id = id;
	tell_network_life(e, &q, "create");
	return cli_println(id, err);
}

/* ---- ls ---- */

static const struct opt network_ls_options[] = {
	O_LIST(NET, filters, "filter", 'f', "Filter: name, id, driver, label, type, dangling",
	       .value = "filter"),
	O_STR(NET, format, "format", 0, HELP_FORMAT),
	O_BOOL(NET, no_header, "noheading", 0, "Print no line of headings"),
	O_BOOL(NET, no_trunc, "no-trunc", 0, "Do not cut ids"),
	O_BOOL(NET, quiet, "quiet", 'q', "Print ids alone"),
};
static const struct row_column network_columns[] = {
	{"CreatedAt", "CREATED AT"}, {"Driver", "DRIVER"}, {"ID", "NETWORK ID"}, {"IPv6", "IPV6"},
	{"Internal", "INTERNAL"},    {"Labels", "LABELS"}, {"Name", "NAME"},	 {"Scope", "SCOPE"},
};

static bool is_builtin(const struct net_network *n)
{
	return streq(n->name, "bridge") || streq(n->name, "host") || streq(n->name, "none");
}

/* Names of the networks that containers, running or not, are on. */
struct used_networks {
	struct engine_rows rows;
	bool asked; /* there is a filter that wants to know */
};

static int load_used(struct engine *e, const str_list *filters, struct used_networks *ret, struct err *err)
{
	const struct engine_list q = {.all = true};
	bool yes;

	for (size_t i = 0; i < filters->n; i++) {
		const char *value = filter_value(filters->v[i], "dangling");
		if (value && bool_parse(value, &yes) < 0)
			return err_set(err, EINVAL, "invalid filter '%s': true or false", filters->v[i]);
		ret->asked |= value != NULL;
	}
	return ret->asked ? engine_list(e, &q, &ret->rows, err) : 0;
}

static bool is_among(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && memcmp(p, name, n) == 0)
			return true;
	return false;
}

/* By a container, or by itself. */
static bool network_is_used(const struct used_networks *u, const struct net_network *n)
{
	for (size_t i = 0; i < u->rows.rows.n; i++)
		if (is_among(u->rows.rows.v[i].networks, n->name))
			return true;
	return is_builtin(n);
}

/* `used`: as above. */
static bool network_passes(const str_list *filters, const struct net_network *n, bool used)
{
	bool names = false, named = false;

	for (size_t i = 0; i < filters->n; i++) {
		const char *f = filters->v[i], *value;
		if ((value = filter_value(f, "name"))) {
			names = true;
			named |= engine_name_matches(value, n->name);
		} else if ((value = filter_value(f, "id"))) {
			names = true;
			named |= str_starts(n->id, value);
		} else if ((value = filter_value(f, "driver"))) {
			if (!streq(value, n->driver) && !(streq(value, "null") && streq(n->driver, "none")))
				return false;
		} else if ((value = filter_value(f, "label"))) {
			if (!labels_match(&n->labels, value))
				return false;
		} else if ((value = filter_value(f, "type"))) {
			if (streq(value, "custom") == is_builtin(n))
				return false;
		} else if ((value = filter_value(f, "dangling"))) {
			bool yes; /* it is one: network_is_used() */
			if (bool_parse(value, &yes) < 0 || used == yes)
				return false;
		} else if ((value = filter_value(f, "scope")) && !streq(value, "local")) {
			return false;
		}
	}
	return !names || named;
}

static struct value *network_row(struct json_doc *m, const struct net_network *n, bool full)
{
	struct value *v = value_new(m, VALUE_OBJECT);

	value_put(m, v, "CreatedAt", n->created ? n->created : "");
	value_put(m, v, "Driver", streq(n->driver, "none") ? "null" : n->driver);
	value_put(m, v, "ID", cli_short_id(m, n->id, full));
	value_put(m, v, "IPv6", n->ipv6 ? "true" : "false");
	value_put(m, v, "Internal", n->internal ? "true" : "false");
	value_put(m, v, "Labels", cli_join_labels(m, &n->labels));
	value_put(m, v, "Name", n->name);
	value_put(m, v, "Scope", "local");
	value_add(v, "\1Label", cli_labels_value(m, &n->labels));
	return v;
}

static int by_network_name(const void *a, const void *b)
{
	return strcmp(((const struct net_network *)a)->name, ((const struct net_network *)b)->name);
}

static int run_network_ls(struct call *call, struct err *err)
{
	const struct network_flags *f = call->options;
	const struct config *c;
	struct row_printer p;
	struct str out autostr = {0};
	network_list list = {0};
	struct used_networks used = {0};
	struct engine *e;
	struct net *net;
	int r = filters_check(&f->filters, "name id driver label type scope dangling", err);

	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0)
		r = cli_config(call, &c, err);
	if (r == 0)
		r = engine_net_get(e, &net, err);
	if (r < 0)
		return r;
	struct row_format format = {.format = f->format ? f->format : c->formats.networks,
				    .table = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
				    .no_header = f->no_header,
				    .quiet = f->quiet && !f->format ? "{{.ID}}" : NULL,
				    .columns = network_columns,
				    .ncolumns = ARRAY_LEN(network_columns)};
	r = rows_begin(&p, &call->memory, &format, &out, err);
	if (r == 0)
		r = load_used(e, &f->filters, &used, err);
	if (r == 0)
		r = net_list(net, &list, err);
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), by_network_name);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct json_doc m autojson = {0};
		if (network_passes(&f->filters, &list.v[i], used.asked && network_is_used(&used, &list.v[i])))
			r = rows_add(&p, &m, network_row(&m, &list.v[i], f->no_trunc), err);
	}
	net_list_free(&list);
	engine_rows_free(&used.rows);
	if (r < 0)
		return r;
	rows_end(&p);
	return cli_print_str(&out, err);
}

/* ---- rm, connect, disconnect ---- */

static const struct opt network_rm_options[] = {
	O_BOOL(NET, force, "force", 'f', "No failure where there is no such network"),
};

static int network_rm_one(struct call *call, struct engine *e, const char *name, struct err *err)
{
	const struct network_flags *f = call->options;
	network_list one = {0};
	struct net *net;
	int r = engine_net_get(e, &net, err);

	if (r < 0)
		return r;
	r = net_find(net, name, &one, err);
	if (r == 0)
		r = net_remove(net, name, NULL, err);
	if (r == 0 && one.n)
		tell_network_life(e, &one.v[0], "destroy");
	net_list_free(&one);
	return r == -ENOENT && f->force ? CLI_EACH_SILENT : r;
}

static int run_network_rm(struct call *call, struct err *err)
{
	return cli_each_word(call, network_rm_one, err);
}

static const struct opt network_connect_options[] = {
	O_LIST(NET, aliases, "alias", 0, "Further name of the container on this network"),
	O_STR(NET, ip, "ip", 0, "IPv4 address"),
	O_STR(NET, ip6, "ip6", 0, "IPv6 address"),
	O_STR(NET, mac, "mac-address", 0, "MAC address"),
	O_LIST(NET, links, "link", 0, NULL),
};

static int run_network_connect(struct call *call, struct err *err)
{
	const struct network_flags *f = call->options;
	struct net_join join = {
		.network = call->args[0], .aliases = f->aliases, .ip = f->ip, .ip6 = f->ip6, .mac = f->mac};
	autofree char *id = NULL;

	if (f->links.n)
		return err_set(err, EOPNOTSUPP,
			       "--link is not supported: containers find each other by name and --alias");
	int r = cli_container(call, call->args[1], &id, err);
	return r < 0 ? r : engine_network_connect(call->cli->engine, id, &join, err);
}

static const struct opt network_disconnect_options[] = {
	O_BOOL(NET, force, "force", 'f', "Also of a container that is not there any more"),
};

static int run_network_disconnect(struct call *call, struct err *err)
{
	const struct network_flags *f = call->options;
	autofree char *id = NULL;
	int r = cli_container(call, call->args[1], &id, err);

	return r < 0 ? r : engine_network_disconnect(call->cli->engine, id, call->args[0], f->force, err);
}

static const struct network_flags network_defaults = {.ipv4 = true};
#define NET_SIZE .options_size = sizeof(struct network_flags), .defaults = &network_defaults

const struct command command_network_create = {
	.name = "create",
	.summary = "Create a network",
	.usage = "[OPTIONS] NETWORK",
	.description = "Containers on a network of their own find each other by name.",
	.examples = "coffer network create app\ncoffer network create --subnet 10.5.0.0/24 --internal db\n",
	.options = {OPT_TABLE(network_create_options)},
	NET_SIZE,
	.min_args = 1,
	.max_args = 1,
	.run = run_network_create,
};
const struct command command_network_ls = {
	.name = "ls",
	.summary = "List networks",
	.usage = "[OPTIONS]",
	.examples = "coffer network ls -f type=custom\n",
	.options = {OPT_TABLE(network_ls_options)},
	NET_SIZE,
	.max_args = 0,
	.run = run_network_ls,
};
const struct command command_network_rm = {
	.name = "rm",
	.summary = "Remove one or more networks",
	.usage = "[OPTIONS] NETWORK [NETWORK...]",
	.examples = "coffer network rm app\n",
	.options = {OPT_TABLE(network_rm_options)},
	NET_SIZE,
	.min_args = 1,
	.max_args = -1,
	.words = "@network",
	.run = run_network_rm,
};
const struct command command_network_connect = {
	.name = "connect",
	.summary = "Connect a container to a network",
	.usage = "[OPTIONS] NETWORK CONTAINER",
	.examples = "coffer network connect --alias www app web\n",
	.options = {OPT_TABLE(network_connect_options)},
	NET_SIZE,
	.min_args = 2,
	.max_args = 2,
	.words = "@network",
	.run = run_network_connect,
};
const struct command command_network_disconnect = {
	.name = "disconnect",
	.summary = "Disconnect a container from a network",
	.usage = "[OPTIONS] NETWORK CONTAINER",
	.examples = "coffer network disconnect app web\n",
	.options = {OPT_TABLE(network_disconnect_options)},
	NET_SIZE,
	.min_args = 2,
	.max_args = 2,
	.words = "@network",
	.run = run_network_disconnect,
};
