// What a first visit loads: the entry and everything it imports at once must stay below the limit.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const LIMIT = 200 * 1000
const out = new URL('../src/tasktide/web/', import.meta.url).pathname
const html = readFileSync(join(out, 'index.html'), 'utf8')
const first = [...html.matchAll(/(?:src|href)="\/app\/([^"]+\.js)"/g)].map((match) => match[1])
const size = (file) => gzipSync(readFileSync(join(out, file))).length
const total = first.reduce((sum, file) => sum + size(file), 0)
const all = readdirSync(join(out, 'assets')).filter((file) => file.endsWith('.js')).length
console.log(
  `First load: ${first.length} of ${all} scripts, ${(total / 1000).toFixed(1)} kB compressed (limit ${LIMIT / 1000}).`,
)
if (total > LIMIT) process.exit(1)
