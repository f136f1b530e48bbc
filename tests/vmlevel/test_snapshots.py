# SPDX-License-Identifier: Apache-2.0
"""Snapshots: a container's machine is kept with all that runs in it, and goes on in others."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

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
