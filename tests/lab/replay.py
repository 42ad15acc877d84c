# SPDX-License-Identifier: BSD-3-Clause
"""A man in the middle of the interconnect, in a controller's own network namespace.

    replay.py PEER PORT OWN_PORT

What the controller sends to its peer's interconnect is redirected to OWN_PORT (nft.py) and passed on.
At a line on standard input every byte that was sent so far in a connection is sent again: in a new
connection from its beginning, and the last ones in the living connection. Says with JSON how many
connections and bytes passed and were replayed, at each line and at the end.
"""

import json
import selectors
import socket
import sys

SO_MARK, MARK = 36, 7  # what carries it is not redirected
KEEP = 4 << 20  # bytes of each connection
AGAIN = 65536  # of them in the living connection


class Pair:
    """A connection of the controller, and ours to the peer."""

    def __init__(self, near, peer):
        self.near = near
        self.far = dial(peer)
        self.sent = bytearray()


def dial(peer):
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
    link.settimeout(5)
    link.connect(peer)
    return link


class Middle:
    """Passes bytes on, keeps them, and sends them again."""

    def __init__(self, peer, port):
        self.peer = peer
        self.pairs = []
        self.count = {"connections": 0, "bytes": 0, "replayed": 0}
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("0.0.0.0", port))
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(sys.stdin, selectors.EVENT_READ)

    def accept(self):
        near = self.listener.accept()[0]
        try:
            pair = Pair(near, self.peer)
        except OSError:
            near.close()
            return
        self.pairs.append(pair)
        self.count["connections"] += 1
        for link in (pair.near, pair.far):
            link.settimeout(10)
            self.selector.register(link, selectors.EVENT_READ, pair)

    def drop(self, pair):
        self.pairs.remove(pair)
        for link in (pair.near, pair.far):
            self.selector.unregister(link)
            link.close()

    def carry(self, link, pair):
        try:
            data = link.recv(65536)
            if not data:
                raise OSError("closed")
            (pair.far if link is pair.near else pair.near).sendall(data)
        except OSError:
            self.drop(pair)
            return
        self.count["bytes"] += len(data)
        if link is pair.near and len(pair.sent) < KEEP:
            pair.sent += data

    def replay(self):
        """A peer that hangs up on it does what it should."""
        for pair in list(self.pairs):
            try:
                with dial(self.peer) as link:
                    link.sendall(pair.sent)
                    self.count["replayed"] += len(pair.sent)
                    link.settimeout(0.2)
                    while link.recv(65536):
                        pass
            except OSError:
                pass
            try:
                pair.far.sendall(pair.sent[-AGAIN:])
                self.count["replayed"] += len(pair.sent[-AGAIN:])
            except OSError:
                pass

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj is sys.stdin:
                    line = sys.stdin.readline()
                    if not line.strip():
                        return
                    self.replay()
                    print(json.dumps(self.count), flush=True)
                elif key.data in self.pairs:
                    self.carry(key.fileobj, key.data)


def main():
    peer, port, own_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    middle = Middle((peer, port), own_port)
    print("ready", flush=True)
    middle.run()
    print(json.dumps(middle.count), flush=True)


if __name__ == "__main__":
    main()
