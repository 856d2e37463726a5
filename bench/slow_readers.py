"""Many slow readers of blobs over plain HTTP, and the memory of the server while they read.

Prints two numbers: the highest resident memory seen while all streams were open, and the highest that the kernel
remembers of the process (VmHWM), both in MiB. Fails when a stream is refused or ends early, because then the numbers
would be of fewer streams. Standard library only.
"""

import argparse
import asyncio
import socket
import sys
import time
from urllib.parse import urlsplit

PIECE = 64 * 1024
# Small, so that what a reader has not taken waits in the server and not in the client's socket.
RECEIVE_BUFFER = 64 * 1024
# Streams that are not all open by then will never be.
OPEN_SECONDS = 120


class Progress:
    """How far the streams are, all together."""

    def __init__(self):
        self.open = 0
        self.bytes = 0


async def read_slowly(url, rate, until, progress):
    """One GET whose body is read at `rate` bytes per second until the time `until`."""
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        stream.setblocking(False)
        await loop.sock_connect(stream, (parts.hostname, parts.port))
        await loop.sock_sendall(stream, f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        head = await loop.sock_recv(stream, PIECE)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{url}: {head[:200]!r}")
        progress.open += 1
        piece = bytearray(PIECE)
        started, taken = time.monotonic(), 0
        while time.monotonic() < until():
            count = await loop.sock_recv_into(stream, piece)
            if count == 0:
                raise RuntimeError(f"{url} ended after {taken} bytes")
            taken += count
            progress.bytes += count
            await asyncio.sleep(max(0, started + taken / rate - time.monotonic()))


def status_mib(pid, field):
    """A memory figure of /proc/<pid>/status."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no {field}")


async def watch(pid, streams, progress, ended):
    """The highest resident memory while all streams are open."""
    highest = 0
    while not ended.is_set():
        if progress.open == streams:
            highest = max(highest, status_mib(pid, "VmRSS"))
        await asyncio.sleep(0.1)
    return highest


async def run(arguments):
    """Opens all streams, reads for the time asked for, returns both figures."""
    with open(arguments.urls, encoding="ascii") as file:
        urls = file.read().split()
    progress, ended = Progress(), asyncio.Event()
    started, opened_at = time.monotonic(), None

    def until():
        nonlocal opened_at
        now = time.monotonic()
        if opened_at is None and progress.open == arguments.streams:
            opened_at = now
        if opened_at is None and now > started + OPEN_SECONDS:
            raise RuntimeError(f"only {progress.open} streams are open after {OPEN_SECONDS} s")
        return float("inf") if opened_at is None else opened_at + arguments.seconds

    watcher = asyncio.create_task(watch(arguments.pid, arguments.streams, progress, ended))
    readers = [
        read_slowly(urls[number % len(urls)], arguments.bytes_per_second, until, progress)
        for number in range(arguments.streams)
    ]
    await asyncio.gather(*readers)
    ended.set()
    print(f"slow readers: {progress.open} streams took {progress.bytes / 1e6:.0f} MB", file=sys.stderr)
    return await watcher, status_mib(arguments.pid, "VmHWM")


def main():
    """Reads the arguments and prints the two figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urls", required=True, help="file with one URL a line; taken in turn")
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--bytes-per-second", type=int, required=True, help="of each stream")
    parser.add_argument("--seconds", type=float, required=True, help="how long after all streams are open")
    parser.add_argument("--pid", type=int, required=True, help="the server")
    print(*("%.1f" % figure for figure in asyncio.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
