# SPDX-License-Identifier: Apache-2.0
"""Docker, Podman and containerd with containers in virtual machines: collected with COFFER_STRESS (make stress-vm)."""
import os

import pytest

import libengine
from harness import env
from libengine import wait_for
from test_containerd import Containerd


@pytest.fixture
def runtime(tmp_path):
    """What dockerd makes of runtimeArgs: the runtime with its level."""
    if "COFFER_VM_DIR" not in os.environ:
        pytest.skip("no kernel for machines: coffer vm fetch-kernel")
    path = tmp_path / "coffer-in-a-machine"
    path.write_text('#!/bin/sh\nexport COFFER_VM_DIR=%s COFFER_VM_START_SECONDS=%d\nexec %s --isolation vm "$@"\n'
                    % (os.environ["COFFER_VM_DIR"], env.seconds(60), env.OCI))
    path.chmod(0o755)
    os.chmod(tmp_path, 0o755)
    return str(path)


@pytest.fixture
def opened():
    made = []
    yield lambda engine: made.append(engine) or engine
    for engine in made:
        engine.clear()
        left = engine.leftovers() if hasattr(engine, "leftovers") else []
        engine.close()
        assert not left


def served(engine, *, where, options=()):
    """A container in a machine that answers on its network, runs further processes, and stops when asked."""
    cid = engine.start(*options, "-p", "127.0.0.1:8320:80", "box", "sh", "-c",
                       "echo up; echo page >/tmp/index.html; trap 'exit 4' TERM; httpd -f -p 80 -h /tmp & while :; do sleep 0.1; done",
                       limit=120)
    wait_for("the published port", lambda: where("busybox", "wget", "-qO-", "http://127.0.0.1:8320/index.html", rc=None).stdout == "page\n", 60)
    assert "QEMU" in engine("exec", cid, "grep", "model name", "/proc/cpuinfo").stdout
    assert engine("exec", cid, "sh", "-c", "exit 6", rc=6).stdout == ""
    engine("stop", "-t", "60", cid, limit=120)
    assert engine.inspect(cid, "{{.State.ExitCode}}") == "4"
    assert engine("logs", cid).stdout == "up\n"
    return cid


def test_docker(runtime, opened):
    libengine.need("dockerd", "docker")
    docker = opened(libengine.Docker("--add-runtime", "machine=" + runtime))
    served(docker, where=docker.in_network, options=["--runtime", "machine"])
    # Its name server is at 127.0.0.11 of the namespace outside.
    docker("network", "create", "meadow")
    docker.start("--network", "meadow", "--name", "lark", "box", "sleep", "1000")
    out = docker.out("run", "--rm", "--runtime", "machine", *docker.run_options(), "--network", "meadow", "box", "nslookup", "lark", limit=120)
    assert "Address: " + docker.inspect("lark", "{{.NetworkSettings.Networks.meadow.IPAddress}}") in out


def test_podman(runtime, opened):
    libengine.need("podman")
    podman = opened(libengine.Podman())
    assert podman.out("--runtime", runtime, "run", "--rm", *podman.run_options(), "-m", "128m", "box", "sh", "-c",
                      "grep -o -m 1 QEMU /proc/cpuinfo; echo $FROM_IMAGE", limit=120).split() == ["QEMU", "yes"]
    assert podman("--runtime", runtime, "run", "--rm", *podman.run_options(), "box", "sh", "-c", "exit 7", rc=7, limit=120).stdout == ""


def test_containerd(runtime, opened):
    libengine.need("containerd", "ctr")
    ctr = opened(Containerd())
    ctr.binary = runtime
    assert ctr.sh("grep -o -m 1 QEMU /proc/cpuinfo", limit=120) == "QEMU\n"
    name = ctr.start("sleep", "1000")
    assert ctr("task", "exec", "--exec-id", "e", name, "echo", "further").stdout == "further\n"
    ctr("task", "kill", "-s", "KILL", name)
    wait_for("its end", lambda: ctr.status(name) == "STOPPED", 30)
