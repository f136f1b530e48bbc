# SPDX-License-Identifier: Apache-2.0
"""What the checks under tools/ share: the C files of the tree, and the functions in them."""
import os
import re
import subprocess

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CODE = (".c", ".h", ".py", ".sh")
HEAD = re.compile(r"^([A-Za-z_][^;{}=#]*?)\b(\w+)\(")


def files(suffixes=CODE, below=("src", "tests", "tools")):
    """Source files known to git or new, relative to the root of the tree, sorted."""
    out = subprocess.run(["git", "-C", REPO, "ls-files", "-co", "--exclude-standard", "--", *below],
                         capture_output=True, text=True)
    names = out.stdout.splitlines()
    if out.returncode:  # an unpacked archive: walk
        names = [os.path.relpath(os.path.join(d, f), REPO) for b in below for d, _, fs in os.walk(os.path.join(REPO, b))
                 for f in fs]
    return sorted(n for n in names if n.endswith(suffixes) and os.path.isfile(os.path.join(REPO, n)))


def lines(name):
    with open(os.path.join(REPO, name), errors="replace") as f:
        return f.read().split("\n")


def functions(name):
    """(line number, is static, function name, lines from head to closing brace) of a C file.

    Relies on the tree's format: a function's braces stand alone in the first column.
    """
    text = lines(name)
    at = 0
    while at < len(text):
        if text[at] != "{":
            at += 1
            continue
        head = at - 1  # the head may span lines: go up to the one that starts in column one
        while head > 0 and text[head][:1] in ("\t", " ", ""):
            head -= 1
        while head > 0 and re.match(r"^[A-Za-z_]", text[head - 1]) and not text[head - 1].rstrip().endswith((";", "}", ":")):
            head -= 1
        end = at
        while end < len(text) and text[end] != "}":
            end += 1
        match = HEAD.match(" ".join(text[head:at]))
        if match:
            yield head + 1, bool(re.search(r"\bstatic\b", match.group(1))), match.group(2), text[head:end + 1]
        at = end + 1


def report(findings, what_to_do):
    """Print findings, one a line, and end with the exit code of a check."""
    for line in findings:
        print(line)
    if findings:
        print(what_to_do)
    return 1 if findings else 0
