# SPDX-License-Identifier: Apache-2.0
"""CVE-2025-31133, CVE-2025-52565: the image has something else where the runtime expects a device.

Without a tmpfs on /dev the image's own /dev is used; what the runtime finds there it must not trust.
"""
import os
import shutil

import pytest

KINDS = ["symlink", "absolute-out", "relative-out", "file", "fifo", "dir", "dangling"]


def plant(c, path, kind, outside):
    """Put a trap of that kind at `path` of the rootfs."""
    full = c.rootfs_file(path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    c.rootfs_file("etc/victim", "untouched\n")
    targets = {"symlink": "/etc/victim", "absolute-out": os.path.join(outside, "secret"), "dangling": "/etc/nothing",
               "relative-out": "../" * 12 + os.path.join(outside, "secret").lstrip("/")}
    if kind in targets:
        os.symlink(targets[kind], full)
    elif kind == "file":
        c.rootfs_file(path, "a file\n")
    elif kind == "fifo":
        os.mkfifo(full)
    else:
        os.mkdir(full)


def victim(c):
    with open(c.rootfs_file("etc/victim")) as f:
        return f.read()


def own_dev(c):
    """No mounts below /dev: the image's directory serves."""
    c.config["mounts"] = [m for m in c.config["mounts"] if not m["destination"].startswith("/dev")]
    c.config["mounts"] = [m for m in c.config["mounts"] if m["type"] != "cgroup"]


def shown(result, path):
    """What `attacker stat` said of a path: "char 1:3 writable"."""
    return next((line.split(" ", 1)[1] for line in result.lines if line.startswith(path + " ")), "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("node,numbers", [("null", "1:3"), ("zero", "1:5"), ("tty", "5:0")])
def test_node_of_the_image(evil, outside, kind, node, numbers):
    """Either the container is refused, or the node is the device; a symlink is never followed."""
    c = evil(["attacker", "stat", "/dev/" + node])
    own_dev(c)
    plant(c, "dev/" + node, kind, outside)
    result = c.run(timeout=20)
    assert victim(c) == "untouched\n"
    assert not os.path.lexists(c.rootfs_file("etc/nothing"))
    if result.rc == 0:
        assert shown(result, "/dev/" + node).startswith("char " + numbers), result


@pytest.mark.parametrize("kind", KINDS)
def test_masked_path_is_not_bound_from_the_images_null(evil, outside, kind):
    """CVE-2025-31133: the mask of /proc/kcore must not become the target of the image's /dev/null."""
    c = evil("attacker stat /proc/kcore /etc/masked; echo overwritten > /etc/masked; cat /etc/masked")
    own_dev(c)
    c.rootfs_file("etc/masked", "hidden\n")
    c.linux["maskedPaths"] = ["/proc/kcore", "/etc/masked"]
    plant(c, "dev/null", kind, outside)
    result = c.run(timeout=20)
    assert victim(c) == "untouched\n"
    if result.rc == 0:
        assert "hidden" not in result.out
        assert shown(result, "/etc/masked").startswith("char 1:3"), result
        assert shown(result, "/proc/kcore")[:8] in ("char 1:3", "none"), result


@pytest.mark.parametrize("kind", KINDS)
def test_console_is_not_bound_through_the_image(evil, console_socket, outside, kind):
    """CVE-2025-52565: the pty must not be mounted on what /dev/console points to."""
    c = evil("attacker stat /etc/victim /dev/console; grep victim /proc/self/mountinfo && echo BOUND; echo end")
    own_dev(c)
    plant(c, "dev/console", kind, outside)
    c.process["terminal"] = True
    result = c.run_detached("--console-socket", console_socket.path, timeout=20)
    if result.rc == 0:
        term, _ = console_socket.receive()
        text = term.drain()
        term.close()
        assert "/etc/victim file" in text and "BOUND" not in text, text
        assert "/dev/console char" in text or kind == "absolute-out", text
    assert victim(c) == "untouched\n"


@pytest.mark.parametrize("where", ["/etc", "out", "relative-out", "dangling", "/proc", "file"])
def test_dev_itself_is_a_trap(evil, outside, where):
    """rootfs/dev is a symlink: nodes and links must land inside the rootfs or nowhere."""
    c = evil("attacker stat /dev/null; ls /etc | grep -x null && echo LITTERED")
    shutil.rmtree(c.rootfs_file("dev"))
    if where == "file":
        c.rootfs_file("dev", "not a directory\n")
    else:
        target = {"out": outside, "relative-out": "../" * 12 + outside.lstrip("/"), "dangling": "/nothing"}
        os.symlink(target.get(where, where), c.rootfs_file("dev"))
    result = c.run(timeout=20)
    if result.rc == 0 and where != "/etc":
        assert "LITTERED" not in result.out and shown(result, "/dev/null").startswith("char 1:3"), result
    assert sorted(os.listdir(outside)) == ["secret"]
    assert not os.path.exists(c.rootfs_file("etc/null"))


@pytest.mark.parametrize("kind", KINDS)
def test_extra_device(evil, outside, kind):
    """linux.devices may name any path: the same rules."""
    c = evil(["attacker", "stat", "/opt/node"])
    c.linux["devices"] = [{"path": "/opt/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]
    plant(c, "opt/node", kind, outside)
    result = c.run(timeout=20)
    assert victim(c) == "untouched\n" and not os.path.lexists(c.rootfs_file("etc/nothing"))
    if result.rc == 0:
        assert shown(result, "/opt/node").startswith("char 1:3"), result


@pytest.mark.parametrize("parent", ["/etc", "out", "relative-out"])
def test_extra_device_below_a_symlinked_directory(evil, outside, parent):
    c = evil(["attacker", "stat", "/link/node"])
    c.linux["devices"] = [{"path": "/link/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]
    target = {"out": outside, "relative-out": "../" * 12 + outside.lstrip("/")}.get(parent, parent)
    os.symlink(target, c.rootfs_file("link"))
    c.run(timeout=20)
    assert os.listdir(outside) == ["secret"]
