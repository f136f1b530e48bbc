/* SPDX-License-Identifier: Apache-2.0 */
/* The host's texts about processes and mounts, made the guest's. */
#include "../test.h"

#include "sentry/proc/rewrite.h"
#include "sentry/sys/proc_text.h"

static const gid_t two_groups[] = {10, 20};
static struct creds creds = {.uid = 1,
			     .euid = 2,
			     .suid = 3,
			     .fsuid = 4,
			     .gid = 5,
			     .egid = 6,
			     .sgid = 7,
			     .fsgid = 8,
			     .groups = (gid_t *)two_groups,
			     .ngroups = 2,
			     .cap_effective = 0x21};
static struct process_view view = {.pid = 7,
				   .tid = 8,
				   .parent = 1,
				   .pgrp = 7,
				   .session = 3,
				   .foreground = 7,
				   .comm = "a ) b\n\\",
				   .creds = &creds,
				   .umask = 022,
				   .fd_size = 64,
				   .threads = 2,
				   .filters_below = 1};

static char *taken(struct str *out)
{
	char *text = str_take(out);

	return text ? text : strdup("");
}

static void test_stat(void)
{
	struct str out = {0};
	autofree char *got = NULL;

	CHECK_INT(rewrite_stat("901 (x) y) D 900 901 880 34816 901 4194304 5 0", &view, &out), 0);
	got = taken(&out);
	CHECK_STR(got, "8 (a ) b\n\\) D 1 7 3 34816 7 4194304 5 0");
	CHECK_INT(rewrite_stat("901 no name", &view, &out), -EINVAL);
	CHECK_INT(rewrite_stat("901 (x) D 1 2", &view, &out), -EINVAL);
	str_free(&out);
}

static void test_stat_of_one_that_waits_for_us(void)
{
	struct process_view parked = view;
	struct str out = {0};
	autofree char *got = NULL;

	parked.state = 'S';
	CHECK_INT(rewrite_stat("901 (x) D 900 901 880 0 -1 4194304", &parked, &out), 0);
	got = taken(&out);
	CHECK_STR(got, "8 (a ) b\n\\) S 1 7 3 0 -1 4194304");
}

static void test_status(void)
{
	static const char host[] =
		"Name:\tstub\nUmask:\t0000\nState:\tD (disk sleep)\nTgid:\t901\nPid:\t902\nPPid:\t900\n"
		"TracerPid:\t899\nUid:\t0\t0\t0\t0\nGroups:\t \nVmRSS:\t     12 kB\nThreads:\t1\n"
		"CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\nodd\n";
	struct str out = {0};
	autofree char *got = NULL;

	CHECK_INT(rewrite_status(host, &view, &out), 0);
	got = taken(&out);
	CHECK_STR(got,
		  "Name:\ta ) b\\n\\\\\nUmask:\t0022\nState:\tD (disk sleep)\nTgid:\t7\nPid:\t8\nPPid:\t1\n"
		  "TracerPid:\t0\nUid:\t1\t2\t3\t4\nGroups:\t10 20 \nVmRSS:\t     12 kB\nThreads:\t2\n"
		  "CapEff:\t0000000000000021\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t2\nodd\n");
}

static void map_line(const char *line, bool shown, const char *want)
{
	struct str out = {0};
	autofree char *got = NULL;

	CHECK(is_map_line(line, strlen(line)));
	CHECK_INT(rewrite_map_line(line, strlen(line), &out), shown);
	got = taken(&out);
	CHECK_STR(got, want);
}

static void test_maps(void)
{
	map_line("7f00-7f01 r-xp 00000000 00:01 7    /memfd:program (deleted)", false, "");
	map_line("7f00-7f01 rw-s 00000000 00:01 7    /memfd:SYSV0000002a (deleted)", true,
		 "7f00-7f01 rw-s 00000000 00:01 7    /SYSV0000002a (deleted)\n");
	map_line("7f00-7f01 rw-p 00000000 00:00 0 ", true, "7f00-7f01 rw-p 00000000 00:00 0 \n");
	map_line("7f00-7f01 r--p 00000000 fe:00 9    /usr/lib/a b", true,
		 "7f00-7f01 r--p 00000000 fe:00 9    /usr/lib/a b\n");
	CHECK(!is_map_line("Rss:     4 kB", 13));
	CHECK(!is_map_line("VmFlags: rd-wr", 14));
	CHECK(!is_map_line("", 0));
}

static void test_mounts(void)
{
	static const char host[] =
		"30 1 0:40 / / rw,relatime shared:1 master:2 - overlay none rw,lowerdir=/l,upperdir=/u\n"
		"31 30 0:41 /x /proc ro,relatime - tmpfs placeholder ro,size=4k\n"
		"32 30 0:42 / /a\\040b rw - ext4 /dev/vda ro,discard\n"
		"33 30 0:43 / /v rw,nosuid,nodev,relatime - tmpfs v rw\n"
		"34 30 0:44 / /w rw,nosuid,nodev,relatime - tmpfs w rw\n"
		"garbage\n";
	static const struct mount_asked asked[] = {
		{31, false, false}, {33, true, false}, {34, false, false}, {0}};
	static const struct mount_view views[] = {{"/proc", "proc", false}, {NULL, NULL, false}};
	struct str info = {0}, out = {0};
	autofree char *first = NULL, *mounts = NULL, *stats = NULL;

	CHECK_INT(rewrite_mountinfo(host, views, asked, &info), 0);
	first = taken(&info);
	CHECK_STR(first,
		  "30 1 0:40 / / rw,relatime shared:1 master:2 - overlay none rw,lowerdir=/l,upperdir=/u\n"
		  "31 30 0:41 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"
		  "32 30 0:42 / /a\\040b rw - ext4 /dev/vda ro,discard\n"
		  "33 30 0:43 / /v rw,nosuid,relatime - tmpfs v rw\n"
		  "34 30 0:44 / /w rw,relatime - tmpfs w rw\n");
	CHECK_INT(mountinfo_to_mounts(first, &out), 0);
	mounts = taken(&out);
	CHECK_STR(mounts, "none / overlay rw,relatime,lowerdir=/l,upperdir=/u 0 0\n"
			  "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n"
			  "/dev/vda /a\\040b ext4 ro,discard 0 0\n"
			  "v /v tmpfs rw,nosuid,relatime 0 0\n"
			  "w /w tmpfs rw,relatime 0 0\n");
	CHECK_INT(mountinfo_to_mountstats(first, &out), 0);
	stats = taken(&out);
	CHECK_STR(stats,
		  "device none mounted on / with fstype overlay\ndevice proc mounted on /proc with "
		  "fstype proc\n"
		  "device /dev/vda mounted on /a\\040b with fstype ext4\n"
		  "device v mounted on /v with fstype tmpfs\ndevice w mounted on /w with fstype tmpfs\n");
}

static void test_lines(void)
{
	static const char text[] = "A:\t12\nNSpid:\t100\t7\nB: x\nword 5\n";

	CHECK_INT(status_number(text, "A"), 12);
	CHECK_INT(status_last_number(text, "NSpid"), 7);
	CHECK_INT(status_number(text, "B"), -1);
	CHECK_INT(status_last_number(text, "B"), -1);
	CHECK_INT(status_number(text, "NSp"), -1);
	CHECK(word_line(text, "word") && *word_line(text, "word") == '5');
	CHECK(!word_line(text, "A"));
}

int main(void)
{
	test_stat();
	test_stat_of_one_that_waits_for_us();
	test_status();
	test_maps();
	test_mounts();
	test_lines();
	return test_end();
}
