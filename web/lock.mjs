// `npm run lock`: what was resolved stands in the lock by version and hash; from where is each machine's own matter.
import { readFileSync, writeFileSync } from 'node:fs'

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
for (const one of Object.values(lock.packages)) delete one.resolved
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`)
