"""Rules that no schema can express, and requests that would take long."""

import schemathesis


def whole(value):
    """JSON Schema takes 1.0 for an integer; as an id it is not one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(element) for element in value]
    if isinstance(value, dict):
        return {name: whole(element) for name, element in value.items()}
    return value


@schemathesis.hook
def map_body(context, body):
    return whole(body)


@schemathesis.hook
def map_query(context, query):
    """No client releases anything meanwhile, so waiting is in vain: a wait below the maximum becomes 0."""
    wait = query.get("wait") if query else None
    if isinstance(wait, int) and 0 < wait < 999_999_999:
        return {**query, "wait": 0}
    return query


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """Nearly no generated body is a dump."""
    return str(value).encode(errors="replace")
