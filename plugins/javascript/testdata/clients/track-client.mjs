// Calls of customerio-node's TrackClient:
//
//   node track-client.mjs all BASE_URL SITE_ID API_KEY
//     makes every call that the client can make, one after the other, and prints
//     {METHOD: ANSWER}. It exits with 1 where one fails, or where the client has
//     a method that is not called here.
//   node track-client.mjs bad BASE_URL SITE_ID API_KEY
//     makes calls that Customer.io refuses and prints {CALL: {"status", "body"}},
//     as the client's errors have them.
import { TrackClient, IdentifierType } from 'customerio-node'

const person = { type: 'person', identifiers: { id: '42' } }
const company = { type: 'object', identifiers: { object_type_id: '1', object_id: 'acme' } }
const device = { token: 'token/2', platform: 'ios', last_used: 1713484800 }
const withCompany = [{ identifiers: { object_type_id: '1', object_id: 'acme' }, relationship_attributes: { role: 'admin' } }]
const withPerson = [{ identifiers: { id: '42' }, relationship_attributes: { role: 'admin' } }]

// One operation for each action of version 2.
const operations = [
  { ...person, action: 'identify', attributes: { first_name: 'Jane', plan: 'premium' } },
  { ...person, action: 'event', id: '01HB4HBDKTFWYZCK01DMRSWRFD', name: 'purchase', attributes: { price: 29.99 } },
  { ...person, action: 'screen', name: 'Dashboard', attributes: { app_version: '2.1.0' } },
  { ...person, action: 'page', name: '/pricing', attributes: { referrer: 'https://example.com' } },
  { ...person, action: 'add_relationships', cio_relationships: withCompany },
  { ...person, action: 'delete_relationships', cio_relationships: withCompany },
  { ...person, action: 'add_device', device },
  { ...person, action: 'delete_device', device },
  { type: 'person', action: 'merge', primary: { id: '42' }, secondary: { email: 'jane@example.com' } },
  { ...person, action: 'suppress' },
  { ...person, action: 'unsuppress' },
  { ...company, action: 'identify', attributes: { name: 'Acme', seats: 50 } },
  { ...company, action: 'identify_anonymous', anonymous_id: 'anonymous-1' },
  { ...company, action: 'add_relationships', cio_relationships: withPerson },
  { ...company, action: 'delete_relationships', cio_relationships: withPerson },
  { ...company, action: 'delete' },
  { type: 'delivery', identifiers: { id: 'delivery-1' }, action: 'event', name: 'opened', attributes: { device_token: 'token/2' } },
  { ...person, action: 'delete' },
]

const calls = [
  ['getAccountRegion'],
  ['identify', 'user/1', { email: 'jane@example.com', plan: 'pro', cio_relationships: { action: 'add_relationships', relationships: withCompany } }],
  ['identify', 'cio_d9c106000001', { email: 'new@example.com', _update: true }],
  ['track', 'user/1', { name: 'purchase', id: '01HB4HBDKTFWYZCK01DMRSWRFC', timestamp: 1613063089, data: { price: 29.99 } }],
  ['trackAnonymous', 'anonymous-1', { name: 'looked', data: { color: 'red' } }],
  ['trackAnonymous', '', { name: 'invited', data: { recipient: 'friend@example.com' } }],
  ['trackPageView', 'user/1', '/pricing'],
  ['trackPush', { delivery_id: 'delivery-1', event: 'opened', device_id: 'token/1', timestamp: 1613063089 }],
  ['reportMetric', { delivery_id: 'delivery-1', metric: 'clicked', href: 'https://example.com', timestamp: 1613063089 }],
  ['addDevice', 'user/1', 'token/1', 'ios', { last_used: 1613063089, app_version: '2.1.0' }],
  ['deleteDevice', 'user/1', 'token/1'],
  ['mergeCustomers', IdentifierType.Id, 'user/1', IdentifierType.Email, 'jane@example.com'],
  ['addCustomersToSegment', 7, ['1', 2]],
  ['removeCustomersFromSegment', 7, ['jane@example.com'], IdentifierType.Email],
  ['submitForm', 'form/1', { email: 'jane@example.com', food: 'pizza' }],
  ['unsubscribe', 'delivery/1'],
  ['unsubscribe', 'delivery/1', false],
  ['suppress', 'user/1'],
  ['unsuppress', 'user/1'],
  ['entity', { ...person, action: 'event', name: 'entity event', attributes: { size: 9007199254740991 } }],
  ['batch', operations],
  ['destroy', 'user/1'],
]

const [what, base, site, key] = process.argv.slice(2)
if (!key || !['all', 'bad'].includes(what)) {
  console.error('usage: node track-client.mjs all|bad BASE_URL SITE_ID API_KEY')
  process.exit(2)
}
const url = `${base}/api/v1`
const client = new TrackClient(site, key, { url })

async function all() {
  const uncalled = new Set(Object.getOwnPropertyNames(TrackClient.prototype))
  uncalled.delete('constructor')
  const answers = {}
  for (const [method, ...args] of calls) {
    uncalled.delete(method)
    answers[method] = await client[method](...args)
  }
  if (uncalled.size > 0) throw new Error(`not called: ${[...uncalled]}`)
  return answers
}

async function refusal(call) {
  try {
    await call()
  } catch ({ statusCode, body }) {
    return { status: statusCode, body }
  }
  return { status: 200 }
}

async function bad() {
  return {
    name: await refusal(() => client.track('user/1', { name: 'x'.repeat(101) })),
    device: await refusal(() => client.entity({ ...person, action: 'add_device' })),
    key: await refusal(() => new TrackClient(site, 'another', { url }).identify('user/1')),
  }
}

console.log(JSON.stringify(await (what === 'all' ? all() : bad())))
