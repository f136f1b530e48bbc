# SPDX-License-Identifier: Apache-2.0
"""config.json "process": what the container's first process starts with."""
import os
import resource

import pytest

from harness import host, peer
from harness.host import cap_mask, parse_status


# ---- cwd ----

@pytest.mark.parametrize("cwd", ["/", "/tmp", "/etc/../tmp", "/proc"])
def test_cwd(ct, cwd):
    c = ct(["pwd"])
    c.process["cwd"] = cwd
    assert c.run().ok().out == os.path.normpath(cwd) + "\n"


def test_cwd_is_created_where_missing(ct):
    """runc: a cwd that is not there is made (0755, root)."""
    c = ct("pwd; stat -c '%a %u' .")
    c.process["cwd"] = "/var/new/deep"
    assert c.run().ok().lines == ["/var/new/deep", "755 0"]


def test_cwd_must_be_absolute(ct):
    c = ct(["pwd"])
    c.process["cwd"] = "tmp"
    r = c.run().failed()
    assert "absolute" in r.message.lower() or "cwd" in r.message.lower()


def test_cwd_that_is_a_file(ct):
    c = ct(["pwd"])
    c.process["cwd"] = "/etc/passwd"
    c.run().failed()


def test_cwd_only_the_user_may_enter(ct):
    """Entered as the user: a private home works without CAP_DAC_OVERRIDE, and root need not."""
    c = ct(["pwd"])
    home = c.rootfs_file("home/private")
    os.makedirs(home, 0o700)
    os.chown(home, 1000, 1000)
    c.process.update(cwd="/home/private", user={"uid": 1000, "gid": 1000})
    assert c.run().ok().out == "/home/private\n"


# ---- env, args ----

def test_env_is_exactly_the_configs(ct):
    c = ct(["env"])
    c.process["env"] = ["PATH=/bin", "A=1", "EMPTY=", "SPACE=a b", "EQ=a=b"]
    lines = [x for x in c.run(env=dict(os.environ, HOST_SECRET="1")).ok().lines if not x.startswith("HOME=")]
    assert sorted(lines) == sorted(c.process["env"])


def test_env_home_is_set_from_passwd(ct):
    """runc sets HOME from the rootfs's /etc/passwd where the config has none."""
    c = ct("echo $HOME")
    c.process["env"] = ["PATH=/bin"]
    c.process["user"] = {"uid": 1000, "gid": 1000}
    assert c.run().ok().out == "/home\n"


def test_env_last_of_two_wins(ct):
    c = ct("echo $TWICE")
    c.process["env"] += ["TWICE=1", "TWICE=2"]
    assert c.run().ok().out == "2\n"


def test_env_path_finds_the_program(ct):
    c = ct(["only-here"])
    c.rootfs_file("var/bin/only-here", "#!/bin/sh\necho found\n", 0o755)
    c.process["env"] = ["PATH=/nowhere:/var/bin:/bin"]
    assert c.run().ok().out == "found\n"


def test_args_arrive_as_they_are(ct):
    args = ["", "a b", "tab\there", "new\nline", "$HOME", "'q'", "é☃", "--flag"]
    c = ct(["sh", "-c", 'printf "%s|" "$@"', "sh"] + args)
    assert c.run().ok().out == "|".join(args) + "|"


@pytest.mark.levels("ns")
def test_many_and_long_args(ct):
    c = ct(["sh", "-c", 'echo $# ${#1}', "sh"] + ["x" * 1000] * 500)
    assert c.run().ok().out == "500 1000\n"


# ---- user ----

@pytest.mark.parametrize("uid,gid", [(0, 0), (1000, 1000), (65534, 65534), (12345, 0), (0, 12345)])
def test_user(ct, uid, gid):
    c = ct("id -u; id -g; grep -E '^[UG]id' /proc/self/status")
    c.process["user"] = {"uid": uid, "gid": gid}
    lines = c.run().ok().lines
    assert lines[:2] == [str(uid), str(gid)]
    assert lines[2].split()[1:] == [str(uid)] * 4 and lines[3].split()[1:] == [str(gid)] * 4


@pytest.mark.parametrize("groups", [[], [10], [10, 20, 2000000000], list(range(100, 164))])
def test_additional_gids(ct, groups):
    c = ct("sed -n 's/^Groups:[[:space:]]*//p' /proc/self/status")
    c.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": groups}
    got = c.run().ok().out.split()
    assert {int(x) for x in got} - {1000} == set(groups)


@pytest.mark.parametrize("mask,shown", [(0o22, "0022"), (0o77, "0077"), (0, "0000"), (0o777, "0777")])
def test_umask(ct, mask, shown):
    c = ct(["sh", "-c", "umask"])
    c.process["user"]["umask"] = mask
    assert c.run().ok().out == shown + "\n"


def test_umask_default_is_022_whatever_the_callers(ct):
    assert ct(["sh", "-c", "umask"]).run(preexec_fn=lambda: os.umask(0o77)).ok().out == "0022\n"


# ---- limits of the process ----

# At or below what this machine has: without CAP_SYS_RESOURCE no hard limit can be raised.
RLIMITS = [("RLIMIT_NOFILE", 512, 1024), ("RLIMIT_CORE", 0, 0), ("RLIMIT_NPROC", 1000, 2000),
           ("RLIMIT_STACK", 4 << 20, 4 << 20), ("RLIMIT_AS", 1 << 33, 1 << 33), ("RLIMIT_CPU", 100, 200),
           ("RLIMIT_FSIZE", 1 << 30, 1 << 31), ("RLIMIT_DATA", 1 << 32, 1 << 32), ("RLIMIT_MEMLOCK", 1024, 4096),
           ("RLIMIT_MSGQUEUE", 1000, 2000), ("RLIMIT_SIGPENDING", 100, 200), ("RLIMIT_RTPRIO", 0, 0),
           ("RLIMIT_NICE", 0, 0), ("RLIMIT_LOCKS", 10, 20), ("RLIMIT_RSS", 1 << 30, 1 << 30),
           ("RLIMIT_RTTIME", 1000, 2000)]


@pytest.mark.parametrize("name,soft,hard", RLIMITS, ids=[r[0] for r in RLIMITS])
def test_rlimit(ct, name, soft, hard):
    c = ct(["guest", "rlimits"])
    c.process["rlimits"] = [{"type": name, "soft": soft, "hard": hard}]
    assert "%s %d %d" % (name, soft, hard) in c.run().ok().lines


def test_rlimits_not_named_stay_as_they_are(ct):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert "RLIMIT_NOFILE %d %d" % (soft, hard) in ct(["guest", "rlimits"]).run().ok().lines


def test_rlimit_unknown_type_is_refused(ct):
    c = ct(["true"])
    c.process["rlimits"] = [{"type": "RLIMIT_NONSENSE", "soft": 1, "hard": 1}]
    assert "RLIMIT_NONSENSE" in c.run().failed().err


def test_rlimit_twice_is_refused(ct):
    """config.md: no two entries of one type."""
    peer.lacks("*", "lets the last one win")
    c = ct(["true"])
    c.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": n, "hard": n} for n in (10, 20)]
    assert "RLIMIT_NOFILE" in c.run().failed().err


@pytest.mark.parametrize("value", [0, 100, 1000])
def test_oom_score_adj(ct, value):
    c = ct(["cat", "/proc/self/oom_score_adj"])
    c.process["oomScoreAdj"] = value
    assert c.run().ok().out == "%d\n" % value


def test_oom_score_adj_unset_stays_the_callers(ct):
    c = ct(["cat", "/proc/self/oom_score_adj"])
    del c.process["oomScoreAdj"]
    with open("/proc/self/oom_score_adj") as f:
        assert c.run().ok().out == f.read()


# ---- privileges ----

@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(ct, value):
    c = ct("grep NoNewPrivs /proc/self/status")
    c.process["noNewPrivileges"] = value
    assert c.run().ok().out.split()[1] == str(int(value))


def test_no_new_privileges_stops_setuid_programs(ct):
    for value, uid in ((False, "0"), (True, "1000")):
        c = ct(["/var/suid", "call", "geteuid"])
        path = c.rootfs_file("var/suid", "")
        with open(c.rootfs_file("bin/guest"), "rb") as src, open(path, "wb") as dst:
            dst.write(src.read())
        os.chmod(path, 0o4755)
        c.process.update(noNewPrivileges=value, user={"uid": 1000, "gid": 1000})
        assert c.run().ok().out == "geteuid: %s\n" % uid


ALL_FIVE = ("bounding", "effective", "inheritable", "permitted", "ambient")
SHOWN = dict(zip(ALL_FIVE, ("CapBnd", "CapEff", "CapInh", "CapPrm", "CapAmb")))
CAP_CASES = {
    "none": {},
    "three": {k: ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID"] for k in ("bounding", "effective", "permitted")},
    "only-bounding": {"bounding": ["CAP_KILL"]},
    "ambient": {k: ["CAP_NET_BIND_SERVICE"] for k in ALL_FIVE},
    "inheritable": {k: ["CAP_CHOWN"] for k in ("bounding", "effective", "permitted", "inheritable")},
}


@pytest.mark.parametrize("case", sorted(CAP_CASES))
def test_capability_sets_of_root(ct, case):
    """Root without a file's capabilities: after execve permitted = inheritable | bounding (capabilities(7))."""
    sets = CAP_CASES[case]
    c = ct(["cat", "/proc/self/status"])
    c.process["capabilities"] = sets
    st = parse_status(c.run().ok().out)
    bounding = cap_mask(sets.get("bounding", []))
    inheritable = cap_mask(sets.get("inheritable", []))
    assert int(st["CapBnd"], 16) == bounding
    assert int(st["CapInh"], 16) == inheritable
    assert int(st["CapAmb"], 16) == cap_mask(sets.get("ambient", []))
    assert int(st["CapPrm"], 16) == bounding | inheritable
    assert int(st["CapEff"], 16) == bounding | inheritable


@pytest.mark.parametrize("case", sorted(CAP_CASES))
def test_capability_sets_of_a_user(ct, case):
    """Not root: after execve permitted and effective are the ambient set."""
    sets = CAP_CASES[case]
    c = ct(["cat", "/proc/self/status"])
    c.process["capabilities"] = sets
    c.process["user"] = {"uid": 1000, "gid": 1000}
    st = parse_status(c.run().ok().out)
    ambient = cap_mask(sets.get("ambient", []))
    assert int(st["CapBnd"], 16) == cap_mask(sets.get("bounding", []))
    assert int(st["CapInh"], 16) == cap_mask(sets.get("inheritable", []))
    assert int(st["CapAmb"], 16) == int(st["CapPrm"], 16) == int(st["CapEff"], 16) == ambient


def test_no_capabilities_field_means_none(ct):
    c = ct(["cat", "/proc/self/status"])
    del c.process["capabilities"]
    st = parse_status(c.run().ok().out)
    if peer.NAME == "runc":
        return  # runc keeps its own where the field is absent
    assert all(int(st[v], 16) == 0 for v in SHOWN.values())


def test_unknown_capability_is_ignored_with_a_warning(ct):
    """config.md: a name that the kernel does not know is no error; runc and Docker rely on it."""
    c = ct(["true"])
    for names in c.process["capabilities"].values():
        names.append("CAP_FROM_THE_FUTURE")
    c.run().ok()


@pytest.mark.levels("ns")
def test_a_capability_this_machine_lacks_is_not_fatal(ct):
    if host.has_cap("CAP_SYS_RESOURCE"):
        pytest.skip("this machine lacks no capability")
    c = ct(["cat", "/proc/self/status"])
    for names in c.process["capabilities"].values():
        names.append("CAP_SYS_RESOURCE")
    r = c.run()
    if peer.NAME == "runc":
        return
    st = parse_status(r.ok().out)
    assert not int(st["CapEff"], 16) >> host.CAP_BIT["CAP_SYS_RESOURCE"] & 1


# ---- scheduling ----

def sched(result):
    return dict(line.split(" ", 1) for line in result.ok().lines)


@pytest.mark.parametrize("policy,number", [("SCHED_BATCH", "3"), ("SCHED_IDLE", "5"), ("SCHED_OTHER", "0")])
def test_scheduler_policy(ct, policy, number):
    peer.lacks("*", "no scheduler field")
    c = ct(["guest", "sched"])
    c.process["scheduler"] = {"policy": policy, "nice": 5 if policy != "SCHED_IDLE" else 0}
    got = sched(c.run())
    assert got["policy"] == number
    if policy != "SCHED_IDLE":
        assert got["nice"] == "5"


@pytest.mark.parametrize("policy,number", [("SCHED_FIFO", "1"), ("SCHED_RR", "2")])
def test_scheduler_real_time(ct, policy, number):
    peer.lacks("*", "no scheduler field")
    c = ct(["guest", "sched"])
    cpu = c.rt.view.controllers.get("cpu", "")
    if os.path.exists(os.path.join(cpu, "cpu.rt_runtime_us")):
        pytest.skip("real-time group scheduling: a new cgroup has no budget")
    c.process["scheduler"] = {"policy": policy, "priority": 7}
    got = sched(c.run())
    assert (got["policy"], got["priority"]) == (number, "7")


@pytest.mark.parametrize("bad", [{}, {"policy": "SCHED_NONE"}, {"policy": "SCHED_OTHER", "nice": 40},
                                 {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_WHAT"]},
                                 {"policy": "SCHED_OTHER", "priority": 5}])
def test_scheduler_refuses(ct, bad):
    peer.lacks("*", "no scheduler field")
    c = ct(["true"])
    c.process["scheduler"] = bad
    c.run().failed()


@pytest.mark.parametrize("cls,number", [("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_IDLE", 3)])
def test_io_priority(ct, cls, number):
    peer.lacks("*", "no ioPriority field")
    c = ct(["guest", "sched"])
    c.process["ioPriority"] = {"class": cls, "priority": 4}
    value = int(sched(c.run())["ioprio"])
    assert value >> 13 == number
    assert value & 0x1fff == 4


@pytest.mark.levels("ns")
def test_cpu_affinity_of_exec(ct):
    """execCPUAffinity.final: the CPUs of a process that exec starts."""
    peer.lacks("*", "no execCPUAffinity field")
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("one CPU only")
    c = ct(["sleep", "100"])
    c.process["execCPUAffinity"] = {"initial": str(cpus[0]), "final": str(cpus[1])}
    c.up()
    assert sched(c.exec("guest", "sched"))["cpus"] == str(cpus[1])


@pytest.mark.parametrize("domain,number", [("LINUX", 0), ("LINUX32", 8)])
def test_personality(ct, domain, number):
    c = ct(["guest", "sched"])
    c.linux["personality"] = {"domain": domain}
    peer.lacks("runc", "1.1 has no personality field")
    assert int(sched(c.run())["personality"], 16) & 0xff == number


# ---- session ----

def test_init_leads_its_own_session(ct):
    """runc calls setsid for every process: the caller's terminal is out of reach."""
    got = dict(line.split() for line in ct(["guest", "pgid"]).run().ok().lines)
    assert got["pid"] == got["pgrp"] == got["sid"] == "1"
    assert got["ppid"] == "0"
