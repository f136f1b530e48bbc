/* SPDX-License-Identifier: Apache-2.0 */
/* The sets as the kernel shows them after a child has dropped, changed its user and executed. */
#include "test.h"

#include "base/proc.h"
#include "base/str.h"
#include "host/caps.h"
#include "host/creds.h"
#include "host/procfs.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { CHOWN = 0, KILL = 5, SETGID = 6, NET_BIND = 10, NET_RAW = 13 };

/* What the child tells. */
struct seen {
	struct caps mine;
	uint64_t failed;
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid, groups[4];
	int ngroups;
	mode_t mask;
	struct err err;
	int r;
};

struct plan {
	struct caps caps;
	struct creds creds;
	uint64_t keep_extra;
	unsigned unshare;
};

static struct seen run(const struct plan *p)
{
	struct seen out,
		*s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();

	if (pid == 0) {
		if (p->unshare && unshare((int)p->unshare) < 0)
			_exit(77);
		s->r = caps_drop_bounding(&p->caps, &s->err);
		if (s->r == 0)
			s->r = creds_apply(&p->creds, &s->err);
		if (s->r == 0)
			s->r = caps_apply(&p->caps, p->keep_extra, &s->err);
		if (s->r == 0)
			s->r = caps_set_ambient(&p->caps, &s->failed, &s->err);
		struct err e = {0};
		ignore_result(caps_mine(&s->mine, &e));
		ignore_result(getresuid(&s->ruid, &s->euid, &s->suid));
		ignore_result(getresgid(&s->rgid, &s->egid, &s->sgid));
		s->ngroups = getgroups(4, s->groups);
		s->mask = umask(0);
		_exit(0);
	}
	CHECK_INT(proc_exit_code(proc_wait(pid)), 0);
	out = *s;
	munmap(s, sizeof(*s));
	return out;
}

static void test_names(void)
{
	for (unsigned i = 0; i < CAP_NR_KNOWN; i++)
		CHECK_INT(cap_number(cap_name(i)), (int)i);
	CHECK_INT(cap_number("CAP_SYS_ADMIN"), CAP_NR_SYS_ADMIN);
	CHECK_INT(cap_number("cap_sys_admin"), -1);
	CHECK_INT(cap_number("SYS_ADMIN"), -1);
	CHECK(cap_name(CAP_NR_KNOWN) == NULL);
	int last = caps_last_cap();
	autofree char *text = NULL;
	struct err err = {0};
	autoclose int proc = procfs_open(&err);
	CHECK_INT(procfs_read(proc, "sys/kernel/cap_last_cap", 32, &text, &err), 0);
	CHECK(text && strtol(text, NULL, 10) == last);
}

static void test_from_config(void)
{
	static const char *const b[] = {"CAP_CHOWN", "CAP_NET_RAW", "CAP_ZOMBIE", "CAP_BIRD"};
	static const char *const e[] = {"CAP_NET_RAW", "CAP_ZOMBIE"};
	struct oci_capabilities c = {
		.set = true, .bounding = {.v = (void *)b, .n = 4}, .effective = {.v = (void *)e, .n = 2}};
	struct caps caps;
	struct err err = {0};
	char *ignored = NULL;

	CHECK_INT(caps_from_config(&c, &caps, &ignored, &err), 0);
	CHECK(caps.bounding == (CAP_BIT(CHOWN) | CAP_BIT(NET_RAW)));
	CHECK(caps.effective == CAP_BIT(NET_RAW));
	CHECK(caps.permitted == 0 && caps.set);
	CHECK_STR(ignored, "CAP_BIRD CAP_ZOMBIE");
	free(ignored);
	c.bounding.n = 2;
	c.effective.n = 1;
	CHECK_INT(caps_from_config(&c, &caps, &ignored, &err), 0);
	CHECK(ignored == NULL);
}

static void test_user(void)
{
	static const uint32_t groups[] = {7, 8};
	uint64_t few = CAP_BIT(KILL) | CAP_BIT(NET_BIND);
	struct caps mine;
	struct err err = {0};

	CHECK_INT(caps_mine(&mine, &err), 0);
	struct plan p = {
		.caps = {.set = true,
			 .all = mine.all,
			 .bounding = few | CAP_BIT(CHOWN),
			 .permitted = few,
			 .effective = CAP_BIT(KILL),
			 .inheritable = few,
			 .ambient = CAP_BIT(NET_BIND) | CAP_BIT(CHOWN)},
		.creds = {.uid = 1234,
			  .gid = 99,
			  .groups = groups,
			  .ngroups = 2,
			  .set_groups = true,
			  .keep_caps = true,
			  .umask = {.v = 027, .set = true}},
	};
	struct seen s = run(&p);
	CHECK_INT(s.r, 0);
	CHECK_STR(s.err.msg, "");
	CHECK(s.mine.bounding == (few | CAP_BIT(CHOWN)));
	CHECK(s.mine.permitted == few);
	CHECK(s.mine.effective == CAP_BIT(KILL));
	CHECK(s.mine.inheritable == few);
	CHECK(s.mine.ambient == CAP_BIT(NET_BIND));
	CHECK(s.failed == CAP_BIT(CHOWN));
	CHECK(s.ruid == 1234 && s.euid == 1234 && s.suid == 1234);
	CHECK(s.rgid == 99 && s.egid == 99 && s.sgid == 99);
	CHECK(s.ngroups == 2 && s.groups[0] == 7 && s.groups[1] == 8);
	CHECK_INT(s.mask, 027);

	/* What seccomp needs stays for the moment. */
	p.keep_extra = CAP_BIT(CAP_NR_SYS_ADMIN);
	s = run(&p);
	CHECK_INT(s.r, 0);
	CHECK(s.mine.permitted == (few | CAP_BIT(CAP_NR_SYS_ADMIN)));
	CHECK(s.mine.effective == (CAP_BIT(KILL) | CAP_BIT(CAP_NR_SYS_ADMIN)));

	/* Without a capabilities object nothing is touched. */
	p = (struct plan){.creds = {.uid = 0, .gid = 0}};
	s = run(&p);
	CHECK(s.r == 0 && s.mine.permitted == mine.permitted && s.mine.bounding == mine.bounding);

	/* One that we do not have ourselves cannot be given and is no error. */
	p.caps = (struct caps){.set = true,
			       .all = mine.all,
			       .bounding = mine.all,
			       .permitted = mine.all,
			       .effective = mine.all};
	s = run(&p);
	CHECK(s.r == 0 && s.mine.permitted == mine.permitted);

	p.caps.permitted = 0;
	s = run(&p);
	CHECK_INT(s.r, -EPERM);
}

static void test_unmapped(void)
{
	struct plan p = {.unshare = CLONE_NEWUSER, .creds = {.uid = 5, .gid = 6}};
	struct seen s = run(&p);

	CHECK_INT(s.r, -EINVAL);
	CHECK_STR(s.err.msg, "unable to setup user: cannot setgid to unmapped gid 6 in user namespace");
}

static int own_stdio(void)
{
	struct err err = {0};
	struct stat st, null;
	int p[2];

	if (stat("/dev/null", &null) < 0 || pipe(p) < 0 || dup2(p[1], 1) < 0 ||
	    dup2(open("/dev/null", O_RDONLY), 0) < 0)
		return 1;
	if (creds_own_stdio(4321, &err) < 0)
		return 2;
	if (fstat(1, &st) < 0 || st.st_uid != 4321)
		return 3;
	if (fstat(0, &st) < 0 || st.st_uid != null.st_uid)
		return 4;
	return 0;
}

static int denied(void)
{
	struct err err = {0};
	int proc = procfs_open(&err);

	if (creds_setgroups_allowed(proc, &err) != 1 || unshare(CLONE_NEWUSER) < 0)
		return 1;
	if (procfs_write(proc, "self/setgroups", "deny", &err) < 0)
		return 2;
	return creds_setgroups_allowed(proc, &err) == 0 ? 0 : 3;
}

static int in_child(int (*body)(void))
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(body());
	return proc_exit_code(proc_wait(pid));
}

int main(void)
{
	test_names();
	test_from_config();
	if (geteuid() == 0) {
		test_user();
		test_unmapped();
		CHECK_INT(in_child(own_stdio), 0);
	}
	CHECK_INT(in_child(denied), 0);
	return test_end();
}
