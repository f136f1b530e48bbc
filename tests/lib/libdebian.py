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
            # one that is killed leaves its mounts, which go with this namespace
            run(["unshare", "--mount", "--propagation", "private", "mmdebstrap", "--mode=root", "--variant=" + variant, "--include=" + ",".join(packages),
                 "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
                 "--dpkgopt=path-exclude=/usr/share/locale/*",
                 # scripts of some packages (Java's) want it for links to pages
                 "--essential-hook=mkdir -p \"$1/usr/share/man/man1\"", SUITE, part], limit=900)
            os.rename(part, path)
        finally:
            if os.path.exists(part):
                os.unlink(part)
    return path


def source(package, target):
    """The upstream source of one of Debian's packages, unpacked as directory `target`; the cache keeps what apt has fetched. The machine's
    own lists of packages stay as they are."""
    kept = os.path.join(CACHE, "source-" + package)
    if not os.path.isdir(kept):
        part = "%s.%d" % (kept, os.getpid())
        try:
            _fetch_source(package, part)
            os.rename(part, kept)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    os.makedirs(target)
    tarball = next(n for n in sorted(os.listdir(kept)) if ".orig.tar." in n and not n.endswith(".asc"))
    subprocess.run(["tar", "-C", target, "--strip-components=1", "-xf", os.path.join(kept, tarball)], check=True)
    return target


def _fetch_source(package, target):
    indexes = run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"]).stdout
    mirror = next(line.split()[1] for line in indexes.splitlines() if line.startswith("Debian "))
    apt = os.path.join(target, "apt")
    os.makedirs(os.path.join(apt, "lists/partial"))
    with open(os.path.join(apt, "sources.list"), "w") as f:
        f.write("deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n" % (mirror, SUITE))
    options = ["-o", "Dir::Etc::sourcelist=%s/sources.list" % apt, "-o", "Dir::Etc::sourceparts=-", "-o", "Dir::State::lists=%s/lists" % apt,
               "-o", "APT::Sandbox::User=", "-qq"]
    run(["apt-get"] + options + ["update"], limit=300)
    run(["apt-get"] + options + ["source", "--download-only", package], limit=300, cwd=target)
    shutil.rmtree(apt)


def unpack(path, target):
    """The archive as a directory; device nodes are the container's business and are left out."""
    os.makedirs(target)
    subprocess.run(["tar", "-C", target, "--exclude=./dev/*", "-xpf", path], check=True)
    return target


def remove(target):
    shutil.rmtree(target, ignore_errors=True)
