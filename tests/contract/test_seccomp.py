# SPDX-License-Identifier: Apache-2.0
"""config-linux.md "Seccomp": actions, argument filters, architectures, flags, the listener."""
import os

import pytest

from harness import bundle, notify, peer
from harness.host import parse_status

pytestmark = pytest.mark.levels("ns", "kernel")

ARCHES = {"x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "aarch64": ["SCMP_ARCH_AARCH64"]}


def seccomp(c, *rules, default="SCMP_ACT_ALLOW", **more):
    c.linux["seccomp"] = dict({"defaultAction": default, "architectures": ARCHES.get(os.uname().machine, []),
                               "syscalls": list(rules)}, **more)
    return c


def rule(action, *names, args=None, **more):
    r = dict({"names": list(names), "action": action}, **more)
    if args:
        r["args"] = args
    return r


def arg(index, value, op, two=None):
    a = {"index": index, "value": value, "op": "SCMP_CMP_" + op}
    if two is not None:
        a["valueTwo"] = two
    return a


def calls(ct, *names):
    return ct(" ; ".join("guest call " + n for n in names))


def test_filter_is_on(ct):
    c = seccomp(ct(["cat", "/proc/self/status"]))
    c.linux["seccomp"]["syscalls"] = [rule("SCMP_ACT_ERRNO", "keyctl")]
    assert parse_status(c.run().ok().out)["Seccomp"] == "2"


def test_no_profile_means_no_filter(ct):
    assert parse_status(ct(["cat", "/proc/self/status"]).run().ok().out)["Seccomp"] == "0"


@pytest.mark.parametrize("errno_ret,shown", [(None, 1), (1, 1), (38, 38), (13, 13)])
def test_errno(ct, errno_ret, shown):
    """Without errnoRet it is EPERM."""
    more = {} if errno_ret is None else {"errnoRet": errno_ret}
    c = seccomp(calls(ct, "getcpu"), rule("SCMP_ACT_ERRNO", "getcpu", **more))
    assert c.run().ok().out == "getcpu: errno %d\n" % shown


def test_default_errno(ct):
    """defaultErrnoRet, with an allow-list as engines write it."""
    allowed = [n for n in bundle._kernel_calls() if n not in ("getcpu", "keyctl")]
    c = seccomp(calls(ct, "getcpu", "getpid"), rule("SCMP_ACT_ALLOW", *allowed), default="SCMP_ACT_ERRNO",
                defaultErrnoRet=77)
    r = c.run().ok()
    assert r.lines[0] == "getcpu: errno 77" and "errno" not in r.lines[1]


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"])
def test_kill(ct, action):
    c = seccomp(ct("guest call getcpu; echo rc=$?"), rule(action, "getcpu"))
    c.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    assert c.run().ok().out.splitlines()[-1] == "rc=159"


def test_kill_of_init_gives_159(ct):
    c = seccomp(ct(["guest", "call", "getcpu"]), rule("SCMP_ACT_KILL_PROCESS", "getcpu"))
    assert c.run().rc == 159


def test_trap(ct):
    c = seccomp(ct("guest call getcpu; echo rc=$?"), rule("SCMP_ACT_TRAP", "getcpu"))
    assert c.run().ok().out.splitlines()[-1] == "rc=159"


def test_log_lets_the_call_go_on(ct):
    c = seccomp(calls(ct, "getpid"), rule("SCMP_ACT_LOG", "getpid"))
    assert "errno" not in c.run().ok().out


def test_trace_without_a_tracer_gives_enosys(ct):
    c = seccomp(calls(ct, "getcpu"), rule("SCMP_ACT_TRACE", "getcpu", errnoRet=1))
    assert c.run().ok().out == "getcpu: errno 38\n"


# dup(ARG) on a closed fd: EBADF (9) when allowed, 55 when the rule matched
FILTERS = [("EQ", 900, None, [900], [901, 0x100000384]), ("NE", 900, None, [901], [900]),
           ("LT", 900, None, [800], [900, 901]), ("LE", 900, None, [800, 900], [901]),
           ("GT", 900, None, [901], [900, 800]), ("GE", 900, None, [900, 901], [899]),
           ("MASKED_EQ", 0xF0, 0x50, [0x350, 0x35F], [0x340, 0x360])]


@pytest.mark.parametrize("op,value,two,hits,misses", FILTERS, ids=[f[0] for f in FILTERS])
def test_argument_filters(ct, op, value, two, hits, misses):
    numbers = hits + misses
    c = seccomp(calls(ct, *["dup %d" % n for n in numbers]),
                rule("SCMP_ACT_ERRNO", "dup", errnoRet=55, args=[arg(0, value, op, two)]))
    wanted = ["dup: errno 55"] * len(hits) + ["dup: errno 9"] * len(misses)
    assert c.run().ok().lines == wanted


def test_several_arguments_must_all_match(ct):
    c = seccomp(calls(ct, "socket 1 2 0", "socket 1 1 0", "socket 2 2 0"),
                rule("SCMP_ACT_ERRNO", "socket", errnoRet=55, args=[arg(0, 1, "EQ"), arg(1, 2, "EQ")]))
    lines = c.run().ok().lines
    assert lines[0] == "socket: errno 55" and all("errno 55" not in x for x in lines[1:])


def test_same_argument_twice_means_or(ct):
    """runc's rule: several conditions on one argument in one entry are alternatives."""
    c = seccomp(calls(ct, "dup 900", "dup 901", "dup 902"),
                rule("SCMP_ACT_ERRNO", "dup", errnoRet=55, args=[arg(0, 900, "EQ"), arg(0, 901, "EQ")]))
    assert c.run().ok().lines == ["dup: errno 55", "dup: errno 55", "dup: errno 9"]


def test_unknown_call_is_skipped(ct):
    """Profiles name calls of newer kernels and other architectures."""
    c = seccomp(calls(ct, "getcpu"), rule("SCMP_ACT_ERRNO", "call_from_the_future", "getcpu"))
    assert c.run().ok().out == "getcpu: errno 1\n"


@pytest.mark.parametrize("change", [{"defaultAction": "SCMP_ACT_WHAT"}, {"architectures": ["SCMP_ARCH_Z80"]},
                                    {"flags": ["SECCOMP_FILTER_FLAG_WHAT"]},
                                    {"syscalls": [rule("SCMP_ACT_WHAT", "dup")]},
                                    {"syscalls": [rule("SCMP_ACT_ERRNO", "dup", args=[arg(0, 1, "WHAT")])]},
                                    {"syscalls": [rule("SCMP_ACT_ERRNO", "dup", args=[arg(6, 1, "EQ")])]}],
                         ids=["action", "arch", "flag", "rule-action", "operator", "index"])
def test_refusals(ct, change):
    c = seccomp(ct(["true"]))
    c.linux["seccomp"].update(change)
    c.run().failed()


@pytest.mark.parametrize("flags", [[], ["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
                                   ["SECCOMP_FILTER_FLAG_TSYNC"]], ids=["none", "log", "spec", "tsync"])
def test_flags(ct, flags):
    if flags:
        peer.lacks("runc", "1.1 has no flags")
    c = seccomp(calls(ct, "getcpu"), rule("SCMP_ACT_ERRNO", "getcpu"), flags=flags)
    assert c.run().ok().out == "getcpu: errno 1\n"


def test_runtimes_own_calls_may_be_forbidden(ct):
    """A strict profile must not hit the runtime between the filter and execve."""
    c = seccomp(ct(["true"]), rule("SCMP_ACT_ERRNO", "close_range", "fsopen", "fsconfig", "openat2", "open_tree",
                                   "move_mount", "mount_setattr", "mount", "umount2", "pivot_root", errnoRet=38))
    for nnp in (False, True):
        c.process["noNewPrivileges"] = nnp
        c.run().ok()


@pytest.mark.parametrize("nnp", [False, True])
def test_with_an_unprivileged_user(ct, nnp):
    """Without no_new_privs the filter must be loaded while there still is CAP_SYS_ADMIN."""
    c = seccomp(calls(ct, "getcpu"), rule("SCMP_ACT_ERRNO", "getcpu"))
    c.process.update(noNewPrivileges=nnp, user={"uid": 1000, "gid": 1000}, capabilities={})
    assert c.run().ok().out == "getcpu: errno 1\n"


def test_same_profile_twice_and_another_between(ct):
    """A cache of compiled filters must not mix profiles up."""
    for errno_ret in (11, 12, 11, 13, 12):
        c = seccomp(calls(ct, "getcpu"), rule("SCMP_ACT_ERRNO", "getcpu", errnoRet=errno_ret))
        assert c.run().ok().out == "getcpu: errno %d\n" % errno_ret


# ---- listener ----

@pytest.fixture
def listener(runtime):
    made = []

    def make(error=0):
        made.append(notify.Listener(runtime.scratch, error))
        return made[-1]

    yield make
    for x in made:
        x.close()


@pytest.mark.levels("ns")  # level kernel refuses SCMP_ACT_NOTIFY
@pytest.mark.parametrize("nnp", [False, True])
@pytest.mark.parametrize("error", [0, 71])
def test_notify(ct, listener, nnp, error):
    agent = listener(error)
    c = seccomp(calls(ct, "getcpu"), rule("SCMP_ACT_NOTIFY", "getcpu"), listenerPath=agent.path,
                listenerMetadata="some metadata")
    c.process["noNewPrivileges"] = nnp
    r = c.run().ok()
    assert r.out == ("getcpu: errno 71\n" if error else "getcpu: 0\n")
    assert agent.calls, "the listener saw no call"
    s = agent.state
    assert s["fds"] == ["seccompFd"] and s["metadata"] == "some metadata"
    assert s["state"]["id"] == c.id and s["state"]["bundle"] == c.bundle and s["pid"] > 0


@pytest.mark.levels("ns")
def test_notify_of_exec(ct, listener):
    """exec loads the container's filter and hands over a listener of its own."""
    agent = listener()
    c = seccomp(ct(["sleep", "1000"]), rule("SCMP_ACT_ERRNO", "getcpu"), listenerPath=agent.path)
    c.linux["seccomp"]["syscalls"] = [rule("SCMP_ACT_NOTIFY", "getcpu")]
    c.up()
    first = agent.state
    agent.close()
    os.unlink(agent.path)
    second = listener(61)
    assert c.exec("guest", "call", "getcpu").ok().out == "getcpu: errno 61\n"
    assert first["pid"] == c.pid and second.state["pid"] != c.pid


def test_notify_without_a_listener_is_refused(ct):
    c = seccomp(ct(["true"]), rule("SCMP_ACT_NOTIFY", "getcpu"))
    c.run().failed()


def test_notify_with_nobody_listening(ct, runtime):
    c = seccomp(ct(["true"]), rule("SCMP_ACT_NOTIFY", "getcpu"), listenerPath=runtime.scratch + "/none.sock")
    c.run().failed()


def test_notify_of_write_is_refused(ct, listener):
    """The runtime itself must write after the filter is on: runc refuses the call write there."""
    peer.lacks("crun", "has no such rule")
    agent = listener()
    c = seccomp(ct(["true"]), rule("SCMP_ACT_NOTIFY", "write"), listenerPath=agent.path)
    c.run().failed("write")
