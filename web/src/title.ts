// What the window is called: the page's place, or what is open in it.
import { useEffect, useSyncExternalStore } from 'react'

let named = ''
const listeners = new Set<() => void>()

function set(name: string): void {
  named = name
  for (const listener of listeners) listener()
}

/** Call the window after what is open, for as long as it is. */
export function useTitle(name: string): void {
  useEffect(() => {
    set(name)
    return () => set('')
  }, [name])
}

/** What is open, if a page has said so. */
export function useNamed(): string {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => named,
  )
}
