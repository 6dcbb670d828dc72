// The npm package `standardwebhooks` as the other side of Standard Webhooks.
//
//     standardwebhooks_verify.mjs verify < messages   judges what the Rust side signed
//     standardwebhooks_verify.mjs sign                prints messages for the Rust side to judge

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// The package lies in the folder this is run from, not beside this file.
const require = createRequire(join(process.cwd(), "package.json"));
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

const BODIES = ['{"id":"evt_1"}', '{"id":"évt_你😀", "x" : "\\u00e9"}\n', "", "x".repeat(200_000)];
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

function verify() {
  for (const line of readFileSync(0, "utf8").trimEnd().split("\n")) {
    const message = JSON.parse(line);
    if (message.scheme !== "standard") continue;
    let taken = true;
    try {
      new Webhook(message.secret).verify(message.body, message.headers);
    } catch (error) {
      if (!(error instanceof WebhookVerificationError)) throw error;
      taken = false;
    }
    const word = taken === message.valid ? "ok" : "FAILED";
    console.log(`${word} standardwebhooks (npm) verifies: ${message.name}`);
  }
}

function sign() {
  const now = new Date();
  const old = new Date(now.getTime() - 600_000);
  BODIES.forEach((body, n) => {
    for (const [name, secret, at, received, valid] of [
      ["as it was signed", SECRET, now, body, true],
      ["another secret", OTHER, now, body, false],
      ["another body", SECRET, now, `${body} `, false],
      ["ten minutes old", SECRET, old, body, false],
    ]) {
      const headers = {
        "webhook-id": `msg_${n}`,
        "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
        "webhook-signature": new Webhook(SECRET).sign(`msg_${n}`, at, body),
      };
      const label = `standardwebhooks (npm) signs: body ${n}, ${name}`;
      const message = { name: label, scheme: "standard", secret, headers, body: received, valid };
      console.log(JSON.stringify(message));
    }
  });
}

process.argv[2] === "sign" ? sign() : verify();
