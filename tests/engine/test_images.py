# SPDX-License-Identifier: Apache-2.0
"""Images: names, save and load, import and export, commit; with skopeo and docker-archive readers as counterparts."""
import glob
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import tarfile

import pytest

import libengine
from libengine import need


def names(coffer):
    return coffer.out("images", "--format", "{{.Repository}}:{{.Tag}}").split()


def test_list(coffer):
    rows = coffer.out("images").splitlines()
    assert rows[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert re.search(r"^box\s+latest\s+[0-9a-f]{12}\s+.* ago\s+[0-9.]+[kM]B$", coffer.out("images"), re.M)
    assert re.fullmatch("[0-9a-f]{12}", coffer.out("images", "-q", "box"))
    assert coffer.out("images", "-q", "--no-trunc", "box").startswith("sha256:")


def test_tag_and_remove(coffer):
    coffer("tag", "box", "localhost:5000/some/box:v1")
    assert "localhost:5000/some/box:v1" in names(coffer)
    assert coffer.out("rmi", "localhost:5000/some/box:v1") == "Untagged: localhost:5000/some/box:v1"
    assert names(coffer).count("box:latest") == 1
    assert "No such image: nosuch:latest" in coffer("rmi", "nosuch", rc=1).stderr
    coffer.start("--name", "user", "box", "sleep", "600")
    assert "conflict" in coffer("rmi", "box", rc=1).stderr
    assert "box:latest" in names(coffer)


def test_inspect_and_history(coffer):
    info = json.loads(coffer.out("image", "inspect", "box"))[0]
    assert info["RepoTags"] == ["box:latest"] and info["Os"] == "linux" and info["Config"]["Cmd"] == ["/bin/sh"]
    assert info["RootFS"]["Type"] == "layers" and len(info["RootFS"]["Layers"]) == 1
    assert coffer.out("inspect", "-f", "{{.Architecture}}", "box") == {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    assert coffer.out("history", "box").splitlines()[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]


def test_save_and_load(coffer, tmp_path):
    path = str(tmp_path / "box.tar")
    coffer("tag", "box", "saved:1")
    want = coffer.out("images", "-q", "--no-trunc", "saved:1")
    coffer("save", "-o", path, "saved:1")
    with tarfile.open(path) as tar:
        listing = tar.getnames()
        assert {"manifest.json", "index.json", "oci-layout"} <= set(listing)
    coffer("rmi", "saved:1")
    assert coffer.out("load", "-i", path) == "Loaded image: saved:1"
    assert coffer.out("images", "-q", "--no-trunc", "saved:1") == want
    with open(path, "rb") as f:
        done = subprocess.run(coffer.base + ["load"], stdin=f, capture_output=True, env=coffer.environ)
    assert done.returncode == 0
    coffer("rmi", "saved:1")


def test_xz(coffer, tmp_path):
    """Archives come as xz, too; their layers are kept as plain tars, for no registry takes xz."""
    path = str(tmp_path / "box.tar")
    coffer("tag", "box", "packed:1")
    coffer("save", "-o", path, "packed:1")
    coffer("rmi", "packed:1")
    with open(path, "rb") as f:
        packed = lzma.compress(f.read(), preset=1)
    (tmp_path / "box.tar.xz").write_bytes(packed)
    assert coffer.out("load", "-i", str(tmp_path / "box.tar.xz")) == "Loaded image: packed:1"
    assert coffer.out("run", "--rm", *coffer.run_options(), "packed:1", "echo", "ran") == "ran"
    coffer("rmi", "packed:1")
    for spoiled, why in ((packed[:-20], "too early"), (packed + b"more" * 8, "damaged xz stream"),
                         (packed[:5000] + b"xxxx" + packed[5004:], "damaged xz stream")):
        (tmp_path / "spoiled").write_bytes(spoiled)
        assert why in coffer("load", "-i", str(tmp_path / "spoiled"), rc=1).stderr
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for m, data in (member("kept", b"data" * 5000), member("d", b"", tarfile.DIRTYPE)):
            tar.addfile(m, io.BytesIO(data))
    plain = coffer("import", "-", "flat:1", input=raw.getvalue().decode()).stdout
    (tmp_path / "flat.tar.xz").write_bytes(lzma.compress(raw.getvalue()))
    assert plain and coffer("import", str(tmp_path / "flat.tar.xz"), "flat:2").stdout
    layers = "{{index .RootFS.Layers 0}}"
    assert coffer.out("image", "inspect", "-f", layers, "flat:1") == coffer.out("image", "inspect", "-f", layers, "flat:2")
    coffer("save", "-o", path, "flat:2")
    with tarfile.open(path) as tar:
        layer = tar.extractfile(json.load(tar.extractfile("manifest.json"))[0]["Layers"][0]).read()
    assert layer == raw.getvalue()
    coffer("rmi", "flat:1", "flat:2")


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_skopeo_reads_and_writes(coffer, tmp_path, transport):
    need("skopeo")
    ours, theirs = str(tmp_path / "ours.tar"), str(tmp_path / "theirs.tar")
    coffer("save", "-o", ours, "box")
    libengine.run(["skopeo", "--insecure-policy", "copy", "docker-archive:" + ours, "%s:%s:again:2" % (transport, theirs)])
    loaded = coffer.out("load", "-i", theirs)
    assert loaded.startswith("Loaded image"), loaded
    name = loaded.split(": ", 1)[1]
    assert coffer.out("run", "--rm", *coffer.run_options(), name, "echo", "ran") == "ran"
    coffer("rmi", name)


def test_import_and_export(coffer, tmp_path):
    cid = coffer.start("box", "sh", "-c", "echo data > /kept; mkdir /d; chown 5:6 /d; ln -s kept /l; ln /kept /hard; sleep 600")
    libengine.wait_for("the files", lambda: coffer("exec", cid, "test", "-e", "/hard", rc=None).returncode == 0)
    path = str(tmp_path / "flat.tar")
    coffer("export", "-o", path, cid)
    with tarfile.open(path) as tar:
        found = {m.name.lstrip("./"): m for m in tar.getmembers()}
    assert found["kept"].uid == 0 and (found["d"].uid, found["d"].gid) == (5, 6) and found["l"].linkname == "kept"
    coffer("import", "-c", "CMD cat /kept", "-c", "ENV X=y", path, "flat:1")
    assert coffer.out("run", "--rm", *coffer.run_options(), "flat:1") == "data"
    assert coffer.out("run", "--rm", *coffer.run_options(), "flat:1", "stat", "-c", "%u %g %h", "/d", "/hard").split("\n") \
        == ["5 6 2", "0 0 2"]
    coffer("rmi", "flat:1")


def test_commit_and_diff(coffer):
    cid = coffer.start("box", "sh", "-c", "echo new > /made; rm /etc/group; mkdir /dir; touch /dir/in; sleep 600")
    libengine.wait_for("the files", lambda: coffer("exec", cid, "test", "-e", "/dir/in", rc=None).returncode == 0)
    diff = coffer.out("diff", cid).splitlines()
    assert {"A /made", "D /etc/group", "C /etc", "A /dir", "A /dir/in"} <= set(diff), diff
    image = coffer.out("commit", "-m", "note", "-a", "me", "-c", 'CMD ["cat","/made"]', cid, "changed:1")
    assert re.fullmatch("sha256:[0-9a-f]{64}", image)
    assert coffer.out("run", "--rm", *coffer.run_options(), "changed:1") == "new"
    assert coffer("run", "--rm", *coffer.run_options(), "changed:1", "cat", "/etc/group", rc=1)
    info = json.loads(coffer.out("image", "inspect", "changed:1"))[0]
    assert len(info["RootFS"]["Layers"]) == 2 and info["Comment"] == "note" and info["Author"] == "me"
    coffer("rm", "-f", cid)
    coffer("rmi", "changed:1")


def test_mount_points_are_not_made_in_each_container(coffer):
    """They stand below the layers; what a killed start has left of that is completed, whatever the umask."""
    top = coffer.volatile + "/run/places"
    os.path.exists(top + "/whole") and os.unlink(top + "/whole")
    shutil.rmtree(top + "/tree/etc", ignore_errors=True)
    old = os.umask(0o077)
    try:
        cid = coffer.start("box", "sleep", "600")
    finally:
        os.umask(old)
    made = {os.path.relpath(os.path.join(d, f), top + "/tree"): os.lstat(os.path.join(d, f)).st_mode & 0o777
            for d, dirs, files in os.walk(top + "/tree") for f in dirs + files}
    assert made == {"dev": 0o755, "etc": 0o755, "proc": 0o755, "sys": 0o755, "etc/hostname": 0o644,
                    "etc/hosts": 0o644, "etc/resolv.conf": 0o644}
    assert os.path.exists(top + "/whole")
    assert coffer.out("exec", cid, "stat", "-c", "%u %a", "/etc", "/etc/hosts", "/etc/resolv.conf").split("\n") == \
        ["0 755", "0 644", "0 644"]
    images = glob.glob(coffer.scratch + "/root/**/layer.erofs", recursive=True)  # roots of directories stay of one file system
    if images and tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2]) >= (6, 15):  # a mapped tmpfs: 6.3
        assert os.listdir(coffer.scratch + "/root/containers/%s/upper" % cid) == []
    coffer("rm", "-f", cid)


def test_user_volume_and_entrypoint_of_the_image(coffer):
    cid = coffer.start("box", "sleep", "600")
    coffer("commit", "-c", 'ENTRYPOINT ["/bin/echo","entry"]', "-c", 'CMD ["and","cmd"]', "-c", "USER 1234", cid, "ep")
    assert coffer.out("run", "--rm", *coffer.run_options(), "ep") == "entry and cmd"
    assert coffer.out("run", "--rm", *coffer.run_options(), "ep", "other") == "entry other"
    assert coffer.out("run", "--rm", *coffer.run_options(), "--entrypoint", "id", "ep", "-u") == "1234"
    coffer("rm", "-f", cid)
    coffer("rmi", "ep")


def layout(path, entries, name="hostile:1", **fault):
    """A docker-archive with one layer of these tar members; `fault` spoils it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    layer = raw.getvalue()
    import hashlib
    diff = "sha256:" + hashlib.sha256(layer).hexdigest()
    config = json.dumps({"architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine], "os": "linux",
                         "config": {"Cmd": ["/bin/true"]},
                         "rootfs": {"type": "layers", "diff_ids": [fault.get("diff", diff)]}}).encode()
    manifest = json.dumps([{"Config": fault.get("config_name", "config.json"), "RepoTags": [name],
                            "Layers": [fault.get("layer_name", "layer.tar")]}]).encode()
    with tarfile.open(path, "w") as tar:
        for member, data in (("config.json", config), ("layer.tar", layer), ("manifest.json", manifest)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def member(name, data=b"", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data or b"")
    return info, data


HOSTILE = {
    "dotdot": [member("../../../../tmp/coffer-escaped", b"x")],
    "absolute": [member("/tmp/coffer-escaped", b"x")],
    "symlink-then-file": [member("d", None, tarfile.SYMTYPE, "/tmp"), member("d/coffer-escaped", b"x")],
    "hardlink-out": [member("h", None, tarfile.LNKTYPE, "../../../../etc/shadow")],
    "whiteout-of-dotdot": [member("a/.wh...", b"")],
    "whiteout-empty": [member("a/.wh.", b"")],
}


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_hostile_layer(coffer, tmp_path, case):
    """Refused with one line, or harmless: whatever it says stays inside."""
    path = layout(str(tmp_path / "x.tar"), HOSTILE[case])
    done = coffer("load", "-i", path, rc=None)
    assert not os.path.exists("/tmp/coffer-escaped")
    if done.returncode == 0:
        out = coffer("run", "--rm", *coffer.run_options(), "-v", "/bin/busybox:/bin/true:ro", "hostile:1", rc=None)
        assert "shadow" not in out.stdout
        coffer("rmi", "hostile:1")
    else:
        assert done.stderr.count("\n") == 1, done.stderr
    assert not os.path.exists("/tmp/coffer-escaped")


def test_wrong_digest_is_refused(coffer, tmp_path):
    path = layout(str(tmp_path / "x.tar"), [member("f", b"x")], diff="sha256:" + "0" * 64)
    done = coffer("load", "-i", path, rc=1)
    assert "sha256:" in done.stderr and done.stderr.count("\n") == 1
    assert "hostile:1" not in names(coffer)


@pytest.mark.parametrize("bad", ["/etc/passwd", "../../../etc/passwd", "nosuch.tar"])
def test_archive_names_are_names_of_the_archive(coffer, tmp_path, bad):
    path = layout(str(tmp_path / "x.tar"), [member("f", b"x")], layer_name=bad)
    assert coffer("load", "-i", path, rc=1).stderr.count("\n") == 1


def test_not_an_archive(coffer, tmp_path):
    (tmp_path / "junk").write_bytes(os.urandom(100000))
    assert coffer("load", "-i", str(tmp_path / "junk"), rc=1).stderr.count("\n") == 1
    (tmp_path / "empty").write_bytes(b"")
    assert coffer("load", "-i", str(tmp_path / "empty"), rc=1).stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["UPPER", "a/../b", "x:", "x@sha256:12", "http://x", "-x", "x y", "a" * 300])
def test_bad_names(coffer, name):
    done = coffer("tag", "box", "--", name, rc=None)
    assert done.returncode in (1, 125) and done.stderr, done
    done = coffer("run", "--pull", "never", "--", name, "true", rc=125)
    assert "invalid reference format" in done.stderr or "repository name must be lowercase" in done.stderr, done.stderr


def test_directory_layers(fresh):
    """Without EROFS: the same image, the same behaviour."""
    engine = fresh(config='[storage]\nlayers = "directory"\n')
    assert os.path.isdir(engine.scratch + "/root/layers")
    assert any("diff" in os.listdir(d.path) for d in os.scandir(engine.scratch + "/root/layers"))
    assert engine.sh("id -u; echo x > /etc/x && cat /etc/x; stat -c %u /bin/busybox") == "0\nx\n0\n"
    assert engine.out("run", "--rm", *engine.run_options(), "--user", "web", "box", "id", "-un") == "web"
