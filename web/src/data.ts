// What the pages know: one cache of lists and tasks, changed by answers and by events alike.
import {
  type InfiniteData,
  QueryClient,
  useInfiniteQuery,
  useMutation,
  useQuery,
} from '@tanstack/react-query'
import { useMemo } from 'react'
import { ApiError, request } from './api'
import {
  CANCEL_MANY,
  DELETE_MANY,
  INBOX,
  ME,
  RETRY_MANY,
  TASK,
  TASKS,
  UPDATE,
  UPDATE_MANY,
  USERS,
} from './documents'
import type { InboxQuery, OneTaskQuery, TaskInput, TaskStatus, UsersQuery } from './gql/graphql'
import {
  follow,
  type Listing,
  matches,
  type Page,
  type Pages,
  place,
  type Row,
  type TaskEvent,
} from './tasks'
import { toast } from './toasts'

export type Person = UsersQuery['users']['nodes'][number]
export type FullTask = NonNullable<OneTaskQuery['task']>
export type InboxPage = InboxQuery['notifications']
export type Notice = InboxPage['nodes'][number]

const PAGE = 50
const REMEMBERED = 2_000

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      retry: (failures, error) =>
        failures < 3 &&
        error instanceof ApiError &&
        ['unreachable', 'unavailable', 'rate_limited'].includes(error.code),
    },
  },
})

/** The newest snapshots that events brought: an answer that was on its way meanwhile must not undo them. */
const latest = new Map<string, Row | null>()

function remember(id: string, row: Row | null): void {
  latest.delete(id)
  latest.set(id, row)
  if (latest.size > REMEMBERED) latest.delete(latest.keys().next().value!)
}

function updated(page: Page, listing: Listing): Page {
  const nodes = page.nodes.flatMap((row) => {
    const newer = latest.get(row.id)
    if (newer === undefined || (newer && newer.version <= row.version)) return [row]
    return newer && matches(newer, listing.filter) ? [newer] : []
  })
  return { ...page, nodes }
}

export function useMe() {
  return useQuery({
    queryKey: ['me'],
    queryFn: async () => (await request(ME)).me ?? null,
    staleTime: Infinity,
  })
}

let lastKnown: Person | null = null

/** Who is signed in, for what is shown to them alone; still them while they sign out. */
export function useMyself(): Person {
  lastKnown = useMe().data ?? lastKnown
  return lastKnown!
}

/** Nobody is signed in any more: forget what was theirs. */
export function forget(): void {
  client.setQueryData(['me'], null)
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'me' })
  latest.clear()
}

/** Everybody, by id. */
export function usePeople() {
  const { data } = useQuery({ queryKey: ['people'], queryFn: fetchPeople, staleTime: 60_000 })
  return useMemo(() => new Map((data ?? []).map((one) => [one.id, one])), [data])
}

async function fetchPeople(): Promise<Person[]> {
  const people: Person[] = []
  let after: string | null | undefined = null
  do {
    const page: UsersQuery = await request(USERS, { after })
    people.push(...page.users.nodes)
    after = page.users.pageInfo.hasNextPage ? page.users.pageInfo.endCursor : null
  } while (after)
  return people
}

export const listKey = (listing: Listing) => ['tasks', listing] as const

export function useTasks(listing: Listing, first = PAGE) {
  return useInfiniteQuery({
    queryKey: listKey(listing),
    queryFn: async ({ pageParam }) => {
      const { filter, sort, descending } = listing
      const { tasks } = await request(TASKS, { filter, sort, descending, first, after: pageParam })
      return updated(tasks, listing)
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last: Page) => (last.pageInfo.hasNextPage ? last.pageInfo.endCursor : undefined),
    placeholderData: (previous) => previous,
  })
}

export function useTask(id: string) {
  return useQuery({ queryKey: ['task', id], queryFn: async () => (await request(TASK, { id })).task ?? null })
}

export const inboxKey = (unread: boolean) => ['inbox', unread] as const

export function useInbox(unread: boolean) {
  return useInfiniteQuery({
    queryKey: inboxKey(unread),
    queryFn: async ({ pageParam }) => (await request(INBOX, { unread, after: pageParam })).notifications,
    initialPageParam: null as string | null,
    getNextPageParam: (last: InboxPage) => (last.pageInfo.hasNextPage ? last.pageInfo.endCursor : undefined),
  })
}

function eachList(change: (pages: Pages, listing: Listing) => Pages): void {
  for (const [key, pages] of client.getQueriesData<InfiniteData<Page, string | null>>({
    queryKey: ['tasks'],
  })) {
    if (pages) client.setQueryData(key, change(pages, key[1] as Listing))
  }
}

function setFull(row: Row, forced = false): void {
  client.setQueryData<FullTask | null>(['task', row.id], (known) =>
    known && (forced || known.version < row.version) ? { ...known, ...row } : known,
  )
}

/** Something happened, here or elsewhere: every list and page that shows the task follows. */
export function applyEvent(event: TaskEvent): void {
  const { task } = event
  const isGone = event.type === 'task.deleted'
  remember(task.id, isGone ? null : task)
  eachList((pages, listing) => follow(pages, listing, event))
  if (isGone) client.setQueryData(['task', task.id], null)
  else if (client.getQueryData(['task', task.id])) {
    setFull(task)
    // Payload and result are not part of events.
    if (task.handler) void client.invalidateQueries({ queryKey: ['task', task.id] })
  }
  void client.invalidateQueries({ queryKey: ['history', task.id] })
}

/** A task as an answer tells it. */
export function applyRow(row: Row): void {
  remember(row.id, row)
  eachList((pages, listing) => place(pages, listing, row))
  setFull(row)
  void client.invalidateQueries({ queryKey: ['history', row.id] })
}

function preview(row: Row): void {
  eachList((pages, listing) => place(pages, listing, row))
  setFull(row, true)
}

export interface Edit {
  task: Row
  input: TaskInput
  ifVersion?: number
}

/** Change a task: shown at once, settled by the answer, taken back when it is refused. */
export function useEdit() {
  return useMutation({
    mutationFn: async ({ task, input, ifVersion }: Edit) =>
      (await request(UPDATE, { id: task.id, input, ifVersion })).updateTask,
    onMutate: ({ task, input }: Edit) => preview({ ...task, ...(input as Partial<Row>) }),
    onSuccess: applyRow,
    onError: (error, { task }) => {
      const newer = latest.get(task.id)
      preview(newer && newer.version > task.version ? newer : task)
      if (!(error instanceof ApiError && error.code === 'stale_version')) toast(explain(error), 'bad')
    },
  })
}

/** Put a task into another status; a job is cancelled or given to the workers again. */
export async function move(task: Row, status: TaskStatus, edit: (change: Edit) => void): Promise<void> {
  if (!task.handler) {
    edit({ task, input: { status } })
    return
  }
  preview({ ...task, status })
  const failed = await many(status === 'CANCELLED' ? 'cancel' : 'retry', [task])
  if (failed) preview(latest.get(task.id) ?? task)
}

export type Action = 'cancel' | 'retry' | 'delete' | TaskInput

/** Do one thing with many tasks and say how it went; how many were refused. */
export async function many(action: Action, tasks: readonly Row[]): Promise<number> {
  const ids = tasks.map((task) => task.id)
  const outcomes: { id: string; detail?: string | null; task?: Row | null }[] = []
  try {
    for (let at = 0; at < ids.length; at += 200) {
      const some = ids.slice(at, at + 200)
      if (action === 'cancel') outcomes.push(...(await request(CANCEL_MANY, { ids: some })).cancelTasks)
      else if (action === 'retry') outcomes.push(...(await request(RETRY_MANY, { ids: some })).retryTasks)
      else if (action === 'delete') outcomes.push(...(await request(DELETE_MANY, { ids: some })).deleteTasks)
      else outcomes.push(...(await request(UPDATE_MANY, { ids: some, input: action })).updateTasks)
    }
  } catch (error) {
    toast(explain(error), 'bad')
    return tasks.length
  }
  const refused = outcomes.filter((one) => one.detail != null)
  for (const one of outcomes) {
    if (one.detail != null) continue
    const task = tasks.find((known) => known.id === one.id)!
    if (action === 'delete')
      applyEvent({ type: 'task.deleted', task: { ...task, version: task.version + 1 }, changes: [] })
    else if (one.task) applyRow(one.task)
  }
  if (refused.length) {
    const first = refused[0]!.detail
    toast(
      outcomes.length === 1 ? first! : `${refused.length} of ${outcomes.length} were refused: ${first}`,
      'bad',
    )
  }
  return refused.length
}

export function explain(error: unknown): string {
  return error instanceof ApiError ? error.detail : 'Something went wrong on this page.'
}
