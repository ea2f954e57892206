#!/bin/sh
# Makes a room, publishes one message twice with the same id, and reads the history.
set -eu
api=${PARLEY_URL:-http://localhost:3000}/api/v1
room=${PARLEY_ROOM:-orders}

call() {
  method=$1 path=$2
  shift 2
  curl -sS --fail-with-body -X "$method" -H "Authorization: Bearer $PARLEY_KEY" -H 'Parley-User: shop' \
    -H 'Content-Type: application/json' "$@" "$api$path"
  echo
}

# 409 `conflict` if the room exists
call POST /rooms -d "{\"kind\":\"channel\",\"id\":\"$room\",\"name\":\"Orders\"}" || true

# The UUID is the key of the message for ever: the second request stores nothing and answers with the same seq.
id=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen | tr A-F a-f)
message="{\"id\":\"$id\",\"body\":{\"text\":\"Order 17 is paid\"}}"
call POST "/rooms/$room/messages" -d "$message"
call POST "/rooms/$room/messages" -d "$message"

call GET "/rooms/$room/messages?limit=1&fields=seq,body.text"
