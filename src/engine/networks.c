/* SPDX-License-Identifier: Apache-2.0 */
/* `network connect` and `disconnect`. */
#include "engine/create.h"

static bool has_plain_network(const struct engine_record *r)
{
	const char *mode = r->q.network_mode;

	return !mode || !*mode;
}

/* Names and ids of networks are one to people: by the id that the net room finds. */
static int network_id(struct engine *e, struct net *n, const char *name, char ret[static 65], struct err *err)
{
	network_list l = {0};
	int r = net_find(n, name, &l, err);

	(void)e;
	if (r < 0)
		return r;
	if (snprintf(ret, 65, "%s", l.v[0].id) < 0)
		ret[0] = '\0';
	net_list_free(&l);
	return 0;
}

static int find_join(struct engine *e, struct net *n, const struct engine_record *r, const char *id,
		     size_t *ret, struct err *err)
{
	char own[65];

	for (size_t i = 0; i < r->q.networks.n; i++) {
		struct err gone = {0};
		if (network_id(e, n, r->q.networks.v[i].network, own, &gone) == 0 && streq(own, id)) {
			*ret = i;
			return 1;
		}
	}
	(void)err;
	return 0;
}

static int plug_more(struct engine *e, const struct engine_container *c, struct net *n,
		     const struct net_join *join, size_t index, struct err *err)
{
	struct net_result result = {.dns_udp = -1, .dns_tcp = -1};
	struct monitor_status st;
	char path[64];

	if (!engine_runs(e, c->id, &st))
		return 0; /* with the next start */
	if (snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)st.pid) < 0)
		return -EINVAL;
	autoclose int ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		return err_sys(err, "cannot open the network namespace of %s", c->name);
	struct net_attach a = {.id = c->id,
			       .name = c->name,
			       .hostname = c->record.q.hostname,
			       .networks = join,
			       .n_networks = 1,
			       .netns_fd = ns,
			       .first_index = (int)index};
	int r = net_lease(n, &a, &result, err);
	if (r < 0)
		return r;
	r = net_plug(n, &a, &result, err);
	if (r < 0) {
		struct err ignored = {0};
		ignore_result(net_detach(n, c->id, join->network, &ignored)); /* the first error is told */
	}
	net_result_free(&result);
	return r;
}

static int connect_container(struct engine *e, struct engine_container *c, struct net *n,
			     const struct net_network *to, const struct net_join *join, struct err *err)
{
	struct engine_record *r = &c->record;
	size_t at, count = r->q.networks.n;
	int s = find_join(e, n, r, to->id, &at, err);

	if (s > 0)
		return err_set(err, EEXIST, "endpoint with name %s already exists in network %s", c->name,
			       join->network);
	if (s == 0)
		s = plug_more(e, c, n, join, count, err);
	if (s < 0)
		return s;
	struct net_join *v = json_doc_alloc(&c->doc, (count + 1) * sizeof(*v));
	if (!v)
		return err_oom(err);
	if (count)
		memcpy(v, r->q.networks.v, count * sizeof(*v));
	v[count] = *join;
	v[count].network = to->name; /* it may have been named by its id */
	r->q.networks.v = v;
	r->q.networks.n++;
	s = engine_store_record(e, c, err);
	if (s == 0)
		engine_tell_network(e, &(struct net_told){c->id, to->id, to->name, to->driver}, "connect");
	return s;
}

int engine_network_connect(struct engine *e, const char *id, const struct net_join *join, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	network_list found = {0};
	struct net *n;
	int s = engine_load_locked(e, id, &c, err);

	if (s < 0)
		return s;
	if (!has_plain_network(&c.record))
		return err_set(
			err, EINVAL,
			"container %s has the network mode \"%s\" and cannot be connected to another network",
			c.name, c.record.q.network_mode);
	s = engine_net_get(e, &n, err);
	if (s == 0)
		s = net_find(n, join->network, &found, err);
	if (s == 0)
		s = connect_container(e, &c, n, &found.v[0], join, err);
	net_list_free(&found);
	return s;
}

/* 1: it is not on that network. */
static int disconnect_container(struct engine *e, struct engine_container *c, struct net *n,
				const struct net_network *from, struct err *err)
{
	struct net_join *v = c->record.q.networks.v;
	size_t at = 0, *count = &c->record.q.networks.n;
	int s = find_join(e, n, &c->record, from->id, &at, err);

	if (s <= 0)
		return s < 0 ? s : 1;
	s = net_detach(n, c->id, from->id, err);
	if (s < 0)
		return s;
	memmove(v + at, v + at + 1, (*count - at - 1) * sizeof(*v));
	--*count;
	s = engine_store_record(e, c, err);
	/* Who runs is told of by net_detach(). */
	if (s == 0 && !engine_is_live(c))
		engine_tell_network(e, &(struct net_told){c->id, from->id, from->name, from->driver},
				    "disconnect");
	return s;
}

int engine_network_disconnect(struct engine *e, const char *id, const char *network, bool force,
			      struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	network_list found = {0};
	struct net *n;
	int s = engine_load_locked(e, id, &c, err);

	if (s == 0)
		s = engine_net_get(e, &n, err);
	if (s == 0)
		s = net_find(n, network, &found, err);
	if (s == 0)
		s = disconnect_container(e, &c, n, &found.v[0], err);
	net_list_free(&found);
	if (s > 0)
		return force ? 0
			     : err_set(err, ENOENT, "container %s is not connected to network %s", c.id,
				       network);
	return s;
}
