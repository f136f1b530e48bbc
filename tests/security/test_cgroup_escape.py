# SPDX-License-Identifier: Apache-2.0
"""CVE-2022-0492, CVE-2023-25809: the cgroup tree is no way out, with or without namespaces of its own."""
import os

import pytest

from harness import bundle, env

TRY = """
found=0
for f in $(find /sys/fs/cgroup -name release_agent -o -name cgroup.procs -o -name notify_on_release 2>/dev/null); do
  found=1
  (echo 0 > $f) 2>/dev/null && echo "WRITABLE $f"
done
for d in $(find /sys/fs/cgroup -maxdepth 2 -type d 2>/dev/null); do
  case $(stat -f -c %t $d) in 27e0eb|63677270) mkdir $d/evil 2>/dev/null && echo "WRITABLE $d" && rmdir $d/evil;; esac
done
mkdir -p /tmp/cg
for t in "-t cgroup -o rdma" "-t cgroup -o memory" "-t cgroup2" "-o remount,rw,bind /sys/fs/cgroup"; do
  mount $t none /tmp/cg 2>/dev/null && echo "MOUNTED $t"
done
unshare -UrmC sh -c 'mount -t cgroup -o memory none /tmp/cg && echo 0 > /tmp/cg/release_agent && echo WRITABLE by unshare' 2>/dev/null
echo tried
"""


@pytest.mark.parametrize("kind", ["default", "host-cgroupns", "userns", "userns-host-cgroupns", "seccomp"])
def test_nothing_of_it_can_be_written(ct, kind):
    c = ct(TRY, seccomp=kind == "seccomp")
    if "userns" in kind:
        bundle.user_namespace(c.config)
    if "host-cgroupns" in kind:
        bundle.without_namespace(c.config, "cgroup")
    result = c.run(timeout=60)
    assert "WRITABLE" not in result.out and "MOUNTED" not in result.out, result
    assert result.rc != 0 or "tried" in result.out


def test_own_cgroup_namespace_hides_the_hosts_tree(ct, runtime):
    """With a cgroup namespace nothing above the container's own cgroup shows."""
    c = ct("cat /proc/self/cgroup; cat /proc/self/mountinfo; ls -R /sys/fs/cgroup | head -5000")
    result = c.run().ok()
    inside = [line for line in result.lines if line and line[0].isdigit() and line.count(":") == 2]
    assert all(line.endswith(":/") for line in inside if "name=" not in line and not line.startswith("0:")), inside
    assert runtime.token not in "\n".join(line for line in result.lines if " - cgroup" in line)


@pytest.mark.parametrize("form", ["/../../%s", "../../../../%s", "/a/../../%s", "//%s//x", "/./%s", "%s/..", "/%s/x\ny"])
def test_cgroups_path_that_climbs(ct, runtime, form):
    """cgroupsPath cannot leave the hierarchy: nothing of that name appears anywhere else."""
    name = runtime.cgroup.lstrip("/")
    c = ct(["true"])
    c.linux["cgroupsPath"] = form % name
    c.run()
    c.delete("--force")
    places = ["/", "/sys", "/sys/fs", "/sys/fs/cgroup", c.bundle, c.rootfs, os.getcwd(), "/tmp"]
    assert not [p for p in places if os.path.exists(os.path.join(p, name))]


def test_delete_removes_only_the_containers_cgroup(ct, runtime):
    """A neighbour below the same parent survives, with its processes."""
    a, b = ct(["sleep", "100"]).up(), ct(["sleep", "100"]).up()
    a.delete("--force").ok()
    assert b.status == "running"
    assert b.pid in runtime.view.pids(b.cgroup)


def test_cgroups_made_inside_are_removed(ct, runtime):
    """A container with a writable tree makes children: delete removes them too."""
    c = ct("for d in /sys/fs/cgroup/*/ /sys/fs/cgroup; do mkdir -p $d/a/b 2>/dev/null; done; echo made; sleep 100")
    for m in c.config["mounts"]:
        if m["type"] == "cgroup":
            m["options"] = ["rw", "nosuid", "noexec", "nodev"]
    c.up()
    c.wait_output("made")
    c.delete("--force").ok()


def test_devices_are_refused_by_the_cgroup(ct, runtime):
    """mknod is allowed, opening the host's disk is not."""
    c = ct("mknod /tmp/disk b 254 0; mknod /tmp/kmsg c 1 11; dd if=/tmp/disk of=/dev/null bs=512 count=1 && echo READ; "
           "(: < /tmp/kmsg) && echo READ; echo end")
    c.config["linux"]["resources"]["devices"] = bundle.default_device_rules()
    result = c.run().ok()
    if runtime.view.has("devices") or runtime.view.unified:
        assert "READ" not in result.out and "end" in result.out, result


@pytest.mark.parametrize("cgroupns", [True, False])
def test_rootless_cannot_write_the_hosts_tree(runtime, ct, cgroupns):
    """CVE-2023-25809: started by an ordinary user, the cgroup mount is read-only even without a cgroup namespace."""
    uid = 1000
    c = ct(TRY)
    bundle.user_namespace(c.config, uid, 1)
    if not cgroupns:
        bundle.without_namespace(c.config, "cgroup")
    del c.linux["cgroupsPath"]
    c.linux["resources"] = {}
    for m in c.config["mounts"]:
        m["options"] = [o for o in m["options"] if not o.startswith("gid=")]

    def become_user():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)

    runtime.binary = env.copy_runtime(runtime.binary, runtime.scratch)  # the checkout may lie where users cannot go
    runtime.root = os.path.join(runtime.scratch, "user-state")
    os.mkdir(runtime.root)
    os.chown(runtime.root, uid, uid)
    for base, dirs, names in os.walk(c.bundle):
        for n in [base] + [os.path.join(base, x) for x in dirs + names]:
            os.lchown(n, uid, uid)
    result = c.run(preexec_fn=become_user, env=dict(os.environ, XDG_RUNTIME_DIR=runtime.root), timeout=60)
    assert "tried" in result.out, result
    assert "WRITABLE" not in result.out and "MOUNTED" not in result.out, result
