// Sends an event with fetch, Node 18 or later: WEBHOOKS_KEY=.. node send.mjs

const server = process.env.WEBHOOKS_SERVER ?? "http://127.0.0.1:8700";
const tryAgain = new Set([408, 429, 500, 502, 503, 504]);

/** Stores the event once, however often this is called with the same idempotency key. */
export async function send(type, data, idempotencyKey) {
  for (let attempt = 0; ; attempt++) {
    let wait = 2 ** attempt;
    try {
      const response = await fetch(`${server}/api/v1/events`, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${process.env.WEBHOOKS_KEY}`,
          "Content-Type": "application/json",
          "Idempotency-Key": idempotencyKey,
        },
        body: JSON.stringify({ type, data }),
        signal: AbortSignal.timeout(30_000),
      });
      const text = await response.text();
      if (response.ok) return JSON.parse(text);
      if (!tryAgain.has(response.status) || attempt === 5) {
        // application/problem+json: `code` for programs, `detail` for people.
        throw Object.assign(new Error(`refused with ${response.status}: ${text}`), { refused: true });
      }
      wait = Number(response.headers.get("Retry-After") ?? wait);
    } catch (error) {
      // fetch throws only where no answer came: that is tried again, too.
      if (error.refused || attempt === 5) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }
}

const key = process.env.IDEMPOTENCY_KEY ?? "signup-42";
console.log(JSON.stringify(await send("user.created", { id: 42 }, key)));
