import { describe, expect, it } from 'vitest'
import law from './live-law.json'
import {
  before,
  compare,
  follow,
  type Listing,
  listed,
  matches,
  mayMove,
  merged,
  type Pages,
  place,
  type Row,
  type TaskEvent,
} from './tasks'

function row(id: number, more: Partial<Row> = {}): Row {
  const at = `2026-01-01T00:00:${String(id).padStart(2, '0')}.000Z`
  return {
    id: String(id),
    title: `task ${id}`,
    description: '',
    status: 'PENDING',
    priority: 0,
    labels: [],
    creatorId: '1',
    performerId: null,
    observerIds: [],
    dueAt: null,
    handler: null,
    runAt: null,
    error: null,
    attempts: 0,
    maxAttempts: 3,
    version: 1,
    createdAt: at,
    updatedAt: at,
    startedAt: null,
    finishedAt: null,
    ...more,
  }
}

const newest: Listing = { filter: { statuses: ['PENDING'] }, sort: 'CREATED_AT', descending: true }

function pages(rows: Row[][], more = false, total = rows.flat().length): Pages {
  return {
    pages: rows.map((nodes, index) => ({
      nodes,
      pageInfo: { hasNextPage: index < rows.length - 1 || more, endCursor: 'x' },
      totalCount: total,
    })),
    pageParams: rows.map(() => null),
  }
}

const ids = (some: Pages) => some.pages.flatMap((page) => page.nodes.map((one) => Number(one.id)))

describe('a list that follows events', () => {
  it('takes a new task in where it belongs', () => {
    const after = follow(pages([[row(5), row(3)]]), newest, {
      type: 'task.created',
      task: row(4),
      changes: [],
    })
    expect(ids(after)).toEqual([5, 4, 3])
    expect(after.pages[0]!.totalCount).toBe(3)
  })

  it('only counts a task that belongs behind what is loaded', () => {
    const after = follow(pages([[row(9), row(8)]], true, 7), newest, {
      type: 'task.created',
      task: row(1),
      changes: [],
    })
    expect(ids(after)).toEqual([9, 8])
    expect(after.pages[0]!.totalCount).toBe(8)
  })

  it('lets a task go that no longer matches, from any page', () => {
    const moved = row(3, { status: 'DONE', version: 2 })
    const event = {
      type: 'task.completed',
      task: moved,
      changes: [{ field: 'status', before: 'pending', after: 'done' }],
    }
    const after = follow(pages([[row(5)], [row(3)]]), newest, event)
    expect(ids(after)).toEqual([5])
    expect(after.pages[1]!.totalCount).toBe(1)
  })

  it('counts one that left without ever having been loaded', () => {
    const event = {
      type: 'task.completed',
      task: row(1, { status: 'DONE', version: 2 }),
      changes: [{ field: 'status', before: 'pending', after: 'done' }],
    }
    expect(follow(pages([[row(9)]], true, 5), newest, event).pages[0]!.totalCount).toBe(4)
  })

  it('does the same thing once, however often it is told', () => {
    const event = { type: 'task.updated', task: row(3, { title: 'new', version: 2 }), changes: [] }
    const once = follow(pages([[row(5), row(3)]]), newest, event)
    const twice = follow(once, newest, event)
    expect(twice).toEqual(once)
    expect(ids(twice)).toEqual([5, 3])
  })

  it('knows better than an event of the past', () => {
    const list = pages([[row(3, { version: 4, title: 'now' })]])
    expect(follow(list, newest, { type: 'task.updated', task: row(3, { version: 3 }), changes: [] })).toBe(
      list,
    )
  })

  it('drops what was deleted', () => {
    const after = follow(pages([[row(5), row(3)]]), newest, {
      type: 'task.deleted',
      task: row(3, { version: 2 }),
      changes: [],
    })
    expect(ids(after)).toEqual([5])
  })

  it('comes back to where it was when a change is taken back', () => {
    const original = pages([[row(5), row(3)]])
    const changed = place(original, newest, row(3, { status: 'DONE' }))
    expect(ids(changed)).toEqual([5])
    expect(place(changed, newest, row(3))).toEqual(original)
  })

  it('the law that the server is held to: snapshot before and its events give the snapshot after', () => {
    const listings: Listing[] = [
      { filter: {}, sort: 'UPDATED_AT', descending: true },
      { filter: { statuses: ['PENDING', 'IN_PROGRESS'] }, sort: 'PRIORITY', descending: true },
      { filter: { performerId: '2' }, sort: 'DUE_AT', descending: false },
      { filter: { label: 'red' }, sort: 'CREATED_AT', descending: false },
      { filter: { observerId: '3' }, sort: 'CREATED_AT', descending: true },
      { filter: { q: 'TITLE 3' }, sort: 'CREATED_AT', descending: true },
    ]
    for (const listing of listings) {
      const snapshot = (rows: Row[]) =>
        pages([rows.filter((one) => matches(one, listing.filter)).sort((a, b) => compare(a, b, listing))])
      const followed = (law.events as TaskEvent[]).reduce(
        (list, event) => follow(list, listing, event),
        snapshot(law.before as Row[]),
      )
      expect(followed).toEqual(snapshot(law.after as Row[]))
    }
  })

  it('snapshot before and its events give the snapshot after, in any order of lists', () => {
    const listings: Listing[] = [
      newest,
      { filter: {}, sort: 'PRIORITY', descending: true },
      { filter: { label: 'x' }, sort: 'DUE_AT', descending: false },
      { filter: { performerId: '2' }, sort: 'UPDATED_AT', descending: false },
    ]
    const world = new Map<string, Row>([1, 2, 3, 4].map((n) => [String(n), row(n)]))
    const snapshot = (listing: Listing) =>
      pages([
        [...world.values()]
          .filter((one) => matches(one, listing.filter))
          .sort((a, b) => compare(a, b, listing)),
      ])
    const lists = listings.map(snapshot)
    let seed = 7
    const random = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed % n
    }
    for (let step = 0; step < 400; step++) {
      const id = String(1 + random(8))
      const old = world.get(id)
      const change: Partial<Row> = [
        { status: (['PENDING', 'DONE', 'IN_PROGRESS'] as const)[random(3)] },
        { priority: random(10) },
        { labels: random(2) ? ['x'] : [] },
        { performerId: random(2) ? '2' : null },
        { dueAt: random(2) ? `2026-02-0${1 + random(9)}T00:00:00.000Z` : null },
      ][random(5)] as Partial<Row>
      const task = old ? { ...old, ...change, version: old.version + 1 } : row(Number(id))
      const isDeleted = old != null && random(8) === 0
      const names = { performerId: 'performer_id', dueAt: 'due_at' } as Record<string, string>
      const changes = old
        ? Object.keys(change).map((name) => {
            const value = old[name as keyof Row]
            return {
              field: names[name] ?? name,
              before: name === 'status' ? String(value).toLowerCase() : value,
            }
          })
        : []
      const event = {
        type: isDeleted ? 'task.deleted' : old ? 'task.updated' : 'task.created',
        task,
        changes,
      }
      if (isDeleted) world.delete(id)
      else world.set(id, task)
      listings.forEach((listing, index) => {
        lists[index] = follow(lists[index]!, listing, event)
      })
    }
    listings.forEach((listing, index) => {
      expect(lists[index]).toEqual(snapshot(listing))
    })
  })
})

describe('the task before an event', () => {
  it('has the values that the event replaced', () => {
    const changes = [
      { field: 'performer_id', before: 7 },
      { field: 'status', before: 'in_progress' },
    ]
    const was = before({ type: 'task.updated', task: row(1, { performerId: '8', status: 'DONE' }), changes })
    expect(was).toMatchObject({ performerId: '7', status: 'IN_PROGRESS' })
  })
})

describe('where a task may be moved', () => {
  it('follows the rules of people for tasks, and of workers for jobs', () => {
    expect(mayMove(row(1), 'DONE')).toBe(true)
    expect(mayMove(row(1, { status: 'CANCELLED' }), 'DONE')).toBe(false)
    expect(mayMove(row(1, { handler: 'reverse' }), 'DONE')).toBe(false)
    expect(mayMove(row(1, { handler: 'reverse', status: 'FAILED' }), 'PENDING')).toBe(true)
  })
})

describe('labels that two people change at once', () => {
  it('keeps what the other added, and does not bring back what the other took away', () => {
    expect(merged(['from-bob'], [], ['x'])).toEqual(['x', 'from-bob'])
    expect(merged(['b'], ['a', 'b'], ['a', 'b', 'c'])).toEqual(['b', 'c'])
    expect(merged(['a', 'b'], ['a', 'b'], ['b'])).toEqual(['b'])
    expect(listed(' a, ,b ,')).toEqual(['a', 'b'])
  })
})
