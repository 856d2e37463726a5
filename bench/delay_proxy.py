"""A TCP proxy that holds every byte back for half of a round trip: delay_proxy.py LISTEN-PORT TARGET-PORT ROUND-TRIP-MS [WINDOW-KIB].

What is on its way in one direction of one connection is at most a window, as TCP has one: a connection is as fast as a window in each
half of a round trip. Connections
are delayed too: the first byte takes a round trip of its own, as the handshake of TCP does.
"""

import collections
import socket
import sys
import threading
import time

WINDOW = (int(sys.argv[4]) if len(sys.argv) > 4 else 6 << 10) << 10  # Linux grows a receive window to 6 MiB by default
PIECE = min(256 << 10, WINDOW // 4)


class Direction:
    """Bytes from one socket to another, each after `delay` seconds."""

    def __init__(self, source, target, delay):
        self.source, self.target, self.delay = source, target, delay
        self.pieces, self.held = collections.deque(), 0
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.write, daemon=True).start()

    def read(self):
        piece = b"-"
        while piece:
            try:
                piece = self.source.recv(PIECE)
            except OSError:
                piece = b""
            with self.changed:
                self.pieces.append((time.monotonic() + self.delay, piece))
                self.held += len(piece)
                self.changed.notify_all()
                while self.held > WINDOW:
                    self.changed.wait()

    def write(self):
        while True:
            with self.changed:
                while not self.pieces:
                    self.changed.wait()
                due, piece = self.pieces.popleft()
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            try:
                if not piece:
                    self.target.shutdown(socket.SHUT_WR)
                    return
                self.target.sendall(piece)
            except OSError:
                self.source.close()
                with self.changed:
                    self.held = 0
                    self.changed.notify_all()
                return
            with self.changed:
                self.held -= len(piece)
                self.changed.notify_all()


def serve(client, target, delay):
    time.sleep(2 * delay)  # the handshake
    server = socket.create_connection(("127.0.0.1", target))
    for one in (client, server):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    Direction(client, server, delay)
    Direction(server, client, delay)


def main(listen, target, round_trip):
    listener = socket.create_server(("127.0.0.1", int(listen)), backlog=128)
    delay = float(round_trip) / 2000
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, int(target), delay), daemon=True).start()


main(*sys.argv[1:4])
