# SPDX-License-Identifier: Apache-2.0
"""Manual pages and completion, as the programs that show them take them."""
import os
import re

import pytest

import libengine
from harness import env
from libengine import need, run


def commands(*path):
    """Names below `coffer PATH`, as its help has them."""
    text = run([env.COFFER, *path, "--help"]).stdout.partition("Global Options:")[0]
    return re.findall(r"(?m)^  ([a-z-]+) +\S", text.partition("coffer doctor")[2] if not path else text.partition("Commands:")[2])


def every_command():
    groups = {"container", "image", "volume", "network", "healthcheck", "pod", "vm", "system"}
    top = commands()
    assert groups < set(top) and "run" in top
    return [(n,) for n in top if n not in groups] + [(g, n) for g in groups for n in commands(g)]


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    top = tmp_path_factory.mktemp("man")
    run([env.COFFER, "man-page", str(top / "man1")])
    return top


def test_each_command_has_a_page(manual):
    need("man")
    have = set(os.listdir(manual / "man1"))
    wanted = {"coffer.1"} | {"coffer-%s.1" % "-".join(c) for c in every_command()}
    assert wanted <= have, wanted - have
    text = {n: (manual / "man1" / n).read_text() for n in have}
    links = {n: t.split()[1] for n, t in text.items() if t.startswith(".so ")}
    assert links and all(os.path.basename(to) in set(have) - set(links) for to in links.values()), links
    view = dict(os.environ, LC_ALL="C.UTF-8", MANPAGER="cat", MANWIDTH="100")
    # All in one process, as man(1) takes three to each page ...
    pages = ["man1/" + n for n in sorted(have - set(links))]
    shown = run(["groff", "-Kutf8", "-ww", "-man", "-Tutf8", "-P-cbou", "-rLL=100n", *pages], cwd=manual, limit=120, env=view)
    assert shown.stderr == "" and "Create and run a new container" in shown.stdout
    # ... and some by itself: a link, too.
    for name in ("coffer-run.1", sorted(links)[0]):
        shown = run(["man", "-l", "--warnings", "man1/" + name], cwd=manual, limit=120, env=view)
        assert shown.stderr == "" and "OPTIONS" in shown.stdout


def test_pages_have_all_options(manual):
    for path in every_command():
        with open(manual / "man1" / ("coffer-%s.1" % "-".join(path))) as f:
            page = f.read()
        if page.startswith(".so "):
            with open(manual / page.split()[1]) as f:
                page = f.read()
        text = run([env.COFFER, *path, "--help"]).stdout
        options = re.findall(r"(?m)^  (?:-\w, |    )--([a-z0-9-]+)", text)
        told = page.replace("\\-", "-")
        assert all("--" + o in told for o in options), path
        assert not options or ".SH OPTIONS" in page


# What is typed behind "coffer ", and what has to be on the screen after the tabulator's key.
LINES = [
    ("ru", "run"),
    ("image ta", "tag"),
    ("run --networ", "--network"),
    ("run --pull ", "missing"),
    ("run --pull=al", "--pull=always"),
    ("start ", "lazy-container"),
    ("rmi local:5000/te", "local:5000/team/app:1"),
    ("run --env-file ", "some-file"),
    ("run box ", "some-file"),
]
BASH = ["bash --norc -i", "PS1=; bind 'set enable-bracketed-paste off'; bind 'set page-completions off'; source <(coffer completion bash)"]
ZSH = ["zsh -f -i", "PS1=; PROMPT_SP=; unset zle_bracketed_paste; fpath=($PWD/../site $fpath); autoload -U compinit; compinit -u -d $PWD/../../zcompdump; "
       "setopt no_list_ambiguous no_beep"]


@pytest.fixture
def typing(coffer, tmp_path):
    """typing(shell, line): what is on the terminal after a line and two tabs, in a folder with one file in it."""
    for name in ("bin", "at", "site"):
        (tmp_path / name).mkdir()
    (tmp_path / "at/some-file").touch()
    os.symlink(env.COFFER, tmp_path / "bin/coffer")
    (tmp_path / "site/_coffer").write_text(run([env.COFFER, "completion", "zsh"]).stdout)
    coffer("create", *coffer.run_options(), "--name", "lazy-container", "box", "true")
    coffer("tag", "box", "local:5000/team/app:1")
    terminals = []

    def typed(shell, setup, line):
        environ = dict(coffer.environ, PATH="%s/bin:%s" % (tmp_path, os.environ["PATH"]), TERM="dumb", LC_ALL="C.UTF-8")
        t = libengine.Tty([*coffer.inside, "env", "-C", str(tmp_path / "at"), *shell.split()], environ, cols=400, rows=100)
        terminals.append(t)
        t.send(setup + "; echo re''ady\n")
        t.expect("ready\r\n")
        t.send("coffer --root %s --state %s " % (coffer.scratch + "/root", coffer.scratch + "/run"))
        t.send(line)
        t.expect(line)
        t.send("\t\t")
        return t

    yield typed
    for t in terminals:
        t.close()
    coffer("rmi", "local:5000/team/app:1")


@pytest.mark.parametrize("shell", [BASH, ZSH], ids=["bash", "zsh"])
@pytest.mark.parametrize("line, wanted", LINES, ids=[x[0] for x in LINES])
def test_completion(typing, shell, line, wanted):
    need(shell[0].split()[0])
    t = typing(*shell, line)
    begun = next((n for n in range(len(line), 0, -1) if wanted.startswith(line[-n:])), 0)
    t.expect(wanted[begun:])


@pytest.mark.parametrize("name, says", [("build", "load, import"), ("compose", "coffer network create"), ("swarm", "one machine"),
                                        ("context", "no daemon"), ("plugin", "CNI"), ("checkpoint", "coffer-oci"),
                                        ("strat", "did you mean 'coffer start'")])
def test_a_command_of_dockers_that_is_not_here_says_what_is(name, says):
    done = run([env.COFFER, name, "."], rc=1)
    assert "'%s' is not a coffer command" % name in done.stderr and says in done.stderr
    assert name == "strat" or "did you mean" not in done.stderr
