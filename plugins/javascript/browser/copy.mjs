// Copies the browser libraries out of npm's folder: node copy.mjs FROM TO
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const [from, to] = process.argv.slice(2)
const libraries = {
  segment: '@segment/analytics-next',
  customerio: '@customerio/cdp-analytics-browser',
}

for (const [vendor, name] of Object.entries(libraries)) {
  const source = join(from, name)
  const target = join(to, vendor)
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  for (const file of readdirSync(join(source, 'dist/umd'))) {
    if (file.endsWith('.js')) cpSync(join(source, 'dist/umd', file), join(target, file))
  }
  cpSync(join(source, 'LICENSE.MD'), join(target, 'LICENSE.md'))
}
