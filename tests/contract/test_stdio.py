# SPDX-License-Identifier: Apache-2.0
"""Standard streams without a terminal: passed on as they are, nothing added, nothing lost."""
import hashlib
import os
import subprocess
import time

import pytest

from harness import peer
from harness.container import finish


def same(got, wanted):
    """Equality that does not print megabytes where it fails."""
    return hashlib.sha256(got.encode()).digest() == hashlib.sha256(wanted.encode()).digest()


def test_stdout_and_stderr_stay_apart(ct):
    r = ct("echo out; echo err >&2").run().ok()
    assert (r.out, r.err) == ("out\n", "err\n")


@pytest.mark.parametrize("text", ["", "one line\n", "no newline at the end", "a\n" * 10000],
                         ids=["empty", "line", "open-end", "many"])
def test_stdin_reaches_the_process_and_ends(ct, text):
    """cat ends by itself: end-of-file on stdin arrives."""
    assert same(ct(["cat"]).run(input=text).ok().out, text)


@pytest.mark.parametrize("text", ["", "through exec\n", "b" * 300000], ids=["empty", "line", "large"])
def test_exec_stdin_reaches_the_process_and_ends(ct, text):
    c = ct(["sleep", "100"]).up()
    assert same(c.exec("cat", input=text).ok().out, text)


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_large_output_is_whole(ct, verb):
    size = 32 << 20
    if verb == "run":
        proc = ct(["guest", "fill", str(size)]).spawn("run", stdout=subprocess.PIPE)
    else:
        c = ct(["sleep", "100"]).up()
        proc = c.spawn("exec", c.id, "guest", "fill", str(size), stdout=subprocess.PIPE)
    out, _ = proc.communicate(timeout=60)
    assert proc.returncode == 0
    assert hashlib.sha256(out).digest() == hashlib.sha256(b"x" * size).digest()


def test_large_output_to_a_slow_reader(ct):
    """The pipe fills up and empties many times: no byte is lost and the runtime does not spin."""
    proc = ct(["guest", "fill", str(1 << 20)]).spawn("run", stdout=subprocess.PIPE)
    total = 0
    while chunk := os.read(proc.stdout.fileno(), 65536):
        total += len(chunk)
        time.sleep(0.005)
    assert proc.wait(30) == 0
    assert total == 1 << 20


def test_binary_data_is_not_changed(ct):
    data = bytes(range(256)) * 64
    proc = ct(["cat"]).spawn("run", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = proc.communicate(data, timeout=30)
    assert out == data


@pytest.mark.levels("ns", "kernel")  # a virtual machine has descriptors of another kernel
def test_the_streams_are_the_callers_own_files(ct, runtime):
    """Without a terminal no copying process sits in between: fd 1 is the file given to the runtime."""
    peer.lacks("runc", "copies the streams of a foreground run")
    path = os.path.join(runtime.scratch, "own")
    with open(path, "w") as f:
        ct("readlink /proc/self/fd/1; stat -L -c %i /proc/self/fd/1").run(stdout=f).ok()
    with open(path) as f:
        assert f.read().split()[-1] == str(os.stat(path).st_ino)


def test_closed_reader_gives_sigpipe(ct):
    proc = ct("guest fill 100000000; echo $? >&2").spawn("run", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    proc.stdout.read(10)
    proc.stdout.close()
    proc.stdout = None
    assert finish(proc).err.strip() in ("141", "1")


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_only_the_three_streams_are_open(ct, verb):
    """CVE-2024-21626: no fd of the runtime reaches the process, whatever the caller leaks into it."""
    leak, other = os.pipe()
    os.set_inheritable(leak, True)
    try:
        if verb == "run":
            r = ct(["guest", "fds"]).run(close_fds=False)
        else:
            r = ct(["sleep", "100"]).up().exec("guest", "fds", close_fds=False)
        assert [line.split()[0] for line in r.ok().lines] == ["0", "1", "2"]
    finally:
        os.close(leak)
        os.close(other)


def _with_extra_fds(count):
    """Pipes at fds 3, 4, … of the child, each holding its number."""
    ends = []
    for i in range(count):
        r, w = os.pipe()
        os.write(w, b"fd%d" % (3 + i))
        os.close(w)
        ends.append(os.dup2(r, 200 + i))
        os.close(r)

    def place():
        for i, fd in enumerate(ends):
            os.dup2(fd, 3 + i, inheritable=True)

    return ends, place


@pytest.mark.levels("ns", "kernel")  # a virtual machine has descriptors of another kernel
@pytest.mark.parametrize("verb", ["run", "exec"])
@pytest.mark.parametrize("count", [1, 3])
def test_preserve_fds_passes_that_many(ct, verb, count):
    """--preserve-fds N: fds 3 .. 3+N-1 arrive at the same numbers, and no other."""
    ends, place = _with_extra_fds(count)
    script = "guest fds | cut -d' ' -f1 | tr '\\n' ' '; " + "; ".join("cat <&%d" % (3 + i) for i in range(count))
    kw = {"close_fds": False, "preexec_fn": place}
    try:
        if verb == "run":
            c = ct(script)
            r = c.run("--preserve-fds", str(count), **kw)
        else:
            c = ct(["sleep", "100"]).up()
            r = c.exec("sh", "-c", script, flags=["--preserve-fds", str(count)], **kw)
    finally:
        for fd in ends:
            os.close(fd)
    numbers = " ".join(str(n) for n in range(3 + count))
    assert r.ok().out == numbers + " " + "".join("fd%d" % (3 + i) for i in range(count))


@pytest.mark.levels("ns", "kernel")  # a virtual machine has descriptors of another kernel
def test_listen_fds_are_passed_on(ct):
    """Socket activation: LISTEN_FDS with LISTEN_PID that names the runtime; inside it names init."""
    ends, place = _with_extra_fds(1)
    environ = dict(os.environ, LISTEN_FDS="1")
    try:
        r = ct("echo $LISTEN_FDS $LISTEN_PID; cat <&3").run(env=environ, close_fds=False, preexec_fn=place,
                                                                wrap=["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"])
    finally:
        os.close(ends[0])
    assert r.ok().out == "1 1\nfd3"
