# SPDX-License-Identifier: Apache-2.0
"""Calling the runtime, and one container of a test."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

from . import bundle, cgroups, env, host


class Result:
    """What a command left: exit code, and both outputs as text."""

    def __init__(self, argv, rc, out, err):
        self.argv, self.rc, self.out, self.err = argv, rc, out, err

    def __repr__(self):
        return "exit %s of: %s\n--- stdout\n%s\n--- stderr\n%s" % (
            self.rc, " ".join(self.argv), self.out[-4000:], self.err[-4000:])

    @property
    def message(self):
        """Standard error with the quotes of runc's log format taken off."""
        return self.err.replace('\\"', '"')

    @property
    def lines(self):
        return self.out.splitlines()

    def ok(self):
        """This result, or an assertion failure that shows all of it."""
        assert self.rc == 0, self
        return self

    def failed(self, text=None, rc=None):
        """This result, where it failed (with a message, or with an exit code)."""
        assert self.rc != 0, "expected a failure, got %r" % self
        if rc is not None:
            assert self.rc == rc, "expected exit %d, got %r" % (rc, self)
        if text is not None:
            assert text in self.message, "expected %r in stderr of %r" % (text, self)
        return self


def wait_for(condition, what="condition", limit=10.0, step=0.01):
    """Poll until `condition()` is true and return its value; fail with `what` otherwise."""
    deadline = time.monotonic() + env.seconds(limit)
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "waited %gs in vain for: %s" % (env.seconds(limit), what)
        time.sleep(step)


class Runtime:
    """The program under test with a state directory, a scratch directory and a cgroup of its own.

    Everything that it starts can be found again by `token`: it is in the scratch path, in the
    cgroup path and in the environment of every process.
    """

    def __init__(self, level="ns", view=None, binary=None, flags=()):
        self.level = level
        self.view = cgroups.view(view)
        self.binary = binary or env.OCI
        self.flags = list(flags)
        self.token = "ct" + uuid.uuid4().hex[:10]
        self.scratch = tempfile.mkdtemp(prefix="coffer-%s-" % self.token)
        os.chmod(self.scratch, 0o755)
        self.root = os.path.join(self.scratch, "state")
        self.cgroup = "/coffer-" + self.token
        self.containers = []

    def argv(self, *args):
        head = [self.binary, "--root", self.root] + self.flags
        if os.path.basename(self.binary).startswith("coffer"):
            head += ["--isolation", self.level]
        return head + [str(a) for a in args]

    def spawn(self, *args, **kw):
        """Popen of the runtime in this view, carrying the token in its environment.

        `wrap` is an argv to put before the runtime's own.
        """
        environ = dict(kw.pop("env", os.environ), COFFER_TEST=self.token)
        cwd = kw.pop("cwd", None)
        before = kw.pop("preexec_fn", None)
        wrap = kw.pop("wrap", [])

        def enter():
            self.view.enter()
            if cwd:
                os.chdir(cwd)
            if before:
                before()

        needed = self.view.fd >= 0 or before
        return subprocess.Popen(list(wrap) + self.argv(*args), env=environ, cwd=None if needed else cwd,
                                preexec_fn=enter if needed else None, **kw)

    def call(self, *args, input=None, timeout=60, **kw):
        """Run to the end; the outputs come back as text."""
        kw.setdefault("stdin", subprocess.PIPE if input is not None else subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        proc = self.spawn(*args, **kw)
        return finish(proc, input, timeout)

    def json(self, *args):
        return json.loads(self.call(*args).ok().out)

    def container(self, args=("true",), **kw):
        return Container(self, args, **kw)

    def close(self):
        for c in reversed(self.containers):
            c.cleanup()
        self.view.remove(self.cgroup)
        if self.view.name != "host":
            cgroups.view("host").remove(self.cgroup)
        for target in reversed(mounts_below(self.scratch)):
            host.umount(target)
        shutil.rmtree(self.scratch, ignore_errors=True)


def finish(proc, input=None, timeout=60):
    """communicate() with a limit; on time-out the process dies and the test fails."""
    try:
        out, err = proc.communicate(input.encode() if isinstance(input, str) else input,
                                    timeout=env.seconds(timeout))
    except subprocess.TimeoutExpired:
        proc.kill()
        try:
            out, err = proc.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            out, err = b"", b"(outputs still held open)"
        raise AssertionError("no end after %gs: %r" % (
            env.seconds(timeout), Result(proc.args, "none", _text(out), _text(err))))
    return Result(proc.args, proc.returncode, _text(out), _text(err))


def _text(data):
    return (data or b"").decode(errors="replace") if not isinstance(data, str) else data


def mounts_below(path):
    with open("/proc/self/mountinfo") as f:
        points = [line.split()[4].replace("\\040", " ") for line in f]
    return [p for p in points if p == path or p.startswith(path + "/")]


class Container:
    """A bundle with an id. `config` is a plain dictionary to edit before create or run."""

    def __init__(self, rt, args=("true",), id=None, seccomp=False, rootfs=True):
        self.rt = rt
        self.id = id if id is not None else "%s-%d" % (rt.token, len(rt.containers))
        self.dir = os.path.join(rt.scratch, "c%d" % len(rt.containers))
        self.bundle = os.path.join(self.dir, "bundle")
        self.rootfs = os.path.join(self.bundle, "rootfs")
        os.makedirs(self.bundle)
        if rootfs:
            bundle.store().rootfs(self.rootfs)
        if isinstance(args, str):
            args = ["sh", "-c", args]
        self.config = bundle.default_config(args, "%s/%s" % (rt.cgroup, self.id), seccomp)
        self.process["env"].append("COFFER_TEST=" + rt.token)
        self.outfile = os.path.join(self.dir, "out")
        self.background = []
        rt.containers.append(self)

    # ---- the config ----

    @property
    def process(self):
        return self.config["process"]

    @property
    def linux(self):
        return self.config["linux"]

    @property
    def resources(self):
        return self.config["linux"]["resources"]

    @property
    def cgroup(self):
        return "%s/%s" % (self.rt.cgroup, self.id)

    def write_config(self):
        with open(os.path.join(self.bundle, "config.json"), "w") as f:
            json.dump(self.config, f)

    def rootfs_file(self, path, text=None, mode=None):
        """A host path inside the rootfs; with `text`, also write it."""
        full = os.path.join(self.rootfs, path.lstrip("/"))
        if text is not None:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w") as f:
                f.write(text)
        if mode is not None:
            os.chmod(full, mode)
        return full

    # ---- verbs ----

    def run(self, *flags, input=None, timeout=60, **kw):
        """`run` in the foreground, to the end."""
        self.write_config()
        return self.rt.call("run", "--bundle", self.bundle, *flags, self.id, input=input, timeout=timeout, **kw)

    def sh(self, script, **kw):
        """`run` of a shell script; returns its Result."""
        self.process["args"] = ["sh", "-c", script]
        return self.run(**kw)

    def spawn(self, verb="run", *flags, **kw):
        """`run` (or `exec`) left in the background: a Popen that clean-up ends."""
        if verb == "run":
            self.write_config()
            argv = ["run", "--bundle", self.bundle, *flags, self.id]
        else:
            argv = [verb, *flags]
        proc = self.rt.spawn(*argv, **kw)
        self.background.append(proc)
        return proc

    def _detached(self, verb, *flags, timeout=60, **kw):
        """Output goes to a file: the container holds it open after the runtime has gone."""
        self.write_config()
        with open(self.outfile, "ab") as out, open(self.outfile + ".err", "w+b") as err:
            kw.setdefault("stdin", subprocess.DEVNULL)
            proc = self.rt.spawn(verb, "--bundle", self.bundle, *flags, self.id, stdout=kw.pop("stdout", out),
                                 stderr=kw.pop("stderr", err), **kw)
            try:
                rc = proc.wait(env.seconds(timeout))
            except subprocess.TimeoutExpired:
                proc.kill()
                proc.wait()
                rc = "none"
            err.seek(0)
            return Result(proc.args, rc, "", _text(err.read()))

    def run_detached(self, *flags, **kw):
        return self._detached("run", "--detach", *flags, **kw)

    def create(self, *flags, **kw):
        return self._detached("create", *flags, **kw)

    def start(self, **kw):
        return self.rt.call("start", self.id, **kw)

    def up(self, *flags):
        """Created and started (run --detach), or the test fails."""
        self.run_detached(*flags).ok()
        return self

    def exec(self, *args, flags=(), **kw):
        if len(args) == 1 and isinstance(args[0], str) and " " in args[0]:
            args = ("sh", "-c", args[0])
        return self.rt.call("exec", *flags, self.id, *args, **kw)

    def state(self):
        return self.rt.json("state", self.id)

    @property
    def status(self):
        return self.state()["status"]

    @property
    def pid(self):
        return self.state()["pid"]

    def kill(self, sig="KILL", *flags):
        return self.rt.call("kill", *flags, self.id, sig)

    def delete(self, *flags, **kw):
        return self.rt.call("delete", *flags, self.id, **kw)

    def wait_stopped(self, limit=10):
        wait_for(lambda: self.status == "stopped", "container %s to stop" % self.id, limit)

    def output(self):
        """What a detached container wrote so far."""
        with open(self.outfile, errors="replace") as f:
            return f.read()

    def wait_output(self, text, limit=10):
        return wait_for(lambda: text in self.output() and self.output(), "%r in the output" % text, limit)

    def cleanup(self):
        """Best effort; never fails. The runtime may be broken, so cgroups are killed as well."""
        for proc in self.background:
            if proc.poll() is None:
                proc.kill()
            try:
                proc.wait(5)
            except subprocess.TimeoutExpired:
                pass
            for stream in (proc.stdin, proc.stdout, proc.stderr):
                if stream:
                    try:
                        stream.close()
                    except OSError:
                        pass
        if os.path.exists(os.path.join(self.rt.root, self.id)):
            try:
                self.rt.call("delete", "--force", self.id, timeout=15)
            except AssertionError:
                pass


def kill_pid(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
        return True
    except ProcessLookupError:
        return False
