"""Locust: each simulated user logs in as a test account that no other user has at that time.

    locust -f locustfile.py --host https://shop.example --stop-timeout 10

latchd lends the accounts out of the pool `accounts`, to as many machines and runs as there are. Waiting for
an account is no request to the system under test, and is in none of its figures.
"""

import contextlib
import os
import uuid

import requests
from locust import HttpUser, constant, task

ACCOUNTS = os.environ.get("LATCH_URL", "http://127.0.0.1:8081") + "/pool/accounts/lock"


@contextlib.contextmanager
def account(session):
    """An account for as long as the block runs. ttl is longer than that: if this process dies, its
    accounts go to others."""
    # The owner makes asking safe to repeat, and lets no other client give the account back.
    owner = {"owner": f"locust-{uuid.uuid4()}"}
    try:
        answer = session.post(ACCOUNTS, params=owner | {"wait": 60, "ttl": 120}, timeout=90)
        answer.raise_for_status()  # 409: none was free for a minute
        yield answer.text
    finally:
        # Also when the user is stopped in the middle. Giving back what was never lent is no error.
        session.delete(ACCOUNTS, params=owner, timeout=30)


class Shopper(HttpUser):
    wait_time = constant(0)

    def on_start(self):
        self.latchd = requests.Session()

    @task
    def shop(self):
        with account(self.latchd) as name:
            self.client.post("/login", data={"account": name})
            self.client.get(f"/basket?account={name}", name="/basket")
            self.client.post("/logout", data={"account": name})
