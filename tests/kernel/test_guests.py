# SPDX-License-Identifier: Apache-2.0
"""Small C programs that ask the kernel for things at its edges, natively first: in the sandbox they must say the same.

A program of guest/ prints one line a fact, `ok NAME` or `not ok NAME: what came instead`, and its facts hold on Linux.
`skip NAME: why` is for what the machine cannot do; the sandbox may skip nothing that ran natively.
"""
import glob
import os
import shutil
import subprocess

import pytest

from harness import env

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
PROGRAMS = sorted(os.path.basename(p)[:-2] for p in glob.glob(os.path.join(HERE, "*.c")))


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Built once each, by name and linkage."""
    top, made = tmp_path_factory.mktemp("guests"), {}

    def build(name, linkage):
        if (name, linkage) not in made:
            out = str(top / ("%s-%s" % (name, linkage)))
            subprocess.run(["cc", "-O1", "-g", "-Wall", "-I", HERE, "-o", out, os.path.join(HERE, name + ".c"), "-lpthread",
                            "-lrt"] + (["-static"] if linkage == "static" else []), check=True)
            made[name, linkage] = out
        return made[name, linkage]
    return build


def libraries(program):
    """What ldd says it needs, as absolute paths, and what glibc loads when a thread is cancelled."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    found = [w for line in out.splitlines() for w in line.split() if w.startswith("/")]
    libc = next(p for p in found if "/libc.so" in p)
    return found + [os.path.join(os.path.dirname(libc), "libgcc_s.so.1")]


def facts(text):
    return [line for line in text.splitlines() if line.startswith(("ok ", "not ok ", "skip "))]


@pytest.mark.parametrize("linkage", ["static", "dynamic"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_guest_program_says_what_it_says_natively(built, sandbox, tmp_path, name, linkage):
    program = built(name, linkage)
    os.chmod(tmp_path, 0o777)
    native = subprocess.run([program], capture_output=True, text=True, timeout=env.seconds(60), cwd=tmp_path,
                            stdin=subprocess.DEVNULL)
    assert native.returncode == 0, native.stdout + native.stderr
    expected = facts(native.stdout)
    assert expected and not [f for f in expected if f.startswith("not ok")], native.stdout
    c = sandbox.container(["/bin/program"])
    c.process["cwd"] = "/tmp"
    shutil.copy(program, c.rootfs_file("/bin/program"))
    if linkage == "dynamic":
        for path in libraries(program):
            target = c.rootfs_file(path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(path, target)
    r = c.run(timeout=120)
    wrong = [f for f in facts(r.out) if f.startswith("not ok")]
    ran = {f[3:] for f in expected if f.startswith("ok ")}
    missing = sorted(ran - {f[3:] for f in facts(r.out) if f.startswith("ok ")})
    assert r.rc == 0 and not wrong and not missing, "missing: %s\n%s\n%s" % (missing, "\n".join(wrong), r.err[-2000:])
