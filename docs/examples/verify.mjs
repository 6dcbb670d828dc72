// Receives webhooks with Node's own modules: WEBHOOK_SECRET=whsec_.. node verify.mjs

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secret = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const toleranceSeconds = 300;
const maxBody = 1 << 20;

/** Whether the body, to the byte as it came, has a signature of Standard Webhooks. */
function isSigned(headers, body) {
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d{1,12}$/.test(timestamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > toleranceSeconds) return false;
  const hmac = createHmac("sha256", secret).update(`${headers["webhook-id"]}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v1,${hmac.digest("base64")}`);
  // There are several while a secret is rotated.
  const given = (headers["webhook-signature"] ?? "").split(" ").map((one) => Buffer.from(one));
  return given.filter((one) => one.length === expected.length && timingSafeEqual(one, expected)).length > 0;
}

const server = createServer({ requestTimeout: 10_000 }, async (request, response) => {
  const chunks = [];
  let length = 0;
  try {
    for await (const chunk of request) {
      length += chunk.length;
      if (length > maxBody) return response.writeHead(413, { Connection: "close" }).end();
      chunks.push(chunk);
    }
  } catch {
    return; // It was broken off.
  }
  const body = Buffer.concat(chunks);
  if (!isSigned(request.headers, body)) return response.writeHead(401).end();
  // Store it here, and do the work later. It may come twice: the id tells.
  console.log("verified", request.headers["webhook-id"], JSON.parse(body).event);
  response.writeHead(204).end();
});

server.listen(Number(process.env.PORT ?? 4000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/hooks`);
});
