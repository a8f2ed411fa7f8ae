"""One direction of the link: drops packets by chance, holds the others for a constant time, in order."""

from collections import deque
from random import Random

MTU_BYTES = 1500
LATE_NS = 1_000_000


class Lane:
    """Pure: packets and monotonic nanoseconds in, packets out."""

    def __init__(self, delay_ns, loss, seed, capacity):
        """`loss` is a share from 0 to 1. The same `seed` (text) loses the same ones of a sequence of packets."""
        self.delay_ns = delay_ns
        self.loss = loss
        self.capacity = capacity
        self.chance = Random(seed).random
        self.waiting = deque()
        self.offered = self.lost = self.overflowed = self.oversized = self.late = 0
        self.latest_ns = 0

    def offer(self, now_ns, packet):
        self.offered += 1
        if len(packet) > MTU_BYTES:
            self.oversized += 1
        # Drawn for each packet, whatever becomes of it: what is lost depends on the seed and the count alone.
        if self.chance() < self.loss:
            self.lost += 1
        elif len(self.waiting) >= self.capacity:
            self.overflowed += 1
        else:
            self.waiting.append((now_ns + self.delay_ns, packet))

    def due(self, now_ns):
        """The next packet whose time has come, taken out; None when there is none."""
        waiting = self.waiting
        if not waiting or waiting[0][0] > now_ns:
            return None
        due_ns, packet = waiting.popleft()
        late_ns = now_ns - due_ns
        if late_ns > LATE_NS:
            self.late += 1
        if late_ns > self.latest_ns:
            self.latest_ns = late_ns
        return packet

    def next_ns(self):
        """When the next packet is due; None when none waits."""
        return self.waiting[0][0] if self.waiting else None

    def counters(self):
        return {
            "offered": self.offered,
            "lost": self.lost,
            "overflowed": self.overflowed,
            "oversized": self.oversized,
            "lateOver1Ms": self.late,
            "latestMs": self.latest_ns / 1e6,
        }
