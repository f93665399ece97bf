// Lists that were asked for while events came to them. The answer may lack an event, or hold one that is told again.
import { hashKey, type QueryClient, type QueryKey } from '@tanstack/react-query'

const QUIET_MS = 1_000
const PATIENCE_MS = 10_000

interface Known {
  /** When an event last came to it, and when the server last answered. */
  touched: number
  answered: number
  /** When it came to be doubted, and what will ask for it. */
  since: number
  timer?: ReturnType<typeof setTimeout>
}

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
    known.touched = Date.now()
    if (
      known.timer !== undefined ||
      state?.fetchStatus === 'fetching' ||
      // What is put into a list makes it a valid one again.
      state?.isInvalidated ||
      known.touched - known.answered < QUIET_MS
    )
      this.#doubt(key, known)
  }

  /** The server has answered what was asked at `began`. */
  answered(key: QueryKey, began: number): void {
    const known = this.#of(key)
    known.answered = Date.now()
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
      known = { touched: Number.NEGATIVE_INFINITY, answered: Number.NEGATIVE_INFINITY, since: 0 }
      this.#known.set(name, known)
    }
    return known
  }

  #doubt(key: QueryKey, known: Known): void {
    const now = Date.now()
    if (known.timer === undefined) known.since = now
    clearTimeout(known.timer)
    const ask = () => {
      known.timer = undefined
      void this.#client.invalidateQueries({ queryKey: key, exact: true })
    }
    known.timer = setTimeout(ask, Math.min(QUIET_MS, Math.max(0, known.since + PATIENCE_MS - now)))
  }
}
