/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal's way out of the container: made by the child, sent to whoever is to hold its master end. */
#include "isolate/ns/ns.h"

#include "base/fd.h"
#include "host/tty.h"

#include <sys/socket.h>

int ns_console_prepare(const struct isolate_stdio *io, const struct oci_process *process, int *ret_console,
		       int *ret_relay, struct err *err)
{
	int s[2];

	if (!process || !process->terminal)
		return 0;
	if (io->console_socket >= 0) {
		int fd = fcntl(io->console_socket, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return err_sys(err, "cannot duplicate the console socket");
		*ret_console = fd;
		return 0;
	}
	if (!io->ret_master)
		return err_set(err, EINVAL,
			       "cannot allocate tty if runc will detach without setting console socket");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) < 0)
		return err_sys(err, "cannot make a socket pair for the terminal");
	*ret_relay = s[0];
	*ret_console = s[1];
	return 0;
}

int ns_console_receive(int relay, int *ret_master, struct err *err)
{
	char name[64];
	size_t got = 0;

	if (relay < 0)
		return 0;
	ssize_t n = fd_recv(relay, name, sizeof(name), ret_master, 1, &got);
	if (n < 0 || got != 1)
		return err_num(err, n < 0 ? (int)n : EBADMSG, "cannot receive the container's terminal");
	return 0;
}

int ns_console_open(int devpts, const struct oci_process *process, const struct isolate_stdio *io,
		    int console, int *ret_slave, struct err *err)
{
	struct tty_pair tty;
	int r = tty_open(devpts, &tty, err);

	if (r < 0)
		return r;
	autoclose int master = tty.master, slave = tty.slave;
	r = tty_set_size(slave, process->console_height, process->console_width, err);
	/* Now, not when the relay has it: the program could have written by then. */
	if (r == 0 && io->console_socket < 0 && !io->cooked)
		r = tty_clear_onlcr(slave, err);
	if (r < 0)
		return r;
	r = tty_send_master(console, master, err);
	if (r < 0)
		return r;
	*ret_slave = take_fd(&slave);
	return 0;
}
