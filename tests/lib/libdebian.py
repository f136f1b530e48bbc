# SPDX-License-Identifier: Apache-2.0
"""Debian 12 root file systems from packages, kept in the cache as tar archives."""
import hashlib
import os
import shutil
import subprocess

from libengine import CACHE, run

SUITE = "bookworm"
SERVICES = ["python3", "nginx-light", "redis-server", "procps", "iproute2"]


def archive(packages, variant="minbase"):
    """Path of the archive with these packages; built when the cache has none."""
    key = hashlib.sha256(" ".join([SUITE, variant] + sorted(packages)).encode()).hexdigest()[:12]
    path = os.path.join(CACHE, "debian12-%s.tar" % key)
    if not os.path.exists(path):
        os.makedirs(CACHE, exist_ok=True)
        part = "%s.%d.tar" % (path, os.getpid())
        try:
            run(["mmdebstrap", "--mode=root", "--variant=" + variant, "--include=" + ",".join(packages),
                 "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
                 "--dpkgopt=path-exclude=/usr/share/locale/*", SUITE, part], limit=900)
            os.rename(part, path)
        finally:
            if os.path.exists(part):
                os.unlink(part)
    return path


def unpack(path, target):
    """The archive as a directory; device nodes are the container's business and are left out."""
    os.makedirs(target)
    subprocess.run(["tar", "-C", target, "--exclude=./dev/*", "-xpf", path], check=True)
    return target


def remove(target):
    shutil.rmtree(target, ignore_errors=True)
