# SPDX-License-Identifier: Apache-2.0
"""CVE-2019-5736: a container reaches the runtime's own binary through /proc/PID/exe and overwrites it.

The runtime under test is a copy, so that a success of the attack harms nobody; the attacker only opens the
file for writing.

Not even a refused open is harmless: for an instant it makes the file busy, and the host cannot execute it (ETXTBSY).
So what is not to be written must not be reached.
"""
import errno
import hashlib
import os
import subprocess

import pytest

from harness import bundle, env


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


@pytest.fixture
def copied(runtime):
    """The runtime becomes a copy of itself, whose content must not change."""
    path = env.copy_runtime(runtime.binary, runtime.scratch)
    before = digest(path)
    runtime.binary = path
    yield path
    assert digest(path) == before, "the runtime's binary was changed"


def tolerant(runtime):
    """All capabilities in the host's user namespace are ptrace rights over whoever is seen, the runtime included
    (docs/THREATS.md): such a hunter may keep our file busy for an instant, and the host tries again."""
    spawn = runtime.spawn

    def again(*args, **kw):
        while True:
            try:
                return spawn(*args, **kw)
            except OSError as e:
                if e.errno != errno.ETXTBSY:
                    raise
    runtime.spawn = again


def found(hunter):
    """Strangers' executables that the hunter took hold of, those of the image left out."""
    files = [line.split(" ", 1)[1] for line in hunter.output().splitlines() if line.startswith("found ")]
    return [f for f in files if not f.startswith("/bin/")]


def hunting(evil, seconds, rights):
    """A running container whose init hunts for executables of strangers."""
    if rights == "all-caps":
        tolerant(evil.runtime)
    c = evil(["attacker", "exe", str(seconds)])
    if rights == "all-caps":
        bundle.all_caps(c.config)
    if rights == "userns":
        bundle.user_namespace(c.config)
    c.rootfs_file("bin/trap", "#!/proc/self/exe\n", 0o755)
    c.up()
    c.wait_output("ready")
    return c


def test_the_attack_works_on_an_ordinary_binary(evil):
    """The attacker is able: a file of the container itself, executed by another process, is caught."""
    c = hunting(evil, 3, "default")
    c.exec("cp /bin/guest /bin/victim; /bin/victim orphan 1").ok()
    c.wait_output("WRITABLE /bin/victim", 5)


@pytest.mark.parametrize("rights", ["default", "all-caps", "userns"])
def test_exec_into_a_hunting_container(evil, copied, rights):
    c = hunting(evil, int(env.seconds(5)), rights)
    for _ in range(8):
        c.exec("true").ok()
        c.exec("/bin/trap")
        c.exec("/proc/self/exe")
        c.exec("/proc/self/exe", "init")
    c.wait_output("done", 15)
    assert "WRITABLE " + os.path.dirname(copied) not in c.output()
    assert os.path.basename(copied) not in [line.rpartition("/")[2] for line in c.output().splitlines()
                                           if line.startswith("WRITABLE")], c.output()
    assert not [line for line in c.output().splitlines() if line.startswith("WRITABLE") and "memfd" not in line
                and not line.startswith("WRITABLE /bin/")], c.output()
    assert rights == "all-caps" or not found(c), c.output()


@pytest.mark.skipif(env.SANITIZED, reason="a sanitized program cannot be exchanged in place")
@pytest.mark.parametrize("rights", ["default", "all-caps"])
def test_init_of_a_neighbour_in_the_same_pid_namespace(evil, ct, copied, rights):
    """Pods share a pid namespace: the hunter sees the other containers' inits from their first instant."""
    hunter = hunting(evil, 6, rights)
    for i in range(8):
        c = ct(["/proc/self/exe"] if i % 2 else ["/bin/trap"])
        c.rootfs_file("bin/trap", "#!/proc/self/exe\n", 0o755)
        bundle.set_namespace(c.config, "pid", "/proc/%d/ns/pid" % hunter.pid)
        c.run()
    hunter.wait_output("done", 15)
    assert not [line for line in hunter.output().splitlines() if line.startswith("WRITABLE")
                and not line.startswith("WRITABLE /bin/")], hunter.output()
    assert rights == "all-caps" or not found(hunter), hunter.output()


@pytest.mark.skipif(env.SANITIZED, reason="a sanitized program cannot be exchanged in place")
@pytest.mark.limit(60 + 30 * env.STRESS)
@pytest.mark.parametrize("rights", ["default", "userns"])
def test_no_hunter_makes_the_binary_busy(evil, ct, copied, rights):
    """While neighbours start and end under the hunter's eyes, the host executes its binary again and again.

    One hold of our file is enough for the hunter: it tries to write it for ever, and some hundred execve later one fails.
    """
    hunter = hunting(evil, 600 * env.STRESS, rights)  # until it is killed
    programs = ["true", "/proc/self/exe", "/bin/trap"]
    for i in range(16 * env.STRESS):
        c = ct([programs[i % len(programs)]])
        c.rootfs_file("bin/trap", "#!/proc/self/exe\n", 0o755)
        bundle.set_namespace(c.config, "pid", "/proc/%d/ns/pid" % hunter.pid)
        if rights == "userns":
            bundle.set_namespace(c.config, "user", "/proc/%d/ns/user" % hunter.pid)
        c.run()
        hunter.exec(programs[i % len(programs)])
        for _ in range(20):
            subprocess.run([copied, "--version"], stdout=subprocess.DEVNULL, check=True)
    assert not found(hunter), hunter.output()
    hunter.kill().ok()


@pytest.mark.skipif(env.SANITIZED, reason="a sanitized program cannot be exchanged in place")
def test_our_binary_is_not_a_program_of_containers(ct, runtime):
    """Executed by a container's program line, it would be a process of the container with our file behind it."""
    # A kernel in user space looks for the program itself, before there is a process whose /proc/self it could be.
    why = "no such file" if runtime.level == "kernel" else "permission denied"
    c = ct(["/proc/self/exe"])
    c.run().failed(why)
    c = ct(["/bin/trap"])
    c.rootfs_file("bin/trap", "#!/proc/self/exe\n", 0o755)
    c.run().failed(why)


@pytest.mark.parametrize("target", ["/proc/self/exe", "/bin/trap", "/bin/self"])
def test_running_the_runtime_as_the_program_gives_nothing(ct, copied, target):
    """A container whose program is /proc/self/exe ends by itself, and the runtime's copy stays as it is."""
    c = ct([target])
    c.rootfs_file("bin/trap", "#!/proc/self/exe\n", 0o755)
    os.symlink("/proc/self/exe", c.rootfs_file("bin/self"))
    c.run(timeout=20)


@pytest.mark.skipif(env.SANITIZED, reason="a sanitized program cannot be exchanged in place")
def test_a_binary_of_ours_is_not_left_as_exe_of_init(ct, runtime):
    """A created container waits for start: what it runs then must be a copy, or not be writable from inside.

    The write is tried by this test with the rights of the host's root, which is more than a container has:
    only a read-only file (a sealed memfd, a read-only mount) refuses it.
    """
    c = ct(["true"])
    c.create().ok()
    with pytest.raises(OSError):
        fd = os.open("/proc/%d/exe" % c.pid, os.O_WRONLY)
        os.close(fd)
    held = os.open("/proc/%d/exe" % c.pid, os.O_PATH)
    try:
        c.start().ok()
        c.wait_stopped()
        with pytest.raises(OSError):  # no longer busy: only now is it seen whether it is protected
            os.close(os.open("/proc/self/fd/%d" % held, os.O_WRONLY))
    finally:
        os.close(held)
