# SPDX-License-Identifier: Apache-2.0
"""Calls that are handed to the sentry through shared memory; here also where it does not pay ("eager"), so that it is
used whatever else the machine does."""
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import env
from harness.container import Runtime

HERE = os.path.dirname(os.path.abspath(__file__))
HANDOFF = "dev.coffer.kernel.handoff"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    top = tmp_path_factory.mktemp("handoff")
    for name, folder in (("handoff", "guest"), ("scribble", "attack")):
        subprocess.run(["cc", "-O1", "-w", "-static", "-I", os.path.join(HERE, "guest"), "-o", str(top / name),
                        os.path.join(HERE, folder, name + ".c"), "-lpthread"], check=True)
    return str(top)


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    monkeypatch.setenv("COFFER_SENTRY_LOG", str(tmp_path / "log"))
    rt = Runtime("kernel")
    yield rt
    rt.close()


def container(sandbox, built, args, how):
    c = sandbox.container(args)
    c.process["cwd"] = "/tmp"
    c.config["annotations"] = {HANDOFF: how}
    for name in os.listdir(built):
        shutil.copy(os.path.join(built, name), c.rootfs_file("/bin/" + name))
    return c


def handed_over(tmp_path):
    log = (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""
    return sum(int(n) for n in re.findall(r"hand-off: (\d+) calls", log))


def test_calls_that_are_handed_over_are_made_once(sandbox, built, tmp_path):
    r = container(sandbox, built, ["handoff"], "eager").run(timeout=env.seconds(60)).ok()
    assert "not ok" not in r.out and "ok GS is the program's" in r.out
    assert handed_over(tmp_path) > 1000


def test_it_can_be_turned_off(sandbox, built, tmp_path):
    r = container(sandbox, built, ["handoff"], "off").run(timeout=env.seconds(60)).ok()
    assert "not ok" not in r.out
    assert not handed_over(tmp_path)


def test_who_scribbles_over_the_areas_harms_nobody_else(sandbox, built, tmp_path):
    c = container(sandbox, built, ["sleep", "1000"], "eager")
    c.up()
    assert c.exec("scribble", "12", timeout=env.seconds(120)).ok().out == "scribbled 12 of 12\n"
    assert c.exec("handoff", timeout=env.seconds(60)).ok().out.count("ok ") == 12
    assert c.status == "running"
    assert handed_over(tmp_path) > 100


def test_on_one_processor_too(sandbox, built, tmp_path):
    """There the two never look at the same time: a slot must not wait for who cannot run."""
    c = container(sandbox, built, ["handoff"], "eager")
    c.resources["cpu"] = {"cpus": "0", "mems": "0"}
    r = c.run(timeout=env.seconds(120)).ok()
    assert "not ok" not in r.out and "ok GS is the program's" in r.out


def ticks(pid):
    """Processor time of all its threads."""
    with open("/proc/%d/stat" % pid) as f:
        return sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:13])


def test_who_calls_no_more_uses_no_processor(sandbox, built, tmp_path):
    c = container(sandbox, built, ["sleep", "1000"], "eager")
    c.up()
    c.exec("handoff", timeout=env.seconds(60)).ok()
    assert handed_over(tmp_path) > 1000
    time.sleep(1)
    before = ticks(c.pid)
    time.sleep(1)
    assert ticks(c.pid) - before <= 2
