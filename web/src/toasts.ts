// Short words at the edge of the page.
import { useSyncExternalStore } from 'react'

export interface Word {
  id: number
  text: string
  tone: 'good' | 'bad' | 'plain'
}

let words: readonly Word[] = []
let next = 1
const listeners = new Set<() => void>()

function set(now: readonly Word[]): void {
  words = now
  for (const listener of listeners) listener()
}

export function toast(text: string, tone: Word['tone'] = 'plain'): void {
  set([...words.filter((word) => word.text !== text), { id: next++, text, tone }].slice(-4))
}

export function dismiss(id: number): void {
  set(words.filter((word) => word.id !== id))
}

export function clearToasts(): void {
  set([])
}

export function useToasts(): readonly Word[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => words,
  )
}
