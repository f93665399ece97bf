// Lists that were asked for while events came to them. The answer may lack an event, or hold one that is told again.
import { hashKey, type QueryClient, type QueryKey } from '@tanstack/react-query'

/** So long after the last event a list is asked for; and so far apart may an answer and an event have crossed. */
const QUIET_MS = 1_000
/** When events never come to rest, it is asked for so often: no more, however they are spaced. */
const PATIENCE_MS = 10_000

interface Known {
  /** When an event last came to it, and when the server last answered; on the monotonic clock. */
  touched: number
  answered: number
  /** When it came to be doubted, when it was last asked for because of that, and what will ask for it. */
  since: number
  asked: number
  timer?: ReturnType<typeof setTimeout>
}

const NEVER = Number.NEGATIVE_INFINITY

/** Asks for doubtful lists once more: when no event has come for a while, or when they never stop coming. */
export class Doubts {
  readonly #client: QueryClient
  readonly #known = new Map<string, Known>()

  constructor(client: QueryClient) {
    this.#client = client
  }

  /** An event is about to change a list, or came while the list had not been answered yet. */
  touch(key: QueryKey): void {
    const known = this.#of(key)
    const state = this.#client.getQueryState(key)
    known.touched = performance.now()
    if (
      known.timer !== undefined ||
      state?.fetchStatus === 'fetching' ||
      // What is put into a list makes it a valid one again.
      state?.isInvalidated ||
      known.touched - known.answered < QUIET_MS
    )
      this.#doubt(key, known)
  }

  /** The server has answered what was asked at `began`, on the monotonic clock. */
  answered(key: QueryKey, began: number): void {
    const known = this.#of(key)
    known.answered = performance.now()
    if (known.touched > began - QUIET_MS) this.#doubt(key, known)
  }

  clear(): void {
    for (const { timer } of this.#known.values()) clearTimeout(timer)
    this.#known.clear()
  }

  #of(key: QueryKey): Known {
    const name = hashKey(key)
    let known = this.#known.get(name)
    if (!known) {
      known = { touched: NEVER, answered: NEVER, since: NEVER, asked: NEVER }
      this.#known.set(name, known)
    }
    return known
  }

  #doubt(key: QueryKey, known: Known): void {
    const now = performance.now()
    if (known.timer === undefined) known.since = now
    clearTimeout(known.timer)
    const ask = () => {
      known.timer = undefined
      known.asked = performance.now()
      // An answer that is on its way is waited for: it says itself when it is doubtful again.
      void this.#client.invalidateQueries({ queryKey: key, exact: true }, { cancelRefetch: false })
    }
    const soon = Math.min(QUIET_MS, known.since + PATIENCE_MS - now)
    known.timer = setTimeout(ask, Math.max(0, soon, known.asked + PATIENCE_MS - now))
  }
}
