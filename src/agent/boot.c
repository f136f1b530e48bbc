/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the kernel's first process to READY.
 *
 * The initramfs is the kernel's rootfs, which has no parent: pivot_root(2)
 * refuses to leave it, and containers stand on that call.  So it is bound
 * onto itself, and the copy is moved over "/": the same files, as a mount
 * like any other.
 *
 * Nothing sleeps.  The ports are there when the host has named them, which
 * takes two messages of its own: the kernel's announcements (uevents) are
 * listened to before the first look, so that none is missed.  READY is
 * written before the port becomes non-blocking, and so waits for the host.
 */
#include "agent/agent.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/sys.h"
#include "host/netlink.h"

#include <dirent.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/un.h>

enum { MODULES_MAX = 64 << 10, OPEN_MAX_AGENT = 65536 };

struct point {
	const char *target, *type;
	unsigned long flags;
	const char *data;
};

static const struct point points[] = {
	{"/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
	{"/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
	{"/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755"},
	{"/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"},
	{"/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
	{"/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666"},
	{"/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
};

static int make_point(const struct point *p, struct err *err)
{
	if (mkdir(p->target, 0755) < 0 && errno != EEXIST && errno != EPERM)
		return err_sys(err, "cannot make %s", p->target);
	if (mount(p->type, p->target, p->type, p->flags, p->data) < 0 && errno != EBUSY)
		return err_sys(err, "cannot mount %s on %s", p->type, p->target);
	return 0;
}

static int leave_rootfs(struct err *err)
{
	static const char at[] = "/.root";

	if ((mkdir(at, 0755) < 0 && errno != EEXIST) || mount("/", at, NULL, MS_BIND, NULL) < 0 ||
	    chdir(at) < 0 || mount(at, "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_sys(err, "cannot leave the kernel's first root file system");
	return 0;
}

/* "cpu memory" becomes "+cpu +memory". */
static int give_controllers(struct err *err)
{
	char have[256], want[512];
	size_t n = 0;
	autoclose int fd = open("/sys/fs/cgroup/cgroup.controllers", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, have, sizeof(have) - 1);

	if (len < 0)
		return err_sys(err, "cannot read which cgroup controllers there are");
	have[len] = '\0';
	for (const char *p = have; *(p += strspn(p, " \n")); p += strcspn(p, " \n"))
		n += (size_t)snprintf(want + n, sizeof(want) - n, "+%.*s ", (int)strcspn(p, " \n"),
				      p); /* twice as long at most */
	int r = n ? file_write_at(AT_FDCWD, "/sys/fs/cgroup/cgroup.subtree_control", want) : 0;
	return r < 0 ? err_num(err, r, "cannot enable the cgroup controllers") : 0;
}

/* Names in /lib/modules, or paths.  Missing files are fine: a kernel may have built them in. */
static int load_modules(const struct agent *a, struct err *err)
{
	autofree char *list = NULL;
	size_t len;
	autoclose int dir = open("/lib/modules", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = file_read_at(dir, "coffer.list", MODULES_MAX, &list, &len);

	if (dir < 0 || r == -ENOENT)
		return 0;
	if (r < 0)
		return err_num(err, r, "cannot read /lib/modules/coffer.list");
	for (char *line, *rest = list; (line = strsep(&rest, "\n"));) {
		autoclose int fd = *line ? openat(dir, line, O_RDONLY | O_CLOEXEC) : -1;
		if (fd >= 0 && syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST) {
			char text[512];
			(void)snprintf(text, sizeof(text), "cannot load %s: %s", line,
				       err_text(errno)); /* cut if long */
			agent_warn(a, text);
		}
	}
	return 0;
}

/* A port's device, by the name that the host gave it; -ENOENT where there is none yet. */
static int open_port(const char *wanted)
{
	DIR *d = opendir("/sys/class/virtio-ports");
	const struct dirent *e;
	int fd = -ENOENT;

	while (d && fd == -ENOENT && (e = readdir(d))) {
		char path[320], name[64];
		(void)snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name); /* fits */
		autoclose int f = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = f < 0 ? 0 : read(f, name, sizeof(name) - 1);
		name[n > 0 ? n : 0] = '\0';
		name[strcspn(name, "\n")] = '\0';
		if (strcmp(name, wanted) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "/dev/%s", e->d_name); /* fits */
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	if (d)
		(void)closedir(d); /* read only */
	return fd;
}

/* A test's. */
static int connect_port(const char *dir, const char *name)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", dir, name);
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || n < 0 || (size_t)n >= sizeof(sa.sun_path) ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -ENOENT;
	return take_fd(&fd);
}

static void find_port(const struct agent *a, const char *name, int *fd)
{
	if (*fd < 0)
		*fd = a->ports ? connect_port(a->ports, name) : open_port(name);
}

int boot_ports(struct agent *a, const char *agent, const char *share, int within_ms, struct err *err)
{
	struct sockaddr_nl everything = {.nl_family = AF_NETLINK, .nl_groups = 1};
	const int64_t until = clock_ms() + within_ms;
	char event[4096];
	autoclose int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	struct pollfd p = {.fd = s, .events = POLLIN};

	if (s < 0 || bind(s, (struct sockaddr *)&everything, sizeof(everything)) < 0)
		return err_sys(err, "cannot listen to the kernel's announcements");
	for (;;) {
		find_port(a, agent, &a->port.fd);
		find_port(a, share, &a->share_port);
		if (a->port.fd >= 0 && a->share_port >= 0)
			return 0;
		int64_t left = within_ms < 0 ? -1 : until - clock_ms();
		if (within_ms >= 0 && left <= 0)
			return err_set(err, ETIMEDOUT, "the port \"%s\" does not come", agent);
		/* Lost ones (ENOBUFS) are as good as one. */
		if (poll(&p, 1, (int)left) > 0 && recv(s, event, sizeof(event), MSG_DONTWAIT) < 0 &&
		    errno != EINTR && errno != EAGAIN && errno != ENOBUFS)
			return err_sys(err, "cannot listen to the kernel's announcements");
	}
}

/* The initramfs need not have /dev/console: messages go to the kernel's log, which knows its consoles. */
static int set_streams(struct agent *a, struct err *err)
{
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	autoclose int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(log >= 0 ? log : null, 2) < 0)
		return err_sys(err, "cannot set the standard streams");
	a->log = fcntl(2, F_DUPFD_CLOEXEC, 3);
	return a->log < 0 ? err_sys(err, "cannot keep the log") : 0;
}

int boot_guest(struct agent *a, struct err *err)
{
	const struct rlimit files = {.rlim_cur = OPEN_MAX_AGENT, .rlim_max = 524288};
	struct err ignored = {0};
	int r = leave_rootfs(err);

	(void)umask(022);
	for (size_t i = 0; i < ARRAY_LEN(points) && r == 0; i++)
		r = make_point(&points[i], err);
	if (r == 0)
		r = set_streams(a, err);
	if (r == 0)
		r = give_controllers(err);
	if (r == 0)
		r = load_modules(a, err);
	if (r < 0)
		return r;
	/* The file share's process inherits it: without it nothing in the machine could go on. */
	ignore_result(file_write_at(AT_FDCWD, "/proc/self/oom_score_adj", "-1000"));
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(err, "cannot raise the limit of open files");
	if (net_lo_up(&ignored) < 0)
		agent_warn(a, ignored.msg); /* a kernel without a network */
	return boot_ports(a, GUEST_PORT_AGENT, GUEST_PORT_SHARE, -1, err);
}

/*
 * A kernel that boots on a busy host measures its timer while the processor is taken away from it, and may
 * take it for many times too fast: then each sleep lasts as many times too long, here and in all machines
 * that are made of this one.  The best of some sleeps is told, for a busy host makes single ones long as
 * well.
 */
static uint32_t measure_timer(void)
{
	enum { TRIES = 8, GOOD_PERCENT = 130 };
	const struct timespec nap = {.tv_nsec = 8000000};
	int64_t best = INT64_MAX;

	for (int i = 0; i < TRIES && best > nap.tv_nsec / 100 * GOOD_PERCENT; i++) {
		int64_t before = clock_ns(CLOCK_MONOTONIC);
		if (nanosleep(&nap, NULL) < 0)
			return 0;
		best = MIN_OF(best, clock_ns(CLOCK_MONOTONIC) - before);
	}
	return (uint32_t)MIN_OF(best / (nap.tv_nsec / 100), (int64_t)UINT32_MAX);
}

int boot_ready(struct agent *a, struct err *err)
{
	struct {
		struct guest_frame head;
		struct guest_ready ready;
	} message = {.head = {.type = GUEST_READY, .len = sizeof(struct guest_ready)},
		     .ready = {.protocol = GUEST_PROTOCOL, .boot_ns = (uint64_t)clock_ns(CLOCK_BOOTTIME)}};
	struct sysinfo info;

	if (sysinfo(&info) == 0)
		message.ready.memory = (uint64_t)info.totalram * info.mem_unit;
	message.ready.timer_percent = a->guest && !a->member ? measure_timer() : 0;
	int r = fd_write_all(a->port.fd, &message, sizeof(message));
	if (r == 0)
		r = fd_set_nonblock(a->port.fd, true);
	return r < 0 ? err_num(err, r, "cannot tell the keeper that the machine is ready") : 0;
}

int boot_hello(const struct agent *a, const struct guest_hello *h, struct err *err)
{
	const struct timespec now = {.tv_sec = (time_t)(h->realtime_ns / 1000000000),
				     .tv_nsec = (long)(h->realtime_ns % 1000000000)};
	struct {
		struct rand_pool_info head;
		uint8_t bytes[sizeof(h->entropy)];
	} pool = {.head = {.entropy_count = 8 * (int)sizeof(h->entropy), .buf_size = sizeof(h->entropy)}};

	if (h->protocol != GUEST_PROTOCOL)
		return err_set(err, EPROTO, "the keeper speaks protocol %u, the agent %d", h->protocol,
			       GUEST_PROTOCOL);
	if (!a->guest)
		return 0;
	if (clock_settime(CLOCK_REALTIME, &now) < 0)
		return err_sys(err, "cannot set the clock");
	/* That its timer wakes this machine is proved by the answer. */
	if (nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL) < 0)
		return err_sys(err, "cannot sleep");
	memcpy(pool.bytes, h->entropy, sizeof(pool.bytes));
	autoclose int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0)
		return err_sys(err, "cannot add to the kernel's entropy");
	/* Else it is used within minutes, and until then all copies of a machine draw the same numbers.
	 * ENODATA: the generator has no key yet. */
	if (ioctl(fd, RNDRESEEDCRNG) < 0 && errno != ENODATA)
		return err_sys(err, "cannot give the kernel's generator of random numbers a new key");
	return 0;
}
