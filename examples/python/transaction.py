"""Stores an order and its message in one transaction: members get the message after the commit, or never."""

import json
import os
import uuid

import psycopg

room = os.environ.get("PARLEY_ROOM", "orders")

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("create table if not exists paid_orders (id int primary key, paid_at timestamptz)")

    with connection.transaction():
        connection.execute("insert into paid_orders values (19, now()) on conflict (id) do nothing")
        body = json.dumps({"text": "Order 19 is paid"})
        row = connection.execute(
            "select parley.publish(%s, %s, 'shop', %s)", (room, uuid.uuid4(), body)
        ).fetchone()
    print("stored", row[0])

    try:
        with connection.transaction():
            connection.execute("select parley.publish(%s, %s, 'shop', %s)", (room, uuid.uuid4(), body))
            raise LookupError("the order does not exist")
    except LookupError as error:
        print("rolled back:", error)
