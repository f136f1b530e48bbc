# SPDX-License-Identifier: Apache-2.0
"""config-linux.md "Namespaces": created, shared, joined by path; user and time namespaces."""
import os
import subprocess
import time

import pytest

from harness import bundle, host, leaks, peer
from harness.host import SLOW_CLONE

FILES = {"pid": "pid", "network": "net", "mount": "mnt", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup"}


@pytest.fixture
def foreign(request):
    """A sleeping process in namespaces of its own: what other runtimes and engines hand over to join."""
    procs = []

    def make(*flags):
        proc = subprocess.Popen(["unshare", *flags, "sh", "-c", "echo ready; exec sleep 1000"], stdout=subprocess.PIPE)
        procs.append(proc)
        assert proc.stdout.readline() == b"ready\n"
        return proc.pid

    yield make
    for proc in procs:
        proc.kill()
        proc.wait()
        proc.stdout.close()


@pytest.mark.parametrize("nstype", sorted(FILES))
def test_a_listed_namespace_is_new(ct, nstype):
    r = ct(["readlink", "/proc/self/ns/" + FILES[nstype]]).run().ok()
    assert r.out.strip() != os.readlink("/proc/self/ns/" + FILES[nstype])


@pytest.mark.levels("ns", "kernel")  # a guest is in none of the host's
@pytest.mark.parametrize("nstype", ["network", "ipc", "uts", "cgroup", "pid"])
def test_a_namespace_not_listed_is_the_callers(ct, nstype):
    c = ct(["readlink", "/proc/self/ns/" + FILES[nstype]])
    bundle.without_namespace(c.config, nstype)
    if nstype == "uts":
        del c.config["hostname"]
    if nstype == "network":  # a fresh sysfs needs the namespace's owner
        c.config["mounts"] = [m for m in c.config["mounts"] if m["destination"] not in ("/sys", "/sys/fs/cgroup")]
    if nstype == "ipc":
        c.config["mounts"] = [m for m in c.config["mounts"] if m["destination"] != "/dev/mqueue"]
    assert c.run().ok().out.strip() == os.readlink("/proc/self/ns/" + FILES[nstype])


@pytest.mark.levels("ns", "kernel")  # a guest is in none of the host's
@pytest.mark.parametrize("nstype,flag", [("network", "-n"), ("ipc", "-i"), ("uts", "-u"), ("cgroup", "-C")])
def test_join_by_path(ct, foreign, nstype, flag):
    path = "/proc/%d/ns/%s" % (foreign(flag), FILES[nstype])
    c = ct(["readlink", "/proc/self/ns/" + FILES[nstype]])
    bundle.set_namespace(c.config, nstype, path)
    if nstype == "uts":
        del c.config["hostname"]
    assert c.run().ok().out.strip() == os.readlink(path)


@pytest.mark.levels("ns")
def test_join_a_pid_namespace(ct):
    """Another container's: its processes are visible, and its init stays pid 1."""
    first = ct(["sleep", "1000"]).up()
    c = ct("cat /proc/1/comm; echo $$")
    bundle.set_namespace(c.config, "pid", "/proc/%d/ns/pid" % first.pid)
    lines = c.run().ok().lines
    assert lines[0] == "sleep" and int(lines[1]) > 1


@pytest.mark.levels("ns", "kernel")  # likewise
def test_join_all_of_another_container(ct):
    """What a pod does: network, ipc and uts of its first container."""
    first = ct(["sleep", "1000"])
    first.config["hostname"] = "the-pod"
    first.up()
    c = ct("hostname; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc")
    for nstype in ("network", "ipc", "uts"):
        bundle.set_namespace(c.config, nstype, "/proc/%d/ns/%s" % (first.pid, FILES[nstype]))
    del c.config["hostname"]
    lines = c.run().ok().lines
    ns = leaks.namespace_ids(first.pid)
    assert lines == ["the-pod", ns["net"], ns["ipc"]]


@pytest.mark.levels("ns", "kernel")  # likewise
def test_join_a_user_namespace(ct):
    first = ct(["sleep", "1000"])
    bundle.user_namespace(first.config)
    first.up()
    c = ct("readlink /proc/self/ns/user; readlink /proc/self/ns/net; id -u")
    for nstype in ("user", "network"):
        bundle.set_namespace(c.config, nstype, "/proc/%d/ns/%s" % (first.pid, FILES.get(nstype, nstype)))
    peer.lacks("runc", "1.1 wants the mappings as well")
    ns = leaks.namespace_ids(first.pid)
    assert c.run().ok().lines == [ns["user"], ns["net"], "0"]


@pytest.mark.levels("ns")
def test_join_a_user_namespace_where_clone_returns_late(ct):
    """The new process is far ahead before its maker is told its pid: on a loaded machine that happens by itself."""
    first = ct(["sleep", "1000"])
    bundle.user_namespace(first.config)
    first.up()
    c = ct(["echo", "done"])
    for nstype in ("user", "pid"):
        bundle.set_namespace(c.config, nstype, "/proc/%d/ns/%s" % (first.pid, nstype))
    peer.lacks("runc", "1.1 wants the mappings as well")
    assert c.run(wrap=SLOW_CLONE).ok().out == "done\n"


@pytest.mark.parametrize("path", ["/no/such/ns", "/etc/passwd", "/proc/self/ns/mnt"])
def test_join_a_path_that_is_no_such_namespace(ct, path):
    """config-linux.md: a path not associated with a namespace of that type is an error."""
    c = ct(["true"])
    bundle.set_namespace(c.config, "network", path)
    c.run().failed()


def test_a_namespace_listed_twice_is_refused(ct):
    c = ct(["true"])
    bundle.namespaces(c.config).append({"type": "ipc"})
    c.run().failed("malformed spec file: duplicated ns" if peer.NAME == "runc" else None)


def test_unknown_namespace_is_refused(ct):
    c = ct(["true"])
    bundle.namespaces(c.config).append({"type": "galaxy"})
    assert "galaxy" in c.run().failed().message


def test_loopback_is_up_in_a_new_network(ct):
    """runc brings lo up: programs talk to themselves without an engine's network."""
    r = ct("cat /sys/class/net/lo/operstate; ip addr show lo").run().ok()
    assert "127.0.0.1" in r.out and "UP" in r.out


def test_network_namespace_has_only_lo(ct):
    names = ct("tail -n +3 /proc/net/dev | cut -d: -f1").run().ok().out.split()
    assert "lo" in names and not [n for n in names if n.startswith(("eth", "en", "wl"))]


# ---- user namespaces ----

@pytest.mark.levels("ns", "kernel")  # the guest's ids are mapped outside: it sees all of them
def test_user_namespace_maps(ct):
    c = ct("cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g; cat /proc/self/setgroups")
    bundle.user_namespace(c.config, 100000, 65536)
    words = c.run().ok().out.split()
    assert words == ["0", "100000", "65536"] * 2 + ["0", "0", "allow"]


@pytest.mark.levels("ns", "kernel")  # likewise
def test_user_namespace_with_several_ranges(ct):
    c = ct("cat /proc/self/uid_map")
    bundle.user_namespace(c.config)
    ranges = [{"containerID": 0, "hostID": 200000, "size": 1000}, {"containerID": 1000, "hostID": 0, "size": 1},
              {"containerID": 1001, "hostID": 300000, "size": 10}]
    c.linux["uidMappings"] = ranges
    got = [tuple(map(int, line.split())) for line in c.run().ok().lines]
    assert got == [(r["containerID"], r["hostID"], r["size"]) for r in ranges]


def test_user_namespace_files_belong_to_the_mapped_user(ct):
    c = ct("touch /tmp/mine; stat -c %u /tmp/mine")
    bundle.user_namespace(c.config, 100000)
    assert c.run().ok().out == "0\n"
    assert os.stat(c.rootfs_file("tmp/mine")).st_uid == 100000


def test_user_namespace_process_on_the_host_is_unprivileged(ct):
    c = ct(["sleep", "1000"])
    bundle.user_namespace(c.config, 100000)
    c.up()
    assert host.status(c.pid)["Uid"].split() == ["100000"] * 4
    assert leaks.namespace_ids(c.pid)["user"] != leaks.namespace_ids()["user"]


def test_user_namespace_other_user(ct):
    c = ct(["id", "-u"])
    bundle.user_namespace(c.config, 100000)
    c.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
    assert c.run().ok().out == "1000\n"


def test_user_namespace_unmapped_user_is_refused(ct):
    c = ct(["true"])
    bundle.user_namespace(c.config, 100000, 1000)
    c.process["user"] = {"uid": 5000, "gid": 0}
    c.run().failed()


def test_user_namespace_without_mappings_is_refused(ct):
    c = ct(["true"])
    bundle.user_namespace(c.config)
    del c.linux["uidMappings"], c.linux["gidMappings"]
    c.run().failed("no uid mappings found" if peer.NAME == "runc" else "mapping")


def test_mappings_without_a_user_namespace_are_refused(ct):
    c = ct(["true"])
    bundle.user_namespace(c.config)
    bundle.without_namespace(c.config, "user")
    peer.lacks("*", "ignores them")
    c.run().failed("user namespace mappings specified, but user namespace isn't enabled in the config")


def test_user_namespace_standard_streams_stay_usable(ct):
    """runc hands the caller's pipes to the container's root, or /dev/stdout could not be reopened."""
    c = ct("echo through >/dev/stdout")
    bundle.user_namespace(c.config, 100000)
    assert c.run().ok().out == "through\n"


@pytest.mark.levels("ns")
def test_user_namespace_masked_and_read_only_paths(ct):
    c = ct("cat /proc/kcore | wc -c; awk '$5==\"/proc/sys\" {print $6}' /proc/self/mountinfo")
    bundle.user_namespace(c.config)
    r = c.run().ok()
    assert r.lines[0] == "0" and "ro" in r.lines[1].split(",")


# ---- time namespaces ----

@pytest.mark.levels("ns", "kernel")  # its clocks are its own
def test_time_namespace_offsets(ct):
    peer.lacks("runc", "1.1 has no time namespaces")
    c = ct(["guest", "clock"])
    bundle.set_namespace(c.config, "time")
    c.linux["timeOffsets"] = {"monotonic": {"secs": 7881, "nanosecs": 2718281}, "boottime": {"secs": 3141}}
    got = dict(line.split() for line in c.run().ok().lines)
    assert abs(int(got["monotonic"]) - 7881 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 30
    assert abs(int(got["boottime"]) - 3141 - time.clock_gettime(time.CLOCK_BOOTTIME)) < 30


@pytest.mark.levels("ns", "kernel")  # likewise
def test_time_namespace_of_exec(ct):
    peer.lacks("runc", "1.1 has no time namespaces")
    c = ct(["sleep", "1000"])
    bundle.set_namespace(c.config, "time")
    c.linux["timeOffsets"] = {"boottime": {"secs": 100000}}
    c.up()
    got = dict(line.split() for line in c.exec("guest", "clock").ok().lines)
    assert int(got["boottime"]) - time.clock_gettime(time.CLOCK_BOOTTIME) > 90000


def test_time_offsets_without_a_time_namespace_are_refused(ct):
    peer.lacks("*", "ignores them")
    c = ct(["true"])
    c.linux["timeOffsets"] = {"boottime": {"secs": 1}}
    c.run().failed("time namespace offsets specified, but time namespace isn't enabled in the config")
