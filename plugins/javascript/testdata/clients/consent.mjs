// Grants, or denies, a consent in a real Chromium, as a person does who follows
// the URL of wellhead connect:
//
//   node consent.mjs URL allow|deny
//
// It prints one line of JSON: the address without its query, the title and the
// text of the page that the browser ends on.
import { chromium } from 'playwright-core'

const [url, decision] = process.argv.slice(2)
if (!decision) {
  console.error('usage: node consent.mjs URL allow|deny')
  process.exit(2)
}
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  chromiumSandbox: false, // tests run as root, where there is none
  // Without these, Chromium speaks to its maker's hosts.
  args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
try {
  const page = await browser.newPage()
  await page.goto(url)
  await page.fill('#password', 'any')
  await Promise.all([page.waitForURL('**/oauth/callback?**'), page.click('#' + decision)])
  const at = new URL(page.url())
  console.log(JSON.stringify({ at: at.origin + at.pathname, title: await page.title(), text: await page.innerText('body') }))
} finally {
  await browser.close()
}
