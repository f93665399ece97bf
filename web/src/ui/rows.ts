// A list of tasks in a frame that scrolls: only what is in sight is drawn, and more is loaded before its end is reached.
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useLayoutEffect, useMemo, useRef } from 'react'
import { rowsOf, useTasks } from '../data'
import type { Listing } from '../tasks'
import { useHold } from './hold'

interface Shape {
  /** Tasks a page, and how many before the end the next one is asked for. */
  page: number
  ahead: number
  /** Pixels of a row, about, and between two of them; rows drawn beyond the frame. */
  height: number
  gap?: number
  overscan: number
}

export function useRows(listing: Listing, { page, ahead, height, gap, overscan }: Shape) {
  const list = useTasks(listing, page)
  const rows = useMemo(() => rowsOf(list.data), [list.data])
  const frame = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => height,
    getItemKey: (index) => rows[index]!.id,
    overscan,
    gap,
  })
  const items = virtual.getVirtualItems()

  const holding = useHold(frame)
  // What comes in above must not move what somebody reads: the first row in sight stays where it is.
  const seen = useRef({ listing, rows, id: '', start: 0 })
  useLayoutEffect(() => {
    const top = frame.current?.scrollTop ?? 0
    const before = seen.current
    const isHeld = holding.isToHold(top)
    if ((top > 0 || isHeld) && before.id && before.rows !== rows && before.listing === listing) {
      const at = rows.findIndex((row) => row.id === before.id)
      const moved = at < 0 ? 0 : (virtual.measurementsCache[at]?.start ?? before.start) - before.start
      if (moved) {
        seen.current = { listing, rows, id: before.id, start: before.start + moved }
        if (isHeld) holding.hold(frame.current!, top + moved)
        else frame.current!.scrollTop = top + moved
        return
      }
    }
    const first = items.find((item) => item.end > top)
    seen.current = {
      listing,
      rows,
      id: (first && rows[first.index]?.id) ?? '',
      start: first?.start ?? 0,
    }
  })

  const lastShown = items.at(-1)?.index ?? 0
  useEffect(() => {
    // Not beside another request: it would be given up, and with it what it was asked for.
    const mayAsk = list.hasNextPage && !list.isFetching && !list.isFetchNextPageError
    if (mayAsk && lastShown >= rows.length - ahead) void list.fetchNextPage()
  }, [list, lastShown, rows.length, ahead])
  return { list, rows, frame, virtual, items }
}
