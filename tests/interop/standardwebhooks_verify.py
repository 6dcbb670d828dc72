"""The Python package `standardwebhooks` as the other side of Standard Webhooks.

    standardwebhooks_verify.py verify < messages   judges what the Rust side signed
    standardwebhooks_verify.py sign                prints messages for the Rust side to judge
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from standardwebhooks import Webhook, WebhookVerificationError

BODIES = ['{"id":"evt_1"}', '{"id":"évt_你😀", "x" : "\\u00e9"}\n', "", "x" * 200_000]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def verify(lines):
    for message in map(json.loads, lines):
        if message["scheme"] != "standard":
            continue
        try:
            Webhook(message["secret"]).verify(message["body"], message["headers"])
            taken = True
        except WebhookVerificationError:
            taken = False
        word = "ok" if taken == message["valid"] else "FAILED"
        print(f"{word} standardwebhooks (python) verifies: {message['name']}")


def sign():
    now = datetime.now(tz=timezone.utc)
    for n, body in enumerate(BODIES):
        for name, secret, at, received, valid in [
            ("as it was signed", SECRET, now, body, True),
            ("another secret", OTHER, now, body, False),
            ("another body", SECRET, now, body + " ", False),
            ("ten minutes old", SECRET, now - timedelta(minutes=10), body, False),
        ]:
            message = {
                "name": f"standardwebhooks (python) signs: body {n}, {name}",
                "scheme": "standard",
                "secret": secret,
                "headers": {
                    "webhook-id": f"msg_{n}",
                    "webhook-timestamp": str(int(at.timestamp())),
                    "webhook-signature": Webhook(SECRET).sign(f"msg_{n}", at, body),
                },
                "body": received,
                "valid": valid,
            }
            print(json.dumps(message))


if __name__ == "__main__":
    sign() if sys.argv[1] == "sign" else verify(sys.stdin)
