// What comes in at the top of a list is shown at once, but not under a pointer on its way to a row: it would click what
// it did not aim at.
import { type RefObject, useEffect, useRef } from 'react'

// A pointer that has moved within this time is on its way.
const STILL_MS = 1_500
const LOOK_MS = STILL_MS / 5

/** Keeps a frame that stands at its top where it is while the pointer moves over it, then lets it go to what is the top now. */
export function useHold(frame: RefObject<HTMLElement | null>) {
  const movedAt = useRef(Number.NEGATIVE_INFINITY)
  const heldAt = useRef<number | null>(null)
  const look = useRef(0)

  useEffect(() => {
    const element = frame.current!
    const moved = (event: PointerEvent) => {
      if (event.pointerType === 'mouse') movedAt.current = performance.now()
    }
    const left = () => {
      movedAt.current = Number.NEGATIVE_INFINITY
    }
    element.addEventListener('pointermove', moved)
    element.addEventListener('pointerleave', left)
    return () => {
      element.removeEventListener('pointermove', moved)
      element.removeEventListener('pointerleave', left)
      clearInterval(look.current)
    }
  }, [frame])

  const isAimed = () => performance.now() - movedAt.current < STILL_MS
  // Whoever has scrolled since is where he wants to be.
  const isWhereHeld = (top: number) => heldAt.current !== null && Math.abs(top - heldAt.current) < 1

  function release(): void {
    if (isAimed()) return
    clearInterval(look.current)
    const element = frame.current
    if (!element) return
    const isToGo = isWhereHeld(element.scrollTop)
    heldAt.current = null
    inner(element)?.style.removeProperty('min-height')
    if (isToGo) element.scrollTop = 0
  }

  return {
    /** Whether what comes in above must stay above. */
    isToHold: (top: number) => (top === 0 && isAimed()) || isWhereHeld(top),
    hold(element: HTMLElement, top: number): void {
      // A list that is shorter than its frame is to be scrolled too.
      inner(element)?.style.setProperty('min-height', `${element.clientHeight + top}px`)
      element.scrollTop = top
      heldAt.current = element.scrollTop
      clearInterval(look.current)
      look.current = window.setInterval(release, LOOK_MS)
    },
  }
}

const inner = (element: HTMLElement) => element.querySelector('ul')
