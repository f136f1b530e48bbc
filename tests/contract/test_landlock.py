# SPDX-License-Identifier: Apache-2.0
"""The annotation `dev.coffer.landlock` (documented in host/landlock.h): rules without privilege."""
import ctypes
import json

import pytest

from harness import bundle, host, peer

pytestmark = pytest.mark.levels("ns")

EVERYWHERE = {"path": "/", "access": ["read", "execute"]}


def abi():
    """The kernel's Landlock version (landlock_create_ruleset with LANDLOCK_CREATE_RULESET_VERSION)."""
    return max(0, host.libc.syscall(444, None, ctypes.c_size_t(0), 1))


@pytest.fixture(autouse=True)
def landlock(request):
    peer.lacks("*", "has no Landlock annotation")
    if abi() < 4:
        pytest.skip("Landlock is off or older than ABI 4")


def ruled(c, **rules):
    c.config["annotations"] = {"dev.coffer.landlock": json.dumps(rules)}
    c.process["noNewPrivileges"] = True
    return c


def test_what_no_rule_allows_is_denied(ct):
    c = ruled(ct("cat /etc/hostname; echo x >/tmp/new; ls /tmp | wc -l"), paths=[EVERYWHERE])
    r = c.run().ok()
    assert r.lines == ["rootfs", "0"] and "Permission denied" in r.err


def test_writing_where_it_is_allowed(ct):
    c = ruled(ct("echo x >/tmp/new && cat /tmp/new; echo y >/etc/new"),
              paths=[EVERYWHERE, {"path": "/tmp", "access": ["read", "write", "create"]}])
    r = c.run().failed()
    assert r.out == "x\n" and "Permission denied" in r.err


def test_reading_can_be_denied(ct):
    c = ruled(ct("cat /tmp/secret"), paths=[{"path": "/bin", "access": ["read", "execute"]}])
    c.rootfs_file("tmp/secret", "s\n")
    assert "Permission denied" in c.run().failed().err


def test_removing_needs_its_right(ct):
    for rights, gone in ((["read", "write", "create"], False), (["read", "write", "create", "remove"], True)):
        c = ruled(ct("rm -f /tmp/f; test -e /tmp/f && echo there || echo gone"),
                  paths=[EVERYWHERE, {"path": "/tmp", "access": rights}])
        c.rootfs_file("tmp/f", "x")
        assert c.run().ok().out == ("gone\n" if gone else "there\n")


def test_root_inside_is_bound_as_well(ct):
    c = ruled(ct("echo x >/root/f"), paths=[EVERYWHERE])
    bundle.all_caps(c.config)
    assert "Permission denied" in c.run().failed().err


def test_tcp_ports(ct):
    c = ruled(ct("guest bind 8080; guest bind 9090; guest connect 7070; guest connect 6060"),
              tcp={"bind": [8080], "connect": [7070]})
    assert c.run().ok().lines == ["bound", "errno 13", "errno 111", "errno 13"]


def test_tcp_left_out_is_not_governed(ct):
    c = ruled(ct(["guest", "bind", "9090"]), paths=[EVERYWHERE, {"path": "/dev", "access": ["read", "write"]}])
    assert c.run().ok().out == "bound\n"


def test_holds_for_exec(ct):
    c = ruled(ct(["sleep", "1000"]), paths=[EVERYWHERE]).up()
    assert "Permission denied" in c.exec("echo x >/tmp/f").failed().err


@pytest.mark.parametrize("text", ["{", "[]", '{"path": []}', '{"paths": {}}', '{"paths": [{"path": "rel", "access": []}]}',
                                  '{"paths": [{"path": "/", "access": ["reed"]}]}',
                                  '{"paths": [{"path": "/no/such", "access": ["read"]}]}', '{"tcp": {"bind": [70000]}}',
                                  '{"tcp": {"listen": [80]}}', '{"abi": 4000}'])
def test_malformed_rules_are_refused(ct, text):
    """A typing error must not open a hole."""
    c = ct()
    c.config["annotations"] = {"dev.coffer.landlock": text}
    c.process["noNewPrivileges"] = True
    c.run().failed("dev.coffer.landlock" if "/no/such" not in text else "/no/such")


def test_works_without_any_privilege(ct):
    """An unprivileged user with no capabilities: Landlock needs only no_new_privs."""
    c = ruled(ct("echo x >/tmp/f"), paths=[EVERYWHERE])
    c.process.update(user={"uid": 1000, "gid": 1000}, capabilities={})
    assert "Permission denied" in c.run().failed().err
