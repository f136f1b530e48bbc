# SPDX-License-Identifier: Apache-2.0
"""The runtimes that coffer-oci is measured beside: Debian's runc, and crun as new as can be had.

crun of Debian unstable is fetched as packages through a private apt configuration (from the mirror that the
machine's own apt uses), unpacked under a prefix and pointed at its own libraries with patchelf, so that no
wrapper adds to its time. Without network, the installed crun is taken.
"""
import os
import re
import shutil
import subprocess

PACKAGES = ["crun", "libblake3-0", "libc6", "libcap2", "libjson-c5", "libseccomp2", "libsystemd0", "libgcc-s1",
            "libtbb12"]


def version(binary):
    out = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version (\S+)", out)
    return found.group(1) if found else "?"


def _run(argv, **kw):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300, **kw)


def _mirror():
    """URI of the archive that this machine uses for Debian."""
    lines = _run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"]).stdout
    return next(line.split()[1] for line in lines.splitlines() if line.startswith("Debian "))


def runsc(prefix):
    """Path of runsc from Debian's backports, fetched below `prefix` at the first call; None where it cannot be had."""
    binary = os.path.join(prefix, "runsc", "usr/bin/runsc")
    if os.path.exists(binary):
        return binary
    top = os.path.join(prefix, "runsc-apt")
    for d in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(top, d), exist_ok=True)
    try:
        with open(os.path.join(top, "sources.list"), "w") as f:
            f.write("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm-backports main\n" %
                    _mirror())
        conf = os.path.join(top, "apt.conf")
        with open(conf, "w") as f:
            f.write('Dir::Etc::sourcelist "%s/sources.list";\nDir::Etc::sourceparts "-";\n' % top +
                    'Dir::State::lists "%s/lists";\nDir::Cache "%s/cache";\nAPT::Sandbox::User "root";\n' % (top, top))
        environ = dict(os.environ, APT_CONFIG=conf)
        _run(["apt-get", "update"], env=environ)
        _run(["apt-get", "download", "runsc"], env=environ, cwd=top)
        deb = next(n for n in os.listdir(top) if n.endswith(".deb"))
        _run(["dpkg", "-x", os.path.join(top, deb), os.path.join(prefix, "runsc")])
    except (subprocess.SubprocessError, OSError, StopIteration):
        return None
    return binary


def fetch_crun(prefix):
    """Path of crun from Debian unstable, fetched below `prefix` at the first call."""
    binary = os.path.join(prefix, "crun")
    if os.path.exists(binary):
        return binary
    for d in ("lists/partial", "cache/archives/partial", "debs", "root"):
        os.makedirs(os.path.join(prefix, d), exist_ok=True)
    with open(os.path.join(prefix, "sources.list"), "w") as f:
        f.write("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n" % _mirror())
    conf = os.path.join(prefix, "apt.conf")
    with open(conf, "w") as f:
        f.write('Dir::Etc::sourcelist "%s/sources.list";\nDir::Etc::sourceparts "-";\n' % prefix +
                'Dir::State::lists "%s/lists";\nDir::Cache "%s/cache";\nAPT::Sandbox::User "root";\n' % (prefix, prefix))
    environ = dict(os.environ, APT_CONFIG=conf)
    debs, root = os.path.join(prefix, "debs"), os.path.join(prefix, "root")
    _run(["apt-get", "update"], env=environ)
    _run(["apt-get", "download"] + PACKAGES, env=environ, cwd=debs)
    patchelf = shutil.which("patchelf")
    if not patchelf:
        _run(["apt-get", "download", "patchelf"], cwd=debs)
        patchelf = os.path.join(root, "usr/bin/patchelf")
    for deb in os.listdir(debs):
        _run(["dpkg", "-x", os.path.join(debs, deb), root])
    libs = os.path.join(root, "usr/lib/%s-linux-gnu" % os.uname().machine)
    loader = next(os.path.join(libs, n) for n in os.listdir(libs) if n.startswith("ld-linux"))
    shutil.copy(os.path.join(root, "usr/bin/crun"), binary + ".new")
    _run([patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", libs, binary + ".new"])
    _run([binary + ".new", "--version"])
    os.rename(binary + ".new", binary)
    return binary


def crun(prefix):
    """(path, remark) of the newest crun that can be had here, or (None, reason)."""
    try:
        return fetch_crun(prefix), ""
    except (subprocess.SubprocessError, OSError, StopIteration) as e:
        path = shutil.which("crun")
        return path, "crun of Debian unstable cannot be had (%s): %s" % (e, "the installed one" if path else "none")
