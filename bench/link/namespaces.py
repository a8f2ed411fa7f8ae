"""Two network namespaces with a TUN device in each; this process holds the devices' other ends."""

import fcntl
import json
import os
import signal
import struct
import subprocess
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
QUEUE_PACKETS = 10_000
GRACE_S = 3.0


class End:
    """One namespace and its side of the link. `fd` yields the packets it sends and takes those it is to receive."""

    def __init__(self, name, address):
        self.name = name
        self.address = address
        self.device = name[-15:]
        self.fd = None

    def open(self, peer_address):
        ip("netns", "add", self.name)
        self.fd = open_tun(self.device)
        ip("link", "set", self.device, "netns", self.name)
        # Neither router solicitations, which would use up draws of the loss, nor memory of the cell before.
        self.write_sysctl("net/ipv6/conf/all/disable_ipv6", "1")
        self.write_sysctl("net/ipv4/tcp_no_metrics_save", "1")
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "addr", "add", self.address, "peer", peer_address, "dev", self.device)
        ip("-n", self.name, "link", "set", self.device, "mtu", "1500", "txqueuelen", str(QUEUE_PACKETS), "up")

    def write_sysctl(self, path, value):
        ip("netns", "exec", self.name, "sh", "-c", f"echo {value} > /proc/sys/{path}")

    def read_sysctl(self, path):
        return ip("netns", "exec", self.name, "cat", f"/proc/sys/{path}").strip()

    def dropped_by_kernel(self):
        """Packets that the device's queue had no room for before they came to us."""
        (link,) = json.loads(ip("-n", self.name, "-j", "-s", "link", "show", "dev", self.device))
        return link["stats64"]["tx"]["dropped"]

    def close(self):
        """Ends what still runs in the namespace and removes it."""
        for kind in (signal.SIGTERM, signal.SIGKILL):
            ends_at = time.monotonic() + GRACE_S
            while (pids := self.pids()) and time.monotonic() < ends_at:
                for pid in pids:
                    end(pid, kind)
                time.sleep(0.1)
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    def pids(self):
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]


def open_tun(device):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def end(pid, kind):
    try:
        os.kill(pid, kind)
    except ProcessLookupError:
        pass
