# SPDX-License-Identifier: Apache-2.0
"""coffer as an ordinary user: whose files are whose, on both sides, and that they can all be removed again."""
import io
import os
import tarfile

import pytest

import librootless
from libengine import run, wait_for

ME, SUB = 2000, librootless.SUBIDS


@pytest.fixture(scope="module")
def session():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    engine = librootless.RootlessCoffer(ME)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def single():
    engine = librootless.RootlessCoffer(2001, subids=False)
    yield engine
    engine.close()


@pytest.fixture(autouse=True)
def without_network(monkeypatch):
    """Most tests ask about users; those about networks say so."""
    monkeypatch.setattr(librootless.RootlessCoffer, "run_options", lambda self: ["--network", "none"])


def archive(**files):
    """A tar stream of small files: name = (uid, mode)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, (uid, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.uid = info.gid = uid
            info.mode = mode
            tar.addfile(info)
    return out.getvalue().decode("latin-1")


def owner(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid


def test_root_is_the_caller_and_the_rest_are_subids(coffer):
    rows = coffer.sh("cat /proc/self/uid_map").split()
    assert rows == ["0", str(ME), "1", "1", str(SUB), "65536"]
    assert coffer.sh("id -u; id -g") == "0\n0\n"
    assert coffer.sh("id -u; id -g", "--user", "1000:100") == "1000\n100\n"


def test_owners_of_the_image(coffer):
    """Unpacked among the sub-ids: they are what the archive says."""
    coffer("import", "-", "owners", input=archive(a=(0, 0o600), b=(1000, 0o600), c=(65534, 0o600)))
    cid = coffer.out("create", "--network", "none", "owners", "x")
    coffer("export", "-o", coffer.home + "/x.tar", cid)
    with tarfile.open(coffer.home + "/x.tar") as tar:
        assert {m.name: m.uid for m in tar if m.name in "abc"} == {"a": 0, "b": 1000, "c": 65534}
    assert owner(coffer.home + "/x.tar") == (ME, ME)
    coffer("rm", cid)
    coffer("rmi", "owners")


def test_chown_and_the_other_side(coffer):
    cid = coffer.start("box", "sh", "-c", "touch /x; chown 1000:1001 /x; chmod 600 /x; sleep 600")
    wait_for("the file", lambda: coffer("exec", cid, "test", "-e", "/x", rc=None).returncode == 0)
    assert coffer.out("exec", cid, "stat", "-c", "%u:%g", "/x") == "1000:1001"
    assert owner(coffer.data + "/containers/%s/upper/x" % cid) == (SUB + 999, SUB + 1000)


def test_exec_logs_stop_start(coffer):
    cid = coffer.start("--name", "life", "box", "sh", "-c", "echo here; trap 'exit 7' TERM; sleep 600 & wait")
    wait_for("output", lambda: coffer.out("logs", "life") == "here")
    assert coffer.out("exec", "-u", "1234", "life", "id", "-u") == "1234"
    assert coffer.out("ps", "-q", "--no-trunc") == cid
    coffer("stop", "life")
    assert coffer.inspect("life", "{{.State.ExitCode}}") == "7"
    coffer("start", "life")
    assert coffer.status("life") == "running"
    coffer("kill", "life")
    coffer.wait_status("life", "exited")


def test_restart_policy(coffer):
    cid = coffer.start("--restart", "on-failure:2", "box", "sh", "-c", "echo again; exit 3")
    wait_for("two restarts", lambda: coffer.inspect(cid, "{{.RestartCount}} {{.State.Status}}") == "2 exited")
    assert coffer.out("logs", cid).splitlines() == ["again"] * 3


@pytest.mark.parametrize("runs", (True, False))
def test_copy(coffer, runs):
    """Files of other users can be read and put in place, whether it runs or not."""
    cid = coffer.start("box", "sh", "-c", "mkdir /d; echo secret > /d/f; chown -R 1000:1000 /d; chmod 700 /d; "
                                          "chmod 600 /d/f; echo done; sleep 600")
    wait_for("the files", lambda: coffer.out("logs", cid) == "done")
    if not runs:
        coffer("stop", "-t", "0", cid)
    out = coffer.home + "/out-%d" % runs
    coffer("cp", cid + ":/d/f", out)
    with open(out) as f:
        assert f.read() == "secret\n"
    assert owner(out) == (ME, ME)
    coffer("cp", out, cid + ":/d/g")
    if not runs:
        coffer("start", cid)
        wait_for("the container", lambda: coffer.status(cid) == "running")
    assert coffer.out("exec", cid, "cat", "/d/g") == "secret"


def test_copy_to_a_volume_of_what_does_not_run(coffer):
    bound, f = coffer.home + "/bound2", coffer.home + "/given"
    os.mkdir(bound)
    os.chown(bound, ME, ME)
    with open(f, "w") as file:
        file.write("given")
    os.chmod(f, 0o644)
    cid = coffer.out("create", "--network", "none", "-v", "kept2:/etc", "-v", bound + ":/b", "box", "sh", "-c",
                     "cat /etc/made; stat -c %u /etc/made; ls /etc/passwd")
    coffer("cp", f, cid + ":/etc/made")
    coffer("cp", f, cid + ":/b/made")
    assert owner(bound + "/made") == (ME, ME)
    assert coffer.out("start", "-a", cid).split() == ["given0", "/etc/passwd"]
    coffer("rm", cid)
    coffer("volume", "rm", "kept2")


def test_diff_and_commit(coffer):
    cid = coffer.start("box", "sh", "-c", "mkdir /d; touch /d/f; chown -R 1000 /d; chmod 700 /d; rm -r /etc/passwd; "
                                          "echo done; sleep 600")
    wait_for("the files", lambda: coffer.out("logs", cid) == "done")
    assert {"A /d", "A /d/f", "D /etc/passwd"} <= set(coffer.out("diff", cid).splitlines())
    coffer("commit", cid, "committed")
    seen = coffer.out("run", "--rm", "--network", "none", "committed", "sh", "-c",
                      "stat -c %u /d/f; ls /etc/passwd || echo none")
    assert seen.split() == ["1000", "none"]
    coffer("rmi", "-f", "committed")


def test_volume(coffer):
    """Filled from the image with its owners, kept from one container to the next, removed with what is in it."""
    cid = coffer.start("box", "sh", "-c", "mkdir /v; touch /v/seed; chown -R 1000 /v; chmod 700 /v")
    coffer("wait", cid)
    coffer("commit", cid, "seeded")
    coffer("rm", cid)
    seen = coffer.out("run", "--rm", "--network", "none", "-u", "1000", "-v", "kept:/v", "seeded",
                      "stat", "-c", "%u", "/v/seed")
    assert seen == "1000"
    coffer("rmi", "seeded")
    write = "mkdir -p /v/d; touch /v/d/f; chown -R 1000 /v; chmod 700 /v /v/d"
    coffer.sh(write, "-v", "kept:/v")
    assert coffer.sh("stat -c %u /v/d/f", "-v", "kept:/v", "-u", "1000") == "1000\n"
    assert owner(coffer.data + "/volumes/kept/_data/d") == (SUB + 999, ME)
    coffer.sh(write, "-v", "/v")
    assert coffer.out("volume", "ls", "-q") == "kept"
    coffer("volume", "rm", "kept")
    assert os.listdir(coffer.data + "/volumes") == []


def test_bind_mount(coffer):
    where = coffer.home + "/bound"
    os.mkdir(where)
    os.chown(where, ME, ME)
    coffer.sh("touch /b/root /b/other; chown 33 /b/other", "-v", where + ":/b")
    assert owner(where + "/root") == (ME, ME) and owner(where + "/other")[0] == SUB + 32


def test_remove_leaves_nothing(coffer):
    for _ in range(2):
        coffer.sh("mkdir /d; touch /d/f; chown -R 1000 /d; chmod 700 /d")
    cid = coffer.start("box", "sh", "-c", "mkdir /d; touch /d/f; chown -R 1000 /d; chmod 700 /d; sleep 600")
    coffer("rm", "-f", cid)
    assert os.listdir(coffer.data + "/containers") == []
    assert os.listdir(coffer.xdg + "/coffer/containers") == []


def test_save_load_build_base(coffer):
    coffer("import", "-", "kept", input=archive(a=(1000, 0o600)))
    path = coffer.home + "/saved.tar"
    coffer("save", "-o", path, "kept")
    layers = set(os.listdir(coffer.data + "/layers"))
    coffer("rmi", "kept")
    gone = layers - set(os.listdir(coffer.data + "/layers"))
    assert gone
    coffer("load", "-i", path)
    layer, = gone
    assert owner(coffer.data + "/layers/%s/diff/a" % layer) == (SUB + 999, SUB + 999)
    coffer("rmi", "kept")
    coffer("image", "build-base")
    assert coffer.out("run", "--rm", "--network", "none", "coffer/base", "id", "-u") == "0"
    coffer("rmi", "coffer/base")


def test_published_port(coffer, monkeypatch):
    if not os.path.exists("/usr/bin/pasta") and not os.path.exists("/usr/bin/slirp4netns"):
        pytest.skip("no program pasta or slirp4netns")
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("no /dev/net/tun")
    serve = "mkdir /w; echo served > /w/index.html; exec busybox httpd -f -p 80 -h /w"
    cid = coffer.out("run", "-d", "-p", "127.0.0.1:18080:80", "box", "sh", "-c", serve)

    def answer():
        return coffer.here("busybox", "wget", "-qO-", "http://127.0.0.1:18080/", rc=None).stdout == "served\n"

    wait_for("the server", answer)
    assert coffer.out("port", cid) == "80/tcp -> 127.0.0.1:18080"
    coffer("restart", "-t", "0", cid)  # the port is free for the next as soon as the first has ended
    wait_for("the server again", answer)
    coffer("rm", "-f", cid)
    assert not coffer.processes("pasta") and not coffer.processes("slirp4netns")


def test_without_subids(single):
    """One user: all files are root's, and what asks for more is told what to do."""
    done = single("import", "-", "owners", input=archive(a=(1000, 0o600)))
    assert "no subordinate ids in /etc/subuid" in done.stderr and "usermod" in done.stderr
    assert single.sh("id -u; cat /proc/self/uid_map").split() == ["0", "0", "2001", "1"]
    done = single.run(["-u", "1000"], ["id"], rc=None)
    assert done.returncode in (125, 126)
    assert "user 1000:1000 has no id on this machine" in done.stderr
    assert single("run", "--rm", *single.run_options(), "-v", "/etc", "box", "true").returncode == 0
    single("rmi", "owners")


def test_state_without_a_session(coffer):
    """Somebody else's directory in /tmp is not trusted."""
    where = "/tmp/coffer-%d" % ME
    if os.path.exists(where) or os.path.exists("/run/user/%d" % ME):
        pytest.skip("there is a user %d here" % ME)
    bare = coffer.inside + ["env", "-u", "XDG_RUNTIME_DIR", coffer.base[-1], "ps"]
    os.mkdir(where)
    try:
        done = run(bare, rc=None, env=coffer.environ)
        assert done.returncode != 0 and "is not yours alone" in done.stderr
    finally:
        os.rmdir(where)
    run(bare, env=coffer.environ)
    assert os.stat(where).st_mode & 0o777 == 0o700 and owner(where) == (ME, ME)
    run(["rm", "-r", where])


def test_joined_namespaces(coffer):
    """Who joins a container's network joins the user namespace that owns it."""
    cid = coffer.start("--ipc", "shareable", "box", "sh", "-c",
                       "mkdir -m 700 /dev/shm/d; touch /dev/shm/d/f; chown -R 1000 /dev/shm/d; sleep 600")
    joined = ["--network=container:" + cid, "--pid=container:" + cid, "--ipc=container:" + cid]
    seen = coffer.out("run", "--rm", *joined, "box", "sh", "-c",
                      "for i in 1 self; do for n in user net pid ipc; do busybox readlink /proc/$i/ns/$n; done; done")
    lines = seen.splitlines()
    assert len(lines) == 8 and lines[:4] == lines[4:]


def test_top_and_stats_without_a_cgroup(coffer):
    cid = coffer.start("-u", "1000", "box", "sh", "-c", "sleep 600 & sleep 601")
    wait_for("both", lambda: len(coffer.out("top", cid, "-o", "uid,args").splitlines()) == 3)
    assert coffer.out("stats", "--no-stream", "--format", "{{.PIDs}}", cid) == "2"
