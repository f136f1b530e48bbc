# SPDX-License-Identifier: Apache-2.0
"""Masked and read-only paths, devices, the links in /dev, sysctl, host and domain name."""
import os
import stat

import pytest

from harness import bundle, host, peer


# ---- masked and read-only paths ----

@pytest.mark.levels("ns")
@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"])
def test_masked_file_reads_empty(ct, path):
    if not os.path.exists(path):
        pytest.skip("this kernel has no " + path)
    r = ct("cat %s | wc -c; stat -c %%t:%%T %s" % (path, path)).run().ok()
    assert r.lines == ["0", "1:3"], "masked by the null device"


def test_masked_directory_is_empty_and_read_only(ct):
    c = ct("ls /etc/secret | wc -l; touch /etc/secret/x 2>&1; true")
    c.rootfs_file("etc/secret/key", "k")
    c.linux["maskedPaths"].append("/etc/secret")
    r = c.run().ok()
    assert r.lines[0] == "0" and "Read-only file system" in r.out


def test_masked_file_cannot_be_written_through(ct):
    c = ct("echo changed >/etc/masked; true")
    path = c.rootfs_file("etc/masked", "kept\n")
    c.linux["maskedPaths"].append("/etc/masked")
    c.run().ok()
    with open(path) as f:
        assert f.read() == "kept\n"


def test_masked_path_that_is_not_there_is_no_error(ct):
    c = ct(["true"])
    c.linux["maskedPaths"] += ["/no/such/path", "/proc/not-there"]
    c.run().ok()


@pytest.mark.levels("ns")
@pytest.mark.parametrize("path", bundle.READONLY)
def test_read_only_paths(ct, path):
    r = ct("awk '$5==\"%s\" {print $6}' /proc/self/mountinfo" % path).run().ok()
    if not os.path.exists(path):
        pytest.skip("this kernel has no " + path)
    assert "ro" in r.out.strip().split(",")


@pytest.mark.levels("ns")
def test_read_only_path_cannot_be_written(ct):
    r = ct("echo 1 >/proc/sys/kernel/panic").run().failed()
    assert "Read-only file system" in r.err


@pytest.mark.levels("ns")
def test_read_only_path_keeps_other_flags(ct):
    """Remounting read-only must not drop nosuid, nodev, noexec of the mount it came from."""
    r = ct("awk '$5==\"/proc/sys\" {print $6}' /proc/self/mountinfo").run().ok()
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(r.out.strip().split(","))


def test_read_only_path_that_is_not_there_is_no_error(ct):
    c = ct(["true"])
    c.linux["readonlyPaths"].append("/no/such/path")
    c.run().ok()


@pytest.mark.levels("ns")
def test_no_masked_paths_means_none(ct):
    c = ct("test -e /proc/timer_list && stat -c %F /proc/timer_list")
    if not os.path.exists("/proc/timer_list"):
        pytest.skip("this kernel has no /proc/timer_list")
    c.linux["maskedPaths"] = []
    assert "regular" in c.run().ok().out


# ---- devices ----

DEFAULT = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}


@pytest.mark.parametrize("name", sorted(DEFAULT))
def test_default_devices(ct, name):
    """config-linux.md "Default Devices"."""
    r = ct("stat -c '%F %t:%T %a' /dev/" + name).run().ok()
    assert r.out == "character special file %s 666\n" % DEFAULT[name]


def test_default_devices_work(ct):
    ct("echo x >/dev/null; head -c 5 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; ! echo x 2>/dev/null >/dev/full"
       ).run().ok()


@pytest.mark.parametrize("link,target", [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
                                         ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"),
                                         ("ptmx", "pts/ptmx")])
def test_dev_links(ct, link, target):
    """config-linux.md "Dev symbolic links"."""
    assert ct(["readlink", "/dev/" + link]).run().ok().out == target + "\n"


def test_core_link_follows_kcore(ct):
    r = ct("readlink /dev/core").run()
    assert r.out in ("/proc/kcore\n", "") and (r.out or not os.path.exists("/proc/kcore"))


def test_dev_has_nothing_else(ct):
    allowed = set(DEFAULT) | {"fd", "stdin", "stdout", "stderr", "ptmx", "core", "pts", "shm", "mqueue", "console"}
    assert set(ct(["ls", "/dev"]).run().ok().lines) <= allowed


def test_extra_device(ct):
    c = ct("stat -c '%F %t:%T %a %u %g' /dev/extra /dev/sub/zero; head -c 3 /dev/extra | wc -c")
    c.linux["devices"] = [
        {"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8},
        {"path": "/dev/sub/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}]
    assert c.run().ok().lines == ["character special file 1:5 640 7 8", "character special file 1:5 666 0 0", "3"]


def test_extra_fifo(ct):
    c = ct(["stat", "-c", "%F %a", "/dev/pipe"])
    c.linux["devices"] = [{"path": "/dev/pipe", "type": "p", "fileMode": 0o600}]
    assert c.run().ok().out == "fifo 600\n"


def test_unknown_device_type_is_refused(ct):
    c = ct(["true"])
    c.linux["devices"] = [{"path": "/dev/x", "type": "z", "major": 1, "minor": 5}]
    c.run().failed()


def test_device_rules_hold(ct, runtime):
    """resources.devices: what no rule allows cannot be opened, though the node may be made."""
    if not runtime.view.has("devices") and not runtime.view.unified:
        pytest.skip("no device control")
    script = "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg >/dev/null; mknod /tmp/z c 1 5 && head -c 3 /tmp/z | wc -c"
    r = ct(script).run()
    assert "Operation not permitted" in r.err and r.out == "3\n"


def test_devices_in_a_user_namespace_are_bound(ct):
    """mknod is impossible there: the host's nodes are bound instead."""
    c = ct("echo x >/dev/null && head -c 3 /dev/zero | wc -c; stat -c %t:%T /dev/null")
    bundle.user_namespace(c.config)
    assert c.run().ok().lines == ["3", "1:3"]


def test_device_node_that_the_rootfs_has_is_replaced_or_kept_right(ct):
    """A rootfs whose /dev is on disk (no tmpfs): the default devices come out right all the same."""
    c = ct("stat -c %t:%T /dev/null /dev/zero")
    c.config["mounts"] = [m for m in c.config["mounts"] if not m["destination"].startswith("/dev")]
    os.mknod(c.rootfs_file("dev/null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    assert c.run().ok().lines == ["1:3", "1:5"]


# ---- sysctl ----

@pytest.mark.levels("ns")
@pytest.mark.parametrize("key,value", [("net.ipv4.ip_forward", "1"), ("kernel.shm_rmid_forced", "1"),
                                       ("net.ipv4.ping_group_range", "0 1000"), ("kernel.msgmax", "4096"),
                                       ("fs.mqueue.msg_max", "20"), ("kernel.sem", "100 3200 32 64"),
                                       ("net/ipv4/ip_default_ttl", "99")])
def test_sysctl(ct, key, value):
    if "/" in key:
        peer.lacks("runc", "1.1 takes dots only")
    c = ct(["cat", "/proc/sys/" + key.replace(".", "/")])
    c.linux["sysctl"] = {key: value}
    assert c.run().ok().out.split() == value.split()


def test_sysctl_does_not_change_the_host(ct):
    with open("/proc/sys/net/ipv4/ip_default_ttl") as f:
        before = f.read()
    c = ct(["true"])
    c.linux["sysctl"] = {"net.ipv4.ip_default_ttl": "77"}
    c.run().ok()
    with open("/proc/sys/net/ipv4/ip_default_ttl") as f:
        assert f.read() == before


@pytest.mark.parametrize("key", ["kernel.core_pattern", "vm.overcommit_memory", "kernel.panic", "fs.file-max",
                                 "kernel.hostname.x", "../kernel/panic", "net.ipv4/../../kernel/panic"])
def test_sysctl_that_is_not_namespaced_is_refused(ct, key):
    """CVE-2022-0811: only what belongs to one of the container's own namespaces."""
    c = ct(["true"])
    c.linux["sysctl"] = {key: "1"}
    c.run().failed()


@pytest.mark.levels("ns", "kernel")  # a machine has a network of its own, or is refused for that
def test_sysctl_of_a_shared_namespace_is_refused(ct):
    c = ct(["true"])
    bundle.without_namespace(c.config, "network")
    c.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    assert "not allowed in host network namespace" in c.run().failed().message


def test_sysctl_that_is_not_there(ct):
    c = ct(["true"])
    c.linux["sysctl"] = {"net.ipv4.no_such_key": "1"}
    c.run().failed("net.ipv4.no_such_key" if peer.NAME != "runc" else None)


# ---- names ----

def test_hostname(ct):
    c = ct(["hostname"])
    c.config["hostname"] = "some-host"
    assert c.run().ok().out == "some-host\n"


def test_no_hostname_keeps_that_of_the_machine(ct):
    c = ct(["hostname"])
    del c.config["hostname"]
    assert c.run().ok().out == os.uname().nodename + "\n"


def test_hostname_needs_a_uts_namespace(ct):
    c = ct(["true"])
    bundle.without_namespace(c.config, "uts")
    c.run().failed("unable to set hostname without a private UTS namespace")


def test_domainname(ct):
    peer.lacks("*", "no domainname")
    c = ct(["cat", "/proc/sys/kernel/domainname"])
    c.config["domainname"] = "example.test"
    assert c.run().ok().out == "example.test\n"


def test_machine_keeps_its_hostname(ct):
    before = os.uname().nodename
    ct(["true"]).run().ok()
    assert os.uname().nodename == before


def test_machine_has_what_the_tests_need():
    """mknod for the nodes in root file systems."""
    assert host.has_cap("CAP_MKNOD") and host.has_cap("CAP_SYS_ADMIN")
