/* SPDX-License-Identifier: Apache-2.0 */
#include "host/tty.h"

#include "base/sys.h"

#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>

/* A devpts instance has its ptmx as inode 2, device 5:2. */
static int check_ptmx(int fd, struct err *err)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot examine ptmx of the container's devpts");
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return err_set(err, EXDEV, "verify ptmx handle: ptmx handle is not on a real devpts mount");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2) || st.st_ino != 2)
		return err_set(err, EXDEV, "verify ptmx handle: ptmx handle is not a real char ptmx device");
	return 0;
}

int tty_open(int devpts, struct tty_pair *ret, struct err *err)
{
	int unlock = 0;
	autoclose int path = sys_openat2(devpts, "ptmx", O_PATH | O_NOFOLLOW, 0,
					 RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);

	if (path < 0)
		return err_sys(err, "cannot open ptmx in the container's devpts");
	int r = check_ptmx(path, err);
	if (r < 0)
		return r;
	/* Its mode is 0000 unless ptmxmode says otherwise: root's business. The check above holds for what is
	 * opened. */
	autoclose int master = sys_openat2(devpts, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, 0,
					   RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
	if (master < 0)
		return err_sys(err, "cannot open ptmx to get a new pty pair");
	r = check_ptmx(master, err);
	if (r < 0)
		return r;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_sys(err, "cannot unlock the newly-allocated console");
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(err, "failed to get peer end of newly-allocated console");
	*ret = (struct tty_pair){.master = take_fd(&master), .slave = slave};
	return 0;
}

int tty_set_size(int fd, uint16_t height, uint16_t width, struct err *err)
{
	struct winsize size = {.ws_row = height, .ws_col = width};

	if (height == 0 || width == 0)
		return 0;
	if (ioctl(fd, TIOCSWINSZ, &size) < 0)
		return err_sys(err, "cannot set the console's size to %u rows, %u columns", height, width);
	return 0;
}

int tty_dup_stdio(int slave, struct err *err)
{
	for (int i = 0; i <= 2; i++) {
		/* dup2 on itself would leave close-on-exec set. */
		int r = slave == i ? fd_set_cloexec(i, false) : dup2(slave, i);
		if (r < 0)
			return err_sys(err, "cannot make the console descriptor %d", i);
	}
	return 0;
}

int tty_take(int slave, struct err *err)
{
	int r = tty_dup_stdio(slave, err);

	if (r < 0)
		return r;
	if (ioctl(0, TIOCSCTTY, 0) < 0)
		return err_sys(err, "ioctl(setctty)");
	return 0;
}

int tty_connect_socket(const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG,
			       "cannot connect to console socket \"%s\": the path must have 1 to %zu bytes",
			       path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, len);
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "cannot connect to console socket \"%s\"", path);
	return take_fd(&fd);
}

int tty_send_master(int socket, int master, struct err *err)
{
	static const char name[] = "/dev/pts/ptmx";
	int r = fd_send(socket, name, strlen(name), &master, 1);

	return r < 0 ? err_num(err, r, "cannot send the console's master over the console socket") : 0;
}

int tty_host(bool *ret_opened, struct err *err)
{
	static const int order[] = {2, 1, 0};

	*ret_opened = false;
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (isatty(order[i]))
			return order[i];
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open /dev/tty");
	*ret_opened = true;
	return fd;
}

int tty_raw(int fd, struct termios *ret_saved, struct err *err)
{
	struct termios saved, raw;

	if (tcgetattr(fd, &saved) < 0)
		return err_sys(err, "cannot read the terminal's mode");
	raw = saved;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		return err_sys(err, "failed to set the terminal from the stdin");
	*ret_saved = saved;
	return 0;
}

void tty_restore(int fd, const struct termios *saved)
{
	ignore_result(tcsetattr(fd, TCSANOW, saved) <
		      0); /* the terminal may be gone: nobody to restore it for */
}

void tty_copy_size(int from, int to)
{
	struct winsize size;

	if (ioctl(from, TIOCGWINSZ, &size) == 0)
		ignore_result(ioctl(to, TIOCSWINSZ, &size) < 0); /* `to` hung up: no size needed */
}

int tty_clear_onlcr(int fd, struct err *err)
{
	struct termios mode;

	if (tcgetattr(fd, &mode) < 0)
		return err_sys(err, "cannot read the console's mode");
	mode.c_oflag &= ~(tcflag_t)ONLCR;
	if (tcsetattr(fd, TCSANOW, &mode) < 0)
		return err_sys(err, "cannot set the console's mode");
	return 0;
}
