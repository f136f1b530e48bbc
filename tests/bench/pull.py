# SPDX-License-Identifier: Apache-2.0
"""Pulling from Debian's docker-registry beside the engines, on one loopback that can be shaped to 1 Gbit/s.

Three images: one layer of 300 MB, the same files in ten layers, and fifty thousand small files. What an engine has is
removed before each pull, which is not timed.
"""
import os
import shutil
import subprocess
import tempfile

import libengine
from libengine import run

PORT = 5000
CONTAINERD = """version = 2
root = "{top}/root"
state = "{top}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{top}/s"
[ttrpc]
address = "{top}/t"
"""


class Registry:
    """docker-registry with plain HTTP on the loopback of a world."""

    def __init__(self, world):
        self.top = tempfile.mkdtemp(prefix="coffer-bench-registry-")
        with open(self.top + "/config.yml", "w") as f:
            f.write("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s/data}}\n"
                    "http: {addr: '127.0.0.1:%d'}\n" % (self.top, PORT))
        self.world = world
        self.server = subprocess.Popen(world.enter + ["docker-registry", "serve", self.top + "/config.yml"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        libengine.wait_for("the registry", lambda: run(world.enter + ["curl", "-s", "http://127.0.0.1:%d/v2/" % PORT],
                                                       rc=None).returncode == 0, 20)

    def push(self, name, layers):
        """An image of these layers (directories) with skopeo, gzip as every client does it."""
        layout = "%s/%s" % (self.top, name)
        run(["umoci", "init", "--layout", layout])
        run(["umoci", "new", "--image", layout + ":x"])
        for path in layers:
            run(["umoci", "insert", "--image", layout + ":x", path, "/" + os.path.basename(path)], limit=600)
        run(self.world.enter + ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "oci:%s:x" % layout,
                                "docker://127.0.0.1:%d/%s:x" % (PORT, name)], limit=600)
        shutil.rmtree(layout)

    def close(self):
        libengine.end(self.server)
        shutil.rmtree(self.top, ignore_errors=True)


class Containerd:
    name = "containerd"

    def __init__(self, world):
        self.top = tempfile.mkdtemp(prefix="coffer-bench-ctr-")
        with open(self.top + "/config.toml", "w") as f:
            f.write(CONTAINERD.format(top=self.top))
        self.daemon = subprocess.Popen(world.enter + ["containerd", "--config", self.top + "/config.toml"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.base = world.enter + ["ctr", "--address", self.top + "/s"]
        libengine.wait_for("containerd", lambda: run(self.base + ["version"], rc=None).returncode == 0, 30)

    def close(self):
        libengine.end(self.daemon)
        run(["umount", "-R", self.top], rc=None)
        shutil.rmtree(self.top, ignore_errors=True)


def _real_files(top, count, size):
    """`count` directories of about `size` bytes each out of this machine's own programs and libraries."""
    names = []
    have = sorted(p for d in ("/usr/lib", "/usr/bin", "/usr/share") for r, _, fs in os.walk(d)
                  for p in (os.path.join(r, f) for f in fs) if os.path.isfile(p) and not os.path.islink(p))
    at = iter(have)
    for n in range(count):
        path = "%s/part%d" % (top, n)
        os.mkdir(path)
        total = 0
        while total < size:
            source = next(at)
            shutil.copy(source, "%s/%d" % (path, total))
            total += os.path.getsize(source)
        names.append(path)
    return names


def _small_files(top, count):
    path = top + "/small"
    for d in range(count // 100):
        os.makedirs("%s/%d" % (path, d))
        for f in range(100):
            with open("%s/%d/%d" % (path, d, f), "w") as out:
                out.write("file %d of directory %d\n" % (f, d) * 8)
    return [path]


def images(registry, quick):
    """{case: image} in the registry."""
    top = tempfile.mkdtemp(prefix="coffer-bench-files-")
    try:
        size = (30 if quick else 300) << 20
        os.mkdir(top + "/one")
        one = _real_files(top + "/one", 1, size)
        os.mkdir(top + "/ten")
        made = {"one layer": one, "ten layers": _real_files(top + "/ten", 10, size // 10),
                "small files": _small_files(top, 5000 if quick else 50000)}
        for name, layers in made.items():
            registry.push(name.replace(" ", "-"), layers)
        return {name: "127.0.0.1:%d/%s:x" % (PORT, name.replace(" ", "-")) for name in made}
    finally:
        shutil.rmtree(top, ignore_errors=True)


def shape(world, on):
    verb = ["add", "dev", "lo", "root", "tbf", "rate", "1gbit", "burst", "1mb", "latency", "50ms"] if on else ["del", "dev", "lo", "root"]
    run(world.enter + ["tc", "qdisc"] + verb)


COMMANDS = {  # engine: (pull, remove)
    "coffer": (["pull", "-q"], ["rmi", "-f"]),
    "docker": (["pull", "-q"], ["rmi", "-f"]),
    "podman": (["pull", "-q", "--tls-verify=false"], ["rmi", "-f"]),
    "containerd": (["image", "pull", "--plain-http"], ["image", "rm", "--sync"]),
}
