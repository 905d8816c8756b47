"""Uses the client that openapi-python-client has generated: `client.py FOLDER BASE`."""

import sys
from io import BytesIO

sys.path.insert(0, sys.argv[1])

from latchd_client import Client
from latchd_client.api.locks import acquire, acquire_resource, list_locks, list_waiters
from latchd_client.api.locks import release, release_all, renew, renew_owned, show_lock
from latchd_client.api.pools import add_members, add_resources, list_members, list_pools
from latchd_client.api.pools import remove_pool, set_members
from latchd_client.api.server import dump, ping, restore, show_metrics, show_readiness, show_version
from latchd_client.models import AddResourcesBody, Lease, Problem
from latchd_client.types import File

client = Client(base_url=sys.argv[2], raise_on_unexpected_status=True)


def expect(found, expected):
    assert found == expected, f"{found!r}, not {expected!r}"


def ids(leases):
    assert all(isinstance(lease, Lease) for lease in leases), leases
    return [lease.id for lease in leases]


expect(ping.sync(client=client).result, "pong")
expect(show_readiness.sync(client=client).result, "ready")
assert show_version.sync(client=client).message.startswith("latchd ")
assert show_metrics.sync(client=client).startswith("# HELP ")

body = AddResourcesBody.from_dict({"A": ["1", "2", "3", 4]})
expect(add_resources.sync(client=client, body=body).to_dict(), {"A": ["1", "2", "3", "4"]})
expect(add_members.sync("a/b", client=client, body=["x"]), ["x"])
expect(set_members.sync("a/b", client=client, body=["x", "y"]), ["x", "y"])
expect(list_members.sync("a/b", client=client), ["x", "y"])

[lease] = acquire.sync("A", client=client, owner="o", ttl=60)
expect((lease.id, lease.fence, lease.owner), ("4", 1, "o"))
assert 50 <= lease.ttl <= 60, lease
expect(ids(acquire.sync("A", client=client, n=2)), ["3", "2"])
expect(ids(acquire_resource.sync("A", "1", client=client)), ["1"])
busy = acquire.sync_detailed("A", client=client)
expect(busy.status_code, 409)
assert isinstance(busy.parsed, Problem), busy
expect(busy.parsed.code, "busy")
expect(list_waiters.sync("A", client=client), [])

expect(ids(renew.sync("A", "4", client=client, owner="o", fence=1)), ["4"])
expect(ids(renew_owned.sync("A", client=client, owner="o")), ["4"])
expect(ids(list_locks.sync("A", client=client)), ["4", "3", "2", "1"])
expect(show_lock.sync("A", "1", client=client).ttl, None)
expect(list_pools.sync(client=client)["A"].held, 4)

expect(release.sync("A", "4", client=client, owner="o"), "")
expect(release.sync_detailed("A", "4", client=client).status_code, 404)
expect(release_all.sync("A", client=client), 3)
expect(remove_pool.sync("A", client=client), "")
expect(acquire.sync_detailed("A", client=client).status_code, 404)

expect(remove_pool.sync("a/b", client=client), "")
expect(set_members.sync("a/b", client=client, body=["x"]), ["x"])
backup = dump.sync(client=client)
expect(len(backup.splitlines()), 3)
expect(remove_pool.sync("a/b", client=client), "")
body = File(payload=BytesIO(backup))
expect(restore.sync_detailed(client=client, body=body).status_code, 200)
expect(list_members.sync("a/b", client=client), ["x"])
