/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: containers made of images, networks and the runtime.
 *
 * The only room where image, net and runtime meet.  Functions take plain
 * structs and return plain structs: parsing and printing are the front's.
 * There is no daemon: every command opens the engine, works on the store
 * together with whatever other commands are at work, and goes.  A
 * container's row in the database is the truth about its making and its last
 * known state; what runs is asked from its monitor's files and the kernel.
 * Whoever finds a row that says "running" with nobody there (a monitor that
 * was killed, a machine that was restarted) settles it before answering.
 */
#pragma once

#include "image/image.h"
#include "monitor/monitor.h"
#include "net/net.h"
#include "runtime/runtime.h"

struct engine;
struct engine_options {
	const char *data_root, *run_root; /* /var/lib/coffer, /run/coffer; rootless: XDG */
	enum image_layers layers;
	bool sync; /* see image_store_options */
	bool systemd_cgroup, rootless;
	bool running_only;     /* for engine_exec() alone, which opens the database where it needs it */
	const char *isolation; /* default level; NULL = ns */
	bool userns_host;      /* containers.userns = "host" */
	char **main_argv;      /* for sealed_exe_ensure(): the program may start itself again with it */
	const char *const *argv_globals; /* how this program was called, for plan.maker and plan.finish:
					    program, then global flags; NULL-terminated */
	str_list cni_config_dirs, cni_plugin_dirs, address_pools;
	const char *log_driver;	  /* NULL = json-file */
	const char *fetch_config; /* path of what coffer-fetch --settings is to read (JSON); NULL = none */
	const struct reference_rules *rules; /* what short names mean; NULL = Docker's */
	void (*warn)(void *data, const char *text);
	void *warn_data;
};
must_use int engine_open(const struct engine_options *o, struct engine **ret, struct err *err);
void engine_close(struct engine *e);
struct image_store *engine_images(struct engine *e); /* borrowed */
struct net *engine_net(struct engine *e); /* borrowed; opened when first asked for; NULL = err was set */
must_use int engine_net_get(struct engine *e, struct net **ret, struct err *err);

/* ---- making ---- */

enum engine_mount_kind { ENGINE_BIND, ENGINE_VOLUME, ENGINE_TMPFS };
struct engine_mount {
	enum engine_mount_kind kind;
	const char *source; /* path, volume name; NULL = anonymous volume */
	const char *target;
	bool read_only, no_copy, create_source /* -v makes a missing host directory */;
	const char *propagation; /* NULL = rprivate */
	const char *options; /* tmpfs: "size=64m,mode=1777"; -v: what else stood behind the second colon */
	bool recursive_read_only, idmap;
	const char *subpath; /* volume-subpath */
	bool non_recursive;  /* of a bind: without what is mounted below it */
	bool by_mount;	     /* of --mount, and not of -v or --tmpfs */
	/* Of a volume that is not there yet. */
	const char *volume_driver;
	pair_list volume_labels, volume_options;
};
struct engine_device {
	const char *host, *container, *access; /* "rwm" */
};
struct engine_ulimit {
	const char *name; /* "nofile" */
	int64_t soft, hard;
};
struct engine_blkio {
	const char *device;
	uint64_t value;
};

enum { ENGINE_STOP_NEVER = INT_MAX }; /* a stop that waits as long as it takes */

/* What `create` and `run` can be told.  NULL, 0 and empty = Docker's default. */
struct engine_create {
	const char *image, *platform;
	str_list command;	/* behind the image's name */
	const char *name;	/* NULL = a made-up one ("brave_turing") */
	const char *entrypoint; /* "" = none at all */
	bool entrypoint_set;
	str_list env;	    /* "K=V"; "K" = the caller's value */
	str_list env_unset; /* of the image's variables, those that are left out */
	bool env_unset_all;
	const char *umask;	    /* octal; NULL = 0022 */
	bool no_hosts, no_hostname; /* /etc/hosts, /etc/hostname are the image's */
	const char *workdir, *user, *hostname, *domainname;
	str_list group_add;
	pair_list labels, annotations;
	bool tty, interactive, stdin_once, init, read_only, privileged, auto_remove, publish_all;
	bool replace; /* the container that has the name now is removed */
	bool attach_stdin, attach_stdout, attach_stderr;
	LIST_OF(struct engine_mount) mounts;
	str_list volumes_from;
	LIST_OF(struct engine_device) devices;
	str_list device_cgroup_rules;
	LIST_OF(struct engine_ulimit) ulimits;
	LIST_OF(struct net_join) networks; /* empty = the default one */
	const char *network_mode;	   /* NULL; "none", "host", "container:ID" */
	LIST_OF(struct net_port) ports;
	str_list expose, add_host, dns, dns_search, dns_options, links;
	const char *mac_address;
	/* limits */
	int64_t memory, memory_reservation, memory_swap /* -1 = unlimited; 0 = twice memory */, kernel_memory,
		shm_size;
	int64_t nano_cpus, cpu_period, cpu_quota, cpu_shares, cpu_rt_period, cpu_rt_runtime,
		pids_limit /* 0 = default, -1 = none */;
	const char *cpuset_cpus, *cpuset_mems;
	int64_t memory_swappiness /* -1 = unset */, oom_score_adj;
	bool oom_kill_disable;
	uint16_t blkio_weight;
	LIST_OF(struct engine_blkio)
	device_read_bps, device_write_bps, device_read_iops, device_write_iops, weight_device;
	pair_list storage_opt, sysctls;
	/* security */
	str_list cap_add, cap_drop, security_opt;
	const char *landlock; /* the JSON of --landlock (docs/coffer-oci.md) */
	const char *pid_mode, *ipc_mode, *uts_mode, *userns_mode, *cgroupns_mode, *cgroup_parent;
	const char *isolation;
	const char *pod; /* the container into whose machine it goes; network_mode is "container:" and that */
	/* life */
	const char *restart; /* "no", "always", "unless-stopped", "on-failure[:N]" */
	const char *stop_signal;
	int stop_timeout;		/* seconds; -1 = default (10), ENGINE_STOP_NEVER */
	struct oci_healthcheck *health; /* NULL = the image's */
	bool no_healthcheck;
	const char *log_driver;
	pair_list log_opts;
	const char *cidfile;
	const char *
		pull; /* "missing" (default), "always", "never": engine_create() pulls through coffer-fetch */
	bool quiet;
};
/*
 * Called before the container is made that this program will start: puts the program out of its reach
 * (guard.c), and may start it again for that, with o.main_argv.  The others below do so by themselves.
 */
must_use int engine_guard(struct engine *e, const struct engine_create *q, struct err *err);
/* *ret_id (64 digits) is owned by the caller. */
must_use int engine_create(struct engine *e, const struct engine_create *q, char **ret_id, struct err *err);

struct engine_start {
	bool attach_stdin, attach_stdout, attach_stderr;
	bool client_finishes; /* the caller will engine_finish() */
};
/* `conn` may be NULL where nothing is attached. */
must_use int engine_start(struct engine *e, const char *id, const struct engine_start *q,
			  struct monitor_conn *ret_conn, struct err *err);
/* After the end of a container: network, cgroup and state released, row settled, `die` told; removed if --rm.
 * Idempotent. */
must_use int engine_finish(struct engine *e, const char *id, struct err *err);
/* The maker of a restart (plan.maker): makes and starts, reports on MONITOR_REPORT_FD. */
must_use int engine_make_again(struct engine *e, const char *id, struct err *err);

/* ---- looking ---- */

/* A row, for `ps` and for completing names. */
struct engine_row {
	const char *id, *name, *image, *image_id, *command, *created /* RFC 3339 */;
	const char *state;  /* created running paused restarting removing exited dead */
	const char *status; /* "Up 5 minutes (healthy)", "Exited (0) 3 seconds ago" */
	const char *ports;  /* "0.0.0.0:8080->80/tcp, …" */
	const char *mounts, *networks, *isolation;
	pair_list labels;
	pid_t pid;
	int exit_code;
	int64_t created_at, started_at, finished_at; /* ns */
	uint64_t size_rw, size_root;		     /* only with `sizes` */
};
struct engine_rows {
	LIST_OF(struct engine_row) rows;
	void *memory;
};
struct engine_list {
	bool all, sizes;
	int64_t last;	  /* `ps -n`; 0 = no such limit */
	str_list filters; /* "status=running", "name=x", "label=k=v", "ancestor=", "network=", "volume=",
			     "health=", "exited=", "id=", "before=", "since=", "publish=" */
};
must_use int engine_list(struct engine *e, const struct engine_list *q, struct engine_rows *ret,
			 struct err *err);
void engine_rows_free(struct engine_rows *r);
/* A filter by name, as Docker has it: the whole, or an (extended) regular expression that some of it matches,
 * with or without the slash that `inspect` shows before it.  One that is none, or immense, matches nothing.
 */
bool engine_name_matches(const char *wanted, const char *name);
/* Full id of a name, an id, or an unambiguous prefix.  -ENOENT: "No such container: x".  The caller frees. */
must_use int engine_resolve(struct engine *e, const char *name, char **ret_id, struct err *err);
/* The object of `docker inspect` as JSON; the caller frees. */
must_use int engine_inspect(struct engine *e, const char *id, bool size, char **ret_json, struct err *err);
must_use int engine_status(struct engine *e, const char *id, struct monitor_status *ret, struct err *err);
/* Borrowed until engine_close(): RUN_ROOT/containers/ID. */
must_use int engine_run_dir(struct engine *e, const char *id, const char **ret, struct err *err);

/* ---- acting; `id` is a full id from engine_resolve() ---- */

must_use int engine_stop(struct engine *e, const char *id, const char *signal,
			 int timeout_s /* -1 = the container's */, struct err *err);
/* A container that removes itself at its end is not removed by this one. */
must_use int engine_restart(struct engine *e, const char *id, const char *signal, int timeout_s,
			    struct err *err);
must_use int engine_kill(struct engine *e, const char *id, const char *signal, struct err *err);
/* The container's health check, now: as monitor_check_health(). */
must_use int engine_check_health(struct engine *e, const char *id, int *ret_code, struct err *err);
must_use int engine_pause(struct engine *e, const char *id, struct err *err);
must_use int engine_unpause(struct engine *e, const char *id, struct err *err);
must_use int engine_remove(struct engine *e, const char *id, bool force, bool volumes, struct err *err);
must_use int engine_rename(struct engine *e, const char *id, const char *name, struct err *err);
/* `condition`: "not-running" (default), "next-exit", "removed". */
must_use int engine_wait(struct engine *e, const char *id, const char *condition, int *ret_status,
			 struct err *err);
struct engine_exec {
	str_list command, env;
	const char *user, *workdir;
	bool tty, interactive, detach, privileged;
	bool machine; /* in the container's machine, beside the container; user: NULL = root */
	/* Keys that leave the terminal of an interactive one, which goes on; NULL or "": none.  -ECANCELED
	 * then. */
	const char *detach_keys;
};
/* `name`: what engine_resolve() takes. */
must_use int engine_exec(struct engine *e, const char *name, const struct engine_exec *q, int *ret_status,
			 struct err *err);
/* Fields as in engine_create; -1 or NULL = unchanged (an unlimited memory_swap is INT64_MIN here). */
struct engine_update {
	int64_t memory, memory_reservation, memory_swap, nano_cpus, cpu_period, cpu_quota, cpu_shares,
		pids_limit;
	const char *cpuset_cpus, *cpuset_mems, *restart;
	int blkio_weight;
};
must_use int engine_update(struct engine *e, const char *id, const struct engine_update *q, struct err *err);
/* Host pids; `ps` of them is the front's. */
must_use int engine_processes(struct engine *e, const char *id, pid_t **ret, size_t *ret_n, struct err *err);
/* Of a container whose processes the host does not see; -ENOTSUP, with no error set, where it does. */
struct isolate_process;
must_use int engine_inner_processes(struct engine *e, const char *id, struct isolate_process **ret,
				    size_t *ret_n, struct err *err);
struct engine_stats {
	char name[256];
	uint64_t cpu_ns, system_ns, memory, memory_limit, net_rx, net_tx, block_read, block_write, pids;
	uint32_t cpus;
};
must_use int engine_stats(struct engine *e, const char *id, struct engine_stats *ret, struct err *err);
/* A descriptor of the container's root: of the running one, or a detached mount of the stopped one's.  The
 * caller closes.  `as_root`: an ordinary user's process becomes, for good, root of the container's user
 * namespace, and reads all that is there. */
must_use int engine_root(struct engine *e, const char *id, bool as_root, struct err *err);
/* `ret` is borrowed until engine_close(); `ret_image` (may be NULL) is the caller's: image_free(). */
must_use int engine_snapshot(struct engine *e, const char *id, struct snapshot *ret, struct image *ret_image,
			     struct err *err);
/* `cp`, races against the container included; one side is a container. */
struct engine_copy {
	const char *container, *container_path;
	const char *host_path; /* "-" = a tar stream on standard input or output */
	bool to_container, follow_link, archive;
};
must_use int engine_copy(struct engine *e, const struct engine_copy *q, struct err *err);
must_use int engine_commit(struct engine *e, const char *id, const char *reference, const char *author,
			   const char *message, const str_list *changes, bool pause, char **ret_image_id,
			   struct err *err);
/* --change lines on top of a configuration; new strings live in `doc`. */
must_use int engine_changes_apply(struct json_doc *doc, struct oci_image_config *c, const str_list *changes,
				  struct err *err);
/*
 * `vm snapshot`: a running container of level vm, with all that runs in it, by a name of its own; -EEXIST.  A
 * container is made of it by engine_machine_create(), which fills *q (name, ports, auto_remove and so on are
 * the caller's and stay) for engine_create(); strings live in *doc.
 */
must_use int engine_machine_save(struct engine *e, const char *id, const char *name, struct err *err);
/*
 * `vm snapshot --template`: a machine that has booted, and has no container yet.  Of *q its size and networks
 * count; the rest of it is set.  engine_machine_create() adds it to the caller's own *q then.
 */
must_use int engine_machine_template(struct engine *e, struct engine_create *q, const char *name,
				     struct err *err);
must_use int engine_machine_remove(struct engine *e, const char *name, struct err *err);
must_use int engine_machine_create(const char *name, struct json_doc *doc, struct engine_create *q,
				   struct err *err);
struct engine_machine {
	const char *image, *image_ref, *container; /* image: the id of its files */
	int64_t created;			   /* ns */
	str_list command;
	int64_t memory; /* bytes; 0 = the usual */
	bool template;	/* without image, container and command */
};
/* Of the text that guest_snapshots_each() gives. */
must_use int engine_machine_describe(const char *name, const char *info, size_t len, struct json_doc *doc,
				     struct engine_machine *ret, struct err *err);

/* ---- pods: containers of level vm in one machine ---- */

#define ENGINE_POD_LABEL "dev.coffer.pod" /* of what `pod create` has made */
#define ENGINE_POD_PIDS_LABEL                                                                                \
	"dev.coffer.pod.pids" /* its containers have its processes, unless they say otherwise */
struct engine_pod {
	const struct engine_row *first; /* whose the machine is; a row of the list's */
	const struct engine_row **members;
	size_t nmembers;
};
struct engine_pods {
	struct engine_rows rows;
	LIST_OF(struct engine_pod) pods; /* the newest first */
};
/* Whatever `pod create` has made, and every other container that further ones are in the machine of. */
must_use int engine_pods(struct engine *e, struct engine_pods *ret, struct err *err);
void engine_pods_free(struct engine_pods *p);
/* The name of the image that a pod without a container of its own is made of; made where it is not there.  It
 * needs `init`. */
must_use int engine_pod_image(struct engine *e, const char **ret, struct err *err);

must_use int engine_logs(struct engine *e, const char *id, struct monitor_log_query *q, struct err *err);
/* The same of its machine's console (isolation level vm): of the last start, where it does not run. */
must_use int engine_console(struct engine *e, const char *id, struct monitor_log_query *q, struct err *err);
must_use int engine_attach(struct engine *e, const char *id, bool no_stdin, struct monitor_conn *ret,
			   bool *ret_tty, struct err *err);
must_use int engine_network_connect(struct engine *e, const char *id, const struct net_join *join,
				    struct err *err);
must_use int engine_network_disconnect(struct engine *e, const char *id, const char *network, bool force,
				       struct err *err);

/* The default AppArmor profile of containers on this machine, for root: what is there for it, or lacks. */
enum engine_apparmor {
	ENGINE_APPARMOR_OFF,
	ENGINE_APPARMOR_LOADED,
	ENGINE_APPARMOR_LOADABLE, /* the next start loads it */
	ENGINE_APPARMOR_DISABLED, /* by the administrator */
	ENGINE_APPARMOR_NO_FILE,
	ENGINE_APPARMOR_NO_PARSER,
};
enum engine_apparmor engine_apparmor_state(void);

/* ---- volumes ---- */

struct engine_volume {
	const char *name, *driver, *mountpoint, *created;
	pair_list labels, options;
	bool anonymous;
	uint64_t size;	/* only with `sizes` */
	uint32_t users; /* containers */
};
typedef LIST_OF(struct engine_volume) volume_list;
must_use int engine_volume_create(struct engine *e, const struct engine_volume *q, char **ret_name,
				  struct err *err);
must_use int engine_volume_list(struct engine *e, bool sizes, volume_list *ret, struct err *err);
void engine_volume_list_free(volume_list *l);
must_use int engine_volume_remove(struct engine *e, const char *name, bool force, struct err *err);

/* ---- events ---- */

struct engine_event {
	int64_t time;			/* ns */
	const char *type, *action, *id; /* "container", "start", … as Docker names them */
	pair_list attributes;
};
void engine_tell(struct engine *e, const struct engine_event *ev);
struct engine_events {
	int64_t since, until; /* ns; 0 = now, never */
	str_list filters;
	int (*each)(void *data, const struct engine_event *ev, struct err *err);
	void *data;
};
must_use int engine_events(struct engine *e, const struct engine_events *q, struct err *err);

/* ---- the whole ---- */

struct engine_prune {
	bool containers, images, all_images, networks, volumes, all_volumes;
	str_list filters; /* "until=24h", "label=…" */
	void (*told)(void *data, const char *kind, const char *what);
	void *data;
};
must_use int engine_prune(struct engine *e, const struct engine_prune *q, uint64_t *ret_bytes,
			  struct err *err);
/*
 * Removes content that no image and no container needs.  `wait` false: while
 * content is on its way in nothing is done, the next sweep takes it.
 */
must_use int engine_sweep(struct engine *e, bool wait, uint64_t *ret_bytes, struct err *err);
struct engine_usage {
	uint64_t images, images_active, images_size, images_reclaimable;
	uint64_t containers, containers_active, containers_size, containers_reclaimable;
	uint64_t volumes, volumes_active, volumes_size, volumes_reclaimable;
};
must_use int engine_usage(struct engine *e, struct engine_usage *ret, struct err *err);
must_use int engine_check(struct engine *e, bool deep, bool repair,
			  void (*finding)(void *data, const char *line), void *data, uint64_t *ret_findings,
			  struct err *err);
/* Runs coffer-fetch with these arguments (after its globals), its standard output and error the caller's. */
must_use int engine_fetch(struct engine *e, const char *const *args, int *ret_status, struct err *err);
/* What a boot starts again: restart policy "always", and "unless-stopped" where nobody stopped it.  Goes on
 * after a failure; `told` (may be NULL) gets NULL as `err` where it went well. */
must_use int engine_start_all(struct engine *e,
			      void (*told)(void *data, const char *id, const struct err *err), void *data,
			      struct err *err);
