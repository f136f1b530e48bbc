# SPDX-License-Identifier: Apache-2.0
"""coffer-vmm on this machine's KVM, with a guest of a few KB: devices, refusals, snapshots, confinement."""
import os
import struct
import time

import machine
import pytest
from machine import Machine, PAUSE, RESUME, SAVE

MEMORY = 32 << 20

if machine.why_not():
    pytest.skip(machine.why_not(), allow_module_level=True)


@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    return machine.build_guest(str(tmp_path_factory.mktemp("guest") / "kernel"))


@pytest.fixture
def run():
    made = []

    def start(*args, **kwargs):
        made.append(Machine(*args, **kwargs))
        return made[-1]
    yield start
    for m in made:
        m.close()


@pytest.mark.parametrize("vcpus", [1, 2])
def test_guest_says_a_word_and_ends(run, guest, vcpus):
    m = run(guest, args=["vcpus=%d" % vcpus])
    assert m.reply() == (0, "")
    code, log = m.wait()
    assert (code, m.text) == (0, b"up\n"), log


@pytest.mark.parametrize("name, words", [("rng", b"up\nanswered random\n"), ("hostile", b"up\ngave up\nanswered random\n"),
    ("insn", b"up\n8 int3 cmpxchg16b mxcsr\n"),
    ("syscall", b"up\ndown\nsyscall 7\nsyscall 8\nfault 5 there\nsyscall 9\n")])
def test_guest_does_what_it_was_told(run, guest, name, words):
    m = run(guest, "test=" + name)
    assert m.reply() == (0, "")
    code, log = m.wait()
    assert (code, m.text) == (0, words), log


def test_guest_asks_for_the_time(run, guest):
    m = run(guest, "test=clock")
    before = time.gmtime().tm_year
    code, log = m.wait()
    assert (code, int(m.text.removeprefix(b"up\nyear "))) in [(0, before % 100), (0, time.gmtime().tm_year % 100)], log


def test_guest_reads_a_disk(run, guest, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(512) + b"from the disk\n" + bytes(1024))
    fd = os.open(disk, os.O_RDONLY)
    m = run(guest, "test=disk", args=["disk=%d,ro" % fd], fds={"initramfs": fd})
    os.close(fd)
    code, log = m.wait()
    assert (code, m.text) == (0, b"up\nfrom the disk\n"), log


def test_agents_port_carries_bytes_both_ways(run, guest):
    m = run(guest, "test=echo")
    m.until(b"open\n")
    for word in (b"hello", b"x" * 3000, b"."):
        m.agent.sendall(word)
        got = b""
        while len(got) < len(word):
            got += m.agent.recv(65536)
        assert got == word
    assert m.wait()[0] == 0


def bzimage(code, xloadflags=1, size=None):
    """A kernel as distributions pack it (Documentation/arch/x86/boot.rst), of these instructions."""
    head = bytearray(1024)
    struct.pack_into("<B", head, 0x1f1, 1)
    struct.pack_into("<HHI", head, 0x1fe, 0xaa55, 0x66eb, 0x53726448)
    struct.pack_into("<H", head, 0x206, 0x20f)
    struct.pack_into("<H", head, 0x236, xloadflags)
    struct.pack_into("<QI", head, 0x258, 0x1000000, 0x10000 if size is None else size)
    return bytes(head) + bytes(0x200) + code


WORD = b"\x66\xba\xf8\x03\xb0\x62\xee\xb0\xfe\xe6\x64\xf4"  # "b" on the serial line, and a reset


def test_bzimage_is_entered_in_64_bit_mode(run, tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(bzimage(WORD))
    m = run(str(path))
    assert m.reply() == (0, "")
    assert (m.wait()[0], m.text) == (0, b"b")


@pytest.mark.parametrize("image, why", [
    (bzimage(WORD, xloadflags=0), "no 64-bit entry point"), (bzimage(WORD)[:1024], "cut short"),
    (bzimage(WORD, size=1 << 31), "does not fit")])
def test_bzimage_that_is_none_is_refused(run, tmp_path, image, why):
    path = tmp_path / "kernel"
    path.write_bytes(image)
    code, message = run(str(path)).reply()
    assert code < 0 and why in message


@pytest.mark.parametrize("content, why", [
    (b"", "cut short"), (b"\x7fELF" + bytes(100), "no ELF vmlinux"), (bytes(5000), "neither an ELF vmlinux nor a bzImage")])
def test_what_is_no_kernel_is_refused(run, tmp_path, content, why):
    path = tmp_path / "kernel"
    path.write_bytes(content)
    m = run(str(path))
    code, message = m.reply()
    assert code < 0 and why in message
    assert m.wait()[0] == 1


def test_memory_that_is_too_small_is_refused(run, guest):
    code, message = run(guest, memory=8 << 20).reply()
    assert code < 0 and "does not fit into 8 MiB" in message


@pytest.mark.parametrize("argument", ["vcpus=0", "vcpus=33", "disk=x", "nic=3,1234,9", "memory=-1", "nonsense", "kernel=99999999999"])
def test_arguments_that_are_none_are_refused(run, guest, argument):
    code, log = run(guest, args=[argument]).wait()
    assert code == 1 and argument in log


def test_running_monitor_is_confined(run, guest):
    m = run(guest, "test=count")
    m.until(b"\n3\n")
    for task in os.listdir("/proc/%d/task" % m.process.pid):
        with open("/proc/%d/task/%s/status" % (m.process.pid, task)) as f:
            status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
        assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
        assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0


def test_monitor_ends_with_its_keeper(run, guest):
    m = run(guest, "test=count")
    m.until(b"\n3\n")
    m.control.close()
    assert m.wait()[0] == 0


def test_paused_guest_stands_still(run, guest):
    m = run(guest, "test=count")
    m.reply()
    m.until(b"\n3\n")
    assert m.ask(PAUSE) == (0, "")
    before = m.drain()
    assert m.drain() == before
    assert m.ask(SAVE)[0] < 0  # into no file, of memory in none
    assert m.ask(RESUME) == (0, "")
    m.until(b"\n%d\n" % (int(before.split(b"\n")[-2]) + 5))
    assert m.ask(77)[0] < 0


@pytest.fixture(scope="module")
def snapshot(guest):
    """(memory, state, the last number that the guest printed before it was saved)."""
    memory, state = os.memfd_create("memory"), os.memfd_create("state")
    m = Machine(guest, "test=count", MEMORY, {"memory-file": memory})
    try:
        assert m.reply() == (0, "")
        m.until(b"\n5\n")
        assert m.ask(PAUSE) == (0, "")
        assert m.ask(SAVE, state) == (0, "")
        last = int(m.drain().split(b"\n")[-2])
    finally:
        m.close()
    yield memory, state, last
    os.close(memory)
    os.close(state)


def restore(run, memory, state, size=MEMORY, args=()):
    return run(memory=size, fds={"memory-file": memory, "state": state}, args=args)


def test_restored_guest_goes_on_where_it_stood_as_often_as_one_likes(run, snapshot):
    memory, state, last = snapshot
    for _ in range(3):
        m = restore(run, memory, state)
        assert m.reply() == (0, "")
        text = m.until(b"\n%d\n" % (last + 3))
        assert b"up" not in text and text.split(b"\n")[1] == b"%d" % (last + 2)


def test_restored_machine_is_saved_in_its_turn(run, snapshot, tmp_path):
    """Its memory is written beside its state, zeros as holes; and so is the next one's."""
    memory, state, last = snapshot
    at, state_at = 2 << 20, (2 << 20) + MEMORY
    args = ()
    for turn in range(3):
        m = run(memory=MEMORY, fds={"memory-file": memory, "state": state}, args=args)
        assert m.reply() == (0, "")
        last += 3
        m.until(b"\n%d\n" % last)
        assert m.ask(PAUSE) == (0, "")
        assert m.ask(SAVE, state, state_at)[0] < 0  # the memory is in no file
        file = os.open(tmp_path / ("saved%d" % turn), os.O_RDWR | os.O_CREAT)
        assert m.ask(SAVE, file, state_at, at) == (0, "")
        assert os.fstat(file).st_blocks * 512 < MEMORY // 4
        now = int(m.drain().split(b"\n")[-2])
        assert now >= last
        if turn:
            os.close(memory)
        memory, last, args = file, now, ["memory-at=%d" % at, "state-at=%d" % state_at]
        state = memory
    os.close(memory)


def test_state_of_many_processors_is_written_from_within_the_confinement(run, guest):
    memory, state = os.memfd_create("memory"), os.memfd_create("state")
    try:
        m = run(guest, "test=count", MEMORY, {"memory-file": memory}, args=["vcpus=32"])
        assert m.reply() == (0, "")
        m.until(b"\n3\n")
        assert m.ask(PAUSE) == (0, "") and m.ask(SAVE, state) == (0, "")
        assert os.fstat(state).st_size > 32 << 12
        m = restore(run, memory, state, args=["vcpus=32"])
        assert m.reply() == (0, "")
    finally:
        os.close(memory)
        os.close(state)


def copy_of(fd, change):
    data = bytearray(os.pread(fd, 1 << 22, 0))
    changed = change(data)
    data = data if changed is None else changed
    new = os.memfd_create("changed")
    os.write(new, data)
    return new


@pytest.mark.parametrize("change", [
    pytest.param(lambda d: d[:0], id="empty"), pytest.param(lambda d: d[:30], id="header"),
    pytest.param(lambda d: d[:-1], id="cut"), pytest.param(lambda d: d[:len(d) // 2], id="half"),
    pytest.param(lambda d: d.__setitem__(len(d) // 2, d[len(d) // 2] ^ 1), id="bit"),
    pytest.param(lambda d: d.__setitem__(slice(32, 40), struct.pack("<Q", 1 << 62)), id="size")])
def test_damaged_snapshot_is_refused(run, snapshot, change):
    state = copy_of(snapshot[1], change)
    try:
        code, message = restore(run, snapshot[0], state).reply()
        assert code < 0 and "snapshot" in message
    finally:
        os.close(state)


def forge(data):
    """The right sum of whatever it is."""
    total = 0xcbf29ce484222325
    for byte in data[:-8]:
        total = ((total ^ byte) * 0x100000001b3) & (1 << 64) - 1
    data[-8:] = struct.pack("<Q", total)
    return data


@pytest.mark.parametrize("step", range(12))
def test_forged_snapshot_harms_nobody(run, snapshot, step):
    """Refused, or a guest that does what its bytes say; never a crash of the monitor."""
    def change(data):
        at = 48 + (len(data) - 60) * step // 12
        data[at:at + 24] = b"\xff" * 24
        return forge(data)
    state = copy_of(snapshot[1], change)
    try:
        m = restore(run, snapshot[0], state)
        reply = m.reply()
        assert reply is not None
        if reply[0] == 0:
            m.drain()
            m.control.close()
        assert m.wait()[0] in (0, 1)
    finally:
        os.close(state)


def test_snapshot_of_another_machine_is_refused(run, snapshot):
    memory, state, _ = snapshot
    code, message = restore(run, memory, state, args=["vcpus=2"]).reply()
    assert code < 0 and "another machine" in message
    code, message = restore(run, memory, state, size=MEMORY * 2).reply()
    assert code < 0 and "cut short" in message
