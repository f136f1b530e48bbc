# SPDX-License-Identifier: Apache-2.0
"""Tables for people, and the promises of the project checked against what was measured."""
import os
import platform

import engine_cases
import kernel_cases
import kernel_programs
import vm_cases


def heading(results):
    print("machine: %s, %d CPUs, load %.1f; %d runs each, medians" % (
        platform.release(), os.cpu_count(), os.getloadavg()[0], results["runs"]))
    for name, v in results["runtimes"]["found"].items():
        print("  %-10s %s (%s)" % (name, v["version"], v["path"]))
    for remark in results["runtimes"]["remarks"]:
        print("  note: " + remark)


def case(name, rows):
    variants = []
    for row in rows.values():
        variants += [v for v in row["values"] if v not in variants]
    print("\n%-32s" % name + "".join("%14s" % v for v in variants))
    for label, row in rows.items():
        cells = "".join("%14s" % _cell(row["values"].get(v), row["unit"]) for v in variants)
        print("  %-30s%s" % (label, cells), flush=True)


def _cell(value, unit):
    if value is None:
        return "-"
    if unit == "us":
        return "%.2f ms" % (value / 1e3)
    return "%.*f %s" % (unit == "ms", value, unit)


# (what, case, row, ours, peer, at most)
PROMISES = [
    ("run / runc", "run", "run", "coffer", "runc", 0.2),
    ("run / crun", "run", "run", "coffer", "crun@v2", 0.6),
    ("run on cgroup v2 / crun", "run", "run", "coffer@v2", "crun@v2", 0.6),
    ("run / floor", "run", "run", "coffer", "floor", 1.6),
    ("run on cgroup v2 / floor", "run", "run", "coffer@v2", "floor@v2", 1.6),
    ("exec / runc", "exec", "exec", "coffer", "runc", 0.2),
    ("exec / crun", "exec", "exec", "coffer", "crun@v2", None),
    ("peak kB of run", "run", "run peak memory", "coffer", None, 3072),
    ("peak kB of create", "life", "create peak memory", "coffer", None, 3072),
    ("storm: lost", "storm", None, "coffer", None, 0),
    ("storm: left behind", "storm", "left behind", "coffer", None, 0),
] + kernel_cases.PROMISES + kernel_programs.PROMISES + vm_cases.PROMISES + engine_cases.PROMISES


def targets(results):
    """[{what, value, limit, ok}], printed as well; what was not measured is left out."""
    out = []
    for what, name, label, ours, peer, limit in PROMISES:
        rows = results["cases"].get(name, {})
        label = label or next((r for r in rows if r.startswith("lost")), "")
        values = rows.get(label, {}).get("values", {})
        on_v2_only = {k.partition("@")[0]: v for k, v in values.items()}  # a machine with cgroup v2 alone
        value = values.get(ours)
        base = values.get(peer, on_v2_only.get((peer or "").partition("@")[0])) if peer else 1
        if value is None or not base:
            continue
        ratio = value / base
        out.append({"what": what, "value": ratio, "limit": limit, "ok": limit is None or ratio <= limit})
    if out:
        print("\n%-32s%14s%14s" % ("promise", "measured", "at most"))
    for t in out:
        print("  %-30s%14.2f%14s  %s" % (t["what"], t["value"], t["limit"] if t["limit"] is not None else "-",
                                         "" if t["ok"] else "MISSED"))
    return out
