"""Sends an event with Python's standard library: WEBHOOKS_KEY=.. python3 send.py"""

import json
import os
import time
import urllib.error
import urllib.request

SERVER = os.environ.get("WEBHOOKS_SERVER", "http://127.0.0.1:8700")
KEY = os.environ["WEBHOOKS_KEY"]
TRY_AGAIN = {408, 429, 500, 502, 503, 504}


def send(event_type, data, idempotency_key):
    """Stores the event once, however often this is called with the same idempotency key."""
    request = urllib.request.Request(
        SERVER + "/api/v1/events",
        data=json.dumps({"type": event_type, "data": data}).encode(),
        headers={
            "Authorization": "Bearer " + KEY,
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
        },
    )
    for attempt in range(6):
        wait = 2**attempt
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = error.read().decode(errors="replace")
            if error.code not in TRY_AGAIN or attempt == 5:
                # application/problem+json: `code` for programs, `detail` for people.
                raise RuntimeError(f"refused with {error.code}: {problem}") from error
            wait = int(error.headers.get("Retry-After", wait))
        except (urllib.error.URLError, TimeoutError):
            if attempt == 5:
                raise
        time.sleep(wait)


if __name__ == "__main__":
    key = os.environ.get("IDEMPOTENCY_KEY", "signup-42")
    print(json.dumps(send("user.created", {"id": 42}, key)))
