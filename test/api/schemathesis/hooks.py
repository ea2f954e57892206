"""Parts of requests that OpenAPI cannot describe. `run.ts` loads this file."""

import itertools
import os
import re

import requests
import schemathesis

# Rules of texts that no schema of JSON can say, with texts that keep them. The server refuses other texts of the same pattern.
KNOWN = {
    "avatar": ["https://example.com/a.png", "https://example.org:8443/b?c=d#e"],
    "url": ["https://example.com/hook", "https://example.org:8443/hook?of=all"],
    "emoji": ["👍", "❤️", "🎉"],
    "locale": ["pt-BR", "en", "zh-Hant-TW"],
    "endpoint": ["https://push.example.com/1", "https://push.example.org:8443/a?b=c"],
    "p256dh": ["BFzGVtttpV-ABP7dmVlcoyMBZwrqb-mTIEszHmksQBzhSV_fgNGWKNdX_0c2h4FA2Rx6L1wITui2d3SerWRZ9RU", "BEYp3EUDqO_F7QTdCj7yzRBNbWdu8U7T5fubf6PnFo36-8V5_AumjUt6q34i54pWVL9q6QNvE6z41LKvA4qZek0="],
    "network": ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"],
    "zone": ["UTC", "Europe/Berlin", "America/New_York"],
    "filename": ["filename YS50eHQ=", "filename YS50eHQ=,filetype dGV4dC9wbGFpbg=="],
}

# Parameters that only an answer before gives, by their paths.
CURSORS = {
    "/dead-letters": {"before"},
    "/mentions": {"before"},
    "/notifications": {"before"},
    "/search/rooms": {"after"},
    "/threads": {"before"},
}

# Preferences of a room have these fields alone; those of a user have more.
OF_ROOM = {"level", "channels", "snoozeUntil"}


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
    for name in ("avatar", "emoji", "endpoint", "locale", "p256dh", "url", "zone"):
        if name in fields:
            known(fields[name], name)
    if {"room", "preferences"} <= fields.keys():
        all_fields = fields["preferences"]["properties"]
        for name in all_fields.keys() - OF_ROOM:
            del all_fields[name]
    if "networks" in fields:
        known(fields["networks"]["items"], "network")
    # a moment in the past is refused, and no schema knows the present
    fields.pop("expiresAt", None)
    nested = [part for part in fields.values() if "properties" in part]
    for part in schema.get("anyOf", []) + schema.get("oneOf", []) + nested:
        with_known_texts(part)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Takes out of the requests what is refused by rules that OpenAPI cannot describe. Other tests have these parts."""
    # an answer with chosen fields lacks required ones, a stream has no end, and only an answer before has a cursor
    left_out = {"fields", "exclude", "follow", "rev", "cursor"}
    # each request of this run names the same user
    if "PARLEY_NAMES_USER" in os.environ:
        left_out.add("Parley-User")
    for path, methods in raw_schema["paths"].items():
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


# The parser of uWebSockets.js accepts these names alone, and a request with another one gets no answer (docs/api.md).
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9-]")
# The same parser cuts these characters off both ends of a value.
CUT_OFF = "".join(map(chr, [*range(0x21), *range(0x80, 0x100)]))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Sends the headers as the parser of the server reads them. schemathesis judges the changed request."""
    for name, value in list((case.headers or {}).items()):
        # HTTP has no unknown headers, and servers ignore them. schemathesis itself says so, but not beside a header that is a
        # number, such as Upload-Length.
        if name.lower() == "x-schemathesis-unknown-property":
            del case.headers[name]
            continue
        read = NOT_IN_NAMES.sub("-", name), value.strip(CUT_OFF) if isinstance(value, str) else value
        if read != (name, value):
            del case.headers[name]
            case.headers[read[0]] = read[1]


addresses = itertools.count()
prepare = requests.Session.prepare_request


def prepare_with_own_address(session, request):
    """Each request has an address of its own: the server blocks an address that sends many wrong keys."""
    prepared = prepare(session, request)
    n = next(addresses)
    prepared.headers["X-Forwarded-For"] = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
    return prepared


# The checks send requests that no hook of schemathesis sees. A header of the case is no way either: schemathesis takes a
# case that a hook has changed for one that may have every header.
requests.Session.prepare_request = prepare_with_own_address
