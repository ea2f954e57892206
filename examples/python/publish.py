"""Publishes messages over REST, with retries that store each message once."""

import os
import time
import uuid

import requests

api = os.environ.get("PARLEY_URL", "http://localhost:3000") + "/api/v1"
room = os.environ.get("PARLEY_ROOM", "orders")
session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['PARLEY_KEY']}"


def publish(body):
    """Returns the seq of the message. The id is made once, so that a retry stores nothing twice."""
    message = {"room": room, "id": str(uuid.uuid4()), "sender": "shop", "body": body}
    for attempt in range(1, 6):
        try:
            response = session.post(f"{api}/publish", json={"messages": [message]}, timeout=20)
        except requests.ConnectionError:
            time.sleep(attempt)
            continue
        answer = response.json()
        # a refused request is a problem, and a refused message is an outcome with an error
        error = answer["results"][0].get("error") if response.ok else answer
        if error is None:
            return answer["results"][0]["seq"]
        if not error["retryable"]:
            raise RuntimeError(error["code"])
        time.sleep(error.get("retryAfter", 500 * attempt) / 1000)
    raise RuntimeError("the server did not take the message")


for state in ["packed", "sent"]:
    print("stored", publish({"text": f"Order 18 is {state}"}))

page = session.get(f"{api}/rooms/{room}/messages", params={"limit": 2, "fields": "seq,body.text"}, timeout=20).json()
for item in page["items"]:
    print("read", item["seq"], item["body"]["text"])
