// Sends an event of every type with one of the vendors' browser libraries, as
// the collector serves it to a page of another origin in a real Chromium:
//
//   node browser-clients.mjs CLIENT BASE_URL KEY
//
// and prints one line of JSON: {"client", …} and what visit.mjs returns. It
// exits with 1 where an event was not answered 200.
import snippet from '@segment/snippet'
import snippet4 from '@segment/snippet-4'
import { createServer } from 'node:http'
import { visit } from './visit.mjs'

// Segment's snippet with the edits that README.md tells: the collector in place
// of Segment's address, and named as _cdn before load.
function segment(base, key) {
  return {
    global: 'analytics',
    script: snippet.min({ apiKey: key, page: false })
      .replaceAll('https://cdn.segment.com', base)
      .replace('analytics.load(', `analytics._cdn=${JSON.stringify(base)};analytics.load(`),
  }
}

// Customer.io's snippet is Segment's of version 4.15.3 with another global
// name, an attribute that tells the library of it, and another path.
function customerio(base, key) {
  const { protocol, host } = new URL(base)
  return {
    global: 'cioanalytics',
    script: snippet4.min({ host, apiKey: key, page: false, ajsPath: '/v1/analytics-js/snippet/" + key + "/analytics.min.js' })
      .replaceAll('https://', `${protocol}//`)
      .replace('var analytics=window.analytics=window.analytics||[]', 'var i="cioanalytics",analytics=window[i]=window[i]||[]')
      .replace('t.async=!0;', 't.async=!0;t.setAttribute("data-global-customerio-analytics-key",i);'),
  }
}

function pageOf({ global, script }) {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Test shop</title><script>${script}</script></head>
<body>
<button id="order">Order</button>
<script>
const analytics = () => window['${global}'];
analytics().page('Shop');
analytics().identify('browser-user', {email: 'browser-user@example.com'});
analytics().group('acme', {name: 'Acme'});
analytics().alias('browser-user-2');
document.getElementById('order').onclick = () => analytics().track('Order Completed', {revenue: 12.5});
analytics().ready(() => analytics().screen('Cart'));
</script>
</body>
</html>`
}

const clients = { 'analytics-next': segment, 'cdp-analytics-browser': customerio }

const [client, base, key] = process.argv.slice(2)
if (!clients[client] || !key) {
  console.error(`usage: node browser-clients.mjs ${Object.keys(clients).join('|')} BASE_URL KEY`)
  process.exit(2)
}
const html = pageOf(clients[client](base, key))
const shop = createServer((_, response) => {
  response.setHeader('Content-Type', 'text/html; charset=utf-8')
  response.end(html)
})
await new Promise((resolve) => shop.listen(0, '127.0.0.1', resolve))
const result = await visit({
  url: `http://127.0.0.1:${shop.address().port}/shop?utm_source=test`,
  types: ['page', 'identify', 'group', 'alias', 'track', 'screen'],
  clicks: ['#order'],
})
shop.close()
console.log(JSON.stringify({ client, ...result }))
process.exitCode = result.missing.length > 0 ? 1 : 0
