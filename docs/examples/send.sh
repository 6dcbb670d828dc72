#!/bin/sh
# Sends an event by curl: WEBHOOKS_KEY=.. ./send.sh
set -eu
server="${WEBHOOKS_SERVER:-http://127.0.0.1:8700}"

# The key goes by standard input: arguments can be seen by others on the machine. curl tries again
# after 408, 429, 500, 502, 503 and 504, and waits as long as Retry-After says. The idempotency key
# makes that safe: the event is stored once, however often it arrives.
printf 'header = "Authorization: Bearer %s"\n' "$WEBHOOKS_KEY" |
    curl --config - --silent --show-error --fail-with-body \
        --max-time 30 --retry 5 --retry-connrefused \
        --header 'Content-Type: application/json' \
        --header "Idempotency-Key: ${IDEMPOTENCY_KEY:-signup-42}" \
        --data '{"type": "user.created", "data": {"id": 42}}' \
        "$server/api/v1/events"
