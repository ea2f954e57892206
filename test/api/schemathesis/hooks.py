"""Parts of requests that OpenAPI cannot describe. `run.ts` loads this file."""

import os
import random

import schemathesis

# Rules of texts that no schema of JSON can say, with texts that keep them. The server refuses other texts of the same pattern.
KNOWN = {
    "avatar": ["https://example.com/a.png", "https://example.org:8443/b?c=d#e"],
    "emoji": ["👍", "❤️", "🎉"],
    "locale": ["pt-BR", "en", "zh-Hant-TW"],
    "network": ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"],
    "zone": ["UTC", "Europe/Berlin", "America/New_York"],
    "filename": ["filename YS50eHQ=", "filename YS50eHQ=,filetype dGV4dC9wbGFpbg=="],
}

# Parameters that only an answer before gives, by their paths.
CURSORS = {"/search/rooms": {"after"}, "/mentions": {"before"}, "/threads": {"before"}}


@schemathesis.serializer("application/offset+octet-stream", "application/x-ndjson")
def bytes_of(context, value):
    """The bytes of an upload and the lines of an import are sent as they are."""
    if isinstance(value, bytes):
        return value
    return value.encode("utf-8", "replace") if isinstance(value, str) else b""


def known(schema, name):
    """Gives the place of a text the values that keep its rule; null and no value stay."""
    for part in [schema, *schema.get("anyOf", [])]:
        if part.get("type") == "string":
            for key in ("pattern", "maxLength", "minLength", "format"):
                part.pop(key, None)
            part["enum"] = KNOWN[name]


def with_known_texts(schema):
    """The fields of a body, by their names."""
    fields = schema.get("properties", {})
    for name in ("avatar", "emoji", "locale", "zone"):
        if name in fields:
            known(fields[name], name)
    if "networks" in fields:
        known(fields["networks"]["items"], "network")
    # a moment in the past is refused, and no schema knows the present
    fields.pop("expiresAt", None)
    for part in schema.get("anyOf", []) + schema.get("oneOf", []):
        with_known_texts(part)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Takes out of the requests what is refused by rules that OpenAPI cannot describe. Other tests have these parts."""
    # an answer with chosen fields lacks required ones, a stream has no end, and only an answer before has a cursor
    left_out = {"fields", "exclude", "follow", "rev", "cursor"}
    without_user = "PARLEY_WITHOUT_USER" in os.environ
    for path, methods in raw_schema["paths"].items():
        # such an operation refuses a key that names no user
        for method in [one for one, operation in methods.items() if without_user and "x-needs-user" in operation]:
            del methods[method]
        for operation in methods.values():
            names = {one["name"] for one in operation["parameters"]}
            out = set(left_out)
            # a page has one direction
            if {"before", "after"} <= names:
                out.add("after")
            # these are cursors too
            out |= CURSORS.get(path, set())
            operation["parameters"] = [one for one in operation["parameters"] if one["name"] not in out]
            for one in operation["parameters"]:
                if one["name"] == "emoji":
                    known(one["schema"], "emoji")
                if one["name"] == "Upload-Metadata":
                    known(one["schema"], "filename")
            for content in operation.get("requestBody", {}).get("content", {}).values():
                with_known_texts(content.get("schema", {}))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Each request has an address of its own: the server blocks an address that sends many wrong keys."""
    part = lambda: random.randint(1, 254)  # noqa: E731
    case.headers["X-Forwarded-For"] = f"10.{part()}.{part()}.{part()}"
