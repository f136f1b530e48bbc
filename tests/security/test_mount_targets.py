# SPDX-License-Identifier: Apache-2.0
"""Mount targets that lead elsewhere: CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2022-23648.

The image chooses what its directories are; the runtime must resolve every target inside the rootfs.
"""
import os
import shutil

import pytest

from harness import bundle

FORMS = ["absolute", "relative", "chain", "dotdot"]


def lead_out(c, name, outside, form):
    """rootfs/NAME leads to the host's directory `outside`."""
    path = c.rootfs_file(name)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    up = "../" * 15 + outside.lstrip("/")
    if form == "absolute":
        os.symlink(outside, path)
    elif form == "relative":
        os.symlink(up, path)
    elif form == "chain":
        os.symlink("/.first", path)
        os.symlink("tmp/.second", c.rootfs_file(".first"))
        os.symlink("../" + up, c.rootfs_file("tmp/.second"))
    else:
        os.symlink("/proc/../.." + outside, path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", ["tmpfs", "bind-dir", "bind-file", "mqueue"])
def test_target_leads_out_of_the_rootfs(ct, outside, runtime, form, what):
    """The `outside` fixture fails the test when anything is made, changed or mounted there."""
    c = ct(["true"])
    lead_out(c, "trap", outside, form)
    source = os.path.join(runtime.scratch, "volume")
    os.makedirs(source)
    with open(os.path.join(source, "file"), "w") as f:
        f.write("volume\n")
    for dest in ("/trap/new/deep", "/trap/secret", "/trap"):
        if what == "bind-dir" and dest != "/trap/secret":
            bundle.bind(c.config, source, dest)
        elif what == "bind-file" and dest != "/trap":
            bundle.bind(c.config, os.path.join(source, "file"), dest)
        elif what in ("tmpfs", "mqueue") and dest != "/trap/secret":
            bundle.add_mount(c.config, dest, what, what)
    c.run()
    with open(os.path.join(source, "file")) as f:
        assert f.read() == "volume\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["maskedPaths", "readonlyPaths"])
def test_masks_do_not_reach_the_host(ct, outside, form, path):
    c = ct(["true"])
    lead_out(c, "trap", outside, form)
    c.linux[path] = c.linux[path] + ["/trap/secret", "/trap", "/trap/new"]
    c.run()


def is_safe(result):
    """A container that did start has real, masked, read-only proc and a read-only sys."""
    return result.rc != 0 or ("KCORE-READABLE" not in result.out and "SYSRQ-WRITABLE" not in result.out and
                              "PROC-FAKE" not in result.out and "SYS-WRITABLE" not in result.out)


LOOK = """
[ -d /proc/self/task ] || echo PROC-FAKE
[ "$(stat -f -c %t /proc)" = 9fa0 ] || echo PROC-FAKE
[ "$(stat -c %t:%T /proc/kcore 2>/dev/null)" = 1:3 ] || { [ -e /proc/kcore ] && echo KCORE-READABLE; }
(: >> /proc/sysrq-trigger) 2>/dev/null && echo SYSRQ-WRITABLE
mkdir /sys/kernel/x 2>/dev/null && echo SYS-WRITABLE
(: >> /sys/kernel/mm/ksm/run) 2>/dev/null && echo SYS-WRITABLE
echo looked
"""


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("where", ["/vol/fake", "/tmp", "out", "/", ".", "file"])
def test_proc_or_sys_is_not_a_directory(ct, outside, runtime, name, where):
    """CVE-2019-19921: /proc is a symlink into a volume that the attacker controls."""
    c = ct(LOOK)
    volume = os.path.join(runtime.scratch, "volume")
    os.makedirs(os.path.join(volume, "fake/self/task"))
    os.makedirs(c.rootfs_file("vol"))
    c.config["mounts"].insert(0, {"destination": "/vol", "type": "bind", "source": volume, "options": ["rbind"]})
    shutil.rmtree(c.rootfs_file(name))
    if where == "file":
        c.rootfs_file(name, "file\n")
    else:
        os.symlink({"out": outside}.get(where, where), c.rootfs_file(name))
    result = c.run()
    assert is_safe(result), result
    assert os.listdir(os.path.join(volume, "fake")) == ["self"]


def test_proc_below_a_symlinked_parent(ct, outside, runtime):
    """CVE-2023-28642: a component above the target is the symlink."""
    c = ct(["true"])
    lead_out(c, "chroot", outside, "relative")
    bundle.add_mount(c.config, "/chroot/proc", "proc", "proc")
    c.run()


@pytest.mark.parametrize("source", ["volume", "tmpfs"])
@pytest.mark.parametrize("dest", ["/proc", "/proc/self", "/proc/self/attr", "/proc/sys", "/proc/1", "/proc/thread-self"])
def test_something_else_mounted_over_proc(ct, runtime, dest, source):
    """A mount that would let the container choose what "/proc/..." means is refused, or harmless."""
    c = ct("echo ran")
    volume = os.path.join(runtime.scratch, "volume")
    os.makedirs(os.path.join(volume, "attr"))
    for name in ("attr/exec", "oom_score_adj", "sysrq-trigger", "uid_map"):
        with open(os.path.join(volume, name), "w") as f:
            f.write("clean\n")
    if source == "volume":
        bundle.bind(c.config, volume, dest)
    else:
        bundle.add_mount(c.config, dest, "tmpfs", "tmpfs")
    c.process["oomScoreAdj"] = 500
    c.run()
    for name in ("attr/exec", "oom_score_adj", "sysrq-trigger", "uid_map"):
        with open(os.path.join(volume, name)) as f:
            assert f.read() == "clean\n", "the runtime wrote into the attacker's %s" % name


def test_the_rootfs_is_a_symlink_to_the_host(ct, outside):
    """A root.path that an attacker could exchange: whatever is done, nothing is made in its target."""
    c = ct(["true"])
    os.rename(c.rootfs, c.rootfs + ".real")
    os.symlink(outside, c.rootfs)
    c.run().failed()
    os.unlink(c.rootfs)
    os.rename(c.rootfs + ".real", c.rootfs)


def test_tmpcopyup_copies_no_host_file(ct, outside):
    """tmpcopyup reads the image below the target: a symlink there stays a symlink."""
    c = ct("cat /data/link/secret 2>/dev/null; cat /data/out 2>/dev/null; [ -L /data/out ] && echo kept")
    os.makedirs(c.rootfs_file("data"))
    os.symlink(outside, c.rootfs_file("data/link"))
    os.symlink(os.path.join(outside, "secret"), c.rootfs_file("data/out"))
    bundle.add_mount(c.config, "/data", "tmpfs", "tmpfs", "tmpcopyup")
    result = c.run()
    assert "secret" not in result.out, result
