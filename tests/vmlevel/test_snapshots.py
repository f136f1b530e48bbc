# SPDX-License-Identifier: Apache-2.0
"""Snapshots: a container's machine is kept with all that runs in it, and goes on in others."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import librootless
from libengine import wait_for

# It counts, so that a copy shows that it goes on and does not begin; what it has open, it wrote.
COUNTER = """
hostname >/root-file; exec 7<>/open-file; echo kept >&7
n=0; cat /proc/sys/kernel/random/uuid >/tmp/drawn
while :; do n=$((n+1)); echo $n >/tmp/count; echo turn $n; sleep 0.2; done
"""


@pytest.fixture
def snapshots(kernels, session, tmp_path, monkeypatch):
    """A place for snapshots of its own, with the kernel that there is."""
    place = tmp_path / "vm"
    place.mkdir()
    newest = max((d for d in kernels.glob("*") if (d / "kernel").exists()),
                 key=lambda d: json.loads((d / "info.json").read_text())["made"])
    shutil.copytree(newest, place / newest.name, ignore=shutil.ignore_patterns("initramfs-*"))
    os.chmod(tmp_path, 0o755)
    old = session.environ
    session.environ = dict(old or os.environ, COFFER_VM_DIR=str(place))
    yield place / "snapshots"
    for name in session.out("vm", "snapshot-ls", "-q").split():
        session("vm", "snapshot-rm", name)
    session.environ = old


def number(text):
    return int(text.split()[-1])


def count(coffer, cid):
    return int(coffer("exec", cid, "cat", "/tmp/count", rc=None, limit=60).stdout.strip() or 0)


def test_a_copy_goes_on_where_the_machine_stood(coffer, snapshots):
    one = coffer.start("--isolation=vm", "--tmpfs", "/tmp", "--cap-add", "NET_RAW", "--name", "first", "box", "sh", "-c", COUNTER, limit=240)
    wait_for("its work", lambda: count(coffer, one) > 3, 60)
    assert coffer.out("vm", "snapshot", one, "warm", limit=120) == "warm"
    stood = count(coffer, one)
    wait_for("the machine itself to go on", lambda: count(coffer, one) > stood, 60)
    before = coffer("logs", one).stdout
    assert before.splitlines()[:3] == ["turn 1", "turn 2", "turn 3"]

    two = coffer.start("--from-snapshot", "warm", "--name", "second", limit=240)
    turns = wait_for("its output", lambda: [number(x) for x in coffer("logs", two).stdout.splitlines()], 60)
    assert 3 < turns[0] <= stood + 1, (turns, stood)
    # What it is: files, open ones too, and processes are the first one's; names and addresses are its own.
    assert coffer.out("exec", two, "cat", "/root-file") == one[:12]
    assert coffer.out("exec", two, "cat", "/open-file") == "kept"
    assert coffer.out("exec", two, "hostname") == two[:12] and coffer.out("exec", one, "hostname") == one[:12]
    assert two[:12] in coffer.out("exec", two, "cat", "/etc/hosts")
    mine = coffer.inspect(two, "{{.NetworkSettings.Networks.bridge.IPAddress}}")
    assert "inet %s/" % mine in coffer.out("exec", two, "ip", "addr")
    assert coffer.out("exec", two, "ip", "addr").count("inet ") == 2  # lo's, and its own
    assert coffer.inspect(two, "{{.NetworkSettings.Networks.bridge.MacAddress}}") in coffer.out("exec", two, "ip", "link")
    assert coffer("exec", two, "ping", "-c", "1", coffer.inspect(one, "{{.NetworkSettings.Networks.bridge.IPAddress}}"),
                  rc=None, limit=60).returncode == 0
    seconds = int(coffer.out("exec", two, "date", "+%s"))
    assert abs(seconds - int(subprocess.check_output(["date", "+%s"]))) < 30
    # A third of the same: what they draw is not the same.
    three = coffer.start("--from-snapshot", "warm", limit=240)
    drawn = [coffer.out("exec", c, "cat", "/proc/sys/kernel/random/uuid") for c in (two, three)]
    assert drawn[0] != drawn[1]
    # Of their files each has its own.
    coffer("exec", two, "sh", "-c", "echo changed >/root-file")
    assert coffer.out("exec", three, "cat", "/root-file") == one[:12]
    # Their ends are their own, and they can be saved again.
    coffer("kill", "-s", "KILL", one)
    assert coffer.out("vm", "snapshot", two, "again", limit=120) == "again"
    coffer("rm", "-f", two, three)
    four = coffer.start("--from-snapshot", "again", limit=240)
    assert coffer.out("exec", four, "cat", "/root-file") == "changed"
    coffer("stop", "-t", "0", four)
    assert coffer.inspect(four, "{{.State.ExitCode}}") == "137"


def test_what_cannot_be_kept_is_refused(coffer, snapshots):
    def refused(*words, rc=1):
        done = coffer(*words, rc=rc, limit=240)
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.stderr

    plain = coffer.start("box", "sleep", "1000")
    assert 'isolation level "ns": only "vm" has a machine' in refused("vm", "snapshot", plain, "x")
    assert "no such snapshot: x" in refused("run", "--from-snapshot", "x", rc=125)
    assert "no name of a snapshot" in refused("run", "--from-snapshot", "../x", rc=125)
    assert "no such snapshot: x" in refused("vm", "snapshot-rm", "x")
    with_volume = coffer.out("create", "--isolation=vm", "-v", "pool:/pool", "box", "true")
    assert "it must run" in refused("vm", "snapshot", with_volume, "x")
    one = coffer.start("--isolation=vm", "-v", "pool:/pool", "box", "sleep", "1000", limit=240)
    assert "has a volume at /pool" in refused("vm", "snapshot", one, "x")
    coffer("rm", "-f", one)
    # A file without a name, which no other root has.
    one = coffer.start("--isolation=vm", "box", "sh", "-c", "exec 7<>/gone; rm /gone; echo ready; exec sleep 1000", limit=240)
    wait_for("its work", lambda: coffer("logs", one).stdout == "ready\n", 60)
    assert "a file is open in the container that has been removed" in refused("vm", "snapshot", one, "x")
    # Another process than its own; its end is the reason's end.
    coffer("rm", "-f", one)
    one = coffer.start("--isolation=vm", "--name", "one", "box", "sleep", "1000", limit=240)
    busy = subprocess.Popen(coffer.base + ["exec", one, "sleep", "3"], env=coffer.environ)
    wait_for("the other process", lambda: "sleep 3" in coffer.out("top", one), 60)
    assert "processes of `exec` are at work" in refused("vm", "snapshot", one, "x")
    busy.wait()
    coffer("vm", "snapshot", one, "x", limit=240)
    assert "there is a snapshot x already" in refused("vm", "snapshot", one, "x")
    info = json.loads(coffer.out("vm", "snapshot-inspect", "x"))
    assert info["Name"] == "x" and info["Container"] == "one"
    assert coffer.out("vm", "snapshot-ls", "--format", "{{.Name}} {{.Container}}") == "x one"
    for words in (["box"], ["-m", "100m"], ["-v", "pool:/pool"], ["-e", "A=b"], ["-t"]):
        assert coffer("run", "--from-snapshot", "x", *words, rc=125).stderr
    # Torn, strange, and somebody else's: one line each, and nothing runs.
    machine = snapshots / "x" / "machine"
    with open(machine, "rb") as f:
        head = f.read(4096)

    def refuses(what):
        assert what in refused("run", "--from-snapshot", "x", rc=126), what

    def patched(at, data, what):
        """In its place: the file is as large as the machine's memory."""
        with open(machine, "r+b", buffering=0) as f:
            f.seek(at)
            was = f.read(len(data))
            f.seek(at)
            f.write(data)
            refuses(what)
            f.seek(at)
            f.write(was)
    aside = machine.rename(snapshots / "aside")
    for data, what in ((head, "it is cut short or has been changed"), (b"nonsense" * 1000, "it is none"), (b"", "it is none")):
        machine.write_bytes(data)
        refuses(what)
    aside.rename(machine)
    patched(head.index(b"kernel "), b"kernel 9", "of another guest kernel than this machine would have")
    session = int.from_bytes(head[24:32], "little") + int.from_bytes(head[32:40], "little")
    patched(session, b"\xff" * 16, "it is damaged")
    patched(session + 56, b"\xff" * 64, "its table of files")
    os.chmod(machine, 0o666)
    assert "may be written by others" in refused("run", "--from-snapshot", "x", rc=125)
    os.chmod(machine, 0o600)
    two = coffer.start("--from-snapshot", "x", limit=240)
    assert "sleep 1000" in coffer.out("top", two)


def test_a_copy_that_is_started_again_begins_with_its_own_snapshot(coffer, snapshots):
    one = coffer.start("--isolation=vm", "--name", "one", "--sysctl", "net.ipv6.conf.all.disable_ipv6=1", "box", "sleep", "1000",
                       limit=240)
    coffer("vm", "snapshot", one, "x", limit=240)
    two = coffer.start("--from-snapshot", "x", limit=240)
    assert coffer.out("exec", two, "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6") == "1"  # addresses were changed
    coffer("exec", two, "sh", "-c", "echo mine >/file")
    coffer("stop", "-t", "0", two)
    coffer("start", two, limit=240)
    assert coffer.out("exec", two, "cat", "/file") == "mine"
    coffer("stop", "-t", "0", two)
    # The files of a snapshot are in use, and those of its copies after it.
    coffer("image", "prune", "-af")
    three = coffer.start("--from-snapshot", "x", limit=240)
    coffer("vm", "snapshot-rm", "x")
    assert coffer.out("images", "-q", "localhost/vm-snapshot") == ""
    coffer("commit", three, "committed:1")
    coffer("vm", "snapshot", three, "y", limit=240)
    coffer("rm", "-f", three)
    # Of the same name, and another one's.
    assert "no such snapshot: x" in coffer("start", two, rc=1, limit=240).stderr
    other = coffer.start("--isolation=vm", "box", "sleep", "1234", limit=240)
    coffer("vm", "snapshot", other, "x", limit=240)
    assert "snapshot x has been made anew" in coffer("start", two, rc=1, limit=240).stderr
    assert coffer.status(two) == "exited"


def left_of(snapshots):
    return sorted(p.name for p in snapshots.iterdir() if p.name != ".lock")


def test_who_is_killed_leaves_nothing_for_long(coffer, snapshots):
    """At several moments of `vm snapshot`; the machine goes on each time, and the next one clears away."""
    one = coffer.start("--isolation=vm", "--name", "one", "box", "sh", "-c",
                       "n=0; while :; do n=$((n+1)); echo turn $n; sleep 0.1; done", limit=240)

    def turns():
        return len(coffer("logs", one).stdout.splitlines())
    finished = 0
    for ms in (5, 40, 80, 150, 250, 400):
        maker = subprocess.Popen(coffer.base + ["vm", "snapshot", one, "k%d" % ms], env=coffer.environ,
                                 stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            finished += maker.wait(ms / 1000) == 0
        except subprocess.TimeoutExpired:
            os.killpg(maker.pid, signal.SIGKILL)
            maker.wait()
        before = turns()
        wait_for("the machine to go on after %d ms" % ms, lambda: turns() > before + 2, 60)
    coffer("vm", "snapshot", one, "last", limit=240)
    kept = coffer.out("vm", "snapshot-ls", "-q").split()
    assert "last" in kept and left_of(snapshots) == sorted(kept)
    tags = coffer.out("images", "--format", "{{.Tag}}", "localhost/vm-snapshot").split()
    assert sorted(tags) == sorted(kept)
    # And the keeper: reported, and nothing is kept.
    maker = subprocess.Popen(coffer.base + ["vm", "snapshot", one, "broken"], env=coffer.environ, stderr=subprocess.PIPE, text=True)
    os.kill(int(coffer.inspect(one, "{{.State.Pid}}")), signal.SIGKILL)
    said = maker.communicate()[1]
    assert maker.returncode == 1 or "broken" in coffer.out("vm", "snapshot-ls", "-q").split(), said
    wait_for("its end", lambda: coffer.status(one) == "exited", 60)
    assert coffer.inspect(one, "{{.State.ExitCode}}") == "137"


def test_a_template_by_name_begins_any_image(coffer, snapshots):
    def refused(*words, rc=1):
        done = coffer(*words, rc=rc, limit=240)
        assert len(done.stderr.strip().splitlines()) <= 3, done.stderr  # of what is misused the usage follows
        return done.stderr

    assert "takes a NAME" in refused("vm", "snapshot", "--template", "a", "b")
    assert "go with --template" in refused("vm", "snapshot", "-m", "64m", "a", "b")
    assert "no name of a snapshot" in refused("vm", "snapshot", "--template", "../x")
    # It leaves nothing but itself: no container, no image of its own, no unnamed template.
    assert coffer.out("vm", "snapshot", "--template", "-m", "160m", "ready", limit=240) == "ready"
    assert coffer.out("ps", "-aq") == "" and coffer.out("images", "-q", "localhost/vm-snapshot") == ""
    assert sorted(p.name for p in (snapshots / "ready").iterdir()) == ["info.json", "machine"]
    assert coffer.out("vm", "snapshot-ls", "--format", "{{.Name}} {{.Kind}}|{{.Container}}|{{.Command}}|{{.Image}}") == "ready template|||"
    info = json.loads(coffer.out("vm", "snapshot-inspect", "ready"))
    assert info["Kind"] == "template" and info["Memory"] == 160 << 20 and "Command" not in info
    assert "there is a snapshot ready already" in refused("vm", "snapshot", "--template", "ready")
    # Any program, with its own settings; the machine's size is the template's.
    said = coffer("run", "--rm", "--from-snapshot", "ready", "-e", "A=b", "-v", "pool:/pool", "box", "sh", "-c",
                  "cat /sys/fs/cgroup/memory.max; echo $A; echo mine >/pool/file; exit 7", rc=7, limit=240).stdout
    assert said.splitlines() == [str(160 << 20), "b"]
    # They are apart, and what they draw is not the same; the console says where they began.
    ids = [coffer.start("--from-snapshot", "ready", "-v", "pool:/pool", "box", "sh", "-c",
                        "cat /proc/sys/kernel/random/uuid /pool/file; hostname; exec sleep 1000", limit=240) for _ in range(2)]
    logs = [wait_for("its words", lambda c=c: (lambda t: t if len(t) == 3 else None)(coffer("logs", c).stdout.split()), 60) for c in ids]
    assert logs[0][0] != logs[1][0] and logs[0][1] == logs[1][1] == "mine"
    assert [t[2] for t in logs] == [c[:12] for c in ids]
    seconds = int(coffer.out("exec", ids[0], "date", "+%s"))
    assert abs(seconds - int(subprocess.check_output(["date", "+%s"]))) < 30
    # A second start begins there again, and one of them can be kept with what runs in it... where it has no volume.
    coffer("stop", "-t", "0", ids[1])
    coffer("start", ids[1], limit=240)
    three = coffer.start("--from-snapshot", "ready", "box", "sleep", "1234", limit=240)
    coffer("vm", "snapshot", three, "running", limit=240)
    four = coffer.start("--from-snapshot", "running", limit=240)
    assert "sleep 1234" in coffer.out("top", four)
    coffer("image", "prune", "-af")
    # What is another machine is refused, and so is what no template can have.
    assert "of another size (memory, processors, network cards)" in refused("run", "--from-snapshot", "ready", "-m", "170m", "box", rc=126)
    assert "of another size" in refused("run", "--from-snapshot", "ready", "--network", "none", "box", "true", rc=126)
    assert "needs an IMAGE" in refused("run", "--from-snapshot", "ready", rc=125)
    assert "needs --isolation=vm" in refused("run", "--from-snapshot", "ready", "--isolation", "ns", "box", rc=125)
    assert "no snapshot \"ready\" is under way" in refused(
        "run", "--isolation=vm", "--annotation", "dev.coffer.vm.template-into=ready", "box", "true", rc=125)
    # Torn: one line, nothing runs, and nothing of the user's is removed.
    machine = snapshots / "ready" / "machine"
    with open(machine, "r+b", buffering=0) as f:
        f.truncate(machine.stat().st_size - 1)
    assert "it is cut short or has been changed" in refused("run", "--from-snapshot", "ready", "box", "true", rc=126)
    assert machine.exists()
    coffer("vm", "snapshot-rm", "ready")
    coffer("stop", "-t", "0", ids[1])
    assert "no such snapshot: ready" in refused("start", ids[1])


def test_an_ordinary_user_makes_templates_for_himself(kernels, tmp_path):
    """His keepers are in user namespaces, and make no automatic ones."""
    uid = 2000
    engine = librootless.RootlessCoffer(uid)
    try:
        place = pathlib.Path(engine.scratch, "vm")
        newest = max((d for d in kernels.glob("*") if (d / "kernel").exists()),
                     key=lambda d: json.loads((d / "info.json").read_text())["made"])
        shutil.copytree(newest, place / newest.name, ignore=shutil.ignore_patterns("initramfs-*"))
        for path in (place, *place.rglob("*")):
            os.chown(path, uid, uid)
        engine.environ["COFFER_VM_DIR"] = str(place)
        assert engine.out("vm", "snapshot", "--template", "--network", "none", "mine", limit=240) == "mine"
        assert (place / "snapshots" / "mine" / "machine").stat().st_uid == uid
        done = engine("run", "--rm", "--network", "none", "--from-snapshot", "mine", "box", "sh", "-c", "echo $0; exit 3", rc=3, limit=240)
        assert done.stdout == "sh\n"
        assert list((place / "templates").glob("*")) == [] and engine.out("ps", "-aq") == ""
    finally:
        engine.close()
