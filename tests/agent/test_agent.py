# SPDX-License-Identifier: Apache-2.0
"""The agent of a virtual machine, driven at speed by its real protocol, outside of any machine."""
import json
import os
import re
import signal
import struct
import time

import pytest

import protocol
from protocol import (EXEC, EXITED, FREEZE, HEAD, INPUT, NETWORK, OUTPUT, OUTSIDE, REPLY, RESIZE, RUN, SHUTDOWN, STDIN, TERMINAL,
                      THAW, UPDATE, WINDOW, Agent, Gone, config, process)


@pytest.fixture
def agent(tmp_path):
    a = Agent(str(tmp_path))
    yield a
    a.close()


@pytest.fixture
def busy(agent):
    """With a container that waits."""
    reply = agent.run(config("sleep", "1000"))
    assert reply == (0, 0, b"")
    return agent


def test_statistics_are_the_containers(busy):
    before = busy.stats()
    assert before["pids"] == 1 and 0 < before["memory"] < before["limit"]
    assert busy.exec(process("sleep", "1000"), 2).code == 0
    assert busy.stats()["pids"] == 2
    assert busy.signal(signal.SIGKILL, 2).code == 0
    busy.wait(2)
    assert busy.stats()["pids"] == 1


# ---- the container ----

def test_ready_says_the_protocol(agent):
    version, timer, memory, boot = agent.ready
    assert (version, timer) == (protocol.PROTOCOL, 0) and memory > 1 << 20 and boot > 0


def test_run_output_and_status(agent):
    assert agent.run(config("sh", "-c", "echo out; echo err >&2; exit 7")).code == 0
    assert os.WEXITSTATUS(agent.wait(1)) == 7
    assert agent.output[1, 1] == b"out\n" and agent.output[1, 2] == b"err\n"
    kinds = [k for k, s, p in agent.order]
    assert kinds.index(REPLY) < kinds.index(OUTPUT), "output before the answer"


def test_one_that_ends_at_once_is_not_lost(agent):
    assert agent.run(config("sleep", "1000")).code == 0
    ids = {n: agent.start(EXEC, agent.process(process("true"), 0, 0, 0), n) for n in range(10, 60)}
    agent.until(lambda: all(agent.over(n) for n in ids))
    assert all(agent.replies[i].code == 0 for i in ids.values())
    assert all(agent.status[n] == 0 for n in ids)


@pytest.mark.parametrize("args, exit_status, text", [
    (("nowhere",), 127, b'exec: "nowhere": executable file not found in $PATH'),
    (("/etc/passwd",), 126, b'exec: "/etc/passwd": permission denied'),
])
def test_program_that_cannot_be(agent, args, exit_status, text):
    reply = agent.run(config(*args))
    assert reply.code < 0 and reply.exit_status in (0, exit_status)
    assert reply.text.startswith(text), reply
    assert not agent.status and not agent.output


def test_exec_that_cannot_be(busy):
    reply = busy.exec(process("nowhere"), 2)
    assert reply.code < 0 and reply.text.startswith(b'exec: "nowhere": executable file not found in $PATH'), reply
    assert busy.exec(process("true"), 2).code == 0, "its number is free again"


def test_configuration_that_is_none(agent):
    reply = agent.ask(RUN, struct.pack("<IHH", 0, 0, 0) + b"{", 1)
    assert reply.code < 0 and b"config.json" in reply.text


def test_only_one_container(busy):
    reply = busy.run(config("true"), 5)
    assert reply.code < 0 and b"one container" in reply.text


def test_death_by_signal(busy):
    assert busy.signal(signal.SIGKILL, 1).code == 0
    assert os.WTERMSIG(busy.wait(1)) == signal.SIGKILL
    assert busy.signal(signal.SIGKILL, 1).code < 0


def test_exec(busy):
    env = {"env": ["A=b", protocol.bundle.PATH], "cwd": "/tmp", "user": {"uid": 1000, "gid": 1000}}
    assert busy.exec(process("sh", "-c", "echo $A $PWD $(id -u); exit 3", **env), 9).code == 0
    assert os.WEXITSTATUS(busy.wait(9)) == 3
    assert busy.output[9, 1] == b"b /tmp 1000\n"


def test_exec_after_the_end(agent):
    assert agent.run(config("true")).code == 0
    agent.wait(1)
    reply = agent.exec(process("true"), 2)
    assert reply.code < 0 and b"stopped" in reply.text


def test_exec_outside(busy):
    assert busy.exec(process("sh", "-c", "readlink /proc/self/ns/pid"), 2).code == 0
    assert busy.exec(process("/bin/sh", "-c", "readlink /proc/self/ns/pid"), 3, OUTSIDE).code == 0
    busy.wait(2)
    busy.wait(3)
    assert busy.output[2, 1] != busy.output[3, 1] and busy.output[3, 1].startswith(b"pid:")
    reply = busy.exec(process("nowhere"), 4, OUTSIDE)
    assert reply.code < 0 and reply.exit_status == 127


def test_signal_to_one_and_to_all(busy):
    trap = process("sh", "-c", "trap 'echo got; exit 5' TERM; echo on; while :; do sleep 0.05; done")
    for n in (2, 3):
        assert busy.exec(trap, n).code == 0
        busy.until(lambda: busy.output[n, 1] == b"on\n")
    assert busy.signal(signal.SIGTERM, 2).code == 0
    assert os.WEXITSTATUS(busy.wait(2)) == 5 and 3 not in busy.status
    assert busy.signal(signal.SIGTERM, everybody=True).code == 0
    assert os.WEXITSTATUS(busy.wait(3)) == 5
    assert busy.signal(999, 1).code < 0


# ---- streams ----

def test_input_and_its_end(busy):
    assert busy.exec(process("cat"), 2, STDIN).code == 0
    data = os.urandom(3 << 20)
    busy.input(2, data)
    busy.end_input(2)
    assert busy.wait(2) == 0
    assert busy.output[2, 1] == data


def test_input_that_nobody_reads_holds_up_nobody(busy):
    assert busy.exec(process("sleep", "1000"), 2, STDIN).code == 0
    busy.input(2, bytes(WINDOW))
    assert busy.room[2] < WINDOW // 2, "credit for what was not read"
    assert busy.exec(process("echo", "hi"), 3).code == 0
    busy.wait(3)
    assert busy.output[3, 1] == b"hi\n"


def test_input_of_one_that_has_closed_it(busy):
    assert busy.exec(process("sh", "-c", "exec <&-; echo closed; sleep 0.3"), 2, STDIN).code == 0
    busy.until(lambda: busy.output[2, 1])
    busy.input(2, bytes(4 * WINDOW))
    assert busy.wait(2) == 0


def test_no_input_is_an_empty_one(busy):
    assert busy.exec(process("cat"), 2).code == 0
    assert busy.wait(2) == 0


def test_output_stops_at_its_window(busy):
    busy.stingy = True
    assert busy.exec(process("sh", "-c", "dd if=/dev/zero bs=65536 count=16 2>/dev/null"), 2).code == 0
    busy.until(lambda: len(busy.output[2, 1]) == WINDOW)
    while busy.step(0.2):
        pass
    assert len(busy.output[2, 1]) == WINDOW and 2 not in busy.status
    assert busy.exec(process("echo", "other"), 3).code == 0
    busy.until(lambda: busy.output[3, 1] == b"other\n")
    for n in (2, 3, 4):
        busy.credit(2, 1, WINDOW)
        busy.until(lambda: len(busy.output[2, 1]) == n * WINDOW)
    busy.credit(2, 1, WINDOW)
    assert busy.wait(2) == 0
    assert len(busy.output[2, 1]) == 1 << 20


def test_much_output(busy):
    assert busy.exec(process("sh", "-c", "dd if=/dev/zero bs=1M count=64 2>/dev/null"), 2).code == 0
    busy.wait(2, 60)
    assert len(busy.output[2, 1]) == 64 << 20


def test_output_that_nobody_reads_any_more(busy):
    assert busy.exec(process("yes"), 2).code == 0
    busy.until(lambda: busy.output[2, 1])
    busy.stingy = True
    busy.credit(2, 1, 0)
    assert os.WTERMSIG(busy.wait(2)) == signal.SIGPIPE


def test_credit_for_nothing_ends_it(busy):
    busy.credit(1, 1, 1)
    with pytest.raises(Gone):
        busy.until(lambda: False)


def test_many_streams(busy):
    """3 x 1024 at once; one more process is refused, and the ends of these make room."""
    many = range(2, protocol.LIVE_MAX + 1)
    for low in range(2, protocol.LIVE_MAX + 1, 64):
        ids = {n: busy.start(EXEC, busy.process(process("cat"), STDIN, 0, 0), n)
               for n in many if low <= n < low + 64}
        busy.until(lambda: all(i in busy.replies for i in ids.values()), 120)
        assert all(busy.replies[i].code == 0 for i in ids.values()), [busy.replies[i] for i in ids.values()][:3]
    refused = busy.exec(process("true"), 5000)
    assert refused.code < 0 and b"1024" in refused.text
    for n in many:
        busy.send(INPUT, b"%d" % n, n)
        busy.end_input(n)
    busy.until(lambda: all(busy.over(n) for n in many), 120)
    assert all(busy.output[n, 1] == b"%d" % n for n in many)
    assert busy.exec(process("true"), 5000).code == 0
    assert len(os.listdir("/proc/%d/fd" % busy.pid())) < 40


# ---- terminals ----

def test_terminal_of_the_container(agent):
    c = config("sh", "-c", "tty; stty size; read x; echo got $x; exit 4", terminal=True)
    assert agent.run(c, flags=TERMINAL | STDIN, rows=33, columns=121).code == 0
    agent.until(lambda: b"33 121" in agent.output[1, 1])
    agent.input(1, b"word\n")
    assert os.WEXITSTATUS(agent.wait(1)) == 4
    assert agent.output[1, 1].replace(b"\r\n", b"\n").endswith(b"word\ngot word\n")
    assert b"/dev/pts/0" in agent.output[1, 1]


def test_terminal_of_exec_and_its_size(busy):
    p = process("sh", "-c", "trap 'stty size; exit 6' WINCH; echo on; while :; do sleep 0.05; done", terminal=True)
    assert busy.exec(p, 2, TERMINAL | STDIN).code == 0
    busy.until(lambda: busy.output[2, 1] == b"on\r\n")
    busy.send(RESIZE, struct.pack("<HH", 50, 90), 2)
    assert os.WEXITSTATUS(busy.wait(2)) == 6
    assert b"50 90" in busy.output[2, 1]


def test_keys_of_a_terminal(busy):
    assert busy.exec(process("cat", terminal=True), 2, TERMINAL | STDIN).code == 0
    busy.input(2, b"abc\n\x03")
    assert os.WTERMSIG(busy.wait(2)) == signal.SIGINT


def test_terminal_ends_with_its_process(busy):
    p = process("sh", "-c", "trap '' HUP; sleep 1000 & echo last words", terminal=True)
    assert busy.exec(p, 2, TERMINAL | STDIN).code == 0
    assert busy.wait(2) == 0
    assert busy.output[2, 1] == b"last words\r\n"


def test_disagreement_about_a_terminal(agent):
    reply = agent.run(config("true", terminal=True))
    assert reply.code < 0


# ---- the rest ----

def test_processes(busy):
    assert busy.exec(process("sleep", "999", user={"uid": 1000, "gid": 1000}), 2).code == 0
    rows = busy.processes()
    assert [r["command"] for r in rows] == ["sleep 1000", "sleep 999"], rows
    assert rows[0]["pid"] == 1 and rows[0]["uid"] == 0 and rows[0]["resident"] > 0 and rows[0]["terminal"] == "?"
    assert rows[1]["uid"] == 1000 and rows[1]["parent"] == 0
    assert [r["pid"] for r in busy.processes(1)] == [rows[1]["pid"]]


def test_orphans_and_zombies(busy):
    assert busy.exec(process("sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.1 &) ; done"), 2).code == 0
    assert busy.wait(2) == 0
    time.sleep(0.3)
    zombies = [p for p in os.listdir("/proc") if p.isdigit() and parent(p) == busy.pid()]
    assert len(zombies) <= 1, "children beside the container's first process"


def parent(pid):
    try:
        return int(open("/proc/%s/stat" % pid).read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def test_update(busy):
    reply = busy.ask(UPDATE, json.dumps({"pids": {"limit": 77}}).encode())
    assert reply.code == 0, reply
    assert busy.ask(UPDATE, b"[]").code < 0


def test_a_frozen_machine_says_nothing(agent):
    """Until THAW, which a copy tells another name; what was asked meanwhile is answered then."""
    assert agent.ask(FREEZE).code < 0, "there is no container"
    assert agent.run(config("sh", "-c", "while :; do echo turn; hostname; sleep 0.01; done")).code == 0
    agent.until(lambda: len(agent.output[1, 1]) > 100)
    assert agent.exec(process("sleep", "1000"), 2).code == 0
    assert b"other processes" in agent.ask(FREEZE).text
    assert agent.signal(signal.SIGKILL, 2).code == 0
    agent.wait(2)
    assert agent.ask(THAW).code < 0
    assert agent.ask(FREEZE) == (0, 0, b"")
    assert agent.order[-1][0] == REPLY and not agent.step(0.5), agent.order[-3:]
    assert agent.ask(FREEZE).code < 0
    assert agent.hello().code == 0
    had = len(agent.output[1, 1])
    assert agent.ask(THAW, b"another").code == 0
    agent.until(lambda: b"another" in agent.output[1, 1][had:])
    assert agent.signal(signal.SIGKILL).code == 0
    assert os.WTERMSIG(agent.wait(1)) == signal.SIGKILL


def test_oom(agent):
    c = config("sleep", "1000")
    c["linux"]["resources"]["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
    assert agent.run(c).code == 0
    assert agent.exec(process("sh", "-c", "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo no"), 2).code == 0
    agent.until(lambda: agent.ooms, 60)
    assert agent.ooms[0] == 1


def test_network(agent):
    assert agent.exec(process("/bin/sh", "-c", "ip link add one type veth peer name two address 02:00:00:00:00:07; "
                              "ip link set one up"), 2, OUTSIDE).code == 0
    agent.wait(2)
    if b"Not supported" in agent.output[2, 2] or agent.status[2]:
        pytest.skip("no veth here: %r" % agent.output[2, 2])
    order = {"interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:07", "mtu": 1400,
                             "addresses": ["10.9.0.2/24", "fd09::2/64"]}],
             "routes": [{"destination": "default", "gateway": "10.9.0.1", "interface": "eth0"},
                        {"destination": "10.8.0.0/16", "interface": "eth0"}]}
    reply = agent.ask(NETWORK, json.dumps(order).encode())
    assert reply == (0, 0, b""), reply
    assert agent.exec(process("/bin/sh", "-c", "ip addr show eth0; ip route; ip addr show lo"), 3, OUTSIDE).code == 0
    agent.wait(3)
    text = agent.output[3, 1].decode()
    assert "10.9.0.2/24" in text and "brd 10.9.0.255" in text and "fd09::2/64" in text and "mtu 1400" in text
    assert re.search(r"default via 10\.9\.0\.1 dev eth0", text) and "10.8.0.0/16 dev eth0" in text
    assert not re.search("fd09::2/64.*tentative", text) and "127.0.0.1" in text
    order["interfaces"][0]["mac"] = "02:00:00:00:00:99"
    reply = agent.ask(NETWORK, json.dumps(order).encode())
    assert reply.code < 0 and b"02:00:00:00:00:99" in reply.text


def test_mounts(agent):
    assert agent.mount("tmpfs", "tmpfs", "/run/coffer/a/b", 0, "size=1m").code == 0
    assert agent.mount("nofs", "x", "/run/coffer/c").code < 0
    assert agent.mount("coffer-share", "", "/run/coffer/d").code < 0  # there is no port here


def test_shutdown(busy, tmp_path):
    busy.send(SHUTDOWN)
    with pytest.raises(Gone):
        busy.until(lambda: False)
    assert busy.child.wait(20) == 0


def test_nothing_stays(tmp_path):
    a = Agent(str(tmp_path))
    c = config("sleep", "1000")
    assert a.run(c).code == 0
    assert a.exec(process("sleep", "1000"), 2).code == 0
    assert a.close() == "coffer-agent: the keeper is gone\n"
    name = c["linux"]["cgroupsPath"].strip("/")
    left = [d for d, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(d) == name]
    assert not left


# ---- what makes no sense ----

@pytest.mark.parametrize("kind, payload", [
    (protocol.HELLO, b"short"), (NETWORK, b"{"), (NETWORK, b"[]"), (protocol.MOUNT, b""), (protocol.MOUNT, bytes(8) + b"a\0b\0"),
    (protocol.MOUNT, bytes(8) + b"tmpfs\0x\0relative\0\0"), (RUN, b""), (RUN, bytes(8)), (EXEC, bytes(8) + b"{}"),
    (protocol.SIGNAL, b""), (UPDATE, b""), (protocol.PROCESSES, b"abc"), (99, b""), (4000, b"x"),
], ids=lambda x: str(x) if isinstance(x, int) else "%d" % len(x))
def test_malformed_request_is_answered(agent, kind, payload):
    assert agent.ask(kind, payload, 3).code < 0
    assert agent.run(config("true")).code == 0, "the agent goes on"


@pytest.mark.parametrize("frame", [
    HEAD.pack((16 << 20) + 1, RUN, 0, 1, 1), HEAD.pack(0xffffffff, INPUT, 0, 1, 0), HEAD.pack(0, RUN, 0, 1, 0),
    HEAD.pack(3, protocol.CREDIT, 1, 1, 0) + b"abc", HEAD.pack(0, 3, 0, 0, 0), HEAD.pack(0, 77, 0, 0, 0),
    HEAD.pack(1, RESIZE, 0, 1, 0) + b"x", HEAD.pack(40000, INPUT, 0, 1, 0) + bytes(40000),
], ids=["long", "longest", "unnumbered", "credit", "reply", "unknown", "resize", "input"])
def test_broken_stream_ends_it(agent, frame):
    agent.sock.sendall(frame)
    with pytest.raises(Gone):
        agent.until(lambda: False)
    assert agent.close()


def test_before_hello(tmp_path):
    a = Agent(str(tmp_path), greet=False)
    assert a.run(config("true")).code < 0
    assert a.hello(protocol=99).code < 0
    assert a.run(config("true")).code < 0
    assert a.hello().code == 0
    a.close()


def test_frames_in_pieces(agent):
    payload = agent.process(config("echo", "x" * 1000), 0, 0, 0)
    whole = HEAD.pack(len(payload), RUN, 0, 1, 77) + payload
    for at in range(0, len(whole), 97):
        agent.sock.sendall(whole[at:at + 97])
    agent.until(lambda: 77 in agent.replies)
    agent.wait(1)
    assert agent.output[1, 1] == b"x" * 1000 + b"\n"
