"""The scenario of test/interop/README.md with python-socketio."""

import os
import sys
import threading
import uuid

import socketio

URL = os.environ["PARLEY_URL"]
TOKENS = {"ann": os.environ["PARLEY_TOKEN_1"], "ben": os.environ["PARLEY_TOKEN_2"]}
LIMIT = 60

MODES = {
    "no options": {"transports": None, "serializer": "default"},
    "polling only": {"transports": ["polling"], "serializer": "default"},
    "websocket only": {"transports": ["websocket"], "serializer": "default"},
    "no options, msgpack": {"transports": None, "serializer": "msgpack"},
    "websocket only, msgpack": {"transports": ["websocket"], "serializer": "msgpack"},
}


class Person:
    def __init__(self, token, mode):
        self.events = []
        self.refusal = None
        self.came = threading.Condition()
        self.socket = socketio.Client(
            serializer=mode["serializer"], reconnection_delay=0.1, reconnection_delay_max=0.5
        )
        self.socket.on("*", self.receive)
        self.socket.on("connect_error", self.refused)
        self.url = URL + ("?parser=msgpack" if mode["serializer"] == "msgpack" else "")
        self.transports = mode["transports"]
        self.token = token

    def connect(self):
        self.socket.connect(self.url, auth={"token": self.token}, transports=self.transports, wait_timeout=LIMIT)
        return self

    def receive(self, name, data=None):
        with self.came:
            self.events.append((name, data))
            self.came.notify_all()

    def refused(self, data):
        self.refusal = data

    def received(self, name):
        return [data for event, data in self.events if event == name]

    def wait(self, name, count=1):
        with self.came:
            if not self.came.wait_for(lambda: len(self.received(name)) >= count, LIMIT):
                raise AssertionError(f"waited in vain for {count} of {name}: {self.events}")
            return self.received(name)

    def ok(self, name, data):
        answer = self.socket.call(name, data, timeout=LIMIT)
        assert answer["ok"], answer
        return answer

    def send(self, room, body):
        return self.ok("message:send", {"room": room, "id": str(uuid.uuid4()), "body": body})


def run(mode):
    stranger = Person("no token of ours", mode)
    try:
        stranger.connect()
    except socketio.exceptions.ConnectionError:
        pass
    assert stranger.refusal["data"]["code"] == "unauthorized", stranger.refusal

    ann = Person(TOKENS["ann"], mode).connect()
    ben = Person(TOKENS["ben"], MODES["websocket only"]).connect()
    ann.wait("ready")
    ben.wait("ready")
    room = ann.ok("room:create", {"kind": "channel", "name": "interop"})["room"]["id"]
    ben.ok("room:join", {"room": room})
    for n in range(1, 11):
        sender = ann if n % 2 == 1 else ben
        assert sender.send(room, {"n": n, "text": "Grüße 👋"})["seq"] == n
    for person in (ann, ben):
        messages = person.wait("message", 10)
        assert [message["seq"] for message in messages] == list(range(1, 11)), messages
        assert messages[0]["body"] == {"n": 1, "text": "Grüße 👋"}, messages[0]

    data = {"blob": bytes(range(256)), "list": [b"", {"deep": b"\x00\xff"}]}
    for sender, receiver in ((ann, ben), (ben, ann)):
        sender.ok("signal", {"room": room, "name": "blob", "data": data})
        assert receiver.wait("signal")[0]["data"] == data, receiver.received("signal")

    expected = "polling" if mode["transports"] == ["polling"] else "websocket"
    assert ann.socket.transport() == expected, ann.socket.transport()

    cursor = ann.received("message")[-1]["rev"]
    ann.socket.disconnect()
    for n in range(11, 16):
        ben.send(room, n)
    ann = Person(TOKENS["ann"], mode).connect()
    ann.wait("ready")
    missed = ann.ok("sync", {"cursors": {room: cursor}})["rooms"][room]["messages"]
    assert [message["body"] for message in missed] == list(range(11, 16)), missed

    print("restart", flush=True)
    sys.stdin.readline()
    for person, count in ((ann, 2), (ben, 2)):
        person.wait("ready", count)
    ann.send(room, "after the restart")
    assert ann.wait("message")[-1]["body"] == "after the restart"
    assert ben.wait("message", 16)[-1]["seq"] == 16
    ann.socket.disconnect()
    ben.socket.disconnect()


for name, options in MODES.items():
    run(options)
    print(f"passed {name}", flush=True)
