// What was typed into a task and is not saved yet. It outlives the page that it was typed on, and a reload of the window.

/** The task when an edit of a text began. */
export interface Began {
  version: number
  value: string
}

export interface Draft extends Began {
  text: string
}

const KEY = 'tasktide-drafts'
const drafts = new Map<string, Draft>(stored())

function stored(): [string, Draft][] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '[]')
  } catch {
    return []
  }
}

/** Whose draft of which text of which task. */
export const draftKey = (userId: string, taskId: string, name: string) => `${userId}.${taskId}.${name}`

export const draftOf = (key: string): Draft | null => drafts.get(key) ?? null

export function keepDraft(key: string, draft: Draft | null): void {
  if (draft) drafts.set(key, draft)
  else if (!drafts.delete(key)) return
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...drafts]))
  } catch {
    // No room, or not allowed: they are kept for as long as the window is not loaded anew.
  }
}

/** Whoever signs out leaves nothing behind. */
export function forgetDrafts(): void {
  for (const key of [...drafts.keys()]) keepDraft(key, null)
}
