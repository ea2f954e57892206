"""Parts of requests that OpenAPI cannot describe. `run.ts` loads this file."""

import random

import schemathesis
from hypothesis import strategies as st

# one emoji; the schema of JSON knows no emoji
schemathesis.openapi.format("emoji", st.sampled_from(["👍", "❤️", "🎉"]))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """An answer with chosen fields lacks required ones, and a stream has no end. Other tests have both."""
    left_out = {"fields", "exclude", "follow", "rev"}
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            operation["parameters"] = [one for one in operation["parameters"] if one["name"] not in left_out]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Each request has an address of its own: the server blocks an address that sends many wrong keys."""
    part = lambda: random.randint(1, 254)  # noqa: E731
    case.headers["X-Forwarded-For"] = f"10.{part()}.{part()}.{part()}"
