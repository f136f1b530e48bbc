# SPDX-License-Identifier: Apache-2.0
"""The OCI project's validation programs: built once into a cache, run one at a time, judged by their TAP.

Two faults of the suite are mended from outside. Its root file system gets /runtimetest, which
misc_props forgets to put there. And runtimetest is built without the start-up code of Go that
raises RLIMIT_NOFILE, which would otherwise be measured in place of what the runtime has set.
"""
import json
import os
import re
import shutil
import subprocess
import tempfile

from harness import env
from libengine import CACHE, TOKEN, run

MODULE = "github.com/opencontainers/runtime-tools"
VERSION = "v0.9.1-0.20250523060157-0ea5ed0382a2"
OLDEST_GO = (1, 21)
LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "validation.txt")


def expectations():
    """{program: (kind, reason)}; kinds are explained in the list itself."""
    rules = {}
    with open(LIST) as f:
        for line in f:
            line = line.split("#", 1)[0].strip()
            if line:
                name, kind, *reason = (x.strip() for x in line.split("|", 2))
                rules[name] = (kind, " ".join(reason))
    return rules


def go():
    """The newest Go on this machine: (path, (major, minor)), or (None, None)."""
    found = []
    for path in ("/usr/local/go/bin/go", shutil.which("go")):
        if path and os.path.exists(path):
            text = subprocess.run([path, "version"], capture_output=True, text=True, check=False,
                                  env=dict(os.environ, GOTOOLCHAIN="local")).stdout
            version = re.search(r"go(\d+)\.(\d+)", text)
            if version:
                found.append((tuple(map(int, version.groups())), path))
    return tuple(reversed(max(found))) if found else (None, None)


def build():
    """Directory with the programs, runtimetest and the root file system's archive."""
    path, version = go()
    assert path and version >= OLDEST_GO
    top = os.path.join(CACHE, "%s-go%d.%d" % (VERSION, *version))
    if os.path.exists(top + "/done"):
        return top
    os.makedirs(top, exist_ok=True)
    environ = dict(os.environ, GOBIN=top + "/bin", CGO_ENABLED="0", GOTOOLCHAIN="local", GOFLAGS="",
                   GOCACHE=top + "/cache")
    install = [path, "install", "-p", "2", "-trimpath", "-ldflags=-s -w"]
    run(install + ["%s/validation/...@%s" % (MODULE, VERSION)], env=environ, limit=600, cwd="/")
    run(install + overlay(path, top) + ["%s/cmd/runtimetest@%s" % (MODULE, VERSION)], env=environ, limit=600, cwd="/")
    os.rename(top + "/bin/runtimetest", top + "/runtimetest")
    info = run([path, "mod", "download", "-json", MODULE + "@" + VERSION], env=environ, limit=300, cwd="/")
    source = json.loads(info.stdout)["Dir"]
    archive(source, top)
    shutil.rmtree(top + "/cache", ignore_errors=True)
    with open(top + "/done", "w"):
        pass
    return top


def overlay(path, top):
    """Go's option that builds with a start-up that leaves RLIMIT_NOFILE alone."""
    root = run([path, "env", "GOROOT"]).stdout.strip()
    name = root + "/src/syscall/rlimit.go"
    with open(name) as f:
        text = f.read()
    quiet = text.replace("nlim.Cur = nlim.Max - 1", "nlim.Cur = lim.Cur").replace(
        "nlim.Cur = nlim.Max\n", "nlim.Cur = lim.Cur\n")
    with open(top + "/rlimit.go", "w") as f:
        f.write(quiet)
    with open(top + "/overlay.json", "w") as f:
        json.dump({"Replace": {name: top + "/rlimit.go"}}, f)
    return ["-overlay", top + "/overlay.json"]


def archive(source, top):
    """The suite's root file system, with /runtimetest."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    name = "rootfs-%s.tar.gz" % machine
    if not os.path.exists(os.path.join(source, name)):
        return  # the suite has none for this machine: every program fails on its own account
    with tempfile.TemporaryDirectory(dir=top) as tmp:
        run(["tar", "-C", tmp, "-xzf", os.path.join(source, name)])
        shutil.copy(top + "/runtimetest", tmp + "/runtimetest")
        os.chmod(tmp + "/runtimetest", 0o755)
        run(["tar", "-C", tmp, "-czf", os.path.join(top, name), "."])


# A mount and (for `unshare`) nothing else of its own: a program that runs a container without any
# namespace would leave its mounts on the machine. `kill` waits a moment: killsig signals a shell
# right after `start`, and would otherwise measure how fast that shell sets its trap.
CELL = """
mount -t tmpfs tmpfs "$1" && mkdir "$1/tmp" "$1/state" || exit 99
printf '#!/bin/sh\\n[ "$1" != kill ] || sleep 0.1\\nexec %s --root %s/state "$@"\\n' "$3" "$1" > "$1/runtime"
chmod 755 "$1/runtime"
export TMPDIR="$1/tmp" RUNTIME="$1/runtime"
timeout 90 "$2"; code=$?
for state in "$1"/state/*; do
    case ${state##*/} in "*" | @*) ;; *) "$RUNTIME" delete --force "${state##*/}" >&2 ;; esac
done
exit $code
"""


class Outcome:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        lines = self.out.splitlines()
        self.bad = [x for x in lines if x.startswith("not ok")]
        # programs that print no verdict tell their failure in a diagnostic alone
        silent = not any(x.startswith("ok") for x in lines)
        self.told = '"error"' in self.out if silent else False
        self.passed = self.code == 0 and not self.bad and not self.told

    def text(self):
        lines = self.out.splitlines()
        told = ["\n".join(lines[i:i + 10]) for i, x in enumerate(lines) if x.startswith("not ok")]
        return "exit code %d\n%s\n%s" % (self.code, "\n".join(told) or self.out[-2000:], self.err[-2000:])


def run_program(top, name):
    """Run one program in a mount namespace of its own."""
    cell = tempfile.mkdtemp(prefix=TOKEN + "-")
    os.chmod(cell, 0o755)  # mapped users of containers walk through it
    done = run(["unshare", "-m", "--propagation", "private", "sh", "-c", CELL, "sh", cell,
                os.path.join(top, "bin", name), env.OCI], rc=None, cwd=top, limit=120)
    os.rmdir(cell)
    clean_cgroups()
    return Outcome(done)


UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def clean_cgroups():
    """Remove the empty cgroups of the programs: fixed names, and the ids that they draw."""
    with open("/proc/mounts") as f:
        tops = [line.split()[1] for line in f if line.split()[2] in ("cgroup", "cgroup2")]
    for top in tops:
        for name in os.listdir(top):
            if name in ("cgrouptest", "testdir") or UUID.match(name):
                for at, _, _ in os.walk(os.path.join(top, name), topdown=False):
                    try:
                        os.rmdir(at)
                    except OSError:
                        pass
