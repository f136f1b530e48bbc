# SPDX-License-Identifier: Apache-2.0
"""Programs that people run, at level `kernel`: git with a server, node, Java, perl, apt, rsync and archives. Each job prints what it
found out itself; the words are compared, not only the exit code. docs/kernel-programs.md has the table."""
import pytest

from harness import env
from libroot import Root

PACKAGES = ["git", "nodejs", "default-jdk-headless", "perl", "rsync", "xz-utils", "ca-certificates"]
FILES = 50000 if env.STRESS > 1 else 2000

GIT = """
git config --global user.email a@b; git config --global user.name a; git config --global init.defaultBranch main
mkdir -p srv; git init -q srv/one; cd srv/one
for d in 1 2 3 4 5; do mkdir d$d; for f in 1 2 3 4 5 6 7 8 9; do seq $f $((f * 100)) >d$d/f$f; done; done
git add .; git commit -qm one; git config receive.denyCurrentBranch updateInstead; touch .git/git-daemon-export-ok
cd /tmp; git daemon --base-path=/tmp/srv --enable=receive-pack --reuseaddr --detach --pid-file=/tmp/pid
until git ls-remote -q git://127.0.0.1/one >/dev/null 2>&1; do sleep 0.1; done
git clone -q git://127.0.0.1/one two; cd two; echo more >more; git add more; git mv d1/f1 moved; git commit -qm two
git push -q origin main; git gc -q --aggressive; git fsck --full --strict
cd ../srv/one; kill $(cat /tmp/pid); git status --porcelain; git log --format=%s; git diff --stat HEAD~1 | tail -n 1
"""

NODE = """
const http = require('http'), fs = require('fs'), os = require('os'), { execFileSync, fork } = require('child_process');
const { Worker, isMainThread, parentPort } = require('worker_threads'), { pipeline } = require('stream/promises'), zlib = require('zlib');
if (!isMainThread) { parentPort.on('message', n => { let s = 0; for (let i = 0; i <= n; i++) s += i; parentPort.postMessage(s); }); }
else if (process.argv[2] === 'child') { process.on('message', m => { process.send(m + '!'); process.disconnect(); }); }
else (async () => {
  const server = http.createServer((q, r) => q.pipe(r)).listen(0, '127.0.0.1');
  await new Promise(r => server.on('listening', r));
  const echo = n => new Promise((done, bad) => { const q = http.request({ host: '127.0.0.1', port: server.address().port, method: 'POST' }, r => {
    let b = 0; r.on('data', c => b += c.length); r.on('end', () => done(b)); }); q.on('error', bad); q.end(Buffer.alloc(n, 'x')); });
  const sizes = await Promise.all([...Array(50).keys()].map(i => echo(1000 * i)));
  console.log('http', sizes.reduce((a, b) => a + b));
  console.log('workers', (await Promise.all([1, 2, 3, 4].map(n => new Promise(done => { const w = new Worker(__filename);
    w.on('message', s => { w.terminate(); done(s); }); w.postMessage(n * 1000); })))).join());
  console.log('child', execFileSync('sh', ['-c', 'cat; echo end'], { input: 'in ' }).toString().trim());
  console.log('ipc', await new Promise(done => { const c = fork(__filename, ['child']); c.on('message', done); c.send('hello'); }));
  await fs.promises.writeFile('a', Buffer.alloc(3 << 20, 'abc'));
  await pipeline(fs.createReadStream('a'), zlib.createGzip(), zlib.createGunzip(), fs.createWriteStream('b'));
  console.log('streams', (await fs.promises.readFile('b')).equals(await fs.promises.readFile('a')));
  const seen = new Promise(done => { const w = fs.watch('.', (e, f) => { w.close(); done(f); }); });
  await fs.promises.writeFile('watched', 'x'); console.log('watch', await seen);
  console.log('cpus', os.cpus().length > 0, os.totalmem() > 0); server.close();
})();
"""
NODE_SAYS = "http 1225000\nworkers 500500,2001000,4501500,8002000\nchild in end\nipc hello!\nstreams true\nwatch watched\ncpus true true"

JAVA = """
import java.net.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*; import java.util.*; import java.util.concurrent.*;
import java.util.stream.*; import java.io.*;
public class Job {
  public static void main(String[] a) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(16);
    List<Future<Integer>> all = new ArrayList<>();
    for (int i = 0; i < 200; i++) { int n = i; all.add(pool.submit(() -> IntStream.rangeClosed(0, n).sum())); }
    long sum = 0; for (Future<Integer> f : all) sum += f.get();
    System.out.println("pool " + sum);
    try (ServerSocket s = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      Future<?> server = pool.submit(() -> { for (int i = 0; i < 20; i++) try (Socket c = s.accept()) { c.getInputStream().transferTo(c.getOutputStream()); } return 0; });
      int got = 0;
      for (int i = 0; i < 20; i++) try (Socket c = new Socket(s.getInetAddress(), s.getLocalPort())) {
        c.getOutputStream().write(new byte[1000 * i]); c.shutdownOutput(); got += c.getInputStream().readAllBytes().length; }
      server.get(); System.out.println("sockets " + got); }
    try (Selector sel = Selector.open(); Pipe.SinkChannel w = null) {
      Pipe p = Pipe.open(); p.source().configureBlocking(false); p.source().register(sel, SelectionKey.OP_READ);
      p.sink().write(ByteBuffer.wrap("nio".getBytes())); System.out.println("selector " + sel.select(5000)); }
    Path f = Files.createTempFile("job", ".bin");
    try (FileChannel c = FileChannel.open(f, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      MappedByteBuffer m = c.map(FileChannel.MapMode.READ_WRITE, 0, 1 << 20); for (int i = 0; i < 1 << 20; i++) m.put(i, (byte) i); m.force(); }
    byte[] b = Files.readAllBytes(f); System.out.println("mapped " + b.length + " " + b[(1 << 20) - 1]);
    Process p = new ProcessBuilder("sh", "-c", "read x; echo got $x; exit 3").start();
    p.getOutputStream().write("it\\n".getBytes()); p.getOutputStream().close();
    System.out.println(new String(p.getInputStream().readAllBytes()).trim() + " " + p.waitFor());
    Object lock = new Object(); Thread t = new Thread(() -> { synchronized (lock) { lock.notifyAll(); } });
    synchronized (lock) { t.start(); lock.wait(10000); } t.join(); pool.shutdown();
    System.out.println("memory " + (Runtime.getRuntime().maxMemory() > 0) + " processors " + (Runtime.getRuntime().availableProcessors() > 0));
  }
}
"""
JAVA_SAYS = "pool 1333300\nsockets 190000\nselector 1\nmapped 1048576 -1\ngot it 3\nmemory true processors true"

PERL = r"""
use strict; use warnings; use IO::Socket::INET; use IO::Socket::UNIX; use IO::Select; use POSIX; use Fcntl qw(:flock); use IPC::Open3;
my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die; my $port = $s->sockport;
my @kids; for my $n (1 .. 5) { my $pid = fork; if (!$pid) { my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or die;
  print $c "n$n\n"; $c->flush; my $l = <$c>; exit($l eq "ok $n\n" ? $n : 99); } push @kids, $pid; }
for (1 .. 5) { my $c = $s->accept; my $l = <$c>; $l =~ /n(\d)/; print $c "ok $1\n"; close $c; }
my $sum = 0; for (@kids) { waitpid($_, 0); $sum += $? >> 8; } print "sockets $sum\n";
open(my $f, '+>', '/tmp/lock'); flock($f, LOCK_EX); my $pid = fork; if (!$pid) { open(my $g, '<', '/tmp/lock'); exit(flock($g, LOCK_EX | LOCK_NB) ? 1 : 7); }
waitpid($pid, 0); print "lock ", $? >> 8, "\n";
my $got = 0; $SIG{ALRM} = sub { $got++ }; alarm 1; select(undef, undef, undef, 5); print "alarm $got\n";
my $p = open3(my $in, my $out, undef, 'tr', 'a-z', 'A-Z'); print $in "upper\n"; close $in; my $line = <$out>; waitpid($p, 0); print "open3 $line";
my ($r, $w); pipe($r, $w); my $sel = IO::Select->new($r); print "select ", scalar(my @none = $sel->can_read(0)), "\n"; syswrite $w, "x"; print "select ", scalar(my @x = $sel->can_read(1)), "\n";
printf "time %d\n", mktime(gmtime(86400)) == 86400; print "glob ", scalar(my @g = glob('/etc/apt/*')) > 3 ? 1 : 0, "\n";
"""
PERL_SAYS = "sockets 15\nlock 7\nalarm 1\nopen3 UPPER\nselect 0\nselect 1\ntime 1\nglob 1"

APT = """
mkdir -p p/DEBIAN p/usr/bin repo; printf '#!/bin/sh\\necho installed program\\n' >p/usr/bin/hello-job; chmod 755 p/usr/bin/hello-job
printf 'Package: hello-job\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: a <a@b>\\nDescription: a job\\n' >p/DEBIAN/control
printf '#!/bin/sh\\nset -e\\necho configured $1 >/tmp/post\\n' >p/DEBIAN/postinst; chmod 755 p/DEBIAN/postinst
dpkg-deb -b --root-owner-group p repo/hello-job_1.0_all.deb >/dev/null
cd repo; { dpkg-deb -f hello-job_1.0_all.deb; echo "Filename: ./hello-job_1.0_all.deb"; echo "Size: $(stat -c %s hello-job_1.0_all.deb)"
echo "SHA256: $(sha256sum hello-job_1.0_all.deb | cut -d' ' -f1)"; } >Packages; cd ..; chmod -R a+rX repo
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; echo "deb [trusted=yes] copy:/tmp/repo ./" >/etc/apt/sources.list
apt-get -qq update; apt-get -qq -y install hello-job >/dev/null; hello-job; cat /tmp/post; dpkg -s hello-job | grep Status
apt-get -qq -y purge hello-job >/dev/null; dpkg -s hello-job 2>&1 | head -n 1; dpkg --audit
"""
APT_SAYS = ("installed program\nconfigured configure\nStatus: install ok installed\n"
            "dpkg-query: package 'hello-job' is not installed and no information is available")

ARCHIVES = """
mkdir one; cd one; perl -e 'for my $d (0 .. %d) { mkdir "d$d"; for my $f (0 .. 99) { open my $h, ">", "d$d/f$f"; print $h "$d $f\\n" x $f; close $h; chmod(0600 + $f, "d$d/f$f") } }'
ln -s d0/f1 link; ln d0/f2 d0/hard; mkfifo fifo; mkdir -m 1777 sticky; touch -d 2001-02-03T04:05:06.789 d0/f3; cd ..
rsync -aH one/ two; rsync -aHn --delete -i one/ two | wc -l; rm two/d0/f5; echo new >two/extra; rsync -aH --delete one/ two; diff -r --no-dereference one two 2>&1 | grep -v fifo | wc -l
tar --format=pax -C one -czf a.tgz .; mkdir three; tar -C three -xpzf a.tgz; rsync -aHn -i one/ three | wc -l
tar -cJf a.txz one/d0; tar -tJf a.txz | wc -l; find one -type f | wc -l; stat -c '%%h %%a %%F' one/d0/hard one/sticky one/fifo
""" % (FILES // 100 - 1)
ARCHIVES_SAYS = "0\n0\n0\n102\n%d\n2 602 regular file\n2 1777 directory\n1 644 fifo" % (FILES + 1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    r = Root(PACKAGES, tmp_path_factory.mktemp("software"))
    r.add("/job/job.js", NODE)
    r.add("/job/Job.java", JAVA)
    r.add("/job/job.pl", PERL)
    yield r
    r.remove()


@pytest.mark.parametrize("name,script,says", [
    ("git", GIT, "two\none\n 2 files changed, 1 insertion(+)"),
    ("node", "exec node /job/job.js", NODE_SAYS),
    ("java", "javac -d . /job/Job.java; exec java -cp . Job", JAVA_SAYS),
    ("perl", "exec perl /job/job.pl", PERL_SAYS),
    ("apt", APT, APT_SAYS),
    ("archives", ARCHIVES, ARCHIVES_SAYS),
], ids=["git", "node", "java", "perl", "apt", "archives"])
def test_program(root, name, script, says):
    r = root.run("kernel", ["bash", "-ec", script], 600 if env.STRESS > 1 else 240)
    assert r.rc == 0 and r.out.strip() == says, r.out + r.err
