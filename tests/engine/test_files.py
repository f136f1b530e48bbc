# SPDX-License-Identifier: Apache-2.0
"""Volumes and `cp`, hostile containers included."""
import json
import os
import subprocess
import tarfile

import pytest

from libengine import wait_for


def test_named_volume_takes_the_images_files(coffer):
    coffer.sh("true", "-v", "etc:/etc")
    assert "root" in coffer.sh("cat /v/passwd", "-v", "etc:/v")
    assert coffer.sh("ls /v | wc -l", "-v", "empty:/v") == "0\n"
    assert coffer.sh("ls /etc | wc -l", "--mount", "type=volume,src=nocopy,dst=/etc,volume-nocopy") != ""


def test_anonymous_volumes_go_with_rm(coffer):
    cid = coffer.out("create", *coffer.run_options(), "-v", "/data", "box", "true")
    name = json.loads(coffer.out("inspect", cid))[0]["Mounts"][0]["Name"]
    assert len(name) == 64 and name in coffer.out("volume", "ls", "-q")
    coffer("rm", "-v", cid)
    assert name not in coffer.out("volume", "ls", "-q")
    coffer.run(["-v", "/data"], ["true"])  # --rm does the same
    assert coffer.out("volume", "ls", "-q") == ""


def test_volume_commands(coffer):
    assert coffer.out("volume", "create", "--label", "x=y", "v1") == "v1"
    assert coffer.out("volume", "ls").splitlines()[0].split() == ["DRIVER", "VOLUME", "NAME"]
    info = json.loads(coffer.out("volume", "inspect", "v1"))[0]
    assert info["Labels"] == {"x": "y"} and os.path.isdir(info["Mountpoint"])
    cid = coffer.start("-v", "v1:/v", "box", "sleep", "600")
    assert "in use" in coffer("volume", "rm", "v1", rc=1).stderr
    coffer("rm", "-f", cid)
    assert coffer.out("volume", "rm", "v1") == "v1"
    assert not os.path.exists(info["Mountpoint"])
    assert "no such volume" in coffer("volume", "rm", "v1", rc=1).stderr.lower()


def test_bind_sources(coffer, tmp_path):
    gone = tmp_path / "made"
    coffer.sh("true", "-v", "%s:/v" % gone)
    assert gone.is_dir()
    done = coffer("run", *coffer.run_options(), "--mount", "type=bind,src=%s,dst=/v" % (tmp_path / "nosuch"), "box", "true", rc=125)
    assert "bind source path does not exist" in done.stderr


def test_volumes_from(coffer):
    first = coffer.start("-v", "/shared", "box", "sh", "-c", "echo mine > /shared/f; sleep 600")
    wait_for("the file", lambda: coffer("exec", first, "test", "-e", "/shared/f", rc=None).returncode == 0)
    assert coffer.sh("cat /shared/f", "--volumes-from", first) == "mine\n"


@pytest.mark.parametrize("running", [True, False])
def test_copy(coffer, tmp_path, running):
    cid = coffer.start("box", "sleep", "600")
    if not running:
        coffer("stop", "-t", "0", cid)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("deep")
    os.chmod(tmp_path / "d/f", 0o741)
    os.chmod(tmp_path / "d", 0o710)
    coffer("cp", str(tmp_path / "d"), cid + ":/tmp/")
    coffer("cp", str(tmp_path / "d") + "/.", cid + ":/tmp/e")
    coffer("cp", "%s/d/f" % tmp_path, cid + ":/tmp/renamed")
    for inside in ("d/f", "e/f", "renamed"):
        coffer("cp", cid + ":/tmp/" + inside, str(tmp_path / "back"))
        assert (tmp_path / "back").read_text() == "deep"
        assert os.stat(tmp_path / "back").st_mode & 0o777 == 0o741
    coffer("cp", cid + ":/tmp/d", str(tmp_path / "whole"))
    assert (tmp_path / "whole/f").read_text() == "deep"
    assert os.stat(tmp_path / "whole").st_mode & 0o777 == 0o710
    assert "Could not find the file /nosuch in container" in coffer("cp", cid + ":/nosuch", str(tmp_path), rc=1).stderr
    assert coffer("cp", str(tmp_path / "d/f"), cid + ":/no/dir/", rc=1).stderr


@pytest.mark.parametrize("options", [[], ["--userns", "host"]])
def test_copy_into_a_volume(coffer, tmp_path, options):
    """A volume is a mapped mount: what is made in it has to be somebody's of the container."""
    cid = coffer.start(*options, "-v", "vol:/v", "box", "sh", "-c", "mkdir /v/theirs; chown 5:6 /v/theirs; chmod 700 /v/theirs; exec sleep 600")
    wait_for("the directory", lambda: coffer.out("exec", cid, "stat", "-c", "%u %a", "/v/theirs", rc=None) == "5 700")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("deep")
    os.chown(tmp_path / "d/f", 7, 8)
    os.symlink("f", tmp_path / "d/l")
    os.mkfifo(tmp_path / "d/p")
    os.chmod(tmp_path / "d", 0o2775)
    coffer("cp", str(tmp_path / "d"), cid + ":/v/theirs/")
    coffer("cp", "-a", str(tmp_path / "d"), cid + ":/v/kept")
    seen = coffer.out("exec", cid, "stat", "-c", "%u:%g %a %F", "/v/theirs/d", "/v/theirs/d/f", "/v/theirs/d/l", "/v/theirs/d/p", "/v/kept/f")
    assert seen.split("\n") == ["0:0 2775 directory", "0:0 644 regular file", "0:0 777 symbolic link", "0:0 644 fifo", "7:8 644 regular file"]
    raw = subprocess.run(coffer.base + ["cp", cid + ":/v/kept", "-"], capture_output=True, env=coffer.environ, check=True)
    subprocess.run(coffer.base + ["cp", "-", cid + ":/v/theirs"], input=raw.stdout, env=coffer.environ, check=True)
    assert coffer.out("exec", cid, "stat", "-c", "%u:%g", "/v/theirs/kept/f") == "7:8"


def test_copy_as_tar(coffer, tmp_path):
    cid = coffer.start("box", "sleep", "600")
    raw = subprocess.run(coffer.base + ["cp", cid + ":/etc/passwd", "-"], capture_output=True, env=coffer.environ, check=True)
    path = tmp_path / "t.tar"
    path.write_bytes(raw.stdout)
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["passwd"]
    with open(path, "rb") as f:
        subprocess.run(coffer.base + ["cp", "-", cid + ":/tmp"], stdin=f, env=coffer.environ, check=True)
    assert "root" in coffer.out("exec", cid, "cat", "/tmp/passwd")


def test_copy_does_not_leave_the_container(coffer, tmp_path):
    """Links that point out of the container resolve inside of it (CVE-2018-15664)."""
    cid = coffer.start("box", "sh", "-c", "ln -s / /tmp/root; ln -s /../../../../etc /tmp/etc; ln -s %s /tmp/out; sleep 600" % tmp_path)
    wait_for("links", lambda: coffer("exec", cid, "test", "-L", "/tmp/out", rc=None).returncode == 0)
    (tmp_path / "f").write_text("hostile")
    coffer("cp", str(tmp_path / "f"), cid + ":/tmp/etc/passwd")
    with open("/etc/passwd") as f:
        assert "hostile" not in f.read()
    assert coffer.out("exec", cid, "cat", "/etc/passwd") == "hostile"
    coffer("cp", str(tmp_path / "f"), cid + ":/tmp/out/escaped", rc=None)
    assert not (tmp_path / "escaped").exists()


@pytest.mark.limit(120)
def test_copy_races_with_the_container(coffer, tmp_path):
    """The container swaps a directory for a link to the host's while `cp` writes into it."""
    target = tmp_path / "host"
    target.mkdir()
    os.chmod(tmp_path, 0o777)
    cid = coffer.start("box", "sh", "-c", "mkdir -p /r/a; ln -s %s /r/b; while :; do mv /r/a /r/c; mv /r/b /r/a; mv /r/a /r/b; mv /r/c /r/a; done" % target)
    (tmp_path / "f").write_text("x")
    for _ in range(40):
        coffer("cp", str(tmp_path / "f"), cid + ":/r/a/f", rc=None)
        assert not os.listdir(target)


def test_read_only_volume_and_tmpfs(coffer):
    out = coffer.sh("touch /v/x 2>&1; grep ' /t ' /proc/mounts", "-v", "ro:/v:ro", "--tmpfs", "/t:size=1m")
    assert "Read-only file system" in out and "size=1024k" in out


def test_copy_writes_no_mount_below_a_read_only_bind(coffer, tmp_path):
    """`rro`, which --mount means by readonly, counts for a container that does not run as well."""
    (tmp_path / "f").write_text("x")
    below = tmp_path / "top" / "below"
    below.mkdir(parents=True)
    coffer.here("mount", "-t", "tmpfs", "below", str(below))
    try:
        cid = coffer.out("create", "--network", "none", "--mount", "type=bind,src=%s,dst=/t,readonly" % below.parent, "box", "true")
        for where in ("/t/", "/t/below/"):
            assert "mounted volume is marked read-only" in coffer("cp", "%s/f" % tmp_path, cid + ":" + where, rc=1).stderr
        assert coffer.here("ls", str(below)).stdout == ""
        coffer("rm", cid)
    finally:
        coffer.here("umount", str(below))
