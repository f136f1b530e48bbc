# SPDX-License-Identifier: Apache-2.0
"""CVE-2022-0811 and CVE-2025-52881: sysctls reach the container's own namespaces, through a real procfs, only."""
import os

import pytest

from harness import bundle

CORE, HOSTNAME, MSGMAX = ("/proc/sys/kernel/" + n for n in ("core_pattern", "hostname", "msgmax"))
FORWARD = "/proc/sys/net/ipv4/ip_forward"


@pytest.fixture(autouse=True)
def host_keeps_its_sysctls(kept):
    kept(CORE, HOSTNAME, MSGMAX, FORWARD, "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/domainname")


@pytest.mark.parametrize("key", [
    "kernel.core_pattern", "kernel/core_pattern", "vm.overcommit_memory", "kernel.modprobe", "fs.file-max",
    "kernel.randomize_va_space", "dev.cdrom.info", "user.max_user_namespaces", "kernel.pid_max",
    "net.ipv4/../../kernel/core_pattern", "net/../kernel/core_pattern", "net.ipv4.ip_forward/../../../kernel/core_pattern",
    "net..kernel.core_pattern", "../kernel/core_pattern", "/kernel/core_pattern", "net/./../kernel/core_pattern",
    "kernel.shm_rmid_forced/../core_pattern", "fs.mqueue/../../kernel/core_pattern", "", ".", "net", "kernel.",
    "net.ipv4.ip_forward\nkernel.core_pattern", "net.ipv4.ip_forward\0", "net.ipv4.no_such_thing"])
def test_key_that_is_not_namespaced(ct, key):
    c = ct(["true"])
    c.linux["sysctl"] = {key: "1"}
    result = c.run()
    result.failed()
    assert len(result.err) < 2000


@pytest.mark.parametrize("value", ["1+kernel.core_pattern=|/bin/evil", "1\nkernel.core_pattern=|/x", "1\0002",
                                   "1 kernel.core_pattern=x"])
@pytest.mark.parametrize("key", ["kernel.shm_rmid_forced", "net.ipv4.ip_forward"])
def test_value_that_smuggles_another_key(ct, key, value):
    """A `+` or a newline in a value is data: at worst the kernel refuses it or takes the number before it."""
    c = ct("cat /proc/sys/kernel/core_pattern")
    c.linux["sysctl"] = {key: value}
    result = c.run()
    if result.rc == 0:
        with open(CORE) as f:
            assert result.out == f.read()


@pytest.mark.parametrize("key,namespace", [("net.ipv4.ip_forward", "network"), ("kernel.msgmax", "ipc"),
                                           ("fs.mqueue.msg_max", "ipc"), ("kernel.domainname", "uts")])
def test_key_of_a_namespace_that_is_the_hosts(ct, key, namespace):
    c = ct(["true"])
    bundle.without_namespace(c.config, namespace)
    if namespace == "uts":
        del c.config["hostname"]
    c.linux["sysctl"] = {key: "77"}
    c.run().failed()


@pytest.mark.parametrize("key,namespace", [("net.ipv4.ip_forward", "network"), ("kernel.msgmax", "ipc")])
def test_key_of_a_namespace_joined_by_path_that_is_the_hosts(ct, key, namespace):
    """The path of the runtime's own namespace is the host's namespace in disguise."""
    c = ct(["true"])
    bundle.set_namespace(c.config, namespace, "/proc/1/ns/" + {"network": "net"}.get(namespace, namespace))
    c.linux["sysctl"] = {key: "77"}
    c.run().failed()


def test_hostname_by_sysctl_is_refused_without_own_uts(ct):
    c = ct(["true"])
    bundle.without_namespace(c.config, "uts")
    del c.config["hostname"]
    c.linux["sysctl"] = {"kernel.hostname": "evil"}
    c.run().failed()


@pytest.mark.parametrize("dest", ["/proc", "/proc/sys", "/proc/sys/net", "/proc/sys/net/ipv4"])
@pytest.mark.parametrize("trap", ["file", "symlink"])
def test_write_is_not_redirected_by_a_mount(ct, runtime, dest, trap):
    """CVE-2025-52881: a mount of the config puts the attacker's tree where the sysctl's path leads."""
    fake = os.path.join(runtime.scratch, "fake")
    victim = os.path.join(runtime.scratch, "victim")
    inner = os.path.join(fake, os.path.relpath("/proc/sys/net/ipv4", dest))
    os.makedirs(inner)
    with open(victim, "w") as f:
        f.write("clean\n")
    name = os.path.join(inner, "ip_forward")
    if trap == "symlink":
        os.symlink(victim, name)
    else:
        with open(name, "w") as f:
            f.write("clean\n")
    c = ct("true")
    bundle.bind(c.config, fake, dest)
    c.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    c.run()
    for path in (victim, name):
        with open(path) as f:
            assert f.read() == "clean\n", "a sysctl was written into the attacker's file"


def test_write_is_not_redirected_by_the_image(ct, runtime, outside):
    """The image's own /proc holds a tree before procfs is mounted over it; and it may have no procfs at all."""
    c = ct(["true"])
    c.config["mounts"] = [m for m in c.config["mounts"] if m["destination"] != "/proc"]
    c.linux["maskedPaths"], c.linux["readonlyPaths"] = [], []
    os.makedirs(c.rootfs_file("proc/sys/net/ipv4"))
    os.symlink(os.path.join(outside, "secret"), c.rootfs_file("proc/sys/net/ipv4/ip_forward"))
    c.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    c.run()


def test_good_sysctls_still_work(ct):
    c = ct("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax")
    c.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"}
    assert c.run().ok().lines == ["1", "9000"]
