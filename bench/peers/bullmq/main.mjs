// BullMQ on Redis: `node main.mjs worker`, or `node main.mjs <seconds> [jobs a call]` to submit. It counts what is done
// by itself.
import { Queue, Worker } from 'bullmq'

const url = new URL(process.env.REDIS_URL)
const connection = { host: url.hostname, port: Number(url.port), db: Number(url.pathname.slice(1) || 0), maxRetriesPerRequest: null }
const BATCH = Number(process.argv[3] ?? 1)
const PRODUCERS = BATCH > 1 ? 8 : 64
const JOB = { name: 'reverse', data: 'Hello world!', opts: { attempts: 3 } }

if (process.argv[2] === 'worker') {
  const work = async ({ data }) => `${[...data].reverse().join('')} (len=${data.length})`
  const worker = new Worker('peers', work, { connection, concurrency: 100 })
  await worker.waitUntilReady()
  console.log('ready')
} else {
  const queue = new Queue('peers', { connection })
  await queue.waitUntilReady()
  const began = Date.now()
  const until = began + Number(process.argv[2]) * 1000
  let accepted = 0
  const submit = async () => {
    while (Date.now() < until) {
      if (BATCH > 1) await queue.addBulk(Array(BATCH).fill(JOB))
      else await queue.add(JOB.name, JOB.data, JOB.opts)
      accepted += BATCH
    }
  }
  await Promise.all(Array.from({ length: PRODUCERS }, submit))
  const accepting = (Date.now() - began) / 1000
  // Redis knows what is done; of the events that tell of it only the last 10,000 are kept.
  let done = 0
  let last = Date.now()
  while (done < accepted && Date.now() - last < 60_000) {
    const now = await queue.getCompletedCount()
    if (now > done) last = Date.now()
    done = now
    await new Promise((resume) => setTimeout(resume, 5))
  }
  const finishing = (last - began) / 1000
  console.log(JSON.stringify({ accepted, accepted_rate: accepted / accepting, done, done_rate: done / finishing }))
  await queue.obliterate({ force: true })
  process.exit(0)
}
