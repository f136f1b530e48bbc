# SPDX-License-Identifier: Apache-2.0
"""The engine where systemd rules: scopes with limits, its journal, and an ordinary user who has logged in.

Runs in the guest of tests/vm/run; elsewhere nothing is collected. Its kernel mounts no EROFS files: layers are directories.
"""
import json
import os
import shutil
import subprocess
import tempfile

import pytest

import libengine
from harness import env
from libengine import wait_for

if os.environ.get("COFFER_VM") != "1":
    pytest.skip("runs in the guest of tests/vm/run", allow_module_level=True)

MB = 1 << 20
USER, UID = "walter", 2000


def sh(*argv, rc=0):
    done = subprocess.run(argv, text=True, capture_output=True, check=False, timeout=env.seconds(30))
    assert rc is None or done.returncode == rc, done
    return done.stdout.strip()


def show(unit, *names):
    lines = sh("systemctl", "show", unit, *["--property=" + n for n in names]).splitlines()
    return dict(x.split("=", 1) for x in lines)


class ScopedCoffer(libengine.Coffer):
    def __init__(self):
        super().__init__("--cgroup-manager", "systemd")

    def run_options(self):
        return []


@pytest.fixture(scope="module")
def session():
    engine = ScopedCoffer()
    yield engine
    engine.close()


@pytest.fixture
def coffer(session):
    yield session
    session.clear()


def scope(cid):
    return "coffer-%s.scope" % cid


def group_file(cid, name):
    with open("/sys/fs/cgroup%s/%s" % (show(scope(cid), "ControlGroup")["ControlGroup"], name)) as f:
        return f.read().strip()


def gone(cid):
    return show(scope(cid), "ActiveState")["ActiveState"] == "inactive" and \
        not os.path.exists("/sys/fs/cgroup/system.slice/" + scope(cid))


def test_doctor_tells_what_is_there(coffer):
    checks = {(c["Topic"], c["Name"]): c for c in json.loads(coffer("doctor", "--format", "json", rc=None).stdout)["Checks"]}
    assert checks["File systems", "overlayfs"]["State"] == "ok"
    for name in ("cpu", "cpuset", "memory", "pids"):
        assert checks["Control groups", name]["State"] == "ok", name


def test_a_container_that_leaves_nothing(coffer):
    # The first way of mounting fails on this kernel, and leaves a mark that the next has to overlook.
    assert coffer.out("run", "--rm", "--network", "none", "box", "cat", "/proc/1/comm") == "cat"


if os.uname().machine != "x86_64":
    def test_a_level_of_another_processor_says_so(coffer):
        done = coffer("run", "--rm", "--network", "none", "--isolation", "kernel", "box", "true", rc=125)
        assert 'level "kernel" is built for x86-64 only' in done.stderr


def test_limits_are_the_scopes(coffer):
    cid = coffer.start("--memory", "64m", "--cpus", "0.5", "--pids-limit", "33", "box", "sleep", "600")
    assert show(scope(cid), "Slice", "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec") == \
        {"Slice": "system.slice", "MemoryMax": str(64 * MB), "TasksMax": "33", "CPUQuotaPerSecUSec": "500ms"}
    assert str(coffer.pid(cid)) in group_file(cid, "cgroup.procs").split()
    row = json.loads(coffer.out("stats", "--no-stream", "--format", "{{json .}}", cid))
    assert row["MemUsage"].endswith("/ 64MiB") and not row["MemUsage"].startswith("0B") and row["PIDs"] == "1"
    coffer("update", "--memory", "80m", "--memory-swap", "80m", "--pids-limit", "44", cid)
    sh("systemctl", "daemon-reload")  # systemd writes its own idea of the unit again
    assert [group_file(cid, n) for n in ("memory.max", "pids.max", "cpu.max")] == [str(80 * MB), "44", "50000 100000"]
    coffer("pause", cid)
    assert group_file(cid, "cgroup.freeze") == "1"
    coffer("unpause", cid)
    assert coffer.out("exec", cid, "sh", "-c", "wc -l < /proc/self/cgroup") == "1"
    coffer("stop", "-t", "0", cid)
    wait_for("the scope to end", lambda: gone(cid))
    coffer("start", cid)  # into a new scope of the same name
    assert group_file(cid, "memory.max") == str(80 * MB)
    coffer("rm", "-f", cid)
    wait_for("the scope to end", lambda: gone(cid))


def test_out_of_memory(coffer):
    done = coffer("run", "--name", "fat", "--memory", "32m", "--memory-swap", "32m", "box", "tail", "/dev/zero", rc=137)
    assert done.stdout == ""
    assert coffer.inspect("fat", "{{.State.OOMKilled}} {{.State.ExitCode}}") == "true 137"
    assert "oom" in coffer.out("events", "--since", "1h", "--until", "0s", "--filter", "container=fat", "--format", "{{.Action}}").split()


def test_a_slice_of_its_own(coffer):
    cid = coffer.start("--cgroup-parent", "coffertest.slice", "box", "sleep", "600")
    assert show(scope(cid), "Slice")["Slice"] == "coffertest.slice"
    coffer("rm", "-f", cid)
    sh("systemctl", "stop", "coffertest.slice", rc=None)


def test_stopped_by_systemd(coffer):
    """The administrator stops the unit: the container has ended, and can be started again."""
    cid = coffer.start("--init", "box", "sleep", "600")
    sh("systemctl", "stop", scope(cid))
    coffer.wait_status(cid, "exited")
    coffer("start", cid)
    assert coffer.status(cid) == "running"


def test_published_port(coffer):
    """Debian's kernel has its nftables in modules."""
    coffer.start("-p", "127.0.0.1:8080:80", "box", "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
    wait_for("an answer", lambda: coffer.here("sh", "-c", "busybox nc 127.0.0.1 8080 < /dev/null", rc=None).stdout == "hello\n")


def test_journal(coffer):
    cid = coffer.out("run", "-d", "--log-driver", "journald", "--name", "told", "box", "sh", "-c", "echo out; echo err >&2; sleep 1; echo end")
    assert coffer("logs", "-f", "told").stdout == "out\nend\n"
    assert sorted(sh("journalctl", "-q", "-o", "cat", "CONTAINER_ID_FULL=" + cid).split()) == ["end", "err", "out"]


def test_crash_is_settled(coffer):
    """The monitor is killed, and then the container: the next command takes the scope away too."""
    cid = coffer.start("box", "sleep", "600")
    for pid in coffer.monitors():
        os.kill(pid, 9)
    coffer("rm", "-f", cid)
    wait_for("the scope to end", lambda: gone(cid))
    assert coffer.out("system", "check") == "nothing found"


PROFILE = "/etc/apparmor.d/coffer-default"
CONFINED, UNCONFINED = "coffer-default (enforce)", "unconfined"
LABEL = "cat /proc/self/attr/current"
# i386's calls from a 64-bit program, whose static data are below 4 GB.
FAMILIES = """
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
static unsigned a[3];
static int old(int family, int type)
{
	long r = 102;
	a[0] = family, a[1] = type, a[2] = 0;
	__asm__ volatile("int $0x80" : "+a"(r) : "b"(1L), "c"(a) : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? (int)-r : 0;
}
int main(void)
{
	printf("%d %d %d ", socket(AF_ALG, SOCK_SEQPACKET, 0) < 0 ? errno : 0, socket(AF_VSOCK, SOCK_STREAM, 0) < 0 ? errno : 0,
	       old(AF_INET, SOCK_STREAM));
	printf("%d %d\\n", old(AF_ALG, SOCK_SEQPACKET), old(AF_VSOCK, SOCK_STREAM));
}
"""


def apparmor_check(coffer):
    checks = json.loads(coffer("doctor", "--format", "json", rc=None).stdout)["Checks"]
    return next(c for c in checks if c["Name"] == "AppArmor")


@pytest.fixture
def armor(coffer):
    """The profile's file where the package puts it; the kernel does not have the profile yet."""
    shutil.copy(os.path.join(os.path.dirname(__file__), "../../src/engine/coffer-default"), PROFILE)
    yield coffer
    coffer.clear()
    sh("apparmor_parser", "-R", PROFILE, rc=None)
    os.unlink(PROFILE)


def test_no_profile_without_its_file(coffer):
    assert coffer.sh(LABEL).strip() == UNCONFINED
    assert apparmor_check(coffer)["State"] == "lack" and "coffer-default is missing" in coffer.out("info")


def test_a_start_loads_the_profile(armor):
    assert "next container" in apparmor_check(armor)["Text"]
    cid = armor.start("--network", "none", "box", "sleep", "600")
    with open("/proc/%d/attr/current" % armor.pid(cid)) as f:
        assert f.read().strip() == CONFINED
    assert apparmor_check(armor)["State"] == "ok"
    assert armor.inspect(cid, "{{.AppArmorProfile}}") == "coffer-default"
    assert armor.out("exec", cid, "sh", "-c", LABEL) == CONFINED
    assert armor.out("exec", "--privileged", cid, "sh", "-c", LABEL) == CONFINED  # as Docker
    armor("stop", "-t", "0", cid)
    sh("apparmor_parser", "-R", PROFILE)  # nothing remembers that it was there
    armor("start", cid)
    assert armor.out("exec", cid, "sh", "-c", LABEL) == CONFINED
    assert armor.out("exec", cid, "sh", "-c", "sleep 60 & kill -0 1 && kill $! && echo among its own") == "among its own"


def test_who_has_no_profile(armor):
    for options, shown in ((["--security-opt", "apparmor=unconfined"], "unconfined"), (["--privileged"], "unconfined")):
        cid = armor.start("--network", "none", *options, "box", "sleep", "600")
        assert armor.out("exec", cid, "sh", "-c", LABEL) == UNCONFINED
        assert armor.inspect(cid, "{{.AppArmorProfile}}") == shown
    os.makedirs("/etc/apparmor.d/disable", exist_ok=True)
    os.symlink(PROFILE, "/etc/apparmor.d/disable/coffer-default")
    try:
        assert armor.sh(LABEL).strip() == UNCONFINED
        assert "disabled" in apparmor_check(armor)["Text"]
    finally:
        os.unlink("/etc/apparmor.d/disable/coffer-default")
    with open(PROFILE, "a", encoding="ascii") as f:
        f.write("this is no profile\n")
    done = armor.run(["--network", "none"], ["sh", "-c", LABEL])
    assert done.stdout.strip() == UNCONFINED and "coffer-default cannot be loaded" in done.stderr


# What is refused to root with CAP_SYS_ADMIN and nothing masked, and what is not.
REFUSED = ["mount -t tmpfs none /mnt", "mount --bind /etc /mnt", "umount /etc/hosts", "echo 1 > /proc/sysrq-trigger",
           "head -c 1 /proc/kcore", "cat /sys/kernel/security/lsm", "echo 1 > /sys/kernel/mm/ksm/run",
           "echo x > /proc/irq/default_smp_affinity"] + \
          ["echo $(cat {0}) > {0}".format("/proc/sys/" + x) for x in (
              "kernel/domainname", "kernel/core_pattern", "kernel/sysrq", "kernel/sched_rt_runtime_us", "kernel/modprobe", "vm/swappiness",
              "kernel/seccomp/actions_logged", "fs/file-max", "fs/suid_dumpable", "net/ipv4/ip_forward", "kernel/pid_max")]
ALLOWED = ["echo $(cat {0}) > {0}".format("/proc/sys/" + x) for x in (
    "kernel/shmmax", "kernel/msgmax", "kernel/sem", "fs/mqueue/msg_max")] + \
          ["echo 0 > /proc/self/oom_score_adj", "echo a > /proc/self/comm", "echo a > /f && mv /f /g && rm /g",
           "ls /sys/class/net", "cat /proc/cpuinfo"]


def test_what_the_profile_refuses(armor):
    options = ["--network", "none", "--cap-add", "SYS_ADMIN", "--userns", "host", "--security-opt", "systempaths=unconfined", "-v", "/sys:/sys"]
    script = "mkdir -p /mnt\n" + "".join("( %s ) > /dev/null 2>/tmp/e && echo || echo $(cat /tmp/e)\n" % x for x in REFUSED + ALLOWED)

    def denied(*more):
        lines = armor.run([*options, *more], ["sh", "-c", script]).stdout.splitlines()
        assert len(lines) == len(REFUSED + ALLOWED)
        return [x for x, line in zip(REFUSED + ALLOWED, lines) if "ermission denied" in line]

    assert denied() == REFUSED
    assert denied("--security-opt", "apparmor=unconfined") == []


if os.uname().machine == "x86_64":
    def test_socketcall_gets_no_family_that_is_refused(armor, tmp_path):
        (tmp_path / "p.c").write_text(FAMILIES)
        program = tempfile.mkdtemp()
        os.chmod(program, 0o755)
        sh("gcc", "-O1", "-static", "-no-pie", "-o", program + "/p", str(tmp_path / "p.c"))
        mount = ["--network", "none", "-v", program + ":/p:ro"]
        try:
            assert armor.run(mount, ["/p/p"]).stdout == "1 1 0 13 13\n"
            open_ = armor.run([*mount, "--security-opt", "apparmor=unconfined"], ["/p/p"]).stdout.split()
            assert open_[:3] == ["1", "1", "0"] and all(x in ("0", "97") for x in open_[3:])  # EAFNOSUPPORT: no module
        finally:
            shutil.rmtree(program)


def test_a_container_with_the_hosts_ids(coffer):
    """Its layers are directories of the host's, which no user namespace's map has detached."""
    for option in ("--privileged", "--userns=host"):
        assert coffer.out("run", "--rm", "--network", "none", option, "box", "cat", "/proc/1/comm") == "cat"


@pytest.fixture(scope="module")
def login():
    """login(script): what it prints for an ordinary user in a session of logind's, with systemd's user manager."""
    # Not below pytest's own directory: the other shard's pytest takes that from everybody but root when it comes.
    top = tempfile.mkdtemp()
    os.chmod(top, 0o755)
    sh("useradd", "--uid", str(UID), "--create-home", "--shell", "/bin/sh", USER)

    def run(script, manager=None):
        path = os.path.join(top, "script")
        with open(path, "w", encoding="ascii") as f:
            f.write("set -e\ncoffer() { /usr/local/sbin/coffer%s \"$@\"; }\n"
                        "group() { sed s/^0::// /proc/$(coffer inspect -f '{{.State.Pid}}' $1)/cgroup; }\n"
                        "value() { cat /sys/fs/cgroup$(group $1)/$2; }\n%s" %
                        (" --cgroup-manager " + manager if manager else "", script))
        done = subprocess.run(["systemd-run", "-q", "--pipe", "--wait", "--collect", "--uid=" + USER, "-p", "PAMName=login", "-E",
                               "PATH=" + os.environ["PATH"], "sh", path],
                              text=True, capture_output=True, check=False, timeout=env.seconds(60))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    sh("loginctl", "enable-linger", USER)
    run("coffer image build-base")
    yield run
    run("ids=$(coffer ps -aq); [ -z \"$ids\" ] || coffer rm -f $ids")
    sh("loginctl", "disable-linger", USER, rc=None)
    sh("loginctl", "terminate-user", USER, rc=None)
    wait_for("the user's processes to end", lambda: sh("pgrep", "-u", USER, rc=None) == "", 60)
    sh("userdel", "-r", USER, rc=None)
    shutil.rmtree(top)


def test_an_ordinary_users_limits(login):
    """No configuration: where the user has a manager, that makes the scopes, in what the machine's gave it."""
    out = login("""
coffer run -d --name c --network none --memory 64m --pids-limit 33 coffer/base sleep 600 >/dev/null
case $(group c) in /user.slice/user-%d.slice/user@%d.service/*/coffer-*.scope) echo scope;; *) group c;; esac
value c memory.max; value c pids.max
coffer stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' c | sed 's/^[1-9][^/]*/some /'
coffer update --memory 80m --memory-swap 80m c >/dev/null; value c memory.max
coffer pause c >/dev/null; value c cgroup.freeze; coffer unpause c >/dev/null
coffer exec c echo inside
coffer rm -f c >/dev/null
""" % (UID, UID))
    assert out.splitlines() == ["scope", str(64 * MB), "33", "some / 64MiB 1", str(80 * MB), "1", "inside"]


def test_an_ordinary_users_limits_hold(login):
    out = login("""
rc=0; coffer run --name fat --network none --memory 32m --memory-swap 32m coffer/base tail /dev/zero || rc=$?
echo $rc $(coffer inspect -f '{{.State.OOMKilled}}' fat); coffer rm fat >/dev/null
coffer run --rm --network none --pids-limit 20 coffer/base sh -c 'for i in $(seq 40); do sleep 3 & done; wait' 2>&1 |
    grep -c 'fork' | sed 's/[1-9][0-9]*/refused/'
""")
    assert out.splitlines() == ["137 true", "refused"]


def test_an_ordinary_user_in_a_delegated_group(login):
    """Without a manager's scopes: a control group of one's own, by name."""
    out = login("""
systemd-run --user --scope -q -p Delegate=yes sh -c '
    own=$(sed s/^0::// /proc/self/cgroup); mkdir /sys/fs/cgroup$own/me; echo $$ > /sys/fs/cgroup$own/me/cgroup.procs
    echo "+memory +pids" > /sys/fs/cgroup$own/cgroup.subtree_control
    /usr/local/sbin/coffer --cgroup-manager cgroupfs run --rm --network none --memory 64m --pids-limit 33 --cgroup-parent $own \
        -v /sys/fs/cgroup$own:/own:ro coffer/base sh -c "cat /own/[0-9a-f]*/memory.max /own/[0-9a-f]*/pids.max"
    rmdir /sys/fs/cgroup$own/[0-9a-f]* 2>/dev/null || echo clean'
""")
    assert out.splitlines() == [str(64 * MB), "33", "clean"]
