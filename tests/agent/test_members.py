# SPDX-License-Identifier: Apache-2.0
"""Further containers of a machine: each has an agent of its own, which is driven here by the protocol, outside of any machine."""
import os
import signal
import struct
import time

import pytest

import protocol
from protocol import (EXEC, FREEZE, INPUT, MEMBER, NETWORK, PAUSE, RESUME, RUN, SHARES_PIDS, SHUTDOWN, STDIN, Agent, Gone, Member, member_config,
                      process)

HEAD = protocol.HEAD


@pytest.fixture
def pod(tmp_path):
    ports = tmp_path / "ports"
    ports.mkdir()
    a = Agent(str(tmp_path), ports=str(ports))
    a.ports, a.top = str(ports), str(tmp_path)
    a.members = []

    def member(number, **more):
        m = Member(a, a.ports, number, a.top, **more)
        a.members.append(m)
        return m

    a.member = member
    config = protocol.config("sleep", "1000")
    config["linux"].pop("cgroupsPath", None)
    assert a.run(config) == (0, 0, b"")
    yield a
    for m in a.members:
        m.close()
    a.close()


def run(member, *args, **more):
    reply = member.run(member_config(*args), **more)
    assert reply == (0, 0, b""), reply


def told(keeper, id, *args):
    assert keeper.exec(process(*args), id).code == 0
    keeper.wait(id)
    return bytes(keeper.output[id, 1]).decode()


def test_a_container_of_its_own(pod):
    m = pod.member(1)
    run(m, "sh", "-c", "echo out; echo err >&2; cat; exit 7", flags=STDIN)
    m.input(1, b"typed")
    m.end_input(1)
    assert os.WEXITSTATUS(m.wait(1)) == 7
    assert (m.output[1, 1], m.output[1, 2]) == (b"out\ntyped", b"err\n")
    assert 1 not in pod.status, "the first one has a process of the same number"
    m.send(SHUTDOWN)
    pod.until(lambda: pod.left == [1])
    with pytest.raises(Gone):
        m.until(lambda: False)
    assert pod.exec(process("true"), 2).code == 0


def test_what_is_shared_and_what_not(pod):
    m = pod.member(3)
    run(m, "sleep", "1000")
    for n, (space, same) in enumerate([("net", True), ("ipc", True), ("uts", True), ("pid", False), ("mnt", False),
                                       ("cgroup", False)]):
        link = ("readlink", "/proc/self/ns/" + space)
        assert (told(pod, 10 + n, *link) == told(m, 10 + n, *link)) is same, space
    assert told(m, 20, "hostname") == told(pod, 20, "hostname") == "contract\n"
    told(pod, 21, "sh", "-c", "echo seen >/dev/shm/x; echo own >/own")
    assert told(m, 21, "sh", "-c", "cat /dev/shm/x; ls /own 2>&1").split("\n")[0] == "seen"
    assert not os.path.exists(m.rootfs + "/own")
    assert [r["command"] for r in m.processes()] == ["sleep 1000"]
    assert m.stats()["pids"] == 1


def test_shared_memory_where_the_first_one_has_none_to_write(tmp_path):
    """As with Kubernetes' sandbox containers."""
    ports = tmp_path / "ports"
    ports.mkdir()
    a = Agent(str(tmp_path), ports=str(ports))
    members = []
    try:
        config = protocol.config("sleep", "1000")
        config["linux"].pop("cgroupsPath", None)
        next(m for m in config["mounts"] if m["destination"] == "/dev/shm")["options"].append("ro")
        assert a.run(config) == (0, 0, b"")
        for n in (1, 2):
            members.append(Member(a, str(ports), n, str(tmp_path)))
            run(members[-1], "sleep", "1000")
        told(members[0], 5, "sh", "-c", "echo seen >/dev/shm/x")
        assert told(members[1], 5, "cat", "/dev/shm/x") == "seen\n"
    finally:
        for m in members:
            m.close()
        a.close()


PIDS = "/run/coffer/pids"


def run_among(pod, number, *args):
    """A further container in the pid namespace of the first."""
    m = pod.member(number, flags=SHARES_PIDS)
    reply = m.run(member_config(*args, pids=PIDS))
    assert reply == (0, 0, b""), reply
    return m


def test_processes_in_common(pod):
    m = run_among(pod, 1, "sleep", "2000")
    other = pod.member(2)
    run(other, "sleep", "3000")
    link = ("readlink", "/proc/self/ns/pid")
    assert told(m, 10, *link) == told(pod, 10, *link) != told(other, 10, *link)
    for keeper in (m, pod):
        seen = told(keeper, 11, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        assert "sleep 1000 " in seen and "sleep 2000 " in seen and "sleep 3000" not in seen and "coffer" not in seen, seen
    assert [r["command"] for r in m.processes()] == ["sleep 2000"] and [r["command"] for r in pod.processes()] == ["sleep 1000"]
    for n, (space, same) in enumerate([("net", True), ("ipc", True), ("mnt", False), ("cgroup", False)]):
        assert (told(pod, 20 + n, "readlink", "/proc/self/ns/" + space) == told(m, 20 + n, "readlink", "/proc/self/ns/" + space)) is same
    # It ends as one that has no processes of others: by itself, and with all that came of it.
    assert told(m, 30, "sh", "-c", "(sleep 4000 </dev/null >/dev/null 2>&1 &)") == ""
    assert "sleep 4000 " in told(pod, 31, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    told(pod, 32, "kill", "-9", str(m.processes()[0]["pid"]))
    assert os.WTERMSIG(m.wait(1)) == 9, "signals reach it from there"
    m.send(SHUTDOWN)
    pod.until(lambda: pod.left == [1])
    seen = told(pod, 33, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "4000" not in seen and "sleep 1000 " in seen, seen
    assert not list(groups("guest-1")) and not list(groups("agent-1"))


@pytest.mark.parametrize("whom", ["the keeper", "the agent"])
def test_processes_in_common_end_with(pod, whom):
    m = run_among(pod, 1, "sh", "-c", "while :; do echo x >/dev/shm/alive; sleep 0.02; done")
    assert m.exec(process("sleep", "5000"), 2).code == 0
    n = 100
    deadline = time.monotonic() + 20
    while told(pod, n, "sh", "-c", "cat /dev/shm/alive 2>/dev/null") != "x\n":
        assert time.monotonic() < deadline
        n += 1
    if whom == "the keeper":
        m.close()
    else:
        children = open("/proc/%d/task/%d/children" % (pod.pid(), pod.pid())).read().split()
        os.kill(next(int(c) for c in children if open("/proc/%s/comm" % c).read() == "guest-1\n"), signal.SIGKILL)
    pod.until(lambda: pod.left == [1])
    seen = told(pod, n + 1, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; rm -f /dev/shm/alive")
    assert "5000" not in seen and "alive" not in seen.replace("rm -f /dev/shm/alive", ""), seen
    assert not list(groups("guest-1"))
    again = run_among(pod, 2, "true")
    assert again.wait(1) == 0


def test_the_first_ones_end_is_theirs(pod):
    m = run_among(pod, 1, "sleep", "2000")
    pod.signal(9)
    assert os.WTERMSIG(pod.wait(1)) == 9 and os.WTERMSIG(m.wait(1)) == 9


def test_a_pid_namespace_that_was_not_shared(pod):
    m = pod.member(1)
    reply = m.run(member_config("true", pids=PIDS))
    assert reply.code < 0 and b"pids" in reply.text, reply


def test_its_end_is_the_end_of_all_that_it_ran(pod):
    m = pod.member(1)
    run(m, "sh", "-c", "while :; do echo x >/dev/shm/alive; sleep 0.02; done")
    assert m.exec(process("sleep", "1000"), 2).code == 0
    look = ("sh", "-c", "cat /dev/shm/alive 2>/dev/null")
    deadline, n = time.monotonic() + 20, 100
    while told(pod, n, *look) != "x\n":
        assert time.monotonic() < deadline
        n += 1
    m.close()  # its keeper was killed
    pod.until(lambda: pod.left == [1])
    told(pod, n + 1, "rm", "-f", "/dev/shm/alive")
    time.sleep(0.2)
    assert told(pod, n + 2, *look) == ""
    again = pod.member(2)
    run(again, "true")
    assert again.wait(1) == 0


def test_death_of_its_agent(pod):
    m = pod.member(1)
    run(m, "sleep", "1000")
    children = open("/proc/%d/task/%d/children" % (pod.pid(), pod.pid())).read().split()
    agent = [int(c) for c in children if open("/proc/%s/comm" % c).read() == "guest-1\n"]
    assert len(agent) == 1
    os.kill(agent[0], signal.SIGKILL)
    pod.until(lambda: pod.left == [1])
    with pytest.raises(Gone):
        m.until(lambda: False)
    assert pod.exec(process("true"), 2).code == 0


def test_pause_and_resume(pod):
    m = pod.member(1)
    run(m, "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done")
    m.until(lambda: len(m.output[1, 1]) > 10)
    assert m.ask(PAUSE) == (0, 0, b"")
    assert m.ask(PAUSE) == (0, 0, b""), "who was killed before it was paused outside asks again"
    m.step(0.1)
    while m.step(0.2):
        pass
    before = bytes(m.output[1, 1])
    time.sleep(0.3)
    assert not m.step(0) and m.output[1, 1] == before
    assert m.ask(RESUME) == (0, 0, b"")
    assert m.ask(RESUME) == (0, 0, b"")
    m.until(lambda: len(m.output[1, 1]) > len(before))


def test_what_is_the_machines_is_not_theirs(pod):
    m = pod.member(1)
    assert b"the network is the pod's" in m.ask(NETWORK, b"{}").text
    assert b"has no containers of its own" in m.ask(MEMBER, struct.pack("<II", 5, 0)).text
    run(m, "sleep", "1000")
    for keeper in (m, pod):
        assert b"the machine is a pod's" in keeper.ask(FREEZE).text


@pytest.mark.parametrize("payload", [b"", b"\1", struct.pack("<I", 1), struct.pack("<II", 0, 0), struct.pack("<II", 1, 2), struct.pack("<III", 1, 1, 0)])
def test_member_that_makes_no_sense(pod, payload):
    pod.member(7, root=False)
    assert pod.ask(MEMBER, payload).code < 0
    assert pod.ask(MEMBER, struct.pack("<II", 7, 0)).code < 0, "its number is taken"
    assert pod.exec(process("true"), 2).code == 0


def test_no_member_before_the_first_container(tmp_path):
    a = Agent(str(tmp_path))
    try:
        reply = a.ask(MEMBER, struct.pack("<II", 1, 0))
        assert reply.code < 0 and b"first container has ended" in reply.text
    finally:
        a.close()


@pytest.mark.parametrize("frame", [
    HEAD.pack(1 << 30, RUN, 0, 1, 1),
    HEAD.pack(4, INPUT, 3, 1, 0) + b"abcd",
    HEAD.pack(0, protocol.READY, 0, 0, 0),
    bytes(range(256)) * 16,
], ids=["too long", "no such stream", "the agent's own words", "bytes"])
def test_nonsense_ends_one_alone(pod, frame):
    m, other = pod.member(1), pod.member(2)
    run(m, "sleep", "1000")
    run(other, "sleep", "1000")
    m.sock.sendall(frame)
    with pytest.raises(Gone):
        m.until(lambda: False)
    pod.until(lambda: pod.left == [1])
    assert other.exec(process("true"), 2).code == 0 and pod.exec(process("true"), 2).code == 0


def groups(name):
    """Directories of this name in any hierarchy, below the caller's own group there."""
    for line in open("/proc/self/cgroup"):
        _, kinds, own = line.rstrip("\n").split(":", 2)
        for top in (kinds.replace("name=", ""), "unified", ""):
            path = os.path.join("/sys/fs/cgroup", top, own.strip("/"), name)
            if os.path.isdir(path):
                yield path


def test_the_first_agents_end_is_all_ends(pod):
    m = pod.member(1)
    run(m, "sleep", "1000")
    os.kill(pod.pid(), signal.SIGKILL)
    with pytest.raises(Gone):
        m.until(lambda: False)
    pod.child.wait()
    for path in [g for name in ("guest", "guest-1") for g in groups(name)]:  # nobody is left to do it
        deadline = time.monotonic() + 20
        while True:
            try:
                os.rmdir(path)
                break
            except FileNotFoundError:
                break
            except OSError:
                assert time.monotonic() < deadline, path
                time.sleep(0.02)
