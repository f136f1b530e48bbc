# SPDX-License-Identifier: Apache-2.0
"""CVE-2024-21626: a descriptor of the host stays open into the container and leads back out of it."""
import os

import pytest

FDS = list(range(3, 16))


def secret(outside):
    return os.path.join(outside, "secret")


@pytest.mark.parametrize("form", ["/proc/self/fd/%d", "/proc/thread-self/fd/%d", "/proc/1/fd/%d"])
def test_cwd_in_an_inherited_fd(evil, outside, form):
    for fd in FDS:
        c = evil(["attacker", "climb", "", secret(outside)])
        c.process["cwd"] = form % fd
        result = c.run()
        assert "ESCAPED" not in result.out, "by fd %d: %r" % (fd, result)
        c.delete("--force")


def test_cwd_through_a_symlink_of_the_image(evil, outside):
    for fd in FDS:
        c = evil(["attacker", "climb", "", secret(outside)])
        os.symlink("/proc/self/fd/%d" % fd, c.rootfs_file("work"))
        c.process["cwd"] = "/work"
        result = c.run()
        assert "ESCAPED" not in result.out, "by fd %d: %r" % (fd, result)
        c.delete("--force")


def test_cwd_of_exec(evil, outside):
    c = evil(["sleep", "100"]).up()
    for fd in FDS:
        result = c.exec("attacker", "climb", "", secret(outside), flags=("--cwd", "/proc/self/fd/%d" % fd))
        assert "ESCAPED" not in result.out, "by fd %d: %r" % (fd, result)


def test_program_in_an_inherited_fd(ct, runtime):
    """The same for args[0]: no path through a leaked directory leads to a program of the host."""
    program = os.path.join(runtime.scratch, "hostprogram")
    with open(program, "w") as f:
        f.write("#!/bin/sh\necho HOSTPROGRAM\n")
    os.chmod(program, 0o755)
    for fd in FDS:
        c = ct(["/proc/self/fd/%d%s%s" % (fd, "/.." * 12, program)])
        assert "HOSTPROGRAM" not in c.run().out
        c.delete("--force")


def shown(text):
    """{fd: target} of `guest fds`."""
    return {int(line.split()[0]): line.split(" ", 1)[1] for line in text.splitlines()}


@pytest.fixture
def caller_leaks():
    """Descriptors that the runtime's caller left open, without close-on-exec."""
    fds = [os.open(path, os.O_RDONLY) for path in ("/", "/etc/hostname", "/proc/self/ns/mnt")]
    yield fds
    for fd in fds:
        os.close(fd)


def test_init_holds_its_stdio_alone(ct, caller_leaks):
    result = ct(["guest", "fds"]).run(pass_fds=caller_leaks).ok()
    assert sorted(shown(result.out)) == [0, 1, 2], result


def test_exec_holds_its_stdio_alone(ct, caller_leaks):
    c = ct(["sleep", "100"]).up()
    result = c.exec("guest", "fds", pass_fds=caller_leaks).ok()
    assert sorted(shown(result.out)) == [0, 1, 2], result


def test_a_created_container_holds_no_host_directory(ct, runtime, caller_leaks):
    """Between create and start, nothing else in the pid namespace may find a way out through init's fds."""
    if runtime.level == "kernel":
        pytest.skip("the pid is the kernel's in user space, whose files no guest sees")
    c = ct(["sleep", "100"])
    c.create(pass_fds=caller_leaks).ok()
    c.start().ok()
    names = {int(fd): os.readlink("/proc/%d/fd/%s" % (c.pid, fd)) for fd in os.listdir("/proc/%d/fd" % c.pid)}
    assert sorted(names) == [0, 1, 2], names


def test_preserved_fds_and_no_more(ct):
    """--preserve-fds 1 hands on fd 3, not fd 4."""
    three, four = os.open("/etc/hostname", os.O_RDONLY), os.open("/", os.O_RDONLY)

    def place():
        a, b = os.dup(three), os.dup(four)
        os.dup2(a, 3)
        os.dup2(b, 4)

    try:
        result = ct(["guest", "fds"]).run("--preserve-fds", "1", preexec_fn=place, close_fds=False).ok()
    finally:
        os.close(three)
        os.close(four)
    assert sorted(shown(result.out)) == [0, 1, 2, 3], result
    assert shown(result.out)[3].endswith("hostname")


def test_exec_target_sees_only_its_own_process_in_proc(ct, outside):
    """The runtime's helper processes in the pid namespace do not lead to the host's root."""
    c = ct("while :; do for p in /proc/[0-9]*; do cat $p/root%s $p/cwd%s 2>/dev/null; done; done"
           % (secret(outside), secret(outside))).up()
    for _ in range(15):
        c.exec("true").ok()
    assert "secret" not in c.output()
