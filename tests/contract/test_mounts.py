# SPDX-License-Identifier: Apache-2.0
"""config.json "mounts" and "root": what the process sees as its file system."""
import os
import stat

import pytest

from harness import bundle, host, peer
from harness.container import mounts_below


@pytest.fixture
def volume(runtime):
    """A host directory with a file, to bind into containers."""
    path = os.path.join(runtime.scratch, "volume")
    os.mkdir(path)
    with open(os.path.join(path, "data"), "w") as f:
        f.write("on the host\n")
    return path


def mount_line(path):
    """A shell command that prints the mountinfo line of a mount point."""
    return "awk '$5==\"%s\"' /proc/self/mountinfo" % path


def options_of(line):
    """(per-mount options, propagation fields, filesystem type, super options) of a mountinfo line."""
    left, _, right = line.partition(" - ")
    fields = left.split()
    fstype, _, rest = right.split(" ", 2)
    return set(fields[5].split(",")), fields[6:], fstype, rest


# ---- bind mounts ----

def test_bind_shows_the_host_directory(ct, volume):
    c = ct("cat /vol/data; echo from-inside >/vol/new")
    bundle.bind(c.config, volume, "/vol", "rbind", "rw")
    assert c.run().ok().out == "on the host\n"
    with open(volume + "/new") as f:
        assert f.read() == "from-inside\n"


@pytest.mark.parametrize("options", [["bind", "ro"], ["rbind", "ro"], ["rbind", "rprivate", "ro"]])
def test_bind_read_only(ct, volume, options):
    c = ct("cat /vol/data; echo x >/vol/new; test ! -e /vol/new")
    bundle.bind(c.config, volume, "/vol", *options)
    r = c.run().ok()
    assert r.out == "on the host\n" and "Read-only file system" in r.err


def test_bind_of_a_file(ct, volume):
    c = ct("cat /etc/one; cat /deep/new/file")
    bundle.bind(c.config, volume + "/data", "/etc/one")
    bundle.bind(c.config, volume + "/data", "/deep/new/file")
    assert c.run().ok().out == "on the host\n" * 2


def test_bind_leaves_the_host_mount_alone(ct, volume):
    """Options of the bind do not reach the source on the host."""
    c = ct(["true"])
    bundle.bind(c.config, volume, "/vol", "rbind", "ro", "nosuid", "nodev", "noexec")
    c.run().ok()
    with open(volume + "/still-writable", "w") as f:
        f.write("x")


@pytest.mark.parametrize("flag", ["nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"])
def test_bind_flags(ct, volume, flag):
    c = ct(mount_line("/vol"))
    bundle.bind(c.config, volume, "/vol", "bind", flag)
    assert flag in options_of(c.run().ok().out)[0]


def test_bind_relative_source_is_below_the_bundle(ct):
    c = ct(["cat", "/vol/data"])
    os.mkdir(os.path.join(c.bundle, "here"))
    with open(os.path.join(c.bundle, "here/data"), "w") as f:
        f.write("bundle\n")
    bundle.bind(c.config, "here", "/vol")
    assert c.run().ok().out == "bundle\n"


def test_bind_over_a_populated_directory(ct, volume):
    c = ct(["ls", "/etc"])
    bundle.bind(c.config, volume, "/etc")
    assert c.run().ok().out == "data\n"


def test_bind_recursive_takes_submounts_along(ct, volume, host_mount):
    host_mount("tmpfs", volume + "/sub", "tmpfs")
    open(volume + "/sub/inner", "w").close()
    for option, seen in (("rbind", "inner\n"), ("bind", "")):
        c = ct(["ls", "/vol/sub"])
        bundle.bind(c.config, volume, "/vol", option)
        assert c.run().ok().out == seen


@pytest.mark.levels("ns", "kernel")  # a machine sees a volume with all that is mounted in it as one file system
@pytest.mark.parametrize("rec,inner", [("ro", False), ("rro", True)])
def test_bind_recursive_read_only(ct, volume, host_mount, rec, inner):
    """`ro` stops at the mount itself; `rro` reaches every mount below (mount_setattr AT_RECURSIVE)."""
    host_mount("tmpfs", volume + "/sub", "tmpfs")
    c = ct("echo x >/vol/f 2>/dev/null && echo outer; echo x >/vol/sub/f 2>/dev/null && echo inner; true")
    bundle.bind(c.config, volume, "/vol", "rbind", rec)
    assert c.run().ok().out == ("" if inner else "inner\n")


@pytest.mark.levels("ns", "kernel")  # as above
@pytest.mark.parametrize("option,shown", [("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec"),
                                          ("rnoatime", "noatime"), ("rnodiratime", "nodiratime"),
                                          ("rrelatime", "relatime"), ("rnosymfollow", "nosymfollow")])
def test_recursive_attributes(ct, volume, host_mount, option, shown):
    host_mount("tmpfs", volume + "/sub", "tmpfs")
    c = ct(mount_line("/vol/sub"))
    bundle.bind(c.config, volume, "/vol", "rbind", option)
    assert shown in options_of(c.run().ok().out)[0]


def test_nosymfollow(ct, volume):
    peer.lacks("runc", "1.1 has no nosymfollow")
    os.symlink("data", volume + "/link")
    c = ct("cat /vol/data; cat /vol/link")
    bundle.bind(c.config, volume, "/vol", "bind", "nosymfollow")
    r = c.run().failed()
    assert r.out == "on the host\n"


def test_bind_through_a_symlink_stays_inside(ct, runtime, volume):
    """A symlink in the rootfs is resolved inside it: the host's target is not touched."""
    outside = os.path.join(runtime.scratch, "outside")
    os.mkdir(outside)
    c = ct("ls /link; ls " + outside)
    os.symlink(outside, c.rootfs_file("link"))
    bundle.bind(c.config, volume, "/link")
    assert c.run().ok().out == "data\ndata\n"
    assert os.listdir(outside) == []
    assert os.path.isdir(c.rootfs + outside), "the destination was made inside the rootfs"


def test_missing_source(ct):
    c = ct(["true"])
    bundle.bind(c.config, "/no/such/source", "/vol")
    r = c.run().failed()
    assert "/no/such/source" in r.message and "no such file or directory" in r.message.lower()


# ---- tmpfs ----

def test_tmpfs(ct):
    c = ct("stat -c '%a %u %g' /scratch; " + mount_line("/scratch"))
    bundle.add_mount(c.config, "/scratch", "tmpfs", "tmpfs", "mode=0710", "uid=5", "gid=6", "size=64k", "nosuid")
    r = c.run().ok()
    assert r.lines[0] == "710 5 6"
    opts, _, fstype, sup = options_of(r.lines[1])
    assert fstype == "tmpfs" and "nosuid" in opts and "size=64k" in sup


def test_tmpfs_size_holds(ct):
    c = ct("dd if=/dev/zero of=/scratch/f bs=1k count=100 2>/dev/null; stat -c %s /scratch/f")
    bundle.add_mount(c.config, "/scratch", "tmpfs", "tmpfs", "size=64k")
    assert int(c.run().ok().out) == 65536


def test_tmpfs_takes_the_mode_of_the_directory_below(ct):
    """runc: without mode= the mount keeps the mode of what it covers."""
    c = ct("stat -c %a /tmp")
    bundle.add_mount(c.config, "/tmp", "tmpfs", "tmpfs", "nosuid")
    assert c.run().ok().out == "1777\n"


def test_tmpcopyup(ct):
    """tmpcopyup: the directory's content is copied into the tmpfs; changes stay there."""
    c = ct("cat /etc/hostname; readlink /etc/link; stat -c '%a %u' /etc/secret; echo new >/etc/hostname; ls /etc/d")
    c.rootfs_file("etc/secret", "s", 0o600)
    c.rootfs_file("etc/d/file", "x")
    os.chown(c.rootfs_file("etc/secret"), 1000, 1000)
    os.symlink("hostname", c.rootfs_file("etc/link"))
    bundle.add_mount(c.config, "/etc", "tmpfs", "tmpfs", "tmpcopyup")
    assert c.run().ok().lines == ["rootfs", "hostname", "600 1000", "file"]
    with open(c.rootfs_file("etc/hostname")) as f:
        assert f.read() == "rootfs\n"


def test_tmpfs_read_only(ct):
    c = ct("touch /scratch/x 2>&1")
    bundle.add_mount(c.config, "/scratch", "tmpfs", "tmpfs", "ro")
    assert "Read-only file system" in c.run().failed().out


# ---- kernel file systems ----

@pytest.mark.parametrize("path,fstype", [("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "tmpfs"),
                                         ("/dev/pts", "devpts"), ("/dev/mqueue", "mqueue"), ("/dev/shm", "tmpfs")])
def test_default_mounts(ct, path, fstype):
    opts, _, got, _ = options_of(ct(mount_line(path)).run().ok().lines[-1])
    assert got == fstype
    assert {"nosuid"} <= opts


def test_sys_is_read_only(ct):
    assert "ro" in options_of(ct(mount_line("/sys")).run().ok().out)[0]


def test_cgroup_mount_is_read_only(ct):
    r = ct("for d in /sys/fs/cgroup/*/; do mkdir $d/x 2>/dev/null && echo made $d; done; true").run().ok()
    assert "made" not in r.out


def test_cgroup_mount_shows_only_the_own_cgroup(ct):
    """With a cgroup namespace the container's cgroup is the root of what it sees."""
    r = ct("cat /proc/self/cgroup").run().ok()
    assert all(line.rpartition(":")[2] == "/" for line in r.lines), r


def test_overlay(ct, runtime):
    dirs = {n: os.path.join(runtime.scratch, "ov", n) for n in ("lower", "upper", "work")}
    for d in dirs.values():
        os.makedirs(d)
    with open(dirs["lower"] + "/file", "w") as f:
        f.write("lower\n")
    c = ct("cat /ov/file; echo changed >/ov/file")
    bundle.add_mount(c.config, "/ov", "overlay", "overlay", "lowerdir=%(lower)s,upperdir=%(upper)s,workdir=%(work)s"
                     % dirs)
    assert c.run().ok().out == "lower\n"
    with open(dirs["upper"] + "/file") as f:
        assert f.read() == "changed\n"


def test_unknown_filesystem(ct):
    c = ct(["true"])
    bundle.add_mount(c.config, "/x", "nosuchfs", "none")
    r = c.run().failed()
    assert "nosuchfs" in r.message or "/x" in r.message


def test_mount_option_that_means_nothing(ct):
    c = ct(["true"])
    bundle.add_mount(c.config, "/x", "tmpfs", "tmpfs", "not_an_option=1")
    r = c.run().failed()
    assert "/x" in r.message


def test_mounts_are_done_in_order(ct, volume):
    c = ct("ls /a/b")
    bundle.add_mount(c.config, "/a", "tmpfs", "tmpfs")
    bundle.bind(c.config, volume, "/a/b")
    assert c.run().ok().out == "data\n"


def test_nested_read_only_with_a_writable_inside(ct, volume):
    c = ct("touch /ro/rw/x && ! touch /ro/y 2>/dev/null")
    os.mkdir(volume + "/rw")
    bundle.bind(c.config, volume, "/ro", "bind", "ro")
    bundle.add_mount(c.config, "/ro/rw", "tmpfs", "tmpfs")
    c.run().ok()


# ---- propagation ----

@pytest.mark.levels("ns", "kernel")  # who shares with whom is the host's affair: a guest has no peers there
@pytest.mark.parametrize("option,fields", [("private", []), ("rprivate", []), ("slave", ["master"]),
                                           ("rslave", ["master"]), ("shared", ["shared"]),
                                           ("rshared", ["shared"]), ("unbindable", ["unbindable"])])
def test_mount_propagation(ct, volume, host_mount, option, fields):
    host_mount(volume, volume, None, host.MS_BIND)
    host.mount(None, volume, None, host.MS_SHARED)
    c = ct(mount_line("/vol"))
    # a mount below a non-private root keeps its peer group
    c.linux["rootfsPropagation"] = "rslave" if "slave" in option else "rshared" if "shared" in option else "rprivate"
    bundle.bind(c.config, volume, "/vol", "rbind", option)
    got = [f.split(":")[0] for f in options_of(c.run().ok().out)[1]]
    assert [f for f in got if f != "propagate_from"] == fields


def test_a_slave_mount_receives_later_host_mounts(ct, volume, host_mount):
    host_mount(volume, volume, None, host.MS_BIND)
    host.mount(None, volume, None, host.MS_SHARED)
    os.mkdir(volume + "/late")
    c = ct(["sleep", "100"])
    c.linux["rootfsPropagation"] = "rslave"
    bundle.bind(c.config, volume, "/vol", "rbind", "rslave")
    c.up()
    host_mount("tmpfs", volume + "/late", "tmpfs")
    open(volume + "/late/seen", "w").close()
    assert c.exec("ls", "/vol/late").ok().out == "seen\n"


@pytest.mark.levels("ns")
def test_mounts_inside_do_not_reach_the_host(ct, volume):
    c = ct("mount -t tmpfs t /vol && ls -a /vol && sleep 100")
    bundle.all_caps(c.config)
    bundle.bind(c.config, volume, "/vol", "rbind", "rprivate")
    c.up()
    c.wait_output(".")
    assert os.listdir(volume) == ["data"]


@pytest.mark.parametrize("value,fields", [("private", []), ("rprivate", []), ("slave", ["master"]), ("rslave", ["master"]),
                                          ("shared", ["shared"]), ("unbindable", ["unbindable"])])
def test_rootfs_propagation(ct, value, fields):
    if value in ("shared", "unbindable"):
        peer.lacks("runc", "1.1 sets it before pivot_root only")
    c = ct(mount_line("/"))
    c.linux["rootfsPropagation"] = value
    got = [f.split(":")[0] for f in options_of(c.run().ok().out)[1]]
    if fields == ["master"]:
        assert got in ([], ["master"])  # a slave of a private mount is private
    else:
        assert [f for f in got if f != "propagate_from"] == fields


# ---- the root itself ----

def test_root_read_only(ct):
    c = ct("touch /x 2>&1; touch /tmp/x 2>&1; touch /dev/shm/x && echo shm")
    c.config["root"]["readonly"] = True
    r = c.run().ok()
    assert r.out.count("Read-only file system") == 2 and "shm" in r.out


def test_root_writable(ct):
    c = ct("echo text >/made")
    c.run().ok()
    with open(c.rootfs_file("made")) as f:
        assert f.read() == "text\n"


def test_root_absolute_path(ct):
    c = ct(["true"])
    c.config["root"]["path"] = c.rootfs
    c.run().ok()


def test_old_root_is_gone(ct, runtime):
    """No mount point of the host is left below, and none of its paths resolve."""
    r = ct("awk '{print $5}' /proc/self/mountinfo; ls " + runtime.scratch).run().failed()
    assert runtime.token not in r.out
    assert all(p == "/" or p.split("/")[1] in ("proc", "sys", "dev") for p in r.lines), r


def test_no_pivot(ct):
    """--no-pivot: a root that cannot be pivoted (ramdisk) is moved and chrooted into."""
    r = ct("ls /; cat /proc/self/mountinfo | wc -l").run("--no-pivot").ok()
    assert "proc" in r.lines


def test_root_directory_keeps_its_mode(ct):
    c = ct(["true"])
    before = stat.S_IMODE(os.stat(c.rootfs).st_mode)
    c.run().ok()
    assert stat.S_IMODE(os.stat(c.rootfs).st_mode) == before


# ---- id-mapped mounts ----

def idmap(first, size=65536):
    return [{"containerID": 0, "hostID": first, "size": size}]


@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_idmapped_mount_with_its_own_mapping(ct, runtime, volume, host_mount, option):
    """A per-mount mapping: files of host id 0 appear as 3000 without a chown."""
    peer.lacks("runc", "1.1 has no id-mapped mounts")
    other = runtime.scratch + "/other"  # of the same file system: a tmpfs can be mapped since 6.3 only
    os.mkdir(other)
    open(other + "/inner", "w").close()
    host_mount(other, volume + "/sub", flags=host.MS_BIND)
    c = ct("stat -c '%u %g' /vol/data /vol/sub/inner")
    bundle.bind(c.config, volume, "/vol", "rbind", option)
    c.config["mounts"][-1].update(uidMappings=idmap(3000), gidMappings=idmap(4000))
    r = c.run().ok()
    assert r.lines == ["3000 4000", "3000 4000" if option == "ridmap" else "0 0"]


def test_idmapped_mount_with_the_containers_user_namespace(ct, volume):
    """`idmap` without a mapping: the container's own; its root owns the host root's files."""
    peer.lacks("runc", "1.1 has no id-mapped mounts")
    c = ct("stat -c '%u %g' /vol/data; echo x >/vol/made")
    os.mkdir(c.rootfs_file("vol"))  # the namespace's root could not make it
    bundle.user_namespace(c.config)
    bundle.bind(c.config, volume, "/vol", "rbind", "idmap")
    assert c.run().ok().out == "0 0\n"
    assert os.stat(volume + "/made").st_uid == 0


def test_idmapped_mount_needs_both_mappings(ct, volume):
    peer.lacks("*", "accepts it")
    c = ct(["true"])
    bundle.bind(c.config, volume, "/vol", "rbind", "idmap")
    c.config["mounts"][-1]["uidMappings"] = idmap(3000)
    c.run().failed()


@pytest.mark.levels("ns")
def test_without_a_mount_namespace_mounts_end_with_the_container(ct, runtime):
    """They are the host's then: delete takes them away again."""
    peer.lacks("*", "leaves or refuses them")
    c = ct(["sleep", "1000"])
    bundle.without_namespace(c.config, "mount", "cgroup")
    c.linux["maskedPaths"], c.linux["readonlyPaths"] = [], []
    c.config["mounts"] = [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]}]
    c.up()
    assert c.rootfs + "/mnt" in mounts_below(runtime.scratch)
    c.kill("KILL").ok()
    c.wait_stopped()
    c.delete().ok()
    assert not mounts_below(runtime.scratch)


def test_idmap_only_for_bind_mounts(ct):
    peer.lacks("*", "accepts it")
    c = ct(["true"])
    bundle.add_mount(c.config, "/x", "tmpfs", "tmpfs")
    c.config["mounts"][-1].update(uidMappings=idmap(3000), gidMappings=idmap(4000))
    c.run().failed()
