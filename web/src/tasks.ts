// What a task is to the pages, and the pure rules by which lists follow events. No React, no network.
import type { RowFragment, TaskFilterInput, TaskSort, TaskStatus } from './gql/graphql'

export type Row = RowFragment

export interface Page {
  nodes: Row[]
  pageInfo: { hasNextPage: boolean; endCursor?: string | null }
  totalCount: number
}

export interface Pages {
  pages: Page[]
  pageParams: unknown[]
}

/** A list as it was asked for. */
export interface Listing {
  filter: TaskFilterInput
  sort: TaskSort
  descending: boolean
}

export interface TaskEvent {
  type: string
  task: Row
  changes: { field: string; before?: unknown; after?: unknown }[]
}

export const STATUSES: readonly TaskStatus[] = ['PENDING', 'IN_PROGRESS', 'DONE', 'FAILED', 'CANCELLED']
export const STATUS_NAMES: Record<TaskStatus, string> = {
  PENDING: 'To do',
  IN_PROGRESS: 'In progress',
  DONE: 'Done',
  FAILED: 'Failed',
  CANCELLED: 'Cancelled',
}

/** Where people may move a task that is not a job; the server has the last word. */
const TRANSITIONS: Record<TaskStatus, readonly TaskStatus[]> = {
  PENDING: ['IN_PROGRESS', 'DONE', 'FAILED', 'CANCELLED'],
  IN_PROGRESS: ['PENDING', 'DONE', 'FAILED', 'CANCELLED'],
  DONE: ['PENDING', 'IN_PROGRESS'],
  FAILED: ['PENDING', 'IN_PROGRESS'],
  CANCELLED: ['PENDING'],
}

/** Whether there is still something to be done. */
export const isOpen = ({ status }: Pick<Row, 'status'>) => status === 'PENDING' || status === 'IN_PROGRESS'

/** Whether somebody may put the task there: workers alone move jobs, people cancel and retry them. */
export function mayMove(task: Row, status: TaskStatus): boolean {
  if (task.status === status) return false
  if (!task.handler) return TRANSITIONS[task.status].includes(status)
  if (status === 'CANCELLED') return isOpen(task)
  return status === 'PENDING' && (task.status === 'FAILED' || task.status === 'CANCELLED')
}

/** Whether a task meets all conditions of a filter, as the server decides it. */
export function matches(task: Row, filter: TaskFilterInput): boolean {
  const text = filter.q?.toLowerCase()
  return (
    (filter.performerId == null || task.performerId === filter.performerId) &&
    (filter.creatorId == null || task.creatorId === filter.creatorId) &&
    (filter.observerId == null || task.observerIds.includes(filter.observerId)) &&
    (!filter.statuses?.length || filter.statuses.includes(task.status)) &&
    (filter.handler == null || task.handler === filter.handler) &&
    (filter.job == null || filter.job === (task.handler != null)) &&
    (filter.label == null || task.labels.includes(filter.label)) &&
    (!text || task.title.toLowerCase().includes(text) || task.description.toLowerCase().includes(text)) &&
    (filter.dueBefore == null || (task.dueAt != null && task.dueAt < filter.dueBefore)) &&
    (filter.updatedAfter == null || task.updatedAt > filter.updatedAfter)
  )
}

const NEVER = '9999-12-31T23:59:59.999Z'

function sortKey(task: Row, sort: TaskSort): string | number {
  switch (sort) {
    case 'PRIORITY':
      return task.priority
    case 'UPDATED_AT':
      return task.updatedAt
    case 'DUE_AT':
      return task.dueAt ?? NEVER
    default:
      return task.createdAt
  }
}

/** The order of a list: by its key, then by id. */
export function compare(one: Row, other: Row, listing: Pick<Listing, 'sort' | 'descending'>): number {
  const [a, b] = [sortKey(one, listing.sort), sortKey(other, listing.sort)]
  const rising = a < b ? -1 : a > b ? 1 : Number(one.id) - Number(other.id)
  return listing.descending ? -rising : rising
}

const FIELDS: Record<string, keyof Row> = {
  performer_id: 'performerId',
  observer_ids: 'observerIds',
  due_at: 'dueAt',
  run_at: 'runAt',
  max_attempts: 'maxAttempts',
  updated_at: 'updatedAt',
}
const IDS = new Set(['performer_id', 'observer_ids'])

/** The task as it was before an event, as far as lists care. */
export function before(event: TaskEvent): Row | null {
  if (event.type === 'task.created') return null
  const row: Record<string, unknown> = { ...event.task }
  for (const { field, before: value } of event.changes) {
    const name = FIELDS[field] ?? field
    if (field === 'status') row[name] = String(value).toUpperCase()
    else if (IDS.has(field))
      row[name] = Array.isArray(value) ? value.map(String) : value == null ? null : String(value)
    else row[name] = value
  }
  return row as unknown as Row
}

/**
 * A list after an event: the task leaves, enters or moves; what is not loaded is only counted. `told` is the task as the
 * lists were last told of it (null: that it is gone), undefined when they were not: then the event says what it was.
 */
export function follow(pages: Pages, listing: Listing, event: TaskEvent, told?: Row | null): Pages {
  const known = find(pages, event.task.id)
  if (known && known.version > event.task.version) return pages
  const isIn = event.type !== 'task.deleted' && matches(event.task, listing.filter)
  const was = known ?? (told === undefined ? before(event) : told)
  return settle(pages, listing, event.task, known != null || isMember(was, listing), isIn)
}

/** A list with a task as it is said to be now, whatever was known: an optimistic change, or taking it back. */
export function place(pages: Pages, listing: Listing, task: Row, told?: Row | null): Pages {
  const wasIn = find(pages, task.id) != null || isMember(told, listing)
  return settle(pages, listing, task, wasIn, matches(task, listing.filter))
}

const isMember = (task: Row | null | undefined, listing: Listing) =>
  task != null && matches(task, listing.filter)

function settle(pages: Pages, listing: Listing, task: Row, wasIn: boolean, isIn: boolean): Pages {
  if (!wasIn && !isIn) return pages
  return put(count(pages, Number(isIn) - Number(wasIn)), listing, task, isIn)
}

export function find(pages: Pages, id: string): Row | undefined {
  for (const page of pages.pages) {
    const row = page.nodes.find((one) => one.id === id)
    if (row) return row
  }
}

function count(pages: Pages, change: number): Pages {
  if (!change) return pages
  return {
    ...pages,
    pages: pages.pages.map((page) => ({ ...page, totalCount: Math.max(0, page.totalCount + change) })),
  }
}

function put(pages: Pages, listing: Listing, task: Row, isIn: boolean): Pages {
  let placed = !isIn
  const last = pages.pages.length - 1
  const result = pages.pages.map((page, index) => {
    let nodes = page.nodes.some((one) => one.id === task.id)
      ? page.nodes.filter((one) => one.id !== task.id)
      : page.nodes
    if (!placed) {
      const at = nodes.findIndex((one) => compare(task, one, listing) < 0)
      if (at >= 0 || (index === last && !page.pageInfo.hasNextPage)) {
        placed = true
        const where = at < 0 ? nodes.length : at
        nodes = [...nodes.slice(0, where), task, ...nodes.slice(where)]
      }
    }
    return nodes === page.nodes ? page : { ...page, nodes }
  })
  return { ...pages, pages: result }
}

/** The words of a text, by its commas. */
export function listed(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean)
}

/** What one made of a list, and what others have added to it or taken from it since one began. */
export function merged(now: readonly string[], began: readonly string[], mine: readonly string[]): string[] {
  const gone = began.filter((one) => !now.includes(one))
  const come = now.filter((one) => !began.includes(one))
  return [...new Set([...mine.filter((one) => !gone.includes(one)), ...come])]
}
