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
