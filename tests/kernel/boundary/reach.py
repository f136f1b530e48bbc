# SPDX-License-Identifier: Apache-2.0
"""Which system calls a classic BPF filter lets pass, and under which conditions on their arguments.

All ways through the program are walked for each number; a jump that depends on an argument goes both ways and leaves a
condition.  A way on which two conditions contradict each other may be listed: the list is never shorter than the truth.
"""
import re

ALLOW, X86_64 = 0x7FFF0000, 0xC000003E
JUMPS = {0x15: "=", 0x25: ">", 0x35: ">=", 0x45: "&"}
NOT = {"=": "!=", ">": "<=", ">=": "<", "&": "!&"}
HOLDS = {"=": lambda a, k: a == k, ">": lambda a, k: a > k, ">=": lambda a, k: a >= k, "&": lambda a, k: bool(a & k)}


def _load(offset, nr):
    if offset in (0, 4):
        return nr if offset == 0 else X86_64
    word, high = divmod(offset - 16, 8)
    if not 0 <= word < 6 or high not in (0, 4):
        raise ValueError("a load of seccomp_data at %d" % offset)
    return "%s%d" % ("high " if high else "", word)


def ways(insns, nr):
    """The conditions of each way on which the call passes: a list of lists of (word, relation, constant)."""
    found, todo = [], [(0, None, [])]
    while todo:
        pc, a, conditions = todo.pop()
        code, jt, jf, k = insns[pc]
        if code == 0x20:
            todo.append((pc + 1, _load(k, nr), conditions))
        elif code == 0x54:
            todo.append((pc + 1, a & k if isinstance(a, int) else "%s & %#x" % (a, k), conditions))
        elif code == 0x05:
            todo.append((pc + 1 + k, a, conditions))
        elif code in JUMPS:
            relation = JUMPS[code]
            if isinstance(a, int):
                todo.append((pc + 1 + (jt if HOLDS[relation](a, k) else jf), a, conditions))
            else:
                todo.append((pc + 1 + jf, a, conditions + [(a, NOT[relation], k)]))
                todo.append((pc + 1 + jt, a, conditions + [(a, relation, k)]))
        elif code == 0x06:
            if k == ALLOW:
                found.append(conditions)
        else:
            raise ValueError("instruction %#x" % code)
    return found


def _text(conditions):
    """One way as text; what an equality says already is not said again."""
    equal = {c[0] for c in conditions if c[1] == "="}
    kept = [c for c in conditions if not (c[1] == "!=" and c[0] in equal)]
    return [("bits of %s: none of %#x" if c[1] == "!&" else "bits of %s: one of %#x") % (c[0], c[2]) if "&" in c[1]
            else "%s %s %s" % (c[0], c[1], c[2] if c[2] < 4096 else "%#x" % c[2]) for c in kept]


def condition(found):
    """All ways of a call as one text; "" if it always passes."""
    texts = sorted({tuple(_text(w)) for w in found})
    if () in texts:
        return ""
    values = {}
    for t in texts:
        m = re.fullmatch(r"(.*) = (\S+)", t[-1])
        values.setdefault(t[:-1] + ((m[1] if m else t[-1]),), []).append(m[2] if m else None)
    out = []
    for t, v in values.items():
        last = t[-1] if v[0] is None else "%s = %s" % (t[-1], " or ".join(sorted(v, key=lambda x: int(x, 0))))
        out.append("; ".join(t[:-1] + (last,)))
    return " **or** ".join(out)


def table(insns, names):
    """{name: condition} of the calls that pass; a number without a name by its number."""
    found = {nr: ways(insns, nr) for nr in range(max(names) + 64)}
    return {names.get(nr, "number %d" % nr): condition(w) for nr, w in found.items() if w}
