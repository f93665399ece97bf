// What was typed and is not saved yet: into a task, or into a new one.
import { Kept } from './kept'

/** The task when an edit of a text began. */
export interface Began {
  version: number
  value: string
}

export interface Draft extends Began {
  text: string
}

export const drafts = new Kept<Draft>('tasktide-drafts')

/** Whose draft of which text of which task. */
export const draftKey = (userId: string, taskId: string, name: string) => `${userId}.${taskId}.${name}`

/** A task or job that somebody has begun to write down and closed: it is there when they come back. */
export interface Unsent {
  texts: Record<string, string>
  isJob: boolean
  performer: string | null
}

/** By whose it is. */
export const unsent = new Kept<Unsent>('tasktide-unsent')
/** What is on its way, by whose it is and its key: whoever opens the dialog meanwhile begins another one. */
const sent = new Kept<Unsent>('tasktide-sent')
/** The key of what was sent and has not worked: a lost answer makes no second task. */
const keys = new Kept<string>('tasktide-keys')

// What was on its way when the window was loaded anew may not have arrived: it is begun again.
for (const place of sent.keys()) putBack(place)

/** Somebody sends what they have begun, as `said`: the key to send it with, and what to do when it has worked or not. */
export function sending(userId: string, said: string) {
  const input = `${userId} ${said}`
  const key = keys.get(input) ?? newKey()
  const place = `${userId} ${key}`
  keys.set(input, key)
  const text = unsent.take(userId)
  if (text) sent.set(place, text)
  const worked = () => {
    sent.take(place)
    keys.take(input)
  }
  return { key, worked, failed: () => putBack(place) }
}

function putBack(place: string): void {
  const text = sent.take(place)
  const userId = place.split(' ', 1)[0]!
  if (text && !unsent.has(userId)) unsent.set(userId, text)
}

function newKey(): string {
  return crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`
}

/** Nobody is signed in any more. */
export function forgetTexts(): void {
  for (const kept of [drafts, unsent, sent, keys]) kept.clear()
}
