# SPDX-License-Identifier: Apache-2.0
"""A container's machine from a template: made by the first start, used by the second, and not where it was spoilt."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

import machines

OCI = os.environ.get("COFFER_OCI")
KERNELS = pathlib.Path(os.environ.get("COFFER_VM_DIR", "/var/lib/coffer/vm"))


@pytest.fixture
def machine(tmp_path):
    from harness.bundle import default_config

    if not OCI or not any(KERNELS.glob("*/kernel")):
        pytest.skip("no kernel for machines: coffer vm fetch-kernel")
    busybox = shutil.which("busybox")
    if not busybox:
        pytest.skip("no busybox")
    kernels = tmp_path / "vm"
    kernels.mkdir()
    for folder in KERNELS.iterdir():
        if (folder / "kernel").exists():
            shutil.copytree(folder, kernels / folder.name)
    root = tmp_path / "bundle" / "rootfs"
    for name in ("bin", "proc", "sys", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    config = default_config(["/bin/busybox", "sh", "-c", "busybox sleep 1; echo hello"])
    config["process"]["terminal"] = False
    (tmp_path / "bundle" / "config.json").write_text(json.dumps(config))

    def run(name):
        log = tmp_path / (name + ".log")
        env = dict(os.environ, COFFER_VM_DIR=str(kernels), COFFER_VM_LOG=str(log), COFFER_VM_START_SECONDS="300")
        done = subprocess.run([OCI, "--root", str(tmp_path / "state"), "--isolation", "vm", "run", "--bundle",
                               str(tmp_path / "bundle"), name], stdin=subprocess.DEVNULL, capture_output=True,
                              env=env, timeout=400)
        assert (done.returncode, done.stdout) == (0, b"hello\n"), done.stderr
        return log.read_text()
    run.templates = kernels / "templates"
    return run


def test_second_start_begins_with_the_first_ones_template(machine):
    assert "from a template" not in machine("one")
    kept = list(machine.templates.iterdir())
    assert len(kept) == 1
    assert "from a template" in machine("two")
    # Cut short: told, removed, booted anew, and kept anew.
    with open(kept[0], "r+b") as f:
        f.truncate(4 << 20)
    log = machine("three")
    assert "no template: " in log and "from a template" not in log
    assert list(machine.templates.iterdir()) == kept
    # Of the right size, but its devices are nonsense: the hypervisor refuses, and the machine boots.
    size = kept[0].stat().st_size
    with open(kept[0], "r+b") as f:
        head = f.read(48)
        at = int.from_bytes(head[24:32], "little")
        f.seek(at)
        f.write(b"\xff" * (size - at))
    log = machine("four")
    assert "of no use" in log and "from a template" not in log


# ---- a script in the hypervisor's place ----

@pytest.fixture
def place(tmp_path):
    if not OCI or os.geteuid() != 0 or not os.path.exists(machines.QEMU):
        pytest.skip("level vm needs root and QEMU")
    p = machines.Place(tmp_path)
    yield p
    assert p.left() == []


def test_a_restored_machine_that_does_not_wake_boots(place):
    """It is the template's fault, which goes."""
    place.play("""
        polite()
        if "-incoming" in argv:
            hang()
        ended(running())
        hear()
    """)
    assert place.run("true").returncode == 0
    kept = list((place.top / "vm" / "templates").iterdir())
    assert len(kept) == 1, place.log.read_text()
    done = place.run("true", seconds=4)
    log = place.log.read_text()
    assert done.returncode == 0 and "of no use: the restored machine does not answer" in log, (done, log)
    assert not kept[0].exists()


def test_a_machine_whose_timer_is_slow_becomes_no_template(place):
    place.play("polite()\nended(running(timer_percent=900))\nhear()")
    assert place.run("true").returncode == 0
    assert list((place.top / "vm" / "templates").iterdir()) == []
    assert "past the template" in place.log.read_text()
