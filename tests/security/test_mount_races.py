# SPDX-License-Identifier: Apache-2.0
"""CVE-2021-30465 and its kin: another container exchanges a path of a shared volume while mounts are made on it.

The racer swaps a directory and a symlink that leads out. A win of the attacker shows as something made in the
host directory, or as a mount outside of the rootfs, which a createContainer hook reads from inside the
runtime's mount namespace. Bounded here; COFFER_STRESS multiplies the tries.
"""
import os
import shutil

import pytest

from harness import bundle, env

TRIES = 25 * env.STRESS
pytestmark = pytest.mark.limit(180 * env.STRESS)


@pytest.fixture
def volume(runtime):
    path = os.path.join(runtime.scratch, "volume")
    os.makedirs(path)
    return path


def watch_mounts(c, runtime):
    """A hook that writes all mount points, as the runtime sees them, to the file returned."""
    seen = os.path.join(runtime.scratch, "mountinfo")
    c.config["hooks"] = {"createContainer": [
        {"path": "/bin/sh", "args": ["sh", "-c", "cat /proc/self/mountinfo > %s" % seen]}]}
    return seen


def escaped(seen, c, runtime):
    """Mount points of ours (below the scratch directory, where the trap leads) that are not in the rootfs."""
    if not os.path.exists(seen):
        return []
    with open(seen) as f:
        points = {line.split()[4] for line in f}
    os.unlink(seen)
    return sorted(p for p in points if p.startswith(runtime.scratch) and not p.startswith(c.rootfs))


def race(c, runtime, outside, tries):
    seen = watch_mounts(c, runtime)
    results = []
    for _ in range(tries):
        result = c.run(timeout=30)
        results.append(result.rc == 0)
        assert os.listdir(outside) == ["secret"], "made on the host: %s" % os.listdir(outside)
        assert not escaped(seen, c, runtime)
        if not results[-1]:
            c.delete("--force")
    return results


@pytest.mark.parametrize("what", ["tmpfs", "bind", "file"])
@pytest.mark.parametrize("deep", ["", "/sub/dir"])
def test_target_in_a_volume_is_swapped(ct, runtime, outside, volume, racer, what, deep):
    """The second mount's target lies in the first one's volume, which another container writes."""
    c = ct(["true"])
    os.makedirs(volume + "/target")
    os.symlink(os.path.relpath(outside, volume), volume + "/trap")
    os.symlink(outside, volume + "/target2")
    bundle.bind(c.config, volume, "/vol")
    dest = "/vol/target" + deep
    if what == "tmpfs":
        bundle.add_mount(c.config, dest, "tmpfs", "tmpfs")
    elif what == "bind":
        source = os.path.join(runtime.scratch, "source")
        os.makedirs(source)
        bundle.bind(c.config, source, dest)
    else:
        bundle.bind(c.config, "/etc/hostname", dest + "/file")
    racer(volume + "/target", volume + "/trap")
    race(c, runtime, outside, TRIES)


def test_absolute_symlink_swapped(ct, runtime, outside, volume, racer):
    """The trap is an absolute symlink: the rootfs, not the host, is what "/" means."""
    c = ct(["true"])
    os.makedirs(volume + "/target")
    os.symlink(outside, volume + "/trap")
    bundle.bind(c.config, volume, "/vol")
    bundle.add_mount(c.config, "/vol/target/x", "tmpfs", "tmpfs")
    racer(volume + "/target", volume + "/trap")
    race(c, runtime, outside, TRIES)


def test_proc_is_swapped_for_a_symlink(ct, runtime, outside, racer):
    """CVE-2023-27561: the image shares its rootfs with a running container that swaps /proc."""
    script = "[ $(stat -f -c %t /proc) = 9fa0 ] && [ $(stat -c %t:%T /proc/kcore) = 1:3 ] && " \
             "! (: >> /proc/sysrq-trigger) 2>/dev/null && echo safe"
    c = ct(script)
    os.makedirs(c.rootfs_file("tmp/fake/self"))
    os.symlink("tmp/fake", c.rootfs_file("trap"))
    racer(c.rootfs_file("proc"), c.rootfs_file("trap"))
    for _ in range(TRIES):
        result = c.run(timeout=30)
        if result.rc == 0:
            assert "safe" in result.out, result
        else:
            c.delete("--force")


def test_masked_path_is_swapped(ct, runtime, outside, volume, racer):
    """A masked file in a volume: while its directory is swapped, the mask must not land on the host."""
    c = ct(["true"])
    os.makedirs(volume + "/target")
    shutil.copy("/etc/hostname", volume + "/target/secret")
    os.symlink(os.path.relpath(outside, volume), volume + "/trap")
    bundle.bind(c.config, volume, "/vol")
    c.linux["maskedPaths"] = c.linux["maskedPaths"] + ["/vol/target/secret"]
    c.linux["readonlyPaths"] = c.linux["readonlyPaths"] + ["/vol/target"]
    racer(volume + "/target", volume + "/trap")
    race(c, runtime, outside, TRIES)


def test_dev_null_is_swapped(evil, runtime, racer):
    """CVE-2025-31133 as a race: /dev/null of the image alternates with a symlink."""
    c = evil("cat /etc/masked; echo overwritten > /etc/masked")
    c.config["mounts"] = [m for m in c.config["mounts"] if not m["destination"].startswith("/dev")]
    c.rootfs_file("etc/masked", "hidden\n")
    c.rootfs_file("etc/victim", "untouched\n")
    c.linux["maskedPaths"] = ["/etc/masked"]
    os.mknod(c.rootfs_file("dev/null"), 0o20666, os.makedev(1, 3))
    os.symlink("/etc/victim", c.rootfs_file("dev/trap"))
    racer(c.rootfs_file("dev/null"), c.rootfs_file("dev/trap"))
    for _ in range(TRIES):
        result = c.run(timeout=30)
        assert "hidden" not in result.out, result
        with open(c.rootfs_file("etc/victim")) as f:
            assert f.read() == "untouched\n"
        if result.rc:
            c.delete("--force")


@pytest.mark.parametrize("flag", [(), ("--cwd", "/vol/target")])
def test_cwd_of_exec_is_swapped(evil, runtime, outside, volume, racer, flag):
    """exec --cwd into a directory that is being exchanged: never outside."""
    c = evil(["sleep", "100"])
    os.makedirs(volume + "/target")
    os.symlink("/proc/1/root" if flag else outside, volume + "/trap")
    bundle.bind(c.config, volume, "/vol")
    c.up()
    racer(volume + "/target", volume + "/trap")
    for _ in range(TRIES):
        result = c.exec("attacker", "climb", "/vol/target", os.path.join(outside, "secret"), flags=flag)
        assert "ESCAPED" not in result.out, result
