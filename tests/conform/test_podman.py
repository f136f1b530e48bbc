# SPDX-License-Identifier: Apache-2.0
"""What only Podman does: pods, init, its own exec sessions, kube."""
import json
import os

import pytest

from libengine import run, wait_for


@pytest.fixture
def pod(pods):
    pods("pod", "create", "--name", "pod1", "--cgroup-parent", "/" + pods.cgroup, "--network=none")
    yield pods
    pods("pod", "rm", "-f", "-t", "0", "pod1")


def member(podman, *args):
    return podman.out("run", "-d", "--stop-timeout", "0", "--pod", "pod1", *args)


def ns(pid, kind):
    return os.readlink("/proc/%d/ns/%s" % (pid, kind))


def test_pod_shares_namespaces(pod):
    a = member(pod, "box", "sh", "-c", "echo served > /www; exec httpd -f -p 80 -h /")
    b = member(pod, "box", "sleep", "600")
    pids = pod.pid(a), pod.pid(b)
    for kind, shared in (("net", True), ("ipc", True), ("uts", True), ("mnt", False), ("pid", False)):
        assert (ns(pids[0], kind) == ns(pids[1], kind)) == shared, kind
    wait_for("the neighbour's server", lambda: pod("exec", b, "wget", "-q", "-O", "-", "http://127.0.0.1/www",
                                                   rc=None).stdout == "served\n")
    assert pod("exec", a, "hostname").stdout == "pod1\n"


def test_pod_life(pod):
    a = member(pod, "box", "sleep", "600")
    pod("pod", "pause", "pod1")
    assert pod.status(a) == "paused"
    pod("pod", "unpause", "pod1")
    assert pod.status(a) == "running"
    pod("pod", "stop", "-t", "0", "pod1")
    assert pod.status(a) == "exited"
    pod("pod", "start", "pod1")
    assert pod.status(a) == "running"
    pod("pod", "restart", "pod1")
    assert pod("exec", a, "echo", "again").stdout == "again\n"
    pod("pod", "kill", "pod1")
    pod.wait_status(a, "exited")


def test_pod_stats_and_top(pod):
    member(pod, "box", "sleep", "601")
    assert "sleep 601" in pod.out("pod", "top", "pod1")
    assert len(json.loads(pod.out("pod", "stats", "--no-stream", "--format", "json", "pod1"))) == 2


def test_pod_shared_pid_namespace(pods):
    podman = pods
    podman("pod", "create", "--name", "pod1", "--share", "pid,ipc", "--cgroup-parent", "/" + podman.cgroup)
    try:
        member(podman, "box", "sleep", "607")
        b = member(podman, "box", "sleep", "600")
        assert "sleep 607" in podman("exec", b, "ps", "-o", "args").stdout
    finally:
        podman("pod", "rm", "-f", "-t", "0", "pod1")


def test_pod_volume(pod):
    member(pod, "-v", "shared:/v", "box", "sh", "-c", "echo from-a > /v/f; sleep 600")
    b = member(pod, "-v", "shared:/v", "box", "sleep", "600")
    wait_for("the file", lambda: pod("exec", b, "cat", "/v/f", rc=None).stdout == "from-a\n")


def test_init_then_start(podman):
    """`podman init` is the runtime's create alone."""
    cid = podman.out("create", *podman.run_options(), "box", "sh", "-c", "exit 4")
    podman("init", cid)
    pid = podman.pid(cid)
    assert podman.status(cid) == "initialized" and os.path.exists("/proc/%d" % pid)
    podman("start", cid)
    assert podman.out("wait", cid) == "4"


def test_remove_initialised(podman):
    cid = podman.out("create", *podman.run_options(), "box", "true")
    podman("init", cid)
    pid = podman.pid(cid)
    podman("rm", "-f", cid)
    assert not os.path.exists("/proc/%d" % pid)


def test_exec_session_codes(podman):
    cid = podman.start("box", "sleep", "600")
    podman("exec", "--preserve-fds", "0", cid, "true")
    podman("exec", cid, "sh", "-c", "kill -9 $$", rc=137)


def test_preserve_fds(podman, tmp_path):
    """An extra descriptor of the caller reaches the process."""
    (tmp_path / "f").write_text("through fd 3")
    argv = podman.base + ["run", "--rm", *podman.run_options(), "--preserve-fds", "1", "box", "sh", "-c", "cat <&3"]
    done = run(["sh", "-c", 'exec "$@" 3< %s/f' % tmp_path, "sh", *argv], env=podman.environ)
    assert done.stdout == "through fd 3"


def test_secret(podman, tmp_path):
    (tmp_path / "s").write_text("hush")
    podman("secret", "create", "s1", str(tmp_path / "s"))
    try:
        assert podman.sh("cat /run/secrets/s1", "--secret", "s1") == "hush"
    finally:
        podman("secret", "rm", "s1")


def test_rootfs_without_image(podman, tmp_path):
    from harness import bundle
    top = bundle.store().rootfs(str(tmp_path / "root"))
    done = podman("run", "--rm", *podman.run_options(), "--rootfs", top, "cat", "/etc/hostname")
    assert done.stdout.strip()


@pytest.mark.parametrize("option,path", [("--security-opt=mask=/etc/passwd", "/etc/passwd"),
                                         ("--security-opt=mask=/home", "/home")])
def test_mask(podman, option, path):
    assert podman.sh("cat %s 2>/dev/null; ls %s 2>/dev/null | grep -v %s" % (path, path, path), option, rc=None) == ""


def test_unmask(podman):
    assert podman.sh("grep -c ' /proc/sys ' /proc/mounts", "--security-opt", "unmask=/proc/sys", rc=1) == "0\n"


def test_umask(podman):
    assert podman.sh("umask", "--umask", "0027") == "0027\n"


def test_kube_play(pods, tmp_path):
    """A Kubernetes pod description becomes containers of this runtime."""
    podman = pods
    text = """apiVersion: v1
kind: Pod
metadata: {name: kube1}
spec:
  hostNetwork: true
  containers:
  - name: c1
    image: localhost/box
    imagePullPolicy: Never
    command: [sh, -c, "echo $GREETING; sleep 600"]
    env: [{name: GREETING, value: hello-kube}]
    securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
"""
    path = tmp_path / "pod.yaml"
    path.write_text(text)
    podman("play", "kube", str(path))
    try:
        wait_for("the greeting", lambda: "hello-kube" in podman.out("logs", "kube1-c1"))
        assert podman("exec", "kube1-c1", "touch", "/x", rc=None).returncode != 0
    finally:
        podman("play", "kube", "--down", str(path), rc=None)
        podman("pod", "rm", "-f", "-t", "0", "kube1", rc=None)
