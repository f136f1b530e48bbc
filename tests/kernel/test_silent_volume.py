# SPDX-License-Identifier: Apache-2.0
"""A volume whose server does not answer: who asks it waits, and nobody else."""
import os
import subprocess

import pytest

from harness.container import Runtime, wait_for
from silentfs import SilentFs

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture
def volume(tmp_path):
    top = tmp_path / "volume"
    top.mkdir()
    try:
        fs = SilentFs(str(top))
    except OSError as e:
        pytest.skip("no file systems in user space here: %s" % e)
    yield fs
    fs.close()


@pytest.fixture
def sandbox():
    rt = Runtime("kernel")
    yield rt
    rt.close()


def test_only_who_asks_a_silent_volume_waits(sandbox, volume):
    c = sandbox.container(["/bin/program"])
    subprocess.run(["cc", "-O1", "-w", "-static", "-o", c.rootfs_file("/bin/program"),
                    os.path.join(HERE, "volume", "silent.c")], check=True)
    os.mkdir(c.rootfs_file("/volume"))
    c.config["mounts"].append({"destination": "/volume", "type": "bind", "source": volume.path, "options": ["rbind", "rw"]})
    proc = c.spawn("run", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def go_on():
        proc.stdin.write(b"x")
        proc.stdin.flush()
    assert proc.stdout.readline() == b"ready\n"
    volume.fall_silent()
    go_on()
    wait_for(lambda: volume.waiting() > 30, "questions", limit=60)
    go_on()
    assert proc.stdout.readline() == b"alive\n"
    volume.speak()
    go_on()
    assert proc.stdout.readline() == b"over\n"
    assert proc.wait(60) == 0
