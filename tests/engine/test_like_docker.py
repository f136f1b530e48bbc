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


@pytest.mark.parametrize("pattern, found", [("web", ["my-web", "web1"]), ("^web", ["web1"]), ("^/web1$", ["web1"]), ("/my", ["my-web"]),
                                            ("web[0-9]$|other", ["other", "web1"]), ("w.b[^0-9]*$", ["my-web"]), ("(", []), ("^$", [])])
def test_filters_by_name_are_patterns(coffer, pattern, found):
    for name in ("my-web", "web1", "other"):
        coffer("create", "--name", name, "--network", "none", "box", "true")
    assert sorted(coffer.out("ps", "-a", "-f", "name=" + pattern, "--format", "{{.Names}}").split()) == found
    if "/" not in pattern:
        for name in ("my-web", "web1", "other"):
            coffer("volume", "create", name)
        assert sorted(coffer.out("volume", "ls", "-q", "-f", "name=" + pattern).split()) == found


def test_networks_told_and_filtered(coffer):
    coffer("network", "create", "n1")
    coffer("network", "create", "n2")
    coffer("create", "--name", "a", "--network", "n1", "box", "true")
    assert coffer.out("network", "ls", "-f", "dangling=true", "-f", "driver=bridge", "--format", "{{.Name}}") == "n2"
    assert coffer.out("network", "ls", "-f", "dangling=false", "--format", "{{.Name}}").split() == [
        "bridge", "host", "n1", "none"]
    assert "dangling" in coffer("network", "ls", "-f", "dangling=some", rc=1).stderr
    nid = coffer.out("network", "inspect", "-f", "{{.Id}}", "n2")
    coffer("create", "--name", "by-id", "--network", nid[:20], "box", "true")
    assert "n2" in coffer.out("network", "ls", "-f", "dangling=false", "--format", "{{.Name}}").split()
    for word in ("n2", nid, nid[:12]):
        assert coffer.out("ps", "-a", "-f", "network=" + word, "--format", "{{.Names}} {{.Networks}}") == "by-id n2", word
    coffer("rm", "by-id")
    done = coffer("network", "rm", "nosuch", "n2", rc=1)
    assert done.stdout == "n2\n" and "nosuch" in done.stderr
    done = coffer("network", "rm", "-f", "nosuch")
    assert done.stdout == done.stderr == ""
    told = coffer.out("events", "--since", "1h", "--until", "0s", "--filter", "network=n2", "--format",
                      "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}} {{.Scope}} [{{.From}}]")
    assert told.split("\n") == ["network create n2 bridge local []", "network destroy n2 bridge local []"]
    coffer("rm", "a")


def test_events_of_a_whole_life(coffer):
    """exec's three with one id, top, volumes' mounts, and networks that it comes to and leaves."""
    cid = coffer.start("--name", "a", "-v", "vol1:/v:ro", "box", "sleep", "600")
    coffer("exec", "a", "sh", "-c", "exit 3", rc=3)
    coffer("exec", "-d", "a", "sh", "-c", "exit 4")
    coffer("top", "a")

    def told(*fields, **filters):
        text = " ".join("{{%s}}" % f for f in fields)
        return coffer.out("events", "--since", "1h", "--until", "0s", "--format", text, *[
            x for k, v in filters.items() for x in ("-f", "%s=%s" % (k, v))]).splitlines()
    libengine.wait_for("the end of the second", lambda: len(told(".Action", container=cid, event="exec_die")) == 2, 30)
    ids = told(".Actor.Attributes.execID", container=cid, event="exec_create")
    assert len(set(ids)) == 2 and ids == told(".Actor.Attributes.execID", container=cid, event="exec_start")
    assert told(".Action", container=cid, event="exec_start") == ["exec_start: sh -c exit 3", "exec_start: sh -c exit 4"]
    assert told(".Actor.Attributes.execID", ".Actor.Attributes.exitCode", container=cid, event="exec_die") == [
        "%s 3" % ids[0], "%s 4" % ids[1]]
    assert told(".Action", container=cid, event="top") == ["top"]
    coffer("network", "create", "n1")
    coffer("network", "connect", "n1", "a")
    coffer("network", "disconnect", "n1", "a")
    coffer("rm", "-f", "a")
    attributes = [".Action"] + [".Actor.Attributes." + x for x in ("container", "name", "type")]
    mine = [x.split()[::2] + x.split()[3:] for x in told(*attributes, type="network") if cid in x]
    assert [" ".join(x) for x in mine] == [
        "connect bridge bridge", "connect n1 bridge", "disconnect n1 bridge", "disconnect bridge bridge"]
    coffer("volume", "rm", "vol1")
    fields = (".Action", ".Actor.ID", ".Actor.Attributes.driver")
    assert told(*fields, volume="vol1")[-4:] == [
        "create vol1 local", "mount vol1 local", "unmount vol1 local", "destroy vol1 local"]
    assert told(".Actor.Attributes.destination", '(index .Actor.Attributes "read/write")', ".Actor.Attributes.container",
                volume="vol1", event="mount")[-1] == "/v false " + cid


def test_what_inspect_shows_beside_the_networks(coffer):
    """The default network's address alone; published ports of what runs."""
    fmt = "{{with .NetworkSettings}}{{json .Ports}} [{{.IPAddress}} {{.Gateway}} {{.MacAddress}} {{.EndpointID}} {{.IPPrefixLen}}]{{end}}"
    coffer("network", "create", "n1")
    cid = coffer.start("--network", "n1", "-p", "8124:80", "box", "sleep", "600")
    assert coffer.inspect(cid, fmt) == '{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8124"}]} [    0]'
    assert coffer.inspect(cid, '{{(index .NetworkSettings.Networks "n1").IPAddress}}')
    coffer("network", "connect", "bridge", cid)
    same = "{{with .NetworkSettings}}{{eq .IPAddress .Networks.bridge.IPAddress}} {{eq .Gateway .Networks.bridge.Gateway}}{{end}}"
    assert coffer.inspect(cid, same) == "true true"
    coffer("stop", "-t", "0", cid)
    assert coffer.inspect(cid, fmt) == "{} [    0]"
    coffer("rm", cid)
    coffer("network", "rm", "n1")


def test_networks_of_a_stopped_container_are_told(coffer):
    coffer("network", "create", "n1")
    cid = coffer.out("create", "--name", "a", "--network", "n1", "box", "true")
    coffer("network", "disconnect", "n1", "a")
    coffer("network", "connect", "n1", "a")
    coffer.start("--name", "b", "--network", "n1", "box", "sleep", "600")
    coffer("network", "disconnect", "n1", "b")
    coffer("rm", "-f", "b")
    assert coffer.out("events", "--stream=false", "--since", "1h", "-f", "network=n1", "--format",
                      "{{.Action}} {{if eq .Actor.Attributes.container \"%s\"}}a{{else}}b{{end}}" % cid).splitlines()[-4:] == [
        "disconnect a", "connect a", "connect b", "disconnect b"]
    coffer("rm", "a")
    coffer("network", "rm", "n1")


def test_a_long_command_keeps_its_event(coffer):
    coffer.start("--name", "a", "--label", "l=" + "x" * 1000, "box", "sleep", "600")
    done = coffer("exec", "a", "true", "\1" * 3000, "é" * 3000)
    assert done.stderr == ""
    told = coffer.out("events", "--since", "1h", "--until", "0s", "-f", "event=exec_die", "-f", "container=a", "--format",
                      "{{.Actor.Attributes.exitCode}}")
    assert told.splitlines()[-1] == "0"


def test_rm_goes_on(coffer):
    cid = coffer.start("--name", "a", "box", "sleep", "600")
    done = coffer("rm", "a", "nosuch", rc=1)
    assert done.stdout == "" and "running container" in done.stderr and "nosuch" in done.stderr
    # A failure is one, whatever comes behind it; that it is not there is none with -f.
    assert coffer("rm", "-f", "nosuch", "a").stdout == "a\n"
    assert not os.path.exists(os.path.join(coffer.scratch, "root/containers", cid))


def test_names_with_the_slash_that_inspect_shows(coffer):
    coffer("create", "--name", "/slashed", "box", "true")
    assert coffer.inspect("slashed", "{{.Name}}") == coffer.inspect("/slashed", "{{.Name}}") == "/slashed"
    assert "already in use" in coffer("create", "--name", "slashed", "box", "true", rc=125).stderr
    for bad in ("//a", "/", "/.a"):
        assert "Invalid container name" in coffer("create", "--name", bad, "box", "true", rc=125).stderr, bad
    coffer("rm", "/slashed")


def names(coffer, *filters):
    return sorted(coffer.out("ps", "-a", "--format", "{{.Names}}", *filters).split())


def test_all(coffer):
    """Podman's --all, where Docker has no such flag."""
    for name in ("a", "b"):
        coffer.start("--name", name, "box", "sleep", "600")
    ids = set(coffer.out("ps", "-q", "--no-trunc").split())
    coffer("create", "--name", "c", "box", "true")
    assert set(coffer.out("pause", "a").split()) == {"a"}
    assert coffer.out("unpause", "--all") == coffer.inspect("a", "{{.Id}}")
    assert set(coffer.out("pause", "-a").split()) == ids
    assert names(coffer, "-f", "status=paused") == ["a", "b"]
    assert set(coffer.out("unpause", "-a").split()) == ids
    assert set(coffer.out("restart", "-t", "0", "-a").split()) == ids
    assert set(coffer.out("stop", "-t", "0", "-a").split()) == ids
    assert names(coffer, "-f", "status=running") == [] and coffer.out("stop", "-a") == coffer.out("kill", "-a") == ""
    coffer("start", "a")
    assert "running container" in coffer("rm", "-a", rc=1).stderr and names(coffer) == ["a"]
    assert set(coffer.out("kill", "-a").split()) <= ids
    coffer("rm", "-f", "--all")
    assert names(coffer) == []
    assert "one too many" in coffer("rm", "-a", "x", rc=1).stderr
    for verb in ("stop", "kill", "restart", "pause", "unpause", "rm"):
        assert "requires at least 1 argument" in coffer(verb, rc=1).stderr, verb


def test_ignore(coffer):
    coffer.start("--name", "a", "box", "sleep", "600")
    done = coffer("stop", "-i", "-t", "0", "nosuch", "a")
    assert (done.stdout, done.stderr) == ("a\n", "")
    done = coffer("rm", "--ignore", "nosuch", "a")
    assert (done.stdout, done.stderr) == ("a\n", "")


def test_exists(coffer):
    coffer("create", "--name", "a", "-v", "vol1:/v", "box", "true")
    for kind, name in (("container", "a"), ("image", "box"), ("volume", "vol1"), ("network", "bridge")):
        assert coffer(kind, "exists", name).stdout == ""
        done = coffer(kind, "exists", "nosuch", rc=1)
        assert done.stdout == done.stderr == "", kind


def test_replace(coffer):
    first = coffer.start("--name", "a.b", "box", "sleep", "600")
    other = coffer.start("--name", "axb", "box", "sleep", "600")
    second = coffer.start("--replace", "--name", "a.b", "box", "sleep", "600")
    assert first != second and coffer.out("inspect", "-f", "{{.Id}}", "a.b", "axb").split() == [second, other]
    third = coffer.out("create", "--replace", "--name", "/a.b", "box", "true")
    assert coffer.inspect("a.b", "{{.Id}}") == third and names(coffer) == ["a.b", "axb"]
    assert "--name" in coffer("run", "--replace", "box", "true", rc=125).stderr
    assert coffer("run", "--replace", "--name", "a.b", "--pull=never", "nosuch:1", rc=125).stderr
    for flag in ("--network", "--pid", "--ipc"):
        done = coffer("create", "--replace", "--name", "a.b", flag, "container:a.b", "box", "true", rc=125)
        assert "to join" in done.stderr, done
    assert coffer.inspect("a.b", "{{.Id}}") == third


def test_no_container_without_its_id(coffer):
    for verb in ("create", "run"):
        done = coffer(verb, "--cidfile", "/nosuch/id", "--name", "a", "box", "true", rc=125)
        assert "/nosuch/id" in done.stderr and names(coffer) == []


def test_no_headings(coffer):
    coffer("create", "--name", "a", "box", "true")
    assert len(coffer.out("ps", "-a").splitlines()) == 2
    only, = coffer.out("ps", "-a", "--noheading").splitlines()
    assert only.endswith(" a") and "   " in only


def test_events_without_waiting(coffer):
    coffer("create", "--name", "a", "box", "true")
    assert coffer.out("events", "--stream=false", "--since", "1h", "-f", "event=create", "-f", "container=a", "--format",
                      "{{.Action}}").splitlines()[-1] == "create"


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


def test_init_runs_whatever_is_asked_for(coffer):
    """What follows "--" is a program, also where its name is a word of coffer-init's own."""
    done = coffer("run", "--rm", "--init", "--network", "none", "box", "--wait", rc=127, limit=60)
    assert "--wait" in done.stderr, done


def test_pods_without_a_machine(coffer, tmp_path, monkeypatch):
    """What `pod` says where nothing of it runs: ids go together with names, which are patterns; a failure leaves nothing."""
    pod = ("create", "--isolation=vm", "--network", "none", "--label", "dev.coffer.pod=1")
    ids = {name: coffer.out(*pod, "--name", name, "box", "true") for name in ("site", "my-site")}

    def found(*filters):
        return sorted(coffer.out("pod", "ls", "--format", "{{.Name}}", *[x for f in filters for x in ("-f", f)]).split())
    assert found() == found("name=site") == ["my-site", "site"] and found("name=^site$") == ["site"]
    assert found("name=^site$", "id=" + ids["site"][:12]) == ["site"] and found("name=^site$", "id=" + ids["my-site"][:12]) == []
    coffer("create", "--isolation=vm", "--pod", "site", "--name", "further", "box", "true")
    assert coffer.out("pod", "ls", "--format", "{{.Name}} {{.Containers}}") == "my-site \nsite further"  # the newest first
    coffer("pod", "rm", "site", "my-site")
    where = tmp_path / "id"
    monkeypatch.setattr(coffer, "environ", dict(coffer.environ or os.environ, COFFER_VM_DIR="/nosuch"))
    for name in ("/site", "s" * 70):  # which is no host name
        done = coffer("pod", "create", "--pod-id-file", where, "--network", "none", name, rc=None)
        assert done.returncode != 0 and "no kernel for virtual machines" in done.stderr, done
        assert not where.exists() and names(coffer) == []


@pytest.mark.parametrize("options,said", [
    (["--opt", "foo=1"], 'invalid option: "foo"'), (["--opt", "type=tmpfs"], 'missing required option: "device"'),
    (["--opt", "device=x"], 'missing required option: "type"'), (["-d", "rexray"], "error looking up volume plugin rexray"),
    (["--opt", "o=size=1m", "--opt", "type=tmpfs"], 'missing required option: "device"')], ids=str)
def test_volume_options_refused(coffer, options, said):
    assert said in coffer("volume", "create", *options, "vv", rc=1).stderr
    assert coffer.out("volume", "ls", "-q") == ""


def test_volume_of_a_tmpfs(coffer):
    """One for all who run, with its limit and its words in `inspect`; gone with the last of them."""
    coffer("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m,mode=1770", "tt")
    assert coffer.out("volume", "inspect", "-f", "{{.Options.type}} {{.Options.device}} {{.Options.o}}", "tt") == (
        "tmpfs tmpfs size=1m,mode=1770")
    one, two = (coffer.start("-v", "tt:/t", "box", "sleep", "600") for _ in range(2))
    at = coffer.out("volume", "inspect", "-f", "{{.Mountpoint}}", "tt")
    line = coffer.out("exec", one, "grep", " /t ", "/proc/mounts")
    assert line.startswith("tmpfs /t tmpfs ") and "size=1024k" in line and "mode=1770" in line
    coffer("exec", one, "sh", "-c", "echo hello > /t/x")
    assert coffer.out("exec", two, "stat", "-c", "%u", "/t/x") == "0"
    coffer("rm", "-f", one)
    assert coffer.out("exec", two, "cat", "/t/x") == "hello"
    assert at in coffer.here("cat", "/proc/mounts").stdout
    coffer("stop", "-t", "0", two)
    assert at not in coffer.here("cat", "/proc/mounts").stdout
    coffer("start", two)
    assert coffer.out("exec", two, "ls", "/t") == ""
    coffer("rm", "-f", two)
    coffer("volume", "rm", "tt")


@pytest.mark.parametrize("o,writes", [("bind", True), ("bind,ro", False)])
def test_volume_of_a_directory_is_not_emptied(coffer, tmp_path, o, writes):
    (tmp_path / "kept").write_text("kept\n")
    coffer("volume", "create", "--opt", "type=none", "--opt", "device=%s" % tmp_path, "--opt", "o=" + o, "dd")
    assert coffer.sh("cat /d/kept; touch /d/new 2>/dev/null && stat -c %u /d/new || echo refused", "-v", "dd:/d") == (
        "kept\n" + ("0\n" if writes else "refused\n"))
    cid = coffer.start("-v", "dd:/d", "box", "sleep", "600")
    os.kill(coffer.pid(cid), 9)
    coffer("rm", "-f", cid)
    coffer("volume", "rm", "dd")
    assert (tmp_path / "kept").read_text() == "kept\n" and (tmp_path / "new").exists() == writes
    coffer("volume", "create", "--opt", "type=none", "--opt", "device=/nosuch", "--opt", "o=bind", "dd")
    done = coffer("run", "--rm", "-v", "dd:/d", "box", "true", rc=125)
    assert "failed to mount local volume: mount /nosuch:" in done.stderr and "No such file or directory" in done.stderr
    coffer("volume", "rm", "dd")


def test_volume_takes_no_mount_of_others(coffer, tmp_path):
    """Neither what is mounted below the directory that it stands for, nor what stands on one without options."""
    below = tmp_path / "below"
    below.mkdir()
    for argv in (["--bind", tmp_path, tmp_path], ["--make-shared", tmp_path]):
        coffer.here("mount", *argv)
    coffer("volume", "create", "--opt", "type=none", "--opt", "device=%s" % tmp_path, "--opt", "o=rbind,noexec", "dd")
    coffer("volume", "create", "plain")
    at = coffer.out("volume", "inspect", "-f", "{{.Mountpoint}}", "plain")
    coffer.here("mount", "-t", "tmpfs", "theirs", at)
    cid = coffer.start("-v", "dd:/d", "-v", "plain:/p", "box", "sleep", "600")
    assert "noexec" in coffer.out("exec", cid, "grep", " /d ", "/proc/mounts")
    assert coffer.out("exec", cid, "grep", " /p ", "/proc/mounts").startswith("theirs /p tmpfs")
    coffer.here("mount", "-t", "tmpfs", "theirs", below)
    coffer("rm", "-f", cid)
    assert coffer.here("grep", "-c", "^theirs ", "/proc/mounts").stdout == "2\n"
    coffer.here("umount", at, below)
    coffer.here("umount", tmp_path)
    coffer("volume", "rm", "dd", "plain")


@pytest.mark.parametrize("options", [["type=tmpfs", "device=tmpfs"], ["type=none", "device=/", "o=bind"]], ids=lambda o: o[0])
def test_volume_whose_directory_is_a_link(coffer, tmp_path, options):
    """Nothing is mounted where the link leads."""
    coffer("volume", "create", *["--opt=" + o for o in options], "ll")
    at = coffer.out("volume", "inspect", "-f", "{{.Mountpoint}}", "ll")
    os.rmdir(at)
    os.symlink(tmp_path, at)
    assert "Not a directory" in coffer("run", "--rm", "-v", "ll:/l", "box", "true", rc=125).stderr
    assert str(tmp_path) not in coffer.here("cat", "/proc/mounts").stdout
    coffer("volume", "rm", "ll")
    assert tmp_path.exists()


def test_volume_of_a_share_keeps_its_password(coffer):
    coffer("volume", "create", "--opt", "type=nosuch", "--opt", "device=//h/s", "--opt", "o=username=u,password=hidden,ro", "sh")
    done = coffer("run", "--rm", "-v", "sh:/s", "box", "true", rc=125)
    assert "data: username=u,password=********,ro: " in done.stderr and "hidden" not in done.stderr
    coffer("volume", "rm", "sh")


def test_mount_makes_a_volume_with_options(coffer):
    options = "type=volume,source=tt,target=/t,volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs,\"volume-opt=o=size=1m,mode=700\",volume-label=a=b"
    assert "size=1024k" in coffer.sh("grep ' /t ' /proc/mounts", "--mount", options)
    assert coffer.out("volume", "inspect", "-f", "{{.Options.o}} {{.Labels.a}}", "tt") == "size=1m,mode=700 b"
    coffer("volume", "rm", "tt")
    done = coffer("run", "--rm", "--mount", "type=volume,target=/t,volume-driver=rexray", "box", "true", rc=125)
    assert "error looking up volume plugin rexray" in done.stderr


def test_bind_of_what_is_read_only_outside(coffer, tmp_path):
    """It stays so, and the container starts."""
    coffer.here("mount", "--bind", tmp_path, tmp_path)
    coffer.here("mount", "-o", "remount,bind,ro", tmp_path)
    assert coffer.sh("touch /x/y 2>&1 || echo refused", "-v", "%s:/x" % tmp_path) == (
        "touch: /x/y: Read-only file system\nrefused\n")
    coffer.here("umount", tmp_path)


def test_maps_are_shown_in_order(coffer):
    labels = ["--label", "b=1", "--label", "a=2", "--label", "c=3", "--label", "a=4"]
    coffer("create", "--name", "lab", *labels, "box", "true")
    coffer("volume", "create", *labels, "lab")
    coffer("network", "create", *labels, "lab")
    whole = '{"a":"4","b":"1","c":"3"}'
    assert coffer.inspect("lab", "{{json .Config.Labels}}") == whole
    for kind in ("volume", "network"):
        assert coffer.out(kind, "inspect", "-f", "{{json .Labels}}", "lab") == whole
    coffer("rm", "lab")
    coffer("volume", "rm", "lab")
    coffer("network", "rm", "lab")
