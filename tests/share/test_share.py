# SPDX-License-Identifier: Apache-2.0
"""The file share of level vm, without a machine: relay, socket and server of this machine, and real programs."""
import ctypes
import errno
import fcntl
import mmap
import os
import random
import shutil
import signal
import stat
import subprocess
import time

import pytest

LIBC = ctypes.CDLL(None, use_errno=True)
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(os.environ.get("COFFER_OCI", "build/coffer-oci"))),
                       "tests/share/share-mount")
pytestmark = [pytest.mark.untidy,
              pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="needs root and /dev/fuse")]


class Share:
    """`source` as the guest sees it: at `path`, in a mount namespace of its own."""

    def __init__(self, tmp, prepare=":", root_ttl=1000, volume_ttl=0, nofile=0, first_id=0, source=None):
        self.source = source or str(tmp / "source")
        target = str(tmp / "target")
        for path in (self.source, target):
            os.makedirs(path, exist_ok=True)
        command = "%s && exec %s %s %s %d %d %d %d" % (prepare, PROGRAM, self.source, target, root_ttl,
                                                               volume_ttl, nofile, first_id)
        self.process = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-ec", command],
                                        stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        assert words and words[0] == "ready"
        self.server = int(words[1])
        self.host = "/proc/%d/root%s" % (self.process.pid, self.source)
        self.path = "/proc/%d/root%s" % (self.process.pid, target)
        self.target = target

    def run(self, command, **kw):
        done = subprocess.run(["nsenter", "-t", str(self.process.pid), "-m", "sh", "-ec",
                               "cd %s\n%s" % (self.target, command)],
                              check=False, capture_output=True, text=True, timeout=150, **kw)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self):
        subprocess.run(["nsenter", "-t", str(self.process.pid), "-m", "umount", "-l", self.target], check=False)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.stdout.close()


@pytest.fixture
def make(tmp_path):
    made = []

    def start(**kw):
        made.append(Share(tmp_path, **kw))
        return made[-1]

    yield start
    for share in made:
        share.close()


@pytest.fixture
def share(make):
    return make()


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def test_copies_and_archives(share):
    share.run("cp -a /usr/lib/git-core . && diff -r /usr/lib/git-core git-core")
    share.run("tar cf x.tar git-core && mkdir y && tar xf x.tar -C y && diff -r git-core y/git-core")
    share.run("rm -rf git-core y x.tar")
    assert os.listdir(share.host) == []


def test_git(share):
    share.run("git init -q r && cd r && git config user.email a@b && git config user.name n"
              " && cp -r /usr/lib/git-core/mergetools . && git add -A && git commit -qm 1 && git gc -q && git fsck"
              " && test -z \"$(git status --short)\"")


def test_sqlite(share):
    assert share.run("""sqlite3 db 'pragma journal_mode=wal; create table t(a); begin;
        insert into t select value from generate_series(1,10000); commit; select count(*) from t'""").split() == [
            "wal", "10000"]
    assert share.run("for i in 1 2 3 4; do sqlite3 -cmd '.timeout 60000' db 'insert into t values(1)' & done; wait;"
                     " sqlite3 db 'select count(*) from t; pragma integrity_check'").split() == ["10004", "ok"]


def test_mapped_memory_is_the_file(share):
    with open(share.path + "/m", "wb+") as f:
        f.truncate(1 << 20)
        with mmap.mmap(f.fileno(), 1 << 20) as m:
            m[5:10] = b"hello"
            m[1000000:1000005] = b"world"
            m.flush()
    data = get(share.host + "/m")
    assert data[5:10] == b"hello" and data[1000000:1000005] == b"world" and len(data) == 1 << 20


def test_holes(share):
    fd = os.open(share.path + "/s", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 10 << 20)
    os.pwrite(fd, b"x", 5 << 20)
    assert os.lseek(fd, 0, os.SEEK_DATA) == 5 << 20
    assert os.lseek(fd, 5 << 20, os.SEEK_HOLE) > 5 << 20
    assert os.fstat(fd).st_blocks < 1000
    os.posix_fallocate(fd, 0, 1 << 20)
    assert os.fstat(fd).st_blocks >= 2048
    os.fsync(fd)
    os.close(fd)


def test_attributes_of_names(share):
    path = share.path + "/x"
    put(path, b"")
    os.setxattr(path, "user.a", b"v" * 1000)
    assert os.getxattr(path, "user.a") == b"v" * 1000 == os.getxattr(share.host + "/x", "user.a")
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(path, "security.capability", capability)
    assert os.getxattr(path, "security.capability") == capability
    os.setxattr(share.host + "/x", "trusted.host", b"secret")
    assert sorted(os.listxattr(path)) == ["security.capability", "user.a"]
    for call, error in ((lambda: os.setxattr(path, "trusted.b", b"v"), errno.EPERM),
                        (lambda: os.getxattr(path, "trusted.host"), errno.ENODATA),
                        (lambda: os.removexattr(path, "trusted.host"), errno.EPERM)):
        with pytest.raises(OSError) as e:
            call()
        assert e.value.errno == error
    with open(path, "wb") as f:
        f.write(b"x")
    assert os.listxattr(path) == ["user.a"]  # a write takes capabilities away


def test_files_without_a_name_go_on(share):
    path = share.path + "/u"
    with open(path, "wb+", buffering=0) as f:
        f.write(b"abc")
        os.unlink(path)
        f.write(b"def")
        f.seek(0)
        assert f.read() == b"abcdef"
        assert os.fstat(f.fileno()).st_nlink == 0
        os.fchmod(f.fileno(), 0o600)
        os.ftruncate(f.fileno(), 2)
        f.seek(0)
        assert f.read() == b"ab"
    put(share.path + "/1", b"1")
    put(share.path + "/2", b"2")
    with open(share.path + "/2", "rb") as f:
        os.rename(share.path + "/1", share.path + "/2")
        assert f.read() == b"2" and get(share.path + "/2") == b"1"
    fd = os.open(share.path, os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(fd, b"tmp")
    assert LIBC.linkat(-100, b"/proc/self/fd/%d" % fd, -100, os.fsencode(share.path + "/named"), 0x400) == 0
    os.close(fd)
    assert get(share.path + "/named") == b"tmp"


def test_unlinked_files_outlive_a_crowd(make):
    """The descriptors of more files than may be open at once: those without a name keep theirs."""
    share = make(nofile=400)
    os.mkdir(share.path + "/d")
    with open(share.path + "/gone", "wb+", buffering=0) as f:
        f.write(b"still here")
        os.unlink(share.path + "/gone")
        for i in range(2000):
            put(share.path + "/d/%d" % i, b"%d" % i)
        for i in range(2000):
            assert get(share.path + "/d/%d" % i) == b"%d" % i
        f.write(b"!")
        f.seek(0)
        assert f.read() == b"still here!"
    assert len(os.listdir("/proc/%d/fd" % share.server)) < 400


def test_links_and_exchange(share):
    put(share.path + "/a", b"a")
    os.link(share.path + "/a", share.path + "/b")
    os.unlink(share.path + "/a")
    assert get(share.path + "/b") == b"a" and os.stat(share.path + "/b").st_nlink == 1
    put(share.path + "/c", b"c")
    b, c = os.fsencode(share.path + "/b"), os.fsencode(share.path + "/c")
    assert LIBC.renameat2(-100, b, -100, c, 2) == 0
    assert get(b) == b"c" and get(c) == b"a"
    assert LIBC.renameat2(-100, b, -100, c, 1) == -1 and ctypes.get_errno() == errno.EEXIST


def test_deep_and_long(make):
    share = make(nofile=400)
    here = os.getcwd()
    os.chdir(share.path)
    try:
        for _ in range(600):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        put("x" * 255, b"deep")
        assert get("x" * 255) == b"deep"
        with pytest.raises(OSError):
            put("x" * 256, b"")
    finally:
        os.chdir(here)
    share.run("rm -rf d*")


@pytest.mark.slow
def test_many_files(share):
    share.run("mkdir m && cd m && seq 50000 | xargs touch && test $(ls | wc -l) = 50000"
              " && test $(find . -type f | wc -l) = 50000")
    share.run("rm -rf m")
    assert os.listdir(share.host) == []


def test_owners_modes_and_groups(share):
    os.mkdir(share.path + "/g")
    os.chown(share.path + "/g", 0, 50)
    os.chmod(share.path + "/g", 0o2777)
    share.run("setpriv --reuid 1234 --regid 1235 --clear-groups sh -c 'umask 027; touch g/f; mkdir g/d; mkfifo g/p'")
    for name, mode in (("f", 0o640), ("d", 0o2750), ("p", 0o640)):
        st = os.lstat(share.host + "/g/" + name)
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (1234, 50, mode)
    # A group that is not its first.
    os.chmod(share.path + "/g", 0o770)
    share.run("setpriv --reuid 1236 --regid 1237 --groups 50 touch g/h")
    os.chmod(share.path + "/g", 0o700)
    with pytest.raises(AssertionError, match="Permission denied"):
        share.run("setpriv --reuid 1236 --regid 1237 --groups 50 touch g/i")


def test_set_id_bits_fall(share):
    path = share.path + "/s"
    for command in ("echo x >> s", ": > s", "truncate -s 1 s"):
        put(path, b"abc")
        os.chmod(path, 0o6777)
        share.run("setpriv --reuid 1234 --regid 1235 --clear-groups sh -c '%s'" % command)
        assert stat.S_IMODE(os.stat(share.host + "/s").st_mode) == 0o777
    os.chmod(path, 0o6777)
    put(path, b"abc")  # by one that may
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o6000 in (0o6000, 0)


def test_appends_of_both_sides(share):
    with open(share.path + "/log", "ab", buffering=0) as f:
        f.write(b"guest\n")
        with open(share.host + "/log", "ab", buffering=0) as g:
            g.write(b"host\n")
        f.write(b"guest\n")
    assert get(share.host + "/log") == b"guest\nhost\nguest\n"


def test_the_host_s_changes_are_seen(make):
    share = make(root_ttl=0)
    put(share.host + "/f", b"one")
    assert get(share.path + "/f") == b"one"
    put(share.host + "/f", b"three")
    assert get(share.path + "/f") == b"three"
    os.unlink(share.host + "/f")
    assert not os.path.exists(share.path + "/f")
    put(share.host + "/f", b"new")
    assert get(share.path + "/f") == b"new"
    os.mkdir(share.host + "/d")
    assert os.listdir(share.path + "/d") == []
    put(share.host + "/d/x", b"")
    assert os.listdir(share.path + "/d") == ["x"]
    os.rename(share.host + "/d", share.host + "/e")
    assert os.listdir(share.path + "/e") == ["x"]



def soon(what, seconds=5):
    """For what the guest is told of: long before it would ask by itself."""
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return what()


def is_file(path, data):
    try:
        return get(path) == data
    except FileNotFoundError:
        return data is None


def test_the_guest_is_told_of_the_host_s_changes(make, tmp_path):
    """It may believe everything for half a minute, and need not."""
    os.makedirs(tmp_path / "source/d/e")
    put(str(tmp_path / "source/d/old"), b"old")
    share = make(root_ttl=30000)
    for name in ("/d/f", "/d/e/f"):
        here, there = share.path + name, share.host + name
        assert is_file(here, None)
        for data in (b"one", b"three", b"t", b"four"):
            put(there, data)
            assert soon(lambda: is_file(here, data))
        os.chmod(there, 0o600)
        assert soon(lambda: stat.S_IMODE(os.stat(here).st_mode) == 0o600)
        put(here, b"by the guest")
        assert get(there) == b"by the guest"
        put(there, b"by the host")
        assert soon(lambda: is_file(here, b"by the host"))
        os.rename(there, there + "2")
        assert soon(lambda: is_file(here, None) and is_file(here + "2", b"by the host"))
        os.rename(share.host + "/d/old", there)
        assert soon(lambda: is_file(here, b"old") and not os.path.exists(share.path + "/d/old"))
        os.rename(there, share.host + "/d/old")
        assert soon(lambda: is_file(here, None))
    assert sorted(os.listdir(share.path + "/d")) == ["e", "f2", "old"]
    os.rename(share.host + "/d", share.host + "/c")
    assert soon(lambda: is_file(share.path + "/c/e/f2", b"by the host") and not os.path.exists(share.path + "/d"))
    os.chmod(share.host + "/c", 0o700)
    assert soon(lambda: stat.S_IMODE(os.stat(share.path + "/c").st_mode) == 0o700)
    shutil.rmtree(share.host + "/c")
    assert soon(lambda: os.listdir(share.path) == [])


def watching(share):
    """How many directories the server watches; None: it has no means to."""
    at = "/proc/%d/" % share.server
    for fd in os.listdir(at + "fd"):
        if os.readlink(at + "fd/" + fd) == "anon_inode:inotify":
            with open(at + "fdinfo/" + fd) as f:
                return f.read().count("inotify wd:")
    return None


def test_its_watches_leave_some_to_others(make, tmp_path):
    """Of a user's instances (in a user namespace, where they are few), and of the user's watches."""
    source, target = tmp_path / "source", tmp_path / "target"
    for path in (source, target):
        path.mkdir()
    script = ("echo $1 >/proc/sys/user/max_inotify_instances; $2 $3 $4 1000 0 0 0 & read x; "
              "touch $4/file && ls $3; read x; umount -l $4")
    for instances, some in ((20, False), (40, True)):
        with subprocess.Popen(["unshare", "-U", "-r", "-m", "--propagation", "private", "sh", "-c", script, "sh", str(instances),
                               PROGRAM, str(source), str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
            class There:
                server = int(p.stdout.readline().split()[1])
            p.stdin.write("\n")
            p.stdin.flush()
            assert p.stdout.readline() == "file\n", "it serves, with or without"
            assert (watching(There) is not None) == some, instances
            p.communicate("\n", timeout=30)
        os.unlink(source / "file")
    with open("/proc/sys/fs/inotify/max_user_watches") as f:
        most = min(4096, int(f.read()) // 128)
    for i in range(most + 20):
        (source / str(i)).mkdir()
    share = make()
    share.run("ls * >/dev/null")
    assert 0 < watching(share) <= most


def test_the_host_s_changes_are_told_while_the_guest_writes(make):
    """Its own changes are no news, the host's of the same moment are."""
    share = make(root_ttl=30000)
    share.run("mkdir d; for i in $(seq 50); do echo 0 > d/h$i; done; ls -l d > /dev/null; cat d/* > /dev/null")
    with subprocess.Popen(["nsenter", "-t", str(share.process.pid), "-m", "sh", "-c",
                           "cd %s/d; while :; do echo x > g; mv g g2; ln g2 g3; rm g2 g3; done" % share.target]) as writer:
        try:
            for i in range(1, 51):
                put(share.host + "/d/h%d" % i, b"%d" % i)
                put(share.host + "/d/new%d" % i, b"%d" % i)
                time.sleep(0.002)
        finally:
            writer.kill()
    for i in range(1, 51):
        assert soon(lambda i=i: get(share.path + "/d/h%d" % i) == b"%d" % i == get(share.path + "/d/new%d" % i)), i


def test_names_are_told_while_somebody_waits_for_an_answer(make):
    """To forget a name takes its directory's lock, under which others wait for the server."""
    share = make(root_ttl=30000)
    os.mkdir(share.path + "/d")
    with subprocess.Popen(["nsenter", "-t", str(share.process.pid), "-m", "sh", "-c",
                           "cd %s/d; i=0; while [ $i -lt 4000 ]; do i=$((i+1)); : > n$i; rm n$i; done" % share.target]) as writer:
        while writer.poll() is None:
            for i in range(20):
                put(share.host + "/d/h%d" % i, b"")
                os.unlink(share.host + "/d/h%d" % i)
    assert writer.returncode == 0
    assert soon(lambda: os.listdir(share.path + "/d") == [])


def test_a_program_written_by_the_guest_runs_on_the_host(share):
    shutil.copy("/bin/true", share.path + "/t")
    with open(share.path + "/t", "ab") as f:
        f.write(b"x")
    time.sleep(1)
    subprocess.run([share.host + "/t"], check=True)


def test_locks_are_kept(share):
    put(share.path + "/l", b"")
    with open(share.path + "/l", "r+b") as f, open(share.path + "/l", "r+b") as g:
        fcntl.flock(f, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_death_of_the_server_ends_it(make):
    share = make()
    put(share.path + "/f", b"x" * 100000)
    top, fd = os.open(share.path, os.O_RDONLY), os.open(share.path + "/f", os.O_RDONLY)
    os.kill(share.server, signal.SIGKILL)
    time.sleep(0.3)
    for call in (lambda: os.stat("none", dir_fd=top), lambda: os.fsync(fd)):
        with pytest.raises(OSError) as e:
            call()
        assert e.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)


def outcome(root, call):
    try:
        return call(root)
    except OSError as e:
        return e.errno


NAMES = ["a", "b", "c", "d1", "d2", "d1/a", "d1/b", "d2/a", "d1/e", "d1/e/x", "d2/e", "n" * 255, "n" * 256]


def operations(rnd):
    """One random operation, as functions of the root it is done in."""
    p, q, size = rnd.choice(NAMES), rnd.choice(NAMES), rnd.choice((0, 1, 4095, 4096, 70000, 1 << 21))
    data, offset, flags = rnd.randbytes(min(size, 5000)) * (size // 5000 + 1), rnd.randrange(200000), rnd.randrange(3)

    def write(root):
        fd = os.open(root + p, os.O_RDWR | os.O_NONBLOCK | rnd_flags)
        try:
            return os.pwrite(fd, data[:size], offset)
        finally:
            os.close(fd)

    def read(root):
        fd = os.open(root + p, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.pread(fd, size, offset)
        finally:
            os.close(fd)

    rnd_flags = rnd.choice((0, os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_TRUNC, os.O_CREAT | os.O_TRUNC, os.O_APPEND))
    mode, when = rnd.randrange(0o10000), rnd.randrange(1 << 40)
    return rnd.choice((
        write, write, write, read, read,
        lambda r: os.mkdir(r + p), lambda r: os.rmdir(r + p), lambda r: os.unlink(r + p),
        lambda r: os.rename(r + p, r + q), lambda r: os.link(r + p, r + q), lambda r: os.symlink(q, r + p),
        lambda r: os.readlink(r + p), lambda r: os.chmod(r + p, mode), lambda r: os.truncate(r + p, offset),
        lambda r: os.chown(r + p, mode, offset, follow_symlinks=False), lambda r: os.utime(r + p, ns=(when, when)),
        lambda r: sorted(os.listdir(r + p)), lambda r: os.mkfifo(r + p),
        lambda r: LIBC.renameat2(-100, os.fsencode(r + p), -100, os.fsencode(r + q), flags) and ctypes.get_errno(),
        lambda r: os.setxattr(r + p, "user.k", b"v" * (size % 3000), flags % 3),
        lambda r: os.getxattr(r + p, "user.k"), lambda r: sorted(os.listxattr(r + p, follow_symlinks=False)),
    ))


def picture(root):
    seen = {}
    for top, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(top, name)
            st = os.lstat(path)
            what = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_size if not stat.S_ISDIR(st.st_mode) else 0,
                    stat.S_ISREG(st.st_mode) and get(path), stat.S_ISLNK(st.st_mode) and os.readlink(path))
            seen[os.path.relpath(path, root)] = what
    return seen


@pytest.mark.parametrize("seed", range(int(os.environ.get("SHARE_SEEDS", "4"))))
@pytest.mark.parametrize("nofile", (0, 400))
def test_it_does_what_a_directory_does(make, tmp_path, seed, nofile):
    share = make(root_ttl=(0, 1000)[seed % 2], nofile=nofile)
    plain = str(tmp_path / "plain")
    os.mkdir(plain)
    rnd = random.Random(seed)
    for i in range(3000):
        call = operations(rnd)
        here, there = outcome(plain + "/", call), outcome(share.path + "/", call)
        assert here == there, (i, call)
    assert picture(plain) == picture(share.path) == picture(share.host)


def test_volumes_are_apart_and_live_shorter(make, tmp_path):
    source = tmp_path / "source"
    os.makedirs(source / "v")
    os.makedirs(source / "w")
    share = make(root_ttl=1000000, volume_ttl=0, prepare="mount -t tmpfs -o size=1m v %s/v && mount -t tmpfs w %s/w" % (source, source))
    for name in ("f", "v/f", "w/f"):
        put(share.host + "/" + name, b"one")
        assert get(share.path + "/" + name) == b"one"
        os.stat(share.path + "/" + name)
        put(share.host + "/" + name, b"three")
    assert get(share.path + "/f") == b"one"  # for as long as the guest may believe it
    assert get(share.path + "/v/f") == b"three"
    a, b = os.stat(share.path + "/v/f"), os.stat(share.path + "/w/f")
    assert os.stat(share.host + "/v/f").st_ino == os.stat(share.host + "/w/f").st_ino and a.st_ino != b.st_ino
    for call in (os.rename, os.link):
        with pytest.raises(OSError) as e:
            call(share.path + "/v/f", share.path + "/w/g")
        assert e.value.errno == errno.EXDEV
    with pytest.raises(OSError) as e:
        put(share.path + "/v/big", b"x" * (2 << 20))
    assert e.value.errno == errno.ENOSPC
    assert os.statvfs(share.path + "/v").f_blocks * os.statvfs(share.path + "/v").f_frsize == 1 << 20


OVERLAY = ("mkdir -p {0}/l/d {0}/u {0}/k {0}/source; mount -t tmpfs x {0}/x; mkdir {0}/x/u {0}/x/k;"
           " for i in 1 2 3; do echo lower > {0}/l/f$i; echo lower > {0}/l/d/f$i; done; ln {0}/l/f1 {0}/l/g1;"
           " mount -t overlay o -o lowerdir={0}/l,upperdir={0}/x/u,workdir={0}/x/k,xino={1} {0}/source")


@pytest.mark.parametrize("xino", ("off", "auto"))
def test_an_overlay_with_layers_of_two_file_systems(make, tmp_path, xino):
    """Where a file that is copied up gets another device and number."""
    os.mkdir(tmp_path / "x")
    share = make(root_ttl=0, prepare=OVERLAY.format(tmp_path, xino))
    path = share.path
    with open(path + "/f1", "rb") as old:
        before = os.fstat(old.fileno())
        with open(path + "/f1", "ab", buffering=0) as f:
            f.write(b"and upper")
            assert os.fstat(f.fileno()).st_ino == before.st_ino
        assert old.read() == b"lower\nand upper"
    assert get(path + "/f1") == b"lower\nand upper"
    os.chmod(path + "/f2", 0o600)
    os.chown(path + "/d/f1", 7, 7)
    os.setxattr(path + "/f3", "user.a", b"b")
    assert os.listxattr(path + "/f3") == ["user.a"] and not [x for x in os.listxattr(path) if "overlay" in x]
    with open(path + "/d/f2", "rb+", buffering=0) as f:
        os.unlink(path + "/d/f2")
        f.write(b"U")
        f.seek(0)
        assert f.read() == b"Uower\n"
    os.rename(path + "/d/f3", path + "/d/f4")
    os.link(path + "/d/f4", path + "/d/f5")
    assert sorted(os.listdir(path + "/d")) == ["f1", "f4", "f5"]
    share.run("cp -a d e && rm -rf d && mkdir d && test -z \"$(ls d)\" && diff -r d d; git init -q r && cd r"
              " && git config user.email a@b && git config user.name n && cp -r /usr/lib/git-core/mergetools . && git add -A"
              " && git commit -qm 1 && git gc -q && git fsck && rm -rf .git")
    assert picture(path) == picture(share.host)


@pytest.mark.parametrize("xino", ("off", "auto"))
def test_an_overlay_s_changes_are_told(make, tmp_path, xino):
    """Also where the change gives the file another device and number."""
    os.mkdir(tmp_path / "x")
    share = make(root_ttl=30000, prepare=OVERLAY.format(tmp_path, xino))
    for name in ("/f2", "/d/f1", "/d/f2", "/d/f3"):
        assert is_file(share.path + name, b"lower\n")
    assert is_file(share.path + "/d/new", None) and os.stat(share.path + "/d").st_mode & 0o777 == 0o755
    for name in ("/f2", "/d/f1"):
        for data in (b"upper", b"once more"):
            put(share.host + name, data)
            assert soon(lambda name=name, data=data: is_file(share.path + name, data))
    os.unlink(share.host + "/d/f2")
    os.chmod(share.host + "/d/f3", 0o600)
    os.chmod(share.host + "/d", 0o700)
    put(share.host + "/d/new", b"new")
    assert soon(lambda: is_file(share.path + "/d/f2", None) and is_file(share.path + "/d/new", b"new"))
    assert soon(lambda: os.stat(share.path + "/d/f3").st_mode & 0o777 == 0o600)
    assert soon(lambda: os.stat(share.path + "/d").st_mode & 0o777 == 0o700)


def test_the_guest_decides_on_access(share):
    put(share.path + "/f", b"x")
    os.chmod(share.path + "/f", 0o600)
    with pytest.raises(AssertionError, match="Permission denied"):
        share.run("setpriv --reuid 1 --regid 1 --clear-groups cat f")


def test_access_lists(share):
    acl = bytes.fromhex("02000000" "01000600ffffffff" "02000600d2040000" "04000400ffffffff" "10000600ffffffff" "20000000ffffffff")
    put(share.path + "/f", b"x")
    try:
        os.setxattr(share.host + "/f", "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("no access lists here")
    share.run("setpriv --reuid 1234 --regid 1 --clear-groups cat f")
    os.mkdir(share.path + "/d")
    os.setxattr(share.path + "/d", "system.posix_acl_default", acl)
    share.run("umask 077; : > d/x; mkdir d/y")
    assert os.getxattr(share.path + "/d/x", "system.posix_acl_access") == acl.replace(b"\x04\0\x04\0", b"\x04\0\x04\0")
    assert os.getxattr(share.path + "/d/y", "system.posix_acl_default") == acl


def test_a_server_in_the_carriers_user_namespace(make, tmp_path):
    """Ids in the guest are the container's; on the host they are shifted, and one that is not mapped is refused."""
    os.mkdir(tmp_path / "source")
    os.chown(tmp_path / "source", 100000, 100000)
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        os.chmod(path, 0o755)
    share = make(first_id=100000)
    put(share.path + "/f", b"x")
    assert (os.stat(share.path + "/f").st_uid, os.stat(share.host + "/f").st_uid) == (0, 100000)
    os.chown(share.path + "/f", 1234, 1235)
    assert (os.stat(share.host + "/f").st_uid, os.stat(share.host + "/f").st_gid) == (101234, 101235)
    os.mkdir(share.path + "/g")
    os.chmod(share.path + "/g", 0o1777)
    share.run("setpriv --reuid 1234 --regid 1235 --clear-groups sh -c 'umask 077; echo a > g/f; cat g/f; mkdir g/d; chmod 600 g/f'")
    assert os.stat(share.host + "/g/d").st_uid == 101234 == os.stat(share.host + "/g/f").st_uid
    put(share.path + "/g/f", b"root may")
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(share.path + "/f", "security.capability", capability)
    assert os.getxattr(share.path + "/f", "security.capability") == capability
    with pytest.raises(OSError):
        os.chown(share.path + "/f", 70000, 0)
    with pytest.raises(OSError) as e:
        os.mknod(share.path + "/dev", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    assert e.value.errno == errno.EPERM
    share.run("cp -r /usr/lib/git-core/mergetools . && diff -r mergetools /usr/lib/git-core/mergetools && rm -r mergetools")
