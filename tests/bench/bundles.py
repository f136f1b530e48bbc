# SPDX-License-Identifier: Apache-2.0
"""Bundles for the bench: Docker's own default config (docker-config.json, recorded from Debian's dockerd
for `docker run IMAGE /true`; with a cgroup namespace as on cgroup v2, and without the zeroes for unset memory, cpu
and blockIO, which crun refuses where a controller is missing) and a rootfs of one tiny static file."""
import copy
import json
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def build(out):
    """Compile timer, floor and true into `out`."""
    plain = ["cc", "-std=gnu17", "-O2", "-static"]
    for name, flags in (("timer", plain), ("floor", plain),
                        ("true", ["cc", "-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"])):
        subprocess.run(flags + ["-o", os.path.join(out, name), os.path.join(HERE, name + ".c")] +
                       [os.path.join(HERE, "floor_net.c")] * (name == "floor"), check=True)


class Bundles:
    def __init__(self, top):
        self.top = top
        self.rootfs = os.path.join(top, "rootfs")
        with open(os.path.join(HERE, "docker-config.json")) as f:
            self.config = json.load(f)
        for d in ("proc", "sys", "dev", "etc"):
            os.makedirs(os.path.join(self.rootfs, d))
        for name in ("resolv.conf", "hostname", "hosts"):
            for path in (os.path.join(top, name), os.path.join(self.rootfs, "etc", name)):
                with open(path, "w") as f:
                    f.write("127.0.0.1 localhost\n")
        shutil.copy(os.path.join(top, "true"), os.path.join(self.rootfs, "true"))

    def make(self, name, cgroup, args=("/true",), seccomp=True):
        """A bundle directory; all share one rootfs."""
        config = copy.deepcopy(self.config) if seccomp else dict(
            self.config, linux={k: v for k, v in self.config["linux"].items() if k != "seccomp"})
        config["root"] = {"path": self.rootfs}
        config["process"] = dict(config["process"], args=list(args))
        config["linux"]["cgroupsPath"] = "/" + cgroup
        for m in config["mounts"]:
            if m["type"] == "bind":
                m["source"] = os.path.join(self.top, os.path.basename(m["source"]))
        path = os.path.join(self.top, name)
        os.makedirs(path)
        with open(os.path.join(path, "config.json"), "w") as f:
            json.dump(config, f)
        return path
