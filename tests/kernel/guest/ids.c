/* SPDX-License-Identifier: Apache-2.0 */
/* User and group ids, capabilities over changes of them, what others may then do. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each in a process of its own; the number of facts that failed comes back by the exit status. */
static void apart(void (*run)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(facts_end());
	}
	waitpid(pid, &status, 0);
	TRUE("the child came to its end", WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static unsigned long long effective(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};

	syscall(SYS_capget, &head, data);
	return data[0].effective | (unsigned long long)data[1].effective << 32;
}

static void set_user(void)
{
	uid_t r, e, s;

	FACT("setgroups of none", setgroups(0, NULL), 0);
	FACT("setresgid", setresgid(1001, 1001, 1001), 0);
	FACT("setuid(-1)", setuid((uid_t)-1), -EINVAL);
	FACT("setuid", setuid(1000), 0);
	FACT("getresuid", getresuid(&r, &e, &s), 0);
	TRUE("all three ids changed", r == 1000 && e == 1000 && s == 1000);
	TRUE("capabilities are gone", effective() == 0);
	FACT("setuid back to root", setuid(0), -EPERM);
	FACT("seteuid to a stranger", seteuid(7), -EPERM);
	FACT("setgid to a stranger", setgid(7), -EPERM);
	FACT("setgroups without a right", setgroups(0, NULL), -EPERM);
	FACT("setresuid to itself", setresuid(1000, 1000, 1000), 0);
	FACT("kill of a stranger", kill(getppid(), 0), -EPERM);
	FACT("kill of itself", kill(getpid(), 0), 0);
	FACT("kill of nobody", kill(0x3ffffff, 0), -ESRCH);
	FACT("kill with no signal", kill(getpid(), 65), -EINVAL);
	FACT("setpriority upwards", setpriority(0, 0, -5), -EACCES);
	FACT("sethostname without a right", sethostname("x", 1), -EPERM);
	FACT("chroot without a right", chroot("/"), -EPERM);
}

static void effective_user(void)
{
	FACT("seteuid", seteuid(1000), 0);
	TRUE("effective capabilities are gone", effective() == 0);
	FACT("seteuid back", seteuid(0), 0);
	TRUE("and back", effective() != 0);
	FACT("setreuid swaps", setreuid(1000, 0), 0);
	FACT("real id", getuid(), 1000);
	FACT("effective id", geteuid(), 0);
	FACT("setfsuid tells the old one", setfsuid(5), 0);
	FACT("and the one before", setfsuid(0), 5);
	FACT("and refuses nonsense", setfsuid((uid_t)-1), 0);
}

static void kept_capabilities(void)
{
	FACT("PR_SET_KEEPCAPS", prctl(PR_SET_KEEPCAPS, 1), 0);
	FACT("PR_SET_KEEPCAPS of 2", prctl(PR_SET_KEEPCAPS, 2), -EINVAL);
	FACT("setuid with it", setuid(1000), 0);
	TRUE("nothing is effective", effective() == 0);
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};

	FACT("capget", syscall(SYS_capget, &head, data), 0);
	TRUE("but permitted", data[0].permitted & 1U << CAP_SETUID);
	data[0].effective = 1U << CAP_SETUID;
	FACT("capset takes one", syscall(SYS_capset, &head, data), 0);
	FACT("which is good for setuid", setuid(7), 0);
	data[0].permitted = data[1].permitted = data[0].effective = 0;
	FACT("capset drops all", syscall(SYS_capset, &head, data), 0);
	data[0].permitted = 1U << CAP_SETUID;
	FACT("and for ever", syscall(SYS_capset, &head, data), -EPERM);
}

static void capability_calls(void)
{
	struct __user_cap_header_struct head = {0x12345678, 0};
	struct __user_cap_data_struct data[2] = {0};

	FACT("capget of an unknown version", syscall(SYS_capget, &head, data), -EINVAL);
	TRUE("tells the newest", head.version == _LINUX_CAPABILITY_VERSION_3);
	head.version = 0;
	FACT("capget that only asks", syscall(SYS_capget, &head, NULL), 0);
	head.pid = -1;
	FACT("capget of pid -1", syscall(SYS_capget, &head, data), -EINVAL);
	head.pid = 0x3ffffff;
	FACT("capget of nobody", syscall(SYS_capget, &head, data), -ESRCH);
	head.pid = getppid();
	FACT("capset of another", syscall(SYS_capset, &head, data), -EPERM);
	FACT("bounding set is read", prctl(PR_CAPBSET_READ, CAP_SETUID), 1);
	FACT("bounding set of nothing", prctl(PR_CAPBSET_READ, 64), -EINVAL);
	FACT("ambient without inheritable", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0),
	     -EPERM);
	FACT("ambient of nothing", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 64, 0, 0), -EINVAL);
	FACT("no_new_privs is off", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	FACT("no_new_privs of 0", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), -EINVAL);
	FACT("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	FACT("no_new_privs is on", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	FACT("unknown option", prctl(9999, 0, 0, 0, 0), -EINVAL);
}

static void groups(void)
{
	gid_t some[3] = {30, 10, 20}, got[4] = {0};

	FACT("setgroups", setgroups(3, some), 0);
	FACT("how many groups", getgroups(0, NULL), 3);
	FACT("getgroups without room", getgroups(2, got), -EINVAL);
	FACT("getgroups of -1", syscall(SYS_getgroups, -1, got), -EINVAL);
	FACT("getgroups", getgroups(4, got), 3);
	TRUE("in order", got[0] == 10 && got[1] == 20 && got[2] == 30);
	FACT("setgroups of too many", syscall(SYS_setgroups, 65537, some), -EINVAL);
	FACT("setgroups from nowhere", syscall(SYS_setgroups, 2, (void *)8), -EFAULT);
}

/* Files are reached with the ids of the moment. */
static void files(void)
{
	struct stat st;
	gid_t group = 4242;
	int fd = open("owned", O_CREAT | O_EXCL | O_WRONLY, 0600);

	TRUE("made by root", fd >= 0);
	close(fd);
	FACT("given away", chown("owned", 1000, 4242), 0);
	FACT("seteuid of the owner", seteuid(1000), 0);
	FACT("owner may change its mode", chmod("owned", 0640), 0);
	FACT("seteuid of root", seteuid(0), 0);
	FACT("seteuid of a stranger", seteuid(7), 0);
	FACT("a stranger may not read it", open("owned", O_RDONLY), -EACCES);
	FACT("nor change it", chmod("owned", 0777), -EPERM);
	FACT("seteuid of root again", seteuid(0), 0);
	FACT("a group for the stranger", setgroups(1, &group), 0);
	FACT("seteuid of the stranger", seteuid(7), 0);
	fd = open("owned", O_RDONLY);
	TRUE("who reads it as a member", fd >= 0);
	FACT("and cannot write", open("owned", O_WRONLY), -EACCES);
	FACT("root for the last time", seteuid(0), 0);
	FACT("stat", stat("owned", &st), 0);
	TRUE("owners", st.st_uid == 1000 && st.st_gid == 4242);
	FACT("unlink", unlink("owned"), 0);
}

int main(void)
{
	if (getuid() != 0) {
		puts("skip ids: needs root");
		return 0;
	}
	apart(set_user);
	apart(effective_user);
	apart(kept_capabilities);
	apart(capability_calls);
	apart(groups);
	apart(files);
	return facts_end();
}
