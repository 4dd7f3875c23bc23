#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""pickup.py TRACE PID... - in how many ticks new processes became workers.

Prints "PID TICKS" for each: ticks of the daemon from the one that could first have heard of it to the one in which it was added,
by the trace that `cpubalanced --record` has written. PID is as the caller sees it; a daemon in a namespace of pids has another
number for it. Fails for a process that was not added.
"""

import json
import os
import sys
import time


def started_usec(pid):
    """When the process began, on the clock of the trace."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        ticks = int(file.read().rsplit(")", 1)[1].split()[19])
    suspended = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return (ticks / os.sysconf("SC_CLK_TCK") - suspended) * 1e6


def numbers_of(pid):
    """Its pids in all namespaces that it is in."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return [int(word) for word in line.split()[1:]]
    return [pid]


def inputs(path):
    """The lines that are whole."""
    with open(path, encoding="ascii") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                return


def main():
    """All of them."""
    ticks, added = [], {}
    for line in inputs(sys.argv[1]):
        if line.get("in") == "snapshot":
            ticks.append(line["now"])
        elif line.get("in") == "event" and line.get("event") == "worker_added":
            added[line["worker"]["pid"]] = line["now"]
    missing = 0
    for pid in map(int, sys.argv[2:]):
        at = next((added[number] for number in numbers_of(pid) if number in added), None)
        if at is None:
            print(pid, "never")
            missing += 1
            continue
        print(pid, 1 + sum(started_usec(pid) < tick < at for tick in ticks))
    sys.exit(missing > 0)


main()
