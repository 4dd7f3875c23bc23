#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""pyserver.py PORT WORKERS HOW - processes of one SO_REUSEPORT group, as many runtimes do it.

HOW: epoll (selectors), accept (blocks in accept), poll (asks with poll()), udp (recvfrom), late (as epoll, of a socket that the parent
has opened, three seconds after the start). Else each worker opens its own socket; the parent only waits. SIGUSR1 to the parent
replaces the first worker; SIGUSR2 to a worker has it print "PID CONNECTIONS".
"""

import os
import select
import selectors
import signal
import socket
import sys
import time


def open_socket(port, kind):
    """One more of the group."""
    listener = socket.socket(socket.AF_INET, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    if kind == socket.SOCK_STREAM:
        listener.listen(64)
    return listener


def serve(port, how, inherited):
    """One worker, for ever."""
    kept = []
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    signal.signal(signal.SIGUSR2, lambda *_: os.write(1, b"%d %d\n" % (os.getpid(), len(kept))))
    if how == "late":
        time.sleep(3)
    kind = socket.SOCK_DGRAM if how == "udp" else socket.SOCK_STREAM
    listener = inherited or open_socket(port, kind)
    if how == "udp":
        while True:
            listener.recvfrom(65536)
    if how in ("epoll", "late"):
        selector = selectors.EpollSelector()
        selector.register(listener, selectors.EVENT_READ)
        wait = selector.select
    elif how == "poll":
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        wait = poll.poll
    else:
        wait = None
    while True:
        if wait:
            wait()
        kept.append(listener.accept()[0])


def main():
    """Start the workers, replace them on demand, end with them."""
    port, count, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    workers = []
    inherited = open_socket(port, socket.SOCK_STREAM) if how == "late" else None

    def start():
        pid = os.fork()
        if pid == 0:
            serve(port, how, inherited)
        workers.append(pid)

    def replace(_number, _frame):
        old = workers.pop(0)
        os.kill(old, signal.SIGKILL)
        os.waitpid(old, 0)
        start()

    def stop(_number, _frame):
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGUSR1, replace)
    signal.signal(signal.SIGTERM, stop)
    for _ in range(count):
        start()
    while True:
        signal.pause()


main()
