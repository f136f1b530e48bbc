/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of an engine without rights: one user-mode network a container.
 *
 * pasta (or slirp4netns) holds the other end of a tap device in the
 * container's namespace and speaks for it with sockets of the user's own.
 * Published ports are listened on by it.  Containers do not see one another,
 * whatever network they name: there is no bridge that an ordinary user could
 * make on the host.  The process outlives the command that started it;
 * RUN_ROOT/net/user/ID ("PID START_TIME") is for net_detach().
 */
#include "base/file.h"
#include "base/json_write.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "net/net_int.h"

#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What slirp4netns gives by itself, and pasta is told. */
#define USER_IP	     "10.0.2.100"
#define USER_GATEWAY "10.0.2.2"
enum { USER_PREFIX = 24, START_MS = 15000, END_MS = 2000 };

/* ---- Leasing ---- */

static int lease_user(struct net *n, const struct net_attach *a, struct net_result *r, size_t i,
		      struct err *err)
{
	struct network w autonetwork = {0};
	struct result_memory *m = result_memory(r);
	struct net_endpoint *e = &r->endpoints.v[i];
	int s = network_get(n, a->networks[i].network, &w, err);

	if (s < 0)
		return s;
	m->plugs[i].driver = net_keep(&m->doc, w.q.driver);
	*e = (struct net_endpoint){.network = net_keep(&m->doc, w.q.name),
				   .network_id = net_keep(&m->doc, w.q.id),
				   .driver = m->plugs[i].driver};
	if (!m->plugs[i].driver || !e->network || !e->network_id)
		return err_oom(err);
	if (network_is_bridge(&w))
		user_endpoint(e, i == 0);
	if (network_has_names(&w) || i > 0)
		net_warn(n,
			 "network %s: without root each container has a network of its own; containers do "
			 "not reach "
			 "one another by it",
			 w.q.name);
	return MIN_OF(db_exec(n->o.db, err,
			      "INSERT INTO net_endpoint (container, network, position, interface) VALUES (?, "
			      "?, ?, ?)",
			      "ssis", a->id, w.q.id, (int64_t)i, e->interface),
		      0);
}

void user_endpoint(struct net_endpoint *e, bool first)
{
	if (!first)
		return;
	e->interface = "eth0";
	e->ip = USER_IP;
	e->gateway = USER_GATEWAY;
	e->prefix = USER_PREFIX;
}

static int lease_in(struct net *n, const struct net_attach *a, struct net_result *r, struct err *err)
{
	struct ip to[FAMILIES] = {0};
	int s = 0;

	for (size_t i = 0; s == 0 && i < a->n_networks; i++)
		s = lease_user(n, a, r, i, err);
	if (s < 0 || a->n_ports == 0 || a->n_networks == 0 || !r->endpoints.v[0].ip)
		return s;
	if (!ip_parse(USER_IP, &to[V4]))
		return err_set(err, EINVAL, "no address");
	return ports_lease(n, a, to, r, err);
}

int user_lease(struct net *n, const struct net_attach *a, struct net_result *ret, struct err *err)
{
	struct net_result r;

	if (a->first_index > 0)
		return err_set(err, EOPNOTSUPP,
			       "a running container cannot be connected to another network without root");
	int s = net_detach(n, a->id, NULL, err);
	if (s == 0)
		s = result_new(&r, a->n_networks, err);
	if (s < 0)
		return s;
	s = db_begin(n->o.db, err);
	if (s == 0)
		s = lease_in(n, a, &r, err);
	if (s == 0)
		s = result_ports(&r, err);
	if (s == 0)
		s = db_commit(n->o.db, err);
	db_rollback(n->o.db);
	/* The user-mode network's process binds them itself. */
	for (size_t i = 0; s == 0 && i < r.held.n; i++)
		(void)close(r.held.v[i]);
	r.held.n = 0;
	if (s < 0) {
		net_result_free(&r);
		return s;
	}
	*ret = r;
	return 0;
}

/* ---- The process ---- */

static const char *find_user_tool(const char *const *places, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static char *record_path(struct net *n, const char *id, const char *suffix)
{
	return str_format("%s/user/%s%s", n->dir, id, suffix);
}

static int note_process(struct net *n, const char *id, pid_t pid, struct err *err)
{
	autofree char *path = record_path(n, id, "");
	struct proc_stat st;

	if (!path)
		return err_oom(err);
	int r = proc_stat(pid, &st);
	if (r < 0)
		return err_num(err, r, "the user-mode network's process ended at once");
	autofree char *text = str_format("%d %llu\n", pid, (unsigned long long)st.start_time);
	r = text ? file_replace_at(AT_FDCWD, path, text, strlen(text), 0600, false) : -ENOMEM;
	return r < 0 ? err_num(err, r, "cannot write \"%s\"", path) : 0;
}

/* Its ports are free when it has ended, and the next start may want the same. */
static void end_user_process(pid_t pid, uint64_t start)
{
	autoclose int fd = sys_pidfd_open(pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd < 0 || !proc_alive(pid, start))
		return;
	ignore_result(sys_pidfd_send_signal(fd, SIGTERM)); /* gone already is as good */
	if (poll(&p, 1, END_MS) == 0)
		ignore_result(sys_pidfd_send_signal(fd, SIGKILL));
}

void user_detach(struct net *n, const char *id)
{
	autofree char *path = record_path(n, id, ""), *socket_path = record_path(n, id, ".sock"),
		      *text = NULL;
	long long start = 0;
	size_t len;
	int pid = 0;

	if (!path || file_read_at(AT_FDCWD, path, 64, &text, &len) < 0)
		return;
	if (sscanf(text, "%d %lld", &pid, &start) == 2 && pid > 1)
		end_user_process(pid, (uint64_t)start);
	(void)unlink(path);
	if (socket_path)
		(void)unlink(socket_path);
}

/*
 * A process of ours inside the container's namespaces, for the time that a tool
 * needs to open them: it joins the user namespace first, and from in there no
 * descriptor of a process outside may be opened by path; and not all versions
 * keep descriptors that they inherit.
 */
struct holder {
	pid_t pid;
	char net[64], user[64]; /* paths */
};

static void hold_namespaces(int user, int netns, int ready)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* cannot fail */
	if (setns(user, CLONE_NEWUSER) < 0 || setns(netns, CLONE_NEWNET) < 0 || write(ready, "x", 1) != 1)
		_exit(1);
	for (;;)
		(void)pause(); /* until it is killed */
}

static void end_holder(struct holder *h)
{
	if (h->pid <= 0)
		return;
	(void)kill(h->pid, SIGKILL); /* our child, not waited for yet */
	ignore_result(proc_wait(h->pid) < 0);
	h->pid = 0;
}

static int start_holder(int netns, struct holder *ret, struct err *err)
{
	autoclose int user = ioctl(netns, NS_GET_USERNS);
	int fds[2];
	char byte;

	if (user < 0)
		return err_sys(err, "cannot find the user namespace of the container's network");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	autoclose int in = fds[0], out = fds[1];
	ret->pid = fork();
	if (ret->pid < 0)
		return err_sys(err, "cannot fork");
	if (ret->pid == 0)
		hold_namespaces(user, netns, out);
	fd_drop(&out);
	if (read(in, &byte, 1) != 1) {
		end_holder(ret);
		return err_set(err, EPERM, "cannot enter the container's user and network namespaces");
	}
	(void)snprintf(ret->net, sizeof(ret->net), "/proc/%d/ns/net", ret->pid);    /* fits */
	(void)snprintf(ret->user, sizeof(ret->user), "/proc/%d/ns/user", ret->pid); /* fits */
	return 0;
}

/* ---- pasta ---- */

static char *pasta_ports(const struct port_rows *ports, const char *proto)
{
	struct str s autostr = {0};

	for (size_t i = 0; i < ports->n; i++)
		if (streq(ports->v[i].proto, proto))
			str_putf(&s, "%s%s/%u:%u", s.len ? "," : "", ip_text(&ports->v[i].host).s,
				 ports->v[i].host_port, ports->v[i].to_port);
	if (s.len == 0)
		str_put(&s, "none");
	return str_take(&s);
}

/* The one that says why; what it says about syslog it says without need. */
static const char *last_line(char *output)
{
	const char *last = "";
	char *line;

	while (output && (line = strsep(&output, "\n")))
		if (*line && !strstr(line, "syslog"))
			last = line;
	return last;
}

static int start_pasta(struct net *n, const char *pasta, const struct net_attach *a,
		       const struct net_result *r, const struct holder *p, struct err *err)
{
	const struct port_rows *ports = &result_memory(r)->ports;
	autofree char *tcp = pasta_ports(ports, "tcp"), *udp = pasta_ports(ports, "udp");
	autofree char *pid_file = record_path(n, a->id, ".pid"), *output = NULL, *text = NULL;
	const char *const argv[] = {
		"pasta",   "--config-net", "--quiet", "--no-map-gw", "-I", "eth0",   "-a",	 USER_IP,
		"-n",	   "24",	   "-g",      USER_GATEWAY,  "-t", tcp,	     "-u",	 udp,
		"-T",	   "none",	   "-U",      "none",	     "-P", pid_file, "--userns", p->user,
		"--netns", p->net,	   NULL};
	const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	struct proc_run run = {
		.path = pasta, .argv = argv, .envp = env, .timeout_ms = START_MS, .output_max = 2000};
	size_t len;
	uint64_t pid = 0;

	if (!tcp || !udp || !pid_file)
		return err_oom(err);
	int status = proc_run(&run, &output, err);
	if (status < 0)
		return err_prefix(err, "pasta");
	if (status != 0)
		return err_set(err, EIO, "pasta could not connect the container: %s", last_line(output));
	int e = file_read_at(AT_FDCWD, pid_file, 32, &text, &len);
	(void)unlink(pid_file);
	if (e < 0)
		return err_num(err, e, "pasta wrote no \"%s\"", pid_file);
	text[strcspn(text, "\n")] = '\0';
	if (str_to_u64(text, 10, &pid) < 0 || pid > INT_MAX)
		return err_set(err, EIO, "pasta wrote nonsense into \"%s\"", pid_file);
	return note_process(n, a->id, (pid_t)pid, err);
}

/* ---- slirp4netns ---- */

static int forward_port(const char *path, const struct port_row *p, struct err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct json_out out autojsonout = {0};
	char answer[512];

	json_begin_object(&out, NULL);
	json_put_str(&out, "execute", "add_hostfwd");
	json_begin_object(&out, "arguments");
	json_put_str(&out, "proto", p->proto);
	json_put_str(&out, "host_addr", ip_text(&p->host).s);
	json_put_u64(&out, "host_port", p->host_port);
	json_put_u64(&out, "guest_port", p->to_port);
	json_end(&out);
	json_end(&out);
	autofree char *text = json_take(&out);
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!text)
		return err_oom(err);
	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(err, ENAMETOOLONG, "the path \"%s\" is too long for a socket", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(err, "cannot reach slirp4netns");
	if (fd_write_all(fd, text, strlen(text)) < 0 || shutdown(fd, SHUT_WR) < 0)
		return err_sys(err, "cannot ask slirp4netns for a port");
	ssize_t n = fd_read_full(fd, answer, sizeof(answer) - 1);
	answer[MAX_OF(n, 0)] = '\0';
	if (n < 0 || strstr(answer, "\"error\"") || !*answer)
		return err_set(err, EIO, "slirp4netns could not publish port %u: %s", p->host_port, answer);
	return 0;
}

static void exec_slirp(const char *slirp, const struct holder *p, const char *api, int ready)
{
	const char *argv[] = {"slirp4netns",
			      "--configure",
			      "--mtu=65520",
			      "--disable-host-loopback",
			      "--ready-fd=3",
			      "--api-socket",
			      api,
			      "--netns-type=path",
			      "--userns-path",
			      p->user,
			      p->net,
			      "eth0",
			      NULL};
	char *env[] = {(char *)"PATH=/usr/bin:/bin", NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setsid(); /* a fresh child leads no group */
	if (dup2(ready, 3) >= 0 && dup2(null, 0) >= 0 && dup2(null, 1) >= 0 && dup2(null, 2) >= 0 &&
	    fd_set_cloexec(3, false) == 0 && fd_close_from(4, NULL, 0, false) == 0)
		(void)execve(slirp, (char *const *)argv, env);
	_exit(127);
}

static int start_slirp(struct net *n, const char *slirp, const struct net_attach *a,
		       const struct net_result *r, const struct holder *p, struct err *err)
{
	const struct port_rows *ports = &result_memory(r)->ports;
	autofree char *api = record_path(n, a->id, ".sock");
	int fds[2];
	char byte = 0;

	if (!api)
		return err_oom(err);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	pid_t pid = fork();
	if (pid == 0)
		exec_slirp(slirp, p, api, fds[1]);
	(void)close(fds[1]); /* the child's */
	autoclose int ready = fds[0];
	if (pid < 0)
		return err_sys(err, "cannot fork");
	int e = note_process(n, a->id, pid, err);
	if (e < 0)
		return e;
	struct pollfd w = {.fd = ready, .events = POLLIN};
	if (poll(&w, 1, START_MS) != 1 || read(ready, &byte, 1) != 1 || byte != '1')
		return err_set(err, EIO, "slirp4netns could not connect the container");
	for (size_t i = 0; e == 0 && i < ports->n; i++)
		e = streq(ports->v[i].proto, "sctp")
			    ? err_set(err, EOPNOTSUPP, "SCTP ports cannot be published without root")
			    : forward_port(api, &ports->v[i], err);
	return e;
}

int user_plug(struct net *n, const struct net_attach *a, struct net_result *r, struct err *err)
{
	static const char *const pastas[] = {"/usr/bin/pasta", "/usr/local/bin/pasta"};
	static const char *const slirps[] = {"/usr/bin/slirp4netns", "/usr/local/bin/slirp4netns"};
	const char *pasta = find_user_tool(pastas, ARRAY_LEN(pastas)),
		   *slirp = find_user_tool(slirps, ARRAY_LEN(slirps));
	autofree char *dir = str_format("%s/user", n->dir);
	struct holder p = {0};

	if (r->endpoints.n == 0 || !r->endpoints.v[0].ip)
		return 0;
	if (!dir)
		return err_oom(err);
	if (!pasta && !slirp)
		return err_set(
			err, ENOENT,
			"networks without root need pasta or slirp4netns: install the package \"passt\", or "
			"use --network none or host");
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return err_sys(err, "networks without root need /dev/net/tun to be everybody's (`chmod 666 "
				    "/dev/net/tun`, "
				    "`modprobe tun`)");
	int e = file_mkdir_all(dir, 0700);
	if (e < 0)
		return err_num(err, e, "cannot make the directory \"%s\"", dir);
	e = start_holder(a->netns_fd, &p, err);
	if (e == 0)
		e = pasta ? start_pasta(n, pasta, a, r, &p, err) : start_slirp(n, slirp, a, r, &p, err);
	end_holder(&p);
	if (e < 0)
		user_detach(n, a->id);
	return e;
}
