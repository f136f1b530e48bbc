# SPDX-License-Identifier: Apache-2.0
"""config.json as an attacker writes it: one short refusal, in bounded time and memory, and nothing left."""
import json
import os
import resource
import time

import pytest

from conftest import crashed
from harness import env, leaks

MEMORY = 512 << 20  # of address space: enough for any honest document


def attempt(c, text, must_fail=True, seconds=20):
    """`run` with that document; returns the Result after the checks that hold for every document."""
    with open(os.path.join(c.bundle, "config.json"), "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    begin = time.monotonic()
    result = c.rt.call("run", "--bundle", c.bundle, c.id, timeout=seconds)
    assert time.monotonic() - begin < seconds
    assert not crashed(result), result
    assert not any(ord(ch) < 32 and ch not in "\n\t" for ch in result.err), "raw control characters: %r" % result
    if must_fail:
        result.failed()
        assert 0 < len(result.err) < 4000, "%d bytes of complaint" % len(result.err)
    leaks.assert_none(c.rt)
    return result


@pytest.fixture
def plain(ct):
    c = ct(["true"])
    c.write_config()
    return c


def document(c):
    return json.dumps(c.config)


@pytest.mark.parametrize("text", [
    "", " ", "{", "}", "[]", "null", "0", '"x"', "{}", '{"ociVersion":}', "{'a':1}", '{"ociVersion":"1.0.2",}',
    '{"a":1}{"b":2}', '{"ociVersion":"1.0.2"} x', b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b"\0" * 100, '{"a":"\\ud800"}',
    '{"a":"\\x"}', '{"a":01}', '{"a":1e999999}', '{"a":-}', '{"a":tru}', "[" * 100, '{"a":' * 100], ids=range(25))
def test_not_a_config(plain, text):
    attempt(plain, text)


@pytest.mark.parametrize("unit,depth", [("[", 100000), ('{"a":', 100000), ("[", 10000000)])
def test_nested_deeply(plain, unit, depth):
    """No recursion without a limit: the stack is finite."""
    attempt(plain, unit * depth)
    attempt(plain, '{"ociVersion":"1.0.2","annotations":' + unit * depth)
    attempt(plain, document(plain)[:-1] + ',"x":' + "[" * 100000 + "]" * 100000 + "}", must_fail=False)


@pytest.mark.parametrize("where", ["args", "env", "annotation", "unknown", "hostname"])
def test_huge_strings(plain, where):
    """64 MB in one string: refused, or passed on to a kernel that refuses it."""
    c, big = plain, "x" * (64 << 20)
    if where == "args":
        c.process["args"] = ["true", big]
    elif where == "env":
        c.process["env"].append("BIG=" + big)
    elif where == "annotation":
        c.config["annotations"] = {"a": big}
    elif where == "hostname":
        c.config["hostname"] = big
    else:
        c.config["unknownField"] = big
    attempt(c, document(c), must_fail=where in ("args", "env", "hostname"), seconds=60)


def test_hundred_thousand_mounts(plain):
    plain.config["mounts"] += [{"destination": "/mnt/%d" % i, "type": "tmpfs", "source": "x"} for i in range(100000)]
    attempt(plain, document(plain), must_fail=False, seconds=120)


def test_many_of_everything(plain):
    c = plain
    c.process["env"] += ["V%d=1" % i for i in range(20000)]
    c.linux["maskedPaths"] += ["/mnt/no%d" % i for i in range(20000)]
    c.resources["devices"] += [{"allow": True, "type": "c", "major": i, "minor": 1, "access": "r"} for i in range(2000)]
    c.config["annotations"] = {"k%d" % i: "v" for i in range(20000)}
    attempt(c, document(c), must_fail=False, seconds=60)


@pytest.mark.parametrize("key,text", [
    ("process", '"process":{"args":["sh","-c","echo SECOND"],"cwd":"/","user":{"uid":0,"gid":0}}'),
    ("root", '"root":{"path":"/"}'), ("linux", '"linux":{}'), ("mounts", '"mounts":[]'),
    ("ociVersion", '"ociVersion":"9.9.9"')])
def test_duplicate_keys_are_ambiguous(plain, key, text):
    """Two readers could take different ones: refused."""
    attempt(plain, document(plain)[:-1] + "," + text + "}")


@pytest.mark.parametrize("field", ["args", "cwd", "env", "hostname", "root", "dest", "source", "option", "cgroup", "masked"])
def test_nul_in_a_string(plain, field):
    """What follows an escaped NUL would silently be lost in C: refused."""
    c, bad = plain, "/x\0y"
    place = {"args": lambda: c.process.__setitem__("args", ["true", bad]), "cwd": lambda: c.process.__setitem__("cwd", bad),
             "env": lambda: c.process["env"].append("A=" + bad), "hostname": lambda: c.config.__setitem__("hostname", "a\0b"),
             "root": lambda: c.config["root"].__setitem__("path", "rootfs\0x"),
             "dest": lambda: c.config["mounts"].append({"destination": "/mnt\0x", "type": "tmpfs", "source": "t"}),
             "source": lambda: c.config["mounts"].append({"destination": "/mnt", "type": "bind", "source": "/etc\0x"}),
             "option": lambda: c.config["mounts"][0]["options"].append("ro\0x"),
             "cgroup": lambda: c.linux.__setitem__("cgroupsPath", "/%s/x\0y" % c.rt.cgroup),
             "masked": lambda: c.linux["maskedPaths"].append("/proc/kcore\0x")}
    place[field]()
    attempt(c, document(c))


NUMBERS = [-1, 2 ** 31, 2 ** 32, 2 ** 63, 2 ** 64, 10 ** 400, 1.5, 1e300, "1", True, [], {}]


@pytest.mark.parametrize("path", [
    "process.user.uid", "process.user.umask", "process.oomScoreAdj", "process.consoleSize.height", "linux.resources.pids.limit",
    "linux.resources.memory.limit", "linux.resources.cpu.shares", "linux.resources.cpu.period", "linux.resources.devices.0.major",
    "process.rlimits.0.soft", "linux.seccomp.defaultErrnoRet", "hooks.prestart.0.timeout"])
def test_numbers_out_of_range(plain, path):
    """No number wraps, crashes or is taken for another; where one is valid for a field it may pass."""
    c = plain
    c.process.update(consoleSize={"height": 1, "width": 1}, rlimits=[{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}])
    c.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    c.config["hooks"] = {"prestart": [{"path": "/bin/true"}]}
    c.resources.update(pids={}, memory={}, cpu={})
    for value in NUMBERS:
        node = json.loads(document(c))
        top = node
        *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        for step in way:
            node = node[step]
        node[last] = value
        attempt(c, json.dumps(top), must_fail=isinstance(value, (str, bool, list, dict)) or value == 10 ** 400)
        c.delete("--force")


WRONG = [0, "text", [], [1], {}, {"a": 1}, True]


@pytest.mark.parametrize("path", ["process", "root", "mounts", "linux", "hooks", "annotations", "hostname", "process.args",
                                  "process.env", "process.user", "process.capabilities", "process.terminal", "root.path",
                                  "root.readonly", "linux.namespaces", "linux.resources", "linux.devices", "linux.maskedPaths",
                                  "linux.seccomp", "linux.sysctl", "linux.uidMappings", "linux.cgroupsPath", "mounts.0.options"])
def test_wrong_types(plain, path):
    """Every member given every other type: never a crash."""
    for value in WRONG:
        top = json.loads(document(plain))
        node = top
        *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        for step in way:
            node = node[step]
        node[last] = value
        attempt(plain, json.dumps(top), must_fail=False)
        plain.delete("--force")


@pytest.mark.skipif(env.SANITIZED, reason="the shadow memory of sanitizers counts")
def test_memory_stays_bounded(plain):
    """A document of 30 MB of small members is refused or read without a multiple of hundreds of megabytes."""
    text = document(plain)[:-1] + ',"x":[' + ",".join(["1"] * 15000000) + "]}"
    with open(os.path.join(plain.bundle, "config.json"), "w") as f:
        f.write(text)
    result = plain.rt.call("run", "--bundle", plain.bundle, plain.id, timeout=60,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY)))
    assert not crashed(result), result


@pytest.mark.parametrize("what", ["directory", "fifo", "missing", "symlink-loop", "device"])
def test_config_that_is_no_file(ct, what):
    """config.json is a FIFO or /dev/zero: the runtime neither hangs nor eats the machine."""
    c = ct(["true"])
    path = os.path.join(c.bundle, "config.json")
    if what == "directory":
        os.mkdir(path)
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "symlink-loop":
        os.symlink("config.json", path)
    elif what == "device":
        os.symlink("/dev/zero", path)
    limit = (1 << 30, 1 << 30) if not env.SANITIZED else (-1, -1)  # their shadow memory counts
    result = c.rt.call("run", "--bundle", c.bundle, c.id, timeout=15,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, limit))
    result.failed()
    assert not crashed(result), result


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;owned\x07", "a\nb: level=fatal", "\x9b31m"])
def test_names_of_the_config_are_not_printed_raw(ct, text):
    """A refusal quotes foreign names: escape sequences must not reach the operator's terminal."""
    c = ct([text])
    result = c.run().failed()
    assert not any(ord(ch) < 32 and ch not in "\n\t" or 0x7f <= ord(ch) < 0xa0 for ch in result.err), repr(result.err)
    assert "\nb: level" not in result.err


@pytest.mark.parametrize("what", ["uidMappings", "nspath", "rootfs", "cgroupsPath", "args", "label"])
def test_lengths_that_overflow_an_internal_message(plain, what):
    """CVE-2021-43784: what travels between the runtime's processes has no length that wraps at 16 or 32 bits."""
    c = plain
    if what == "uidMappings":
        c.linux["namespaces"].append({"type": "user"})
        c.linux["uidMappings"] = [{"containerID": i, "hostID": 100000 + i, "size": 1} for i in range(70000)]
        c.linux["gidMappings"] = c.linux["uidMappings"]
    elif what == "nspath":
        c.linux["namespaces"].append({"type": "user", "path": "/proc/" + "./" * 40000 + "1/ns/user"})
    elif what == "rootfs":
        c.config["root"]["path"] = "./" * 40000 + "rootfs"
    elif what == "cgroupsPath":
        c.linux["cgroupsPath"] = c.cgroup + "/x" * 40000
    elif what == "args":
        c.process["args"] = ["true"] + ["x" * 1000] * 5000
    else:
        c.process["selinuxLabel"] = "x" * 70000
    attempt(c, document(c), must_fail=what != "rootfs", seconds=60)
