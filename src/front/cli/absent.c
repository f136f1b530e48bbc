/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and options of Docker's and Podman's that are not here, and what to type in their place. */
#include "front/cli/commands.h"

#include "base/str.h"

struct absent_word {
	const char *words; /* names, with a blank between them; letters likewise */
	const char *why;
};

/* Whether one of the words is this. */
static bool names_it(const char *words, const char *name, size_t len)
{
	for (const char *p = words; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == len && memcmp(p, name, len) == 0)
			return true;
	return false;
}

static const char *absent_why(const struct absent_word *v, const char *name, size_t len)
{
	for (; v->words; v++)
		if (names_it(v->words, name, len))
			return v->why;
	return NULL;
}

/* ---- commands ---- */

static const struct absent_word absent_commands[] = {
	{"build builder buildx",
	 "coffer builds no images yet: take built ones (coffer pull, load, import), or "
	 "change a container and commit it"},
	{"compose",
	 "there are no compose files here yet: start the services one by one, in a network of their "
	 "own (coffer network create)"},
	{"config node secret service stack swarm",
	 "coffer works for one machine; orchestrators use its runtime, coffer-oci"},
	{"context", "there is no daemon to choose: coffer works on this machine, as who calls it"},
	{"plugin", "there are no plugins; networks may be CNI's (coffer.toml, network.cni_config_dirs)"},
	{"manifest", "indexes of several platforms are not made or edited here"},
	{"trust", "signatures are not made or checked; a digest pins content: coffer pull NAME@sha256:…"},
	{"checkpoint", "only containers of coffer-oci can be checkpointed (coffer-oci checkpoint)"},
	{NULL, NULL},
};

static const struct {
	const char *group;
	const struct absent_word words[4];
} absent_of_groups[] = {
	{"image",
	 {{"tree", "'coffer history IMAGE' shows the layers, 'coffer image inspect IMAGE' their digests"},
	  {"diff", "'coffer diff CONTAINER' shows what a container has changed of its image"},
	  {"build", "coffer builds no images yet: change a container and 'coffer commit' it"}}},
	{"volume",
	 {{"export",
	   "let a container write the archive: coffer run --rm -v VOLUME:/v:ro IMAGE tar -C /v -c . > "
	   "FILE"},
	  {"import", "let a container read the archive: coffer run --rm -i -v VOLUME:/v IMAGE tar -C /v -x < "
		     "FILE"},
	  {"update reload", "volumes are of this machine alone: what one is made with stays"}}},
	{"network", {{"reload", "rules are set when a container starts: coffer restart CONTAINER"}}},
	{"container",
	 {{"checkpoint restore", "only containers of coffer-oci can be checkpointed (coffer-oci checkpoint)"},
	  {"mount unmount", "'coffer cp' copies files to and from a container, running or not"},
	  {"init", "'coffer start' does all of it"}}},
};

const char *command_absent(const struct command_group *g, const char *name)
{
	if (!g)
		return absent_why(absent_commands, name, strlen(name));
	for (size_t i = 0; i < ARRAY_LEN(absent_of_groups); i++)
		if (streq(absent_of_groups[i].group, g->name))
			return absent_why(absent_of_groups[i].words, name, strlen(name));
	return NULL;
}

/* ---- options ---- */

#define ONE_PLATFORM "an image is kept for one platform: choose it with 'coffer pull --platform'"
#define CREDENTIALS                                                                                          \
	"log in first (coffer login); coffer.toml says which registries are without TLS, and whose "         \
	"certificates count"
#define SWARM "that is of a swarm's volumes; here they are of this machine"

static const struct absent_word absent_create[] = {
	{"arch os variant", "choose the platform with --platform, as linux/arm64"},
	{"authfile tls-verify", CREDENTIALS},
	{"cgroups cgroup-conf", "each container has a cgroup; --memory, --cpus and their kin limit it"},
	{"conmon-pidfile",
	 "there is no conmon; the process is told by coffer inspect -f '{{.State.Pid}}' NAME"},
	{"pidfile", "write it yourself: coffer inspect -f '{{.State.Pid}}' NAME > FILE"},
	{"cpu-count cpu-percent io-maxbandwidth io-maxiops", "that is of Windows: --cpus, --device-read-bps"},
	{"gidmap uidmap subgidname subuidname",
	 "each container has a range of ids of its own already; --userns host turns that off"},
	{"health-on-failure", "the health is told by 'coffer events' and 'coffer ps -f health=unhealthy'"},
	{"hostuser passwd passwd-entry", "users are the image's: -u UID takes any number"},
	{"http-proxy", "hand the variables on by name: -e http_proxy -e https_proxy -e no_proxy"},
	{"image-volume", "an image's volumes are made anonymous ones; --rm removes them again"},
	{"init-path", "coffer has its own init: --init"},
	{"init-ctr requires", "start them in their order: coffer start FIRST && coffer start SECOND"},
	{"link-local-ip", "give an address of the network: --ip"},
	{"personality", "set it in the container: setarch(8)"},
	{"pod-id-file", "--pod takes the name"},
	{"preserve-fds",
	 "only the standard streams are handed on: mount the file (-v), or use standard input"},
	{"read-only-tmpfs", "--read-only leaves /dev/shm writable; add --tmpfs /tmp --tmpfs /run"},
	{"rmi", "remove it afterwards: coffer run --rm IMAGE && coffer rmi IMAGE"},
	{"rootfs", "make an image of the directory: tar -C DIRECTORY -c . | coffer import - NAME"},
	{"sdnotify", "'coffer run' in the foreground is a service of Type=exec"},
	{"seccomp-policy", "--security-opt seccomp=FILE"},
	{"secret", "mount it: -v FILE:/run/secrets/NAME:ro"},
	{"systemd", "give it what it needs: --tmpfs /run --tmpfs /tmp --stop-signal SIGRTMIN+3"},
	{"timeout", "let the command be ended: coffer run IMAGE timeout -s KILL SECONDS COMMAND"},
	{"use-api-socket", "there is no daemon, and so no socket of one"},
	{NULL, NULL},
};
static const struct absent_word absent_platform[] = {{"platform", ONE_PLATFORM}, {NULL, NULL}};
static const struct absent_word absent_rmi[] = {
	{"platform", ONE_PLATFORM},
	{"ignore i", "--force says nothing about what is not there"},
	{NULL, NULL},
};
static const struct absent_word absent_top[] = {
	{"latest l", "name it: coffer top $(coffer ps -lq)"},
	{NULL, NULL},
};
static const struct absent_word absent_stats[] = {
	{"interval i no-reset",
	 "the figures are of each second; for others: watch -n SECONDS coffer stats --no-stream"},
	{NULL, NULL},
};
static const struct absent_word absent_transfer[] = {
	{"arch os variant", "choose the platform with --platform, as linux/arm64"},
	{"authfile cert-dir creds tls-verify", CREDENTIALS},
	{"platform", ONE_PLATFORM},
	{"compress compression-format format",
	 "layers are pushed as they are, and gzip where they were made here"},
	{"remove-signatures sign-by", "signatures are not made or checked; a digest pins content"},
	{"digestfile", "it is told by coffer image inspect -f '{{.RepoDigests}}' NAME"},
	{NULL, NULL},
};
static const struct absent_word absent_save[] = {
	{"platform", ONE_PLATFORM},
	{"format compress uncompressed",
	 "the archive is one that docker and podman load, and an OCI layout too"},
	{NULL, NULL},
};
static const struct absent_word absent_commit[] = {
	{"format f", "images are OCI's, which docker and podman load"},
	{"iidfile", "the id is printed: coffer commit NAME > FILE"},
	{"squash s", "an image of one layer: coffer export NAME | coffer import - IMAGE"},
	{"include-volumes", "volumes stay what they are: coffer cp copies out of them"},
	{NULL, NULL},
};
static const struct absent_word absent_images[] = {
	{"sort", "sort(1) does it: coffer images --format '{{.Repository}} {{.Size}}' | sort"},
	{"tree history", "'coffer history IMAGE' shows the layers"},
	{NULL, NULL},
};
static const struct absent_word absent_restart[] = {
	{"running", "--all is of those that run"},
	{NULL, NULL},
};
/* Of networks and volumes. */
static const struct absent_word absent_rm_used[] = {
	{"time t", "remove the containers first: coffer rm -f -t SECONDS NAME"},
	{NULL, NULL},
};
static const struct absent_word absent_network_create[] = {
	{"aux-address", "leave addresses out by --ip-range, which says what containers get"},
	{"config-from config-only ingress", "that is of a swarm; here networks are of this machine"},
	{"disable-dns", "--dns of the container says which server it asks"},
	{"ipam-opt", "addresses are given by coffer itself: --subnet, --gateway and --ip-range say which"},
	{NULL, NULL},
};
static const struct absent_word absent_network_connect[] = {
	{"driver-opt gw-priority", "options are the network's: coffer network create --opt"},
	{"link-local-ip", "give an address of the network: --ip"},
	{NULL, NULL},
};
static const struct absent_word absent_rm[] = {
	{"link", "links are names in /etc/hosts, and go with their container"},
	{"l", "that is --link to Docker and --latest to Podman: write which"},
	{"depend", "name the containers: coffer rm NAME NAME"},
	{NULL, NULL},
};
static const struct absent_word absent_ps[] = {
	{"watch w", "watch(1) does it: watch coffer ps"},
	{"external ns pod p",
	 "choose what to see: --format, as '{{.Names}} {{.Isolation}}'; 'coffer pod ls'"},
	{NULL, NULL},
};
static const struct absent_word absent_logs[] = {
	{"names color", "the log is of one container: coffer logs NAME | sed 's/^/NAME: /'"},
	{NULL, NULL},
};
static const struct absent_word absent_update[] = {
	{"cpu-rt-period cpu-rt-runtime device-read-bps device-read-iops device-write-bps device-write-iops "
	 "blkio-weight-device memory-swappiness",
	 "that is settled when it is made: coffer create --replace --name NAME"},
	{NULL, NULL},
};
static const struct absent_word absent_start[] = {
	{"checkpoint checkpoint-dir", "only containers of coffer-oci can be checkpointed (coffer-oci "
				      "restore); machines can be kept: coffer vm "
				      "snapshot"},
	{NULL, NULL},
};
static const struct absent_word absent_search[] = {
	{"filter f", "a registry's catalog has names alone: give a part of the name, or a pattern"},
	{"list-tags", "a pull of all is coffer pull --all-tags NAME"},
	{"authfile tls-verify", CREDENTIALS},
	{NULL, NULL},
};
static const struct absent_word absent_login[] = {
	{"authfile cert-dir tls-verify get-login",
	 "the file is Docker's, ~/.docker/config.json; coffer.toml has "
	 "certificates and registries without TLS"},
	{"all a", "name the registry: coffer logout SERVER"},
	{NULL, NULL},
};
static const struct absent_word absent_volume_create[] = {
	{"availability group limit-bytes required-bytes scope secret sharing topology-preferred "
	 "topology-required type",
	 SWARM},
	{NULL, NULL},
};
static const struct absent_word absent_exec[] = {
	{"preserve-fds",
	 "only the standard streams are handed on: mount the file (-v), or use standard input"},
	{"latest l", "name it: coffer exec $(coffer ps -lq) COMMAND"},
	{NULL, NULL},
};

static const struct {
	const struct command *command;
	const struct absent_word *words;
} absent_of_commands[] = {
	{&command_run, absent_create},
	{&command_create, absent_create},
	{&command_exec, absent_exec},
	{&command_start, absent_start},
	{&command_update, absent_update},
	{&command_rm, absent_rm},
	{&command_ps, absent_ps},
	{&command_logs, absent_logs},
	{&command_pull, absent_transfer},
	{&command_push, absent_transfer},
	{&command_save, absent_save},
	{&command_commit, absent_commit},
	{&command_images, absent_images},
	{&command_restart, absent_restart},
	{&command_network_rm, absent_rm_used},
	{&command_volume_rm, absent_rm_used},
	{&command_load, absent_platform},
	{&command_history, absent_platform},
	{&command_rmi, absent_rmi},
	{&command_top, absent_top},
	{&command_stats, absent_stats},
	{&command_inspect_image, absent_platform},
	{&command_search, absent_search},
	{&command_login, absent_login},
	{&command_logout, absent_login},
	{&command_network_create, absent_network_create},
	{&command_network_connect, absent_network_connect},
	{&command_volume_create, absent_volume_create},
};

const char *option_absent(const struct command *c, const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(absent_of_commands); i++)
		if (absent_of_commands[i].command == c)
			return absent_why(absent_of_commands[i].words, name, len);
	return NULL;
}
