"""The `stripe` package as the other side of the timestamped scheme.

    stripe_verify.py verify < messages   judges what the Rust side signed
    stripe_verify.py sign                prints messages for the Rust side to judge
"""

import json
import sys
import time

from stripe import SignatureVerificationError, WebhookSignature

BODIES = ['{"id":"evt_1"}', '{"id":"évt_你😀", "x" : "\\u00e9"}\n', "", "x" * 200_000]


def verify(lines):
    for message in map(json.loads, lines):
        if message["scheme"] != "timestamped":
            continue
        header = message["headers"]["x-webhook-signature"]
        try:
            WebhookSignature.verify_header(message["body"], header, message["secret"], tolerance=300)
            taken = True
        except SignatureVerificationError:
            taken = False
        word = "ok" if taken == message["valid"] else "FAILED"
        print(f"{word} stripe verifies: {message['name']}")


def sign():
    now = int(time.time())
    for n, body in enumerate(BODIES):
        for name, secret, at, received, valid in [
            ("as it was signed", "whsec_abc", now, body, True),
            ("another secret", "whsec_abd", now, body, False),
            ("another body", "whsec_abc", now, body + " ", False),
            ("ten minutes old", "whsec_abc", now - 600, body, False),
        ]:
            header = WebhookSignature.generate_signature_header(body, "whsec_abc", at)
            message = {
                "name": f"stripe signs: body {n}, {name}",
                "scheme": "timestamped",
                "secret": secret,
                "headers": {"x-webhook-signature": header},
                "body": received,
                "valid": valid,
            }
            print(json.dumps(message))


if __name__ == "__main__":
    sign() if sys.argv[1] == "sign" else verify(sys.stdin)
