# SPDX-License-Identifier: Apache-2.0
"""Patched call sites and natively read files: where they are, and that a guest is told the same without them."""
import os
import resource
import shutil
import subprocess
import time

import pytest

from harness import leaks

HERE = os.path.dirname(os.path.abspath(__file__))
PATCH, FILES, PATHS = "dev.coffer.kernel.patch", "dev.coffer.kernel.files", "dev.coffer.kernel.paths"
HANDOFF = "dev.coffer.kernel.handoff"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    top = tmp_path_factory.mktemp("patch")
    for name, folder, flags in (("peek", "patch", []), ("hot_calls", "guest", ["-lpthread"]),
                                ("known_paths", "guest", ["-lpthread"]), ("known", "patch", []),
                                ("handed_in", "patch", []), ("many_pipes", "patch", []), ("sleepers", "patch", ["-lpthread"]),
                                ("writers", "patch", ["-lpthread"])):
        subprocess.run(["cc", "-O1", "-w", "-static", "-I", os.path.join(HERE, "guest"), "-o", str(top / name),
                        os.path.join(HERE, folder, name + ".c")] + flags, check=True)
    return str(top)


def container(sandbox, built, name, annotations):
    c = sandbox.container(["/bin/program"])
    c.process["cwd"] = "/tmp"
    c.process["user"] = {"uid": 1234 if name == "peek" else 0, "gid": 0}
    c.config["annotations"] = annotations
    shutil.copy(os.path.join(built, name), c.rootfs_file("/bin/program"))
    return c


@pytest.mark.parametrize("annotations,says", [({}, "patched"), ({FILES: "off"}, "patched"), ({PATCH: "off"}, "plain")])
def test_a_hot_site_is_patched_where_it_may_be(sandbox, built, annotations, says):
    assert container(sandbox, built, "peek", annotations).run().ok().out == says + ", uid 1234\n"


def test_what_is_traced_is_not_patched(sandbox, built, tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    monkeypatch.setenv("COFFER_SENTRY_TRACE", str(trace))
    assert container(sandbox, built, "peek", {}).run().ok().out == "plain, uid 1234\n"
    assert trace.read_text().count("getuid()") == 101


@pytest.mark.parametrize("annotations", [{FILES: "off"}, {PATCH: "off"}])
def test_the_switches_change_nothing_else(sandbox, built, annotations):
    r = container(sandbox, built, "hot_calls", annotations).run(timeout=120).ok()
    assert "ok they come where the program is" in r.out and "not ok" not in r.out


@pytest.mark.parametrize("annotations", [{PATHS: "off"}, {PATCH: "off"}])
def test_paths_have_the_same_answers_without_a_table(sandbox, built, annotations):
    r = container(sandbox, built, "known_paths", annotations).run(timeout=120).ok()
    assert "ok what others have changed is seen" in r.out and "not ok" not in r.out


@pytest.mark.parametrize("annotations,where", [({}, "here"), ({PATHS: "off"}, "asked"), ({PATCH: "off"}, "asked")])
def test_a_path_that_is_asked_often_is_answered_in_place(sandbox, built, annotations, where):
    # Who asks by a hand-off does not sleep either, and the program could not tell.
    c = container(sandbox, built, "known", {HANDOFF: "off", **annotations})
    assert c.run().ok().out == "stat: %s, access: %s, missing: %s, of a mount: asked\n" % (where, where, where)


def test_threads_that_sleep_keep_no_site_from_being_patched(sandbox, built):
    c = container(sandbox, built, "sleepers", {})
    assert c.run(timeout=60).ok().out == "here\nwhole\nwhole\n"


def test_a_change_from_outside_is_seen_after_a_while(sandbox, built):
    c = container(sandbox, built, "known", {})
    c.process["args"] = ["/bin/program", "/tmp/from-outside"]
    name = c.rootfs_file("/tmp/from-outside")
    c.up()
    time.sleep(0.3)
    with open(name, "w") as f:
        f.write("seen")
    c.wait_output("it came\n", limit=20)


@pytest.mark.parametrize("annotations", [{PATHS: "off"}, {}])
def test_a_file_that_was_handed_in_tells_of_its_changes(sandbox, built, annotations):
    c = container(sandbox, built, "handed_in", annotations)
    with open(c.rootfs_file("/tmp/out"), "w+") as f:
        assert c.run(stdout=f).rc == 0


def pipes_of(pid):
    names = (os.path.join("/proc/%d/fd" % pid, fd) for fd in os.listdir("/proc/%d/fd" % pid))
    return sum(os.readlink(n).startswith("pipe:") for n in names if os.path.lexists(n))


def test_the_host_keeps_only_some_of_a_guests_pipes(sandbox, built):
    """Their pages are counted against a user who has other containers, too."""
    c = container(sandbox, built, "many_pipes", {})
    c.process["args"] = ["/bin/program", "300"]
    proc = c.spawn("run", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert proc.stdout.readline() == b"used\n"
    used = pipes_of(c.pid)
    proc.stdin.write(b"x")
    proc.stdin.flush()
    assert proc.stdout.readline() == b"closed\n"
    closed = pipes_of(c.pid)
    proc.communicate(b"x", timeout=60)
    assert proc.returncode == 0
    assert 200 < used - closed <= 2 * 128, "of 300 pipes the sentry had %d ends, and then %d" % (used, closed)


def written_by(pid):
    """Calls by which it has written anything: the host's count."""
    with open("/proc/%d/io" % pid) as f:
        return int(dict(line.split(": ") for line in f)["syscw"])


@pytest.mark.parametrize("after", ["vfork", "fork"])
def test_a_file_is_written_natively_again(sandbox, built, after):
    c = container(sandbox, built, "writers", {})
    c.process["args"] = ["/bin/program", after]
    proc = c.spawn("run", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert proc.stdout.readline() == b"written\n"
    guests = [p for p in leaks.processes(sandbox.token) if p not in (c.pid, proc.pid)]
    most = max(written_by(p) for p in guests)
    proc.communicate(b"x", timeout=60)
    assert proc.returncode == 0
    assert most > 10000, "of 20000 writes a guest made %d by itself" % most


def test_a_limit_of_size_that_a_guest_raises_is_no_limit(sandbox):
    """The soft one that the runtime was started with is not the sentry's, nor that of guests who write by themselves."""
    low, high = 1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    c = sandbox.container("ulimit -S -f; ulimit -S -f $(ulimit -H -f) && dd if=/dev/zero of=/tmp/large bs=1024 count=2048 && "
                          "dd if=/dev/zero of=/tmp/large bs=1M count=2; ls -l /tmp/large | awk '{print $5}'")
    r = c.run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (low, high))).ok()
    assert r.out.split() == [str(low // 512), str(2 << 20)], r.out + r.err
