# SPDX-License-Identifier: Apache-2.0
"""Bad input: one line that names the cause, a non-zero code, and nothing left behind."""
import json
import os

import pytest

from harness import bundle, leaks, peer


def one_line(r):
    """Errors are one line; runc's log format makes it one by quoting."""
    assert r.rc != 0, r
    lines = [x for x in r.err.splitlines() if x.strip()]
    if peer.NAME == "coffer-oci":
        assert len(lines) == 1, "expected one line, got %r" % r
    return r


def write(c, text):
    with open(os.path.join(c.bundle, "config.json"), "w") as f:
        f.write(text)


def raw(c, text, verb="run"):
    """Run with exactly this config.json."""
    write(c, text)
    return c.rt.call(verb, "--bundle", c.bundle, c.id)


@pytest.fixture(autouse=True)
def nothing_left(runtime):
    """After every failure of this file: no process, mount, cgroup or state."""
    yield
    leaks.assert_none(runtime, limit=3)


# ---- the file itself ----

def test_config_missing(ct):
    c = ct()
    r = one_line(c.rt.call("run", "--bundle", c.bundle, c.id))
    assert "config.json" in r.message and "not found" in r.message


def test_bundle_missing(runtime):
    r = one_line(runtime.call("run", "--bundle", "/no/such/bundle", "some-id"))
    assert "no such file or directory" in r.message.lower() and "/no/such/bundle" in r.message


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "42", '"x"', '{"ociVersion": "1.0.2",}', "{]", "\0", "{} {}",
                                  '{"a": "\\ud800"', "\xff\xfe", "[" * 100000, '{"a":' * 50000],
                         ids=["empty", "open", "array", "null", "number", "string", "comma", "mixed", "nul", "two",
                              "surrogate", "bytes", "deep-array", "deep-object"])
def test_config_is_not_json(ct, text):
    r = one_line(raw(ct(), text))
    if peer.NAME == "coffer-oci":
        assert "config.json" in r.message, r


WRONG_TYPES = [
    (("process", "args"), "sh", "process.args"), (("process", "args"), [1], "process.args[0]"),
    (("process", "env"), {}, "process.env"), (("process", "cwd"), 5, "process.cwd"),
    (("process", "user", "uid"), "root", "process.user.uid"), (("process", "user", "uid"), -1, "process.user.uid"),
    (("process", "user", "uid"), 1 << 40, "process.user.uid"), (("process", "user", "uid"), 1.5, "process.user.uid"),
    (("process", "terminal"), "yes", "process.terminal"), (("root",), [], "root"),
    (("root", "readonly"), 1, "root.readonly"), (("mounts",), {}, "mounts"),
    (("mounts", 0, "destination"), 7, "mounts[0].destination"), (("mounts", 1, "options"), "ro", "mounts[1].options"),
    (("linux", "namespaces", 0), "pid", "linux.namespaces[0]"),
    (("linux", "resources", "memory"), {"limit": "64m"}, "linux.resources.memory.limit"),
    (("linux", "maskedPaths"), "/proc", "linux.maskedPaths"), (("hooks",), [], "hooks"),
    (("annotations",), ["a"], "annotations"), (("annotations",), {"a": 1}, 'annotations["a"]'),
    (("linux", "sysctl"), {"a": 1}, 'linux.sysctl["a"]'),
]


@pytest.mark.parametrize("path,value,shown", WRONG_TYPES,
                         ids=["%s-%s" % (w[2], type(w[1]).__name__ + str(i)) for i, w in enumerate(WRONG_TYPES)])
def test_wrong_type_names_the_json_path(ct, path, value, shown):
    """The message holds the file, the JSON path and what was expected."""
    c = ct()
    node = c.config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    r = one_line(raw(c, json.dumps(c.config)))
    if peer.NAME == "coffer-oci":
        assert "config.json" in r.message and shown in r.message, r


REQUIRED = [("ociVersion",), ("root",), ("root", "path"), ("process", "cwd"), ("process", "args")]


@pytest.mark.parametrize("path", REQUIRED, ids=[".".join(p) for p in REQUIRED])
def test_required_fields(ct, path):
    if path == ("ociVersion",):
        peer.lacks("runc", "does not look")
    c = ct()
    node = c.config
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    r = one_line(raw(c, json.dumps(c.config)))
    if peer.NAME == "coffer-oci":
        assert path[-1] in r.message


@pytest.mark.parametrize("version", ["", "one", "2.0.0", "0.1.0", "1"])
def test_version_that_is_not_supported(ct, version):
    peer.lacks("*", "does not look")
    c = ct()
    c.config["ociVersion"] = version
    assert "ociVersion" in one_line(c.run()).message


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.0", "1.2.1", "1.3.0"])
def test_versions_that_are(ct, version):
    c = ct()
    c.config["ociVersion"] = version
    c.run().ok()


def test_unknown_fields_are_ignored(ct):
    """config.md "Extensibility": unknown properties are no error."""
    c = ct()
    c.config.update(futureField={"x": 1})
    c.process["futureField"] = [1, 2]
    c.linux["futureField"] = "x"
    c.run().ok()


def test_args_empty(ct):
    c = ct()
    c.process["args"] = []
    one_line(c.run())


@pytest.mark.levels("ns")
def test_no_linux_section(ct):
    """Everything in it has a default; no namespaces then, so Docker's mounts are left out."""
    c = ct(["true"])
    peer.lacks("*", "refuses")
    del c.config["linux"], c.config["hostname"]
    c.config["mounts"] = []
    r = c.run()
    assert r.rc == 0 or "linux" in r.message or "mount" in r.message


def test_nul_bytes_are_refused(ct):
    for where in ("args", "env", "cwd"):
        c = ct()
        c.process[where] = {"args": ["a\0b"], "env": ["A=\0b"], "cwd": "/a\0b"}[where]
        one_line(raw(c, json.dumps(c.config)))


def test_env_without_equals_sign(ct):
    """config.md: env has the semantics of environ; runc refuses what is not NAME=value."""
    c = ct()
    c.process["env"].append("NOEQUALS")
    peer.lacks("*", "lets it pass")
    r = c.run()
    assert r.rc == 0 or "NOEQUALS" in r.message or "invalid environment variable" in r.message


# ---- what it points to ----

def test_rootfs_missing(ct):
    c = ct(rootfs=False)
    r = one_line(c.run())
    assert "no such file or directory" in r.message.lower() and "rootfs" in r.message


def test_rootfs_is_a_file(ct):
    c = ct(rootfs=False)
    open(c.rootfs, "w").close()
    one_line(c.run())


PROGRAMS = [(["no-such-program"], 'exec: "no-such-program": executable file not found in $PATH'),
            (["/no/such/program"], "no such file or directory"),
            (["/etc/passwd"], "permission denied"),
            (["/etc"], "permission denied" if peer.NAME == "runc" else "is a directory"),
            (["/var/script"], "exec format error"), (["/var/wants"], "no such file or directory"),
            ([""], "")]


@pytest.mark.parametrize("args,text", PROGRAMS, ids=[p[0][0] or "empty" for p in PROGRAMS])
def test_program_that_cannot_run(ct, args, text):
    """Engines parse these texts."""
    c = ct(args)
    c.rootfs_file("var/script", "no interpreter line\n", 0o755)
    c.rootfs_file("var/wants", "#!/no/such/interpreter\n", 0o755)
    if text == "exec format error":
        peer.lacks("*", "prints it after the start")
    r = one_line(c.run())
    assert text in r.message
    assert r.rc == 1, r


def test_program_that_cannot_run_fails_at_create(ct, runtime):
    """runc looks for the program at create, so that engines report it there."""
    c = ct(["no-such-program"])
    r = c.create().failed()
    assert "executable file not found in $PATH" in r.message
    runtime.call("state", c.id).failed("container does not exist")


def test_mount_that_fails(ct):
    c = ct()
    bundle.add_mount(c.config, "/x", "ext4", "/dev/null")
    r = one_line(c.run())
    assert "/x" in r.message


def test_mount_destination_is_a_file_for_a_directory(ct):
    c = ct()
    bundle.add_mount(c.config, "/etc/passwd", "tmpfs", "tmpfs")
    r = one_line(c.run())
    assert "/etc/passwd" in r.message


@pytest.mark.levels("ns")
def test_selinux_label_where_selinux_is_off(ct):
    """What the machine cannot do is refused by name, never silently dropped."""
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("SELinux is on")
    c = ct()
    c.process["selinuxLabel"] = "system_u:system_r:x_t:s0"
    assert "selinux" in one_line(c.run()).message.lower()


def test_apparmor_profile_where_apparmor_is_off(ct):
    """Engines ask for their profile on every machine: a warning, as with crun, and it runs."""
    if os.path.exists("/sys/kernel/security/apparmor"):
        pytest.skip("AppArmor is on")
    peer.lacks("runc", "refuses")
    c = ct(["echo", "ran"])
    c.process["apparmorProfile"] = "no-such-profile"
    r = c.run().ok()
    assert r.out == "ran\n"
    if peer.NAME == "coffer-oci":
        assert 'the AppArmor profile "no-such-profile" is not applied' in r.message


def test_rootfs_is_a_symlink(ct):
    c = ct()
    os.rename(c.rootfs, c.rootfs + ".real")
    os.symlink("rootfs.real", c.rootfs)
    peer.lacks("*", "other words or none")
    assert "invalid rootfs: not an absolute path, or a symlink" in one_line(c.run()).message


def test_config_is_a_fifo(ct):
    """Refused at once: nobody would write to it."""
    peer.lacks("*", "waits")
    c = ct()
    os.mkfifo(os.path.join(c.bundle, "config.json"))
    c.rt.call("run", "--bundle", c.bundle, c.id, timeout=5).failed("config.json")


# ---- the command line ----

@pytest.mark.parametrize("args", [["nosuchcommand"], ["run", "--nosuchflag", "x"], ["--nosuchflag", "list"], ["run"],
                                  ["state"], ["state", "a", "b"], ["kill"], ["delete"], ["start", "a", "b"],
                                  ["run", "--bundle"], ["exec"], ["run", "--preserve-fds", "x", "id"]],
                         ids=lambda a: "-".join(a))
def test_usage_errors(runtime, args):
    if args == ["nosuchcommand"]:
        peer.lacks("runc", "prints help")
    r = runtime.call(*args)
    assert r.rc != 0, r


def test_help_and_version(runtime):
    assert runtime.call("--help").ok().out
    r = runtime.call("--version").ok()
    assert "version" in r.out and "spec" in r.out


@pytest.mark.parametrize("name", ["nosuch", ""])
def test_isolation_level_that_is_not_there(runtime, name):
    peer.lacks("*", "has no levels")
    runtime.level = name
    assert "isolation" in runtime.call("list").failed().message


# ---- the log ----

def test_log_json(ct, runtime):
    """--log with --log-format json: containerd and Docker read the last error line of this file."""
    path = os.path.join(runtime.scratch, "log.json")
    runtime.flags = ["--log", path, "--log-format", "json"]
    ct(["no-such-program"]).run().failed()
    with open(path) as f:
        rows = [json.loads(line) for line in f]
    last = [r for r in rows if r["level"] == "error"][-1]
    assert "executable file not found in $PATH" in last["msg"] and "time" in last


def test_log_text(ct, runtime):
    path = os.path.join(runtime.scratch, "log.txt")
    runtime.flags = ["--log", path]
    runtime.call("state", "nobody").failed()
    with open(path) as f:
        text = f.read()
    assert "level=error" in text and 'msg="container does not exist"' in text and text.startswith("time=")


def test_log_file_that_cannot_be_opened(runtime):
    runtime.flags = ["--log", "/no/such/dir/log"]
    runtime.call("list").failed("/no/such/dir/log")


def test_log_format_unknown(runtime):
    runtime.flags = ["--log-format", "xml"]
    assert "log-format" in runtime.call("list").failed().message or peer.NAME != "coffer-oci"
