"""A link between two network namespaces that delays and drops every IP packet alike, whatever it carries.

    python3 emulator.py NAME     makes the namespaces NAME-a (10.77.0.1) and NAME-b (10.77.0.2); needs root

Speaks JSON lines: the first on standard output says that the link is up, then each line of standard input gets one:

    {"delayMs": 25, "loss": 0.02, "seed": "x"}   from now on, both directions; counters begin anew  ->  {}
    {}                                           ->  counters since then

The end of standard input, however it comes about, ends what runs in the namespaces and removes them.
"""

import gc
import json
import os
import select
import signal
import sys
import time

from lane import Lane
from namespaces import QUEUE_PACKETS, End

BATCH = 64
READ_BYTES = 65_536
IDLE_S = 1.0


class Link:
    def __init__(self, ends):
        self.ends = ends
        self.shape({"delayMs": 0, "loss": 0, "seed": ""})

    def shape(self, order):
        """What still is under way belongs to connections of the shape before, and is dropped."""
        delay_ns = round(order["delayMs"] * 1e6)
        self.lanes = [
            Lane(delay_ns, order["loss"], f"{order['seed']}/{index}", QUEUE_PACKETS) for index in range(2)
        ]
        # (from, lane, to) of each direction.
        a, b = (end.fd for end in self.ends)
        self.ways = [(a, self.lanes[0], b), (b, self.lanes[1], a)]
        self.refused = 0
        self.dropped_before = self.dropped_by_kernel()
        self.cpu_before = time.process_time()
        self.began = time.monotonic()

    def dropped_by_kernel(self):
        return sum(end.dropped_by_kernel() for end in self.ends)

    def counters(self):
        lanes = [lane.counters() for lane in self.lanes]
        total = {name: sum(lane[name] for lane in lanes) for name in lanes[0] if name != "latestMs"}
        elapsed = max(time.monotonic() - self.began, 1e-9)
        return {
            **total,
            "latestMs": max(lane["latestMs"] for lane in lanes),
            "refused": self.refused,
            "droppedByKernel": self.dropped_by_kernel() - self.dropped_before,
            "cpuShare": (time.process_time() - self.cpu_before) / elapsed,
        }

    def deliver(self):
        for _, lane, target in self.ways:
            now_ns = time.monotonic_ns()
            for _ in range(BATCH):
                packet = lane.due(now_ns)
                if packet is None:
                    break
                try:
                    os.write(target, packet)
                except OSError:
                    self.refused += 1

    def accept(self, readable):
        for source, lane, _ in self.ways:
            if source not in readable:
                continue
            try:
                for _ in range(BATCH):
                    lane.offer(time.monotonic_ns(), os.read(source, READ_BYTES))
            except BlockingIOError:
                pass

    def wait_s(self):
        due = [at for lane in self.lanes if (at := lane.next_ns()) is not None]
        return max(0, min(due) - time.monotonic_ns()) / 1e9 if due else IDLE_S


def carry(link):
    """Until standard input ends. `select`, because its timeout alone is finer than a millisecond."""
    control = sys.stdin.fileno()
    watched = [control, *(end.fd for end in link.ends)]
    pending = b""
    while True:
        link.deliver()
        readable, _, _ = select.select(watched, [], [], link.wait_s())
        link.accept(readable)
        if control not in readable:
            continue
        chunk = os.read(control, READ_BYTES)
        if not chunk:
            return
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            say(answer(link, json.loads(line)))


def answer(link, order):
    if not order:
        return link.counters()
    link.shape(order)
    return {}


def say(document):
    print(json.dumps(document), flush=True)


def take_precedence():
    """Before what is measured: a link has no load of its own. It sleeps whenever no packet is due."""
    gc.disable()
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        os.nice(-10)


def main():
    # An interrupt is for the one who started us, and its end is the end of our standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    name = sys.argv[1]
    ends = [End(f"{name}-a", "10.77.0.1"), End(f"{name}-b", "10.77.0.2")]
    try:
        ends[0].open(ends[1].address)
        ends[1].open(ends[0].address)
        congestion = ends[0].read_sysctl("net/ipv4/tcp_congestion_control")
        link = Link(ends)
        described = [{"namespace": end.name, "address": end.address} for end in ends]
        say({"ends": described, "tcpCongestionControl": congestion})
        take_precedence()
        carry(link)
    except (OSError, BrokenPipeError) as failure:
        say({"failure": str(failure)})
        sys.exit(2)
    finally:
        for end in ends:
            end.close()


main()
