/* SPDX-License-Identifier: Apache-2.0 */
/* From flags as typed to struct engine_create. */
#include "front/cli/create_flags.h"

#include "front/cli/units.h"

#include <strings.h>

typedef int (*settle_one)(const struct create_settle *s, const char *text, struct err *err);

static int settle_each(const struct create_settle *s, const str_list *list, settle_one one, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->n; i++)
		r = one(s, list->v[i], err);
	return r;
}

/* A parser whose result goes to the end of a list. */
#define SETTLE_LIST(name, list, parse)                                                                       \
	static int settle_##name(const struct create_settle *s, const char *text, struct err *err)           \
	{                                                                                                    \
		struct create_flags *f = s->flags;                                                           \
		__typeof__(f->q.list.v) item = memory_push(s->memory, &f->q.list, sizeof(*item));            \
		return item ? parse : err_oom(err);                                                          \
	}
SETTLE_LIST(volume, mounts, volume_flag_parse(s->memory, text, item, err))
SETTLE_LIST(mount, mounts, mount_flag_parse(s->memory, text, item, err))
SETTLE_LIST(tmpfs, mounts, tmpfs_flag_parse(s->memory, text, item, err))
SETTLE_LIST(publish, ports, port_flag_parse(s->memory, text, item, err))
SETTLE_LIST(ulimit, ulimits, ulimit_parse(s->memory, text, item, err))
SETTLE_LIST(device, devices, device_parse(s->memory, text, item, err))
SETTLE_LIST(read_bps, device_read_bps, blkio_parse(s->memory, text, true, item, err))
SETTLE_LIST(write_bps, device_write_bps, blkio_parse(s->memory, text, true, item, err))
SETTLE_LIST(read_iops, device_read_iops, blkio_parse(s->memory, text, false, item, err))
SETTLE_LIST(write_iops, device_write_iops, blkio_parse(s->memory, text, false, item, err))
SETTLE_LIST(weight_device, weight_device, blkio_parse(s->memory, text, false, item, err))
SETTLE_LIST(add_host, add_host, add_host_parse(s->memory, text, item, err))

/* The caller's variables come before all that are named. */
static int settle_env_host(const struct create_settle *s, struct err *err)
{
	for (char **v = environ; s->flags->env_host && *v; v++) {
		const char **item;
		if (**v == '=' || !strchr(*v, '='))
			continue;
		item = memory_push(s->memory, &s->flags->q.env, sizeof(*item));
		if (!item)
			return err_oom(err);
		*item = *v;
	}
	return 0;
}

/* The zone's file in the place of the image's. */
static int settle_timezone(const struct create_settle *s, struct err *err)
{
	const char *zone = s->flags->timezone;
	struct str path autostr = {0};

	if (!zone || !*zone)
		return 0;
	if (streq(zone, "local"))
		str_put(&path, "/etc/localtime");
	else
		str_putf(&path, "/usr/share/zoneinfo/%s", zone);
	const char *source = memory_take(s->memory, &path);
	if (!source)
		return err_oom(err);
	if (*zone == '/' || strstr(zone, "..") || access(source, R_OK) < 0)
		return err_set(
			err, ENOENT,
			"--tz \"%s\": this machine has no such time zone (\"%s\"); -e TZ=… does without",
			zone, source);
	struct engine_mount *m = memory_push(s->memory, &s->flags->q.mounts, sizeof(*m));
	if (!m)
		return err_oom(err);
	*m = (struct engine_mount){.kind = ENGINE_BIND,
				   .source = source,
				   .target = "/etc/localtime",
				   .read_only = true,
				   .by_mount = true};
	return 0;
}

static int settle_env_file(const struct create_settle *s, const char *path, struct err *err)
{
	return env_file_read(s->memory, path, true, &s->flags->q.env, err);
}

static int settle_env(const struct create_settle *s, const char *text, struct err *err)
{
	const char **item;

	if (*text == '\0' || *text == '=')
		return err_set(err, EINVAL, "invalid environment variable: \"%s\" (write KEY=VALUE, or KEY)",
			       text);
	item = memory_push(s->memory, &s->flags->q.env, sizeof(*item));
	if (!item)
		return err_oom(err);
	*item = text;
	return 0;
}

static int settle_label(const struct create_settle *s, const char *text, struct err *err)
{
	if (*text == '\0' || *text == '=')
		return err_set(err, EINVAL, "invalid label: \"%s\" (write KEY=VALUE)", text);
	return pair_put(s->memory, &s->flags->q.labels, text, err);
}

static int settle_label_file(const struct create_settle *s, const char *path, struct err *err)
{
	str_list lines = {0};
	int r = env_file_read(s->memory, path, false, &lines, err);

	return r < 0 ? r : settle_each(s, &lines, settle_label, err);
}

/* "landlock=FILE" is ours to read; a profile's path must mean the same wherever the engine works. */
static int settle_security(const struct create_settle *s, const char *text, struct err *err)
{
	static const char landlock[] = "landlock=", seccomp[] = "seccomp=";
	struct create_flags *f = s->flags;
	const char **item;
	char cwd[PATH_MAX];
	struct str whole autostr = {0};

	if (str_starts(text, landlock))
		return landlock_flag_read(s->memory, text + strlen(landlock), &f->q.landlock, err);
	item = memory_push(s->memory, &f->q.security_opt, sizeof(*item));
	if (!item)
		return err_oom(err);
	*item = text;
	const char *profile = str_starts(text, seccomp) ? text + strlen(seccomp) : "/";
	if (*profile == '/' || *profile == '{' || streq(profile, "unconfined") || streq(profile, "builtin") ||
	    streq(profile, "default") || !getcwd(cwd, sizeof(cwd)))
		return 0;
	str_putf(&whole, "%s%s/%s", seccomp, cwd, profile);
	*item = memory_take(s->memory, &whole);
	return 0;
}

static int settle_network(const struct create_settle *s, const char *text, struct err *err)
{
	struct engine_create *q = &s->flags->q;
	struct net_join join;
	const char *mode;
	int r = network_flag_parse(s->memory, text, &join, &mode, err);

	if (r < 0)
		return r;
	if (q->network_mode || (mode && q->networks.n))
		return err_set(err, EINVAL,
			       "conflicting options: a container cannot be attached to \"%s\" and to another "
			       "network",
			       mode ? mode : q->network_mode);
	if (mode) {
		q->network_mode = mode;
		return 0;
	}
	struct net_join *item = memory_push(s->memory, &q->networks, sizeof(*item));
	if (!item)
		return err_oom(err);
	*item = join;
	return 0;
}

static int settle_pod(const struct create_settle *s, struct err *err)
{
	const struct create_flags *f = s->flags;
	autostr struct str mode = {0};

	if (f->ip || f->ip6 || f->aliases.n)
		return err_set(
			err, EINVAL,
			"conflicting options: an address or an alias needs a network of its own, not that of "
			"--pod");
	str_putf(&mode, "container:%s", f->q.pod);
	s->flags->q.network_mode = memory_take(s->memory, &mode);
	return s->flags->q.network_mode ? 0 : err_oom(err);
}

/* --ip, --ip6, --mac-address and --network-alias are those of the first network. */
static int settle_all_networks(const struct create_settle *s, struct err *err)
{
	struct create_flags *f = s->flags;
	bool first = f->ip || f->ip6 || f->aliases.n || f->q.mac_address;
	int r = settle_each(s, &f->networks, settle_network, err);

	if (r == 0 && f->q.pod && f->networks.n)
		r = err_set(err, EINVAL, "conflicting options: --network and --pod, whose network it has");
	if (r == 0 && f->q.pod)
		return settle_pod(s, err);

	if (r == 0 && f->networks.n == 0 && s->config->network.default_network)
		r = settle_network(s, s->config->network.default_network, err);
	if (r == 0 && first && f->q.network_mode && (f->ip || f->ip6 || f->aliases.n))
		r = err_set(
			err, EINVAL,
			"conflicting options: an address or an alias needs a network of its own, not \"%s\"",
			f->q.network_mode);
	if (r == 0 && first && !f->q.network_mode && f->q.networks.n == 0)
		r = settle_network(s, "bridge", err);
	if (r < 0 || !first || f->q.network_mode)
		return r;
	struct net_join *j = &f->q.networks.v[0];
	j->ip = f->ip ? f->ip : j->ip;
	j->ip6 = f->ip6 ? f->ip6 : j->ip6;
	j->mac = f->q.mac_address ? f->q.mac_address : j->mac;
	for (size_t i = 0; i < f->aliases.n; i++) {
		const char **alias = memory_push(s->memory, &j->aliases, sizeof(*alias));
		if (!alias)
			return err_oom(err);
		*alias = f->aliases.v[i];
	}
	return 0;
}

static int settle_health(const struct create_settle *s, struct err *err)
{
	struct create_flags *f = s->flags;
	const char **test;

	if (!f->health_cmd && !f->health_set)
		return 0;
	if (f->q.no_healthcheck)
		return err_set(err, EINVAL, "--no-healthcheck conflicts with --health-* options");
	if (f->health_interval < 0 || f->health_timeout < 0 || f->health_start_period < 0 ||
	    f->health_start_interval < 0 || f->health_retries < 0)
		return err_set(err, EINVAL,
			       "--health-interval, -timeout, -start-period, -start-interval and -retries "
			       "cannot be negative");
	const int64_t times[] = {f->health_interval, f->health_timeout, f->health_start_period,
				 f->health_start_interval};
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		if (times[i] && times[i] < 1000000)
			return err_set(err, EINVAL, "a time of a health check cannot be less than 1ms");
	f->health = (struct oci_healthcheck){.interval = f->health_interval,
					     .timeout = f->health_timeout,
					     .start_period = f->health_start_period,
					     .start_interval = f->health_start_interval,
					     .retries = f->health_retries};
	if (f->health_cmd) {
		test = json_doc_alloc(s->memory, 2 * sizeof(*test));
		if (!test)
			return err_oom(err);
		test[0] = "CMD-SHELL";
		test[1] = f->health_cmd;
		f->health.test.v = test;
		f->health.test.n = 2;
	}
	f->q.health = &f->health;
	return 0;
}

static int settle_attach(const struct create_settle *s, struct err *err)
{
	struct engine_create *q = &s->flags->q;

	for (size_t i = 0; i < s->flags->attach.n; i++) {
		const char *a = s->flags->attach.v[i];
		if (strcasecmp(a, "stdin") == 0)
			q->attach_stdin = true;
		else if (strcasecmp(a, "stdout") == 0)
			q->attach_stdout = true;
		else if (strcasecmp(a, "stderr") == 0)
			q->attach_stderr = true;
		else
			return err_set(
				err, EINVAL,
				"invalid argument \"%s\" for \"-a, --attach\" flag: valid streams are STDIN, "
				"STDOUT and STDERR",
				a);
	}
	if (s->detach && s->flags->attach.n)
		return err_set(err, EINVAL, "conflicting options: cannot specify both --attach and --detach");
	if (!s->detach && !s->flags->attach.n) {
		q->attach_stdout = q->attach_stderr = true;
		q->attach_stdin = q->interactive;
	}
	q->stdin_once = q->interactive && q->attach_stdin;
	return 0;
}

static int settle_refused(const struct create_flags *f, struct err *err)
{
	static const char *const pulls[] = {"always", "missing", "never", "if-not-present"};
	bool known = !f->q.pull;

	if (f->gpus)
		return err_set(
			err, EOPNOTSUPP,
			"--gpus %s: GPUs are not set up here: no vendor's libraries and hooks are loaded "
			"into "
			"containers; give the device files themselves, as --device /dev/dri/renderD128",
			f->gpus);
	/* What Docker's default is called is ours. */
	if (f->runtime && !streq(f->runtime, "coffer") && !streq(f->runtime, "coffer-oci") &&
	    !streq(f->runtime, "runc") && !streq(f->runtime, "io.containerd.runc.v2"))
		return err_set(err, EOPNOTSUPP,
			       "--runtime \"%s\": coffer runs containers itself; --isolation picks how",
			       f->runtime);
	if (f->volume_driver && !streq(f->volume_driver, "local"))
		return err_set(err, EOPNOTSUPP, "volume driver \"%s\" is not known: there is \"local\"",
			       f->volume_driver);
	for (size_t i = 0; i < ARRAY_LEN(pulls); i++)
		known |= f->q.pull && streq(f->q.pull, pulls[i]);
	if (!known)
		return err_set(
			err, EINVAL,
			"invalid pull option: '%s': must be one of \"always\", \"missing\" or \"never\"",
			f->q.pull);
	if (f->q.auto_remove && f->q.restart && *f->q.restart && !streq(f->q.restart, "no"))
		return err_set(err, EINVAL, "conflicting options: cannot specify both --restart and --rm");
	if (f->q.no_hosts && f->add_host.n)
		return err_set(
			err, EINVAL,
			"conflicting options: --add-host writes to the /etc/hosts that --no-hosts leaves");
	if (f->blkio_weight < 0 || f->blkio_weight > UINT16_MAX)
		return err_set(err, EINVAL, "Range of blkio weight is from 10 to 1000");
	return 0;
}

/* What the configuration says where no flag does. */
static int settle_defaults(const struct create_settle *s, struct err *err)
{
	const struct config_containers *c = &s->config->containers;
	struct create_flags *f = s->flags;
	int r = 0;

	if (!f->log_driver_given && f->q.log_opts.n == 0 && c->log_opts.n) {
		f->q.log_opts.v = c->log_opts.v;
		f->q.log_opts.n = c->log_opts.n;
	}
	if (f->stop_timeout_given && f->q.stop_timeout < 0)
		f->q.stop_timeout = ENGINE_STOP_NEVER;
	if (!f->init_given)
		f->q.init = c->init;
	if (!f->shm_given && c->shm_size && bytes_parse(c->shm_size, false, &f->q.shm_size) < 0)
		return err_set(err, EINVAL, "%s: containers.shm_size: invalid size \"%s\"", s->config->path,
			       c->shm_size);
	for (size_t i = 0; r == 0 && i < c->ulimits.n; i++) {
		struct engine_ulimit u;
		bool given = false;
		r = ulimit_parse(s->memory, c->ulimits.v[i], &u, err);
		for (size_t k = 0; r == 0 && k < f->q.ulimits.n; k++)
			given |= streq(f->q.ulimits.v[k].name, u.name);
		if (r == 0 && !given)
			r = settle_ulimit(s, c->ulimits.v[i], err);
	}
	const char *mode = f->q.network_mode;
	if (r == 0 && !mode) { /* of others the names are not ours to settle */
		if (f->q.dns.n == 0)
			f->q.dns = c->dns;
		if (f->q.dns_search.n == 0)
			f->q.dns_search = c->dns_search;
		if (f->q.dns_options.n == 0)
			f->q.dns_options = c->dns_options;
	}
	return r;
}

int create_settle(const struct create_settle *s, struct err *err)
{
	struct create_flags *f = s->flags;
	const struct {
		const str_list *list;
		settle_one one;
	} lists[] = {
		{&f->env_files, settle_env_file},
		{&f->env, settle_env},
		{&f->label_files, settle_label_file},
		{&f->labels, settle_label},
		{&f->volumes, settle_volume},
		{&f->mounts, settle_mount},
		{&f->tmpfs, settle_tmpfs},
		{&f->publish, settle_publish},
		{&f->ulimits, settle_ulimit},
		{&f->devices, settle_device},
		{&f->read_bps, settle_read_bps},
		{&f->write_bps, settle_write_bps},
		{&f->read_iops, settle_read_iops},
		{&f->write_iops, settle_write_iops},
		{&f->blkio_weight_device, settle_weight_device},
		{&f->add_host, settle_add_host},
		{&f->security_opt, settle_security},
	};
	int r = settle_refused(f, err);

	if (r == 0 && f->q.replace && !(f->q.name && *f->q.name))
		r = err_set(err, EINVAL, "--replace needs --name: the name of what is to be replaced");
	if (r == 0)
		r = settle_env_host(s, err);
	if (r == 0)
		r = settle_timezone(s, err);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++)
		r = settle_each(s, lists[i].list, lists[i].one, err);
	if (r == 0 && f->landlock)
		r = landlock_flag_read(s->memory, f->landlock, &f->q.landlock, err);
	if (r == 0)
		r = settle_all_networks(s, err);
	if (r == 0)
		r = settle_health(s, err);
	if (r == 0)
		r = settle_attach(s, err);
	if (r == 0)
		r = settle_defaults(s, err);
	if (r < 0)
		return r;
	if (f->q.isolation && streq(f->q.isolation, "default")) /* Docker's word for: as configured */
		f->q.isolation = NULL;
	if (f->q.name && f->q.name[0] == '/' && f->q.name[1]) /* as `inspect` shows it */
		f->q.name++;
	f->q.blkio_weight = (uint16_t)f->blkio_weight;
	f->q.image = config_image_name(s->config, s->memory, s->words[0]);
	for (char **word = s->words + 1; *word; word++) {
		const char **item = memory_push(s->memory, &f->q.command, sizeof(*item));
		if (!item)
			return err_oom(err);
		*item = *word;
	}
	return 0;
}
