/* SPDX-License-Identifier: Apache-2.0 */
/* /sys as programs read it to size themselves. */
#define _GNU_SOURCE
#include "fact.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[4096];

/* The first line; "" where there is none. */
static const char *line(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* How many numbers a list like "0-3,6" names. */
static long numbers(const char *list)
{
	long n = 0;

	while (*list) {
		char *end;
		long first = strtol(list, &end, 10), last = *end == '-' ? strtol(end + 1, &end, 10) : first;
		n += last - first + 1;
		list = *end == ',' ? end + 1 : end + strlen(end);
	}
	return n;
}

static long cpu_directories(void)
{
	DIR *d = opendir("/sys/devices/system/cpu");
	long n = 0;

	for (struct dirent *e; d && (e = readdir(d));)
		n += strncmp(e->d_name, "cpu", 3) == 0 && e->d_name[3] >= '0' && e->d_name[3] <= '9';
	if (d)
		closedir(d);
	return n;
}

int main(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	struct ifreq r = {.ifr_name = "lo"};
	struct stat st;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	FACT("cpus online", numbers(line("/sys/devices/system/cpu/online")), online);
	FACT("cpus with directories", cpu_directories() >= online, 1);
	FACT("configured at least these", sysconf(_SC_NPROCESSORS_CONF) >= online, 1);
	FACT("a package", strtol(line("/sys/devices/system/cpu/cpu0/topology/physical_package_id"), NULL, 10),
	     0);
	FACT("huge pages", strstr(line("/sys/kernel/mm/transparent_hugepage/enabled"), "[") != NULL, 1);
	FACT("interface", ioctl(s, SIOCGIFMTU, &r), 0);
	FACT("its mtu", strtol(line("/sys/class/net/lo/mtu"), NULL, 10), r.ifr_mtu);
	FACT("its type", strtol(line("/sys/class/net/lo/type"), NULL, 10), 772);
	FACT("its address", strcmp(line("/sys/class/net/lo/address"), "00:00:00:00:00:00"), 0);
	FACT("its counter", line("/sys/class/net/lo/statistics/rx_bytes")[0] != '\0', 1);
	FAILS("no such interface", open("/sys/class/net/nothing/mtu", O_RDONLY), ENOENT);
	FAILS("no such file", open("/sys/class/net/lo/nothing", O_RDONLY), ENOENT);
	FAILS("a file is no directory", open("/sys/class/net/lo/mtu/x", O_RDONLY), ENOTDIR);
	FACT("directory", stat("/sys/class/net", &st) == 0 && S_ISDIR(st.st_mode), 1);
	FACT("file", stat("/sys/class/net/lo/mtu", &st) == 0 && S_ISREG(st.st_mode), 1);
	close(s);
	return facts_end();
}
