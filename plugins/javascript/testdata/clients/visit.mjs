// Opens a page in a real Chromium and watches the events that it sends:
//
//   node visit.mjs URL TYPE,TYPE,… [SELECTOR …]
//
// It clicks the selectors in turn, waits until an event of each type was
// answered 200 and prints one line of JSON (see visit). It exits with 1 where
// one was not answered so within 60 s.
import { chromium } from 'playwright-core'
import { pathToFileURL } from 'node:url'

const timeout = 60_000

// Without these, Chromium speaks to its maker's hosts.
const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

// visit returns {"browser": version, "sent": [{"type", "messageId", "status",
// "url"}], "missing": [type], "errors": [text]}. sent has every attempt, in
// the order of the answers; a status of 0 is an answer that the page could not
// read. errors are the page's own and what it could not load.
export async function visit({ url, types, clicks = [] }) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    chromiumSandbox: false, // tests run as root, where there is none
    args,
  })
  try {
    const page = await browser.newPage()
    const sent = []
    const errors = []
    const missing = new Set(types)
    let done
    const finished = new Promise((resolve) => { done = resolve })
    const note = (request, status) => {
      for (const { type, messageId } of eventsOf(request)) {
        sent.push({ type, messageId, status, url: request.url() })
        if (status === 200) missing.delete(type)
      }
      if (missing.size === 0) done()
    }
    page.on('response', (response) => {
      if (response.request().method() === 'POST') note(response.request(), response.status())
      else if (response.status() >= 400 && !response.url().endsWith('/favicon.ico')) errors.push(`${response.status()} ${response.url()}`)
    })
    page.on('requestfailed', (request) => {
      if (request.method() === 'POST') note(request, 0)
      else errors.push(`${request.failure()?.errorText} ${request.url()}`)
    })
    page.on('pageerror', (err) => errors.push(String(err)))

    await page.goto(url)
    for (const selector of clicks) await page.click(selector)
    let timer
    await Promise.race([finished, new Promise((resolve) => { timer = setTimeout(resolve, timeout) })])
    clearTimeout(timer)
    return { browser: browser.version(), sent, missing: [...missing], errors }
  } finally {
    await browser.close()
  }
}

// eventsOf returns the events in a request's body, one or a batch.
function eventsOf(request) {
  try {
    const body = JSON.parse(request.postData())
    return body.batch ?? (body.type ? [body] : [])
  } catch {
    return []
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [url, types, ...clicks] = process.argv.slice(2)
  if (!types) {
    console.error('usage: node visit.mjs URL TYPE,TYPE,… [SELECTOR …]')
    process.exit(2)
  }
  const result = await visit({ url, types: types.split(','), clicks })
  console.log(JSON.stringify(result))
  process.exitCode = result.missing.length > 0 ? 1 : 0
}
