// Sends N events of every type with one of the vendors' server clients:
//
//   node server-clients.mjs CLIENT BASE_URL KEY N
//
// and prints one line of JSON: {"client", "sent": [{"type", "messageId"}],
// "failed": [{"type", "messageId", "error"}]}. It exits with 1 where one failed.
import { Analytics as SegmentAnalytics } from '@segment/analytics-node'
import { Analytics as CustomerioAnalytics } from '@customerio/cdp-analytics-node'
import { PipelinesClient } from 'customerio-node'
import { randomUUID } from 'node:crypto'

const types = ['identify', 'track', 'page', 'screen', 'group', 'alias']

// The members that each type of call needs.
function callOf(type, i) {
  const call = { userId: `user-${i}` }
  switch (type) {
    case 'identify':
      return { ...call, traits: { email: `user-${i}@example.com`, plan: 'pro', count: i } }
    case 'track':
      return { ...call, event: 'Order Completed', properties: { revenue: 12.5, count: i } }
    case 'group':
      return { ...call, groupId: `group-${i}`, traits: { name: 'Acme' } }
    case 'alias':
      return { ...call, previousId: `anonymous-${i}` }
    default:
      return { ...call, name: 'Home', properties: { count: i } }
  }
}

// Segment's client and its fork batch by themselves. They tell of each event
// when it was delivered, or given up.
async function batching(Analytics, base, key, n) {
  const sent = []
  const failed = []
  const analytics = new Analytics({ writeKey: key, host: base, flushInterval: 100 })
  const calls = []
  for (let i = 0; i < n; i++) {
    for (const type of types) {
      calls.push(new Promise((resolve) => {
        analytics[type](callOf(type, i), (err, ctx) => {
          const messageId = ctx?.event.messageId
          if (err) failed.push({ type, messageId, error: String(err.reason ?? err) })
          else sent.push({ type, messageId })
          resolve()
        })
      }))
    }
  }
  await Promise.all(calls)
  await analytics.closeAndFlush()
  return { sent, failed }
}

// customerio-node sends single calls, and batches that the caller makes. Each
// type goes once by either way for each i.
async function pipelines(base, key, n, strictMode) {
  const sent = []
  const failed = []
  const client = new PipelinesClient(key, { url: `${base}/v1`, strictMode })
  const attempt = async (events, send) => {
    try {
      await send()
      sent.push(...events)
    } catch (err) {
      failed.push(...events.map((e) => ({ ...e, error: err.message })))
    }
  }
  for (let i = 0; i < n; i++) {
    for (const type of types) {
      const messageId = randomUUID()
      await attempt([{ type, messageId }], () => client[type]({ ...callOf(type, i), messageId }))
    }
    const batch = types.map((type) => ({ ...callOf(type, i), type, messageId: randomUUID() }))
    await attempt(batch.map(({ type, messageId }) => ({ type, messageId })), () => client.batch(batch))
  }
  return { sent, failed }
}

const clients = {
  'analytics-node': (base, key, n) => batching(SegmentAnalytics, base, key, n),
  'cdp-analytics-node': (base, key, n) => batching(CustomerioAnalytics, base, key, n),
  'customerio-node': (base, key, n) => pipelines(base, key, n, false),
  'customerio-node-strict': (base, key, n) => pipelines(base, key, n, true),
}

const [client, base, key, n] = process.argv.slice(2)
if (!clients[client] || !n) {
  console.error(`usage: node server-clients.mjs ${Object.keys(clients).join('|')} BASE_URL KEY N`)
  process.exit(2)
}
const result = await clients[client](base, key, Number(n))
console.log(JSON.stringify({ client, ...result }))
process.exitCode = result.failed.length > 0 ? 1 : 0
