// Reporting webhooks as Customer.io has them.
//
//   node webhooks.mjs verify      reads a JSON array of the arguments of customerio-node's
//                                 verifyRequestSignature and prints what it says of each
//   node webhooks.mjs send URL SIGNING_KEY
//                                 signs a body, which it reads, with node's own crypto, posts
//                                 it and prints the answer's status
import { verifyRequestSignature } from 'customerio-node'
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'

const [what, url, key] = process.argv.slice(2)
const input = readFileSync(0)
if (what === 'verify') {
  console.log(JSON.stringify(JSON.parse(input).map(verifyRequestSignature)))
} else if (what === 'send' && key) {
  const timestamp = Math.floor(Date.now() / 1000)
  const signature = createHmac('sha256', key).update(`v0:${timestamp}:`).update(input).digest('hex')
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-CIO-Timestamp': timestamp, 'X-CIO-Signature': signature },
    body: input,
  })
  console.log(JSON.stringify(answer.status))
} else {
  console.error('usage: node webhooks.mjs verify | send URL SIGNING_KEY')
  process.exit(2)
}
