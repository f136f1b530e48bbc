# SPDX-License-Identifier: Apache-2.0
"""Container ids that are paths, options, or noise; and numbers that overflow into other users."""
import os

import pytest

from conftest import crashed
from harness import container

BAD = ["..", ".", "a/b", "/", "/etc", "../victim", "a/../../victim", "", "a\nb", "a b", "\x1b[31mred", "ü", "a\0b"[:1] + "\x01",
       "x" * 256, "x" * 1025, "x" * 100000, "*", "$(id)"]


@pytest.fixture
def victim(runtime):
    """A neighbour of the state directory that a traversal would hit."""
    path = os.path.join(runtime.scratch, "victim")
    os.makedirs(runtime.root)
    os.makedirs(path)
    with open(os.path.join(path, "state.json"), "w") as f:
        f.write("{}")
    yield path
    assert os.listdir(path) == ["state.json"], "the neighbour of the state directory was touched"
    with open(os.path.join(path, "state.json")) as f:
        assert f.read() == "{}"


def quiet(result):
    """A refusal is one short line without control characters of the input."""
    result.failed()
    assert not crashed(result), result
    text = result.err.rstrip("\n")
    assert not any(ord(ch) < 32 and ch not in "\n\t" for ch in text), "raw control characters: %r" % text
    return result


@pytest.mark.parametrize("verb", ["run", "create"])
@pytest.mark.parametrize("bad", BAD, ids=lambda b: repr(b[:14]))
def test_no_container_of_that_name(ct, runtime, victim, verb, bad):
    c = ct(["true"])
    c.write_config()
    before = sorted(os.listdir(runtime.scratch))
    quiet(runtime.call(verb, "--bundle", c.bundle, "--", bad))
    assert sorted(os.listdir(runtime.scratch)) == before
    assert os.listdir(runtime.root) == []


@pytest.mark.parametrize("verb", [["state"], ["kill"], ["delete"], ["start"], ["pause"], ["exec"]], ids=lambda v: v[0])
@pytest.mark.parametrize("bad", BAD, ids=lambda b: repr(b[:14]))
def test_no_verb_takes_it(runtime, victim, verb, bad):
    rest = {"kill": ["KILL"], "exec": ["true"]}.get(verb[0], [])
    quiet(runtime.call(*verb, "--", bad, *rest))


@pytest.mark.parametrize("bad", [b for b in BAD if "/" in b or b.startswith(".")])
def test_delete_force_deletes_nothing_else(runtime, victim, bad):
    runtime.call("delete", "--force", "--", bad)
    assert os.path.isdir(runtime.root)


def test_long_but_good_id(ct, runtime):
    c = ct(["true"], id=runtime.token + "x" * 100)
    c.run().ok()


@pytest.mark.parametrize("field", ["uid", "gid"])
@pytest.mark.parametrize("value", [4294967295, 4294967296, -1, 2 ** 63, 2 ** 64 + 1000, 1.5, "0"])
def test_user_that_overflows(ct, field, value):
    """setuid(4294967295) changes nothing and leaves root: it must not be taken for a user."""
    c = ct("id -u; id -g")
    c.process["user"][field] = value
    c.run().failed()


@pytest.mark.parametrize("value", [4294967295, 4294967296, -1])
def test_additional_group_that_overflows(ct, value):
    c = ct(["true"])
    c.process["user"]["additionalGids"] = [value]
    c.run().failed()


@pytest.mark.parametrize("user", ["4294967295", "4294967296", "-1", "0:4294967295", "99999999999999999999", "1000:-1"])
def test_exec_user_that_overflows(ct, user):
    c = ct(["sleep", "100"]).up()
    result = c.exec("id", "-u", flags=("--user", user))
    assert result.rc != 0 and "0\n" != result.out, result


@pytest.mark.parametrize("mapping", [
    {"containerID": 0, "hostID": 0, "size": 0}, {"containerID": 0, "hostID": 4294967295, "size": 1},
    {"containerID": 0, "hostID": 100000, "size": 4294967296}, {"containerID": 4294967290, "hostID": 1, "size": 100},
    {"containerID": -1, "hostID": 100000, "size": 10}])
def test_id_mapping_that_overflows(ct, mapping):
    c = ct(["id", "-u"])
    c.linux["namespaces"].append({"type": "user"})
    c.linux["uidMappings"] = [mapping]
    c.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    result = c.run()
    assert result.rc != 0 and not crashed(result), result


@pytest.mark.parametrize("pid", ["0", "-1", "1", "4294967297", "x", "18446744073709551615"])
def test_signals_that_are_no_signals(ct, pid):
    """kill takes a signal, never a pid; numbers out of range are refused and the container lives on."""
    c = ct(["sleep", "100"]).up()
    result = c.rt.call("kill", c.id, {"1": "0x9", "0": "999"}.get(pid, pid))
    assert result.rc != 0 and not crashed(result), result
    assert c.status == "running"
    assert container.kill_pid(c.pid, 0)
