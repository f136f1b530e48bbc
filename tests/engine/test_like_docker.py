# SPDX-License-Identifier: Apache-2.0
"""What people's scripts rely on in Docker's command line: exit statuses, filters, fields of templates."""
import os

import pytest

import libengine


@pytest.mark.parametrize("argv,rc", [
    (["run"], 1), (["create"], 1), (["exec"], 1), (["exec", "x"], 1), (["run", "-it", "box", "true"], 1),
    (["exec", "-e", "=x", "nosuch", "true"], 125), (["run", "--dns", "foo", "box", "true"], 125),
    (["run", "--detach-keys", "foo", "box", "true"], 125), (["attach", "--detach-keys", "foo", "nosuch"], 1),
], ids=str)
def test_exit_status_of_misuse(coffer, argv, rc):
    assert coffer(*argv, rc=rc).stderr
    assert not coffer.out("ps", "-aq")


def test_filters(coffer, tmp_path):
    coffer("run", "-d", "--name", "a", *coffer.run_options(), "-v", "vol1:/v", "-v", "%s:/b" % tmp_path, "-p", "8123:80", "box",
           "sleep", "600")
    coffer("create", "--name", "b", "--network", "none", "box", "true")

    def names(*filters):
        return coffer.out("ps", "-a", "--format", "{{.Names}}", *[x for f in filters for x in ("-f", f)]).split()
    for f in ("volume=vol1", "volume=/v", "volume=/b", "volume=%s" % tmp_path, "publish=8123", "publish=8123/tcp",
              "publish=8000-9000", "expose=80"):
        assert names(f) == ["a"], f
    for f in ("volume=/nosuch", "publish=80", "publish=8123/udp", "publish=1-80"):
        assert names(f) == [], f


def test_networks_told_and_filtered(coffer):
    coffer("network", "create", "n1")
    coffer("network", "create", "n2")
    coffer("create", "--name", "a", "--network", "n1", "box", "true")
    assert coffer.out("network", "ls", "-f", "dangling=true", "-f", "driver=bridge", "--format", "{{.Name}}") == "n2"
    assert coffer.out("network", "ls", "-f", "dangling=false", "--format", "{{.Name}}").split() == [
        "bridge", "host", "n1", "none"]
    assert "dangling" in coffer("network", "ls", "-f", "dangling=some", rc=1).stderr
    done = coffer("network", "rm", "nosuch", "n2", rc=1)
    assert done.stdout == "n2\n" and "nosuch" in done.stderr
    done = coffer("network", "rm", "-f", "nosuch")
    assert done.stdout == done.stderr == ""
    told = coffer.out("events", "--since", "1h", "--until", "0s", "--filter", "network=n2", "--format",
                      "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}} {{.Scope}} [{{.From}}]")
    assert told.split("\n") == ["network create n2 bridge local []", "network destroy n2 bridge local []"]
    coffer("rm", "a")


def test_rm_goes_on(coffer):
    cid = coffer.start("--name", "a", "box", "sleep", "600")
    done = coffer("rm", "a", "nosuch", rc=1)
    assert done.stdout == "" and "running container" in done.stderr and "nosuch" in done.stderr
    # A failure is one, whatever comes behind it; that it is not there is none with -f.
    assert coffer("rm", "-f", "nosuch", "a").stdout == "a\n"
    assert not os.path.exists(os.path.join(coffer.scratch, "root/containers", cid))


def test_kill_with_no_signal(coffer):
    coffer.start("--name", "a", "box", "sleep", "600")
    assert "Invalid signal: 0" in coffer("kill", "-s", "0", "a", rc=1).stderr


def test_stats_by_the_word_that_was_given(coffer):
    cid = coffer.start("--name", "a", "box", "sleep", "600")
    assert coffer.out("stats", "--no-stream", "--format", "{{.Container}} {{.Name}}", "a") == "a a"
    assert coffer.out("stats", "--no-stream", "--format", "{{.Container}} {{.Name}}") == "%s a" % cid[:12]


def test_masked_paths(coffer):
    coffer("create", "--name", "a", "box", "true")
    coffer("create", "--name", "b", "--privileged", "box", "true")
    assert "/proc/kcore" in coffer.inspect("a", "{{json .HostConfig.MaskedPaths}}")
    assert "/proc/sys" in coffer.inspect("a", "{{json .HostConfig.ReadonlyPaths}}")
    assert coffer.inspect("b", "{{json .HostConfig.MaskedPaths}}{{json .HostConfig.ReadonlyPaths}}") == "nullnull"
    assert coffer.inspect("a", "{{.HostConfig.CgroupnsMode}}") == libengine.by_view("host", "private")
