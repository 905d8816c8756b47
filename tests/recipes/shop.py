"""Plays the system under test: shop.py PORT_FILE

It lets accounts in and out, and answers 409 where one is in already: then two users have the same. It writes
the port that it listens on to PORT_FILE, and at its end (SIGTERM) it says how often each was in.
"""

import collections
import http.server
import os
import signal
import sys
import threading
import time
import urllib.parse

inside = {}
counts = collections.Counter()
lock = threading.Lock()


class Shop(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        (account,) = urllib.parse.parse_qs(body)["account"]
        with lock:
            is_inside = inside.get(account, False)
            if self.path == "/login":
                counts["twice" if is_inside else account] += 1
            inside[account] = self.path == "/login"
        self.answer(409 if is_inside and self.path == "/login" else 200)

    def do_GET(self):
        time.sleep(0.02)
        self.answer(200)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
server.daemon_threads = True


def stop(*_):
    print(*(f"{account}={count}" for account, count in sorted(counts.items())), flush=True)
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
with open(sys.argv[1] + ".new", "w") as file:
    print(server.server_address[1], file=file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
