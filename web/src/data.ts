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
import { Doubts } from './doubt'
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
import { clearToasts, toast } from './toasts'

export type Person = UsersQuery['users']['nodes'][number]
export type FullTask = NonNullable<OneTaskQuery['task']>
export type InboxPage = InboxQuery['notifications']
export type Notice = InboxPage['nodes'][number]

const PAGE = 50
const MOST_PAGE = 100
const OUTGROWN = 3_000
const REMEMBERED = 5_000
const GATHER_MS = 100
const REFRESH_MS = 1_000

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

/** Lists whose answer and whose events may have crossed. */
export const doubts = new Doubts(client)

/** The newest snapshots that the server told of (null: deleted): what comes later and is older must not undo them. */
const latest = new Map<string, Row | null>()
/** The tasks as the lists were last told of them, what was only hoped for included. */
const told = new Map<string, Row | null>()

function keep(map: Map<string, Row | null>, id: string, row: Row | null): void {
  map.delete(id)
  map.set(id, row)
  if (map.size > REMEMBERED) map.delete(map.keys().next().value!)
}

/** Whether something newer is known than a version of a task. */
function isOld(id: string, version: number): boolean {
  const known = latest.get(id)
  return known === null || (known !== undefined && known.version > version)
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

/** Whether it is still them who is signed in. */
export const isHere = (id: string) => client.getQueryData<Person | null>(['me'])?.id === id

/** Nobody is signed in any more: forget what was theirs. */
export function forget(): void {
  client.setQueryData(['me'], null)
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'me' })
  latest.clear()
  told.clear()
  met.clear()
  doubts.clear()
  clearToasts()
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

const met = new Set<string>()

/** Ask for everybody anew, once, when tasks name somebody who is not known yet. */
function meet(rows: readonly Row[]): void {
  const people = client.getQueryData<Person[]>(['people'])
  if (!people) return
  const known = new Set(people.map((one) => one.id))
  const named = rows.flatMap((row) => [row.creatorId, row.performerId, ...row.observerIds])
  const strangers = named.filter((id): id is string => id != null && !known.has(id) && !met.has(id))
  for (const id of strangers) met.add(id)
  if (strangers.length) refresh('people')
}

export const listKey = (listing: Listing) => ['tasks', listing] as const

export function useTasks(listing: Listing, first = PAGE) {
  return useInfiniteQuery({
    queryKey: listKey(listing),
    queryFn: async ({ pageParam }) => {
      const { filter, sort, descending } = listing
      const began = performance.now()
      const { tasks } = await request(TASKS, { filter, sort, descending, first, after: pageParam })
      doubts.answered(listKey(listing), began)
      meet(tasks.nodes)
      return updated(tasks, listing)
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last: Page) => (last.pageInfo.hasNextPage ? last.pageInfo.endCursor : undefined),
    placeholderData: (previous) => previous,
    // Rows are replaced, never changed: comparing thousands of them in depth for each event would take all the time.
    structuralSharing: false,
  })
}

/** The rows of a list, each once: one that moved up may stand on the next page too. */
export function rowsOf(list: { pages: Page[] } | undefined): Row[] {
  const rows = new Map<string, Row>()
  for (const page of list?.pages ?? [])
    for (const row of page.nodes) if (!rows.has(row.id)) rows.set(row.id, row)
  return [...rows.values()]
}

/** How a task's page asks for it. */
export const taskQuery = (id: string) => ({
  queryKey: ['task', id] as const,
  queryFn: async (): Promise<FullTask | null> => {
    const task = (await request(TASK, { id })).task ?? null
    if (task) meet([task])
    const newer = latest.get(id)
    return task && newer && newer.version > task.version ? { ...task, ...newer } : task
  },
})

export const useTask = (id: string) => useQuery(taskQuery(id))

export const inboxKey = (unread: boolean) => ['inbox', unread] as const

export function useInbox(unread: boolean) {
  return useInfiniteQuery({
    queryKey: inboxKey(unread),
    queryFn: async ({ pageParam }) => {
      const began = performance.now()
      const { notifications } = await request(INBOX, { unread, after: pageParam })
      doubts.answered(inboxKey(unread), began)
      return notifications
    },
    initialPageParam: null as string | null,
    // Another window may have read some.
    refetchOnWindowFocus: 'always',
    getNextPageParam: (last: InboxPage) => (last.pageInfo.hasNextPage ? last.pageInfo.endCursor : undefined),
  })
}

function eachList(change: (pages: Pages, listing: Listing) => Pages): void {
  for (const [key, pages] of client.getQueriesData<InfiniteData<Page, string | null>>({
    queryKey: ['tasks'],
  })) {
    if (!pages) {
      doubts.touch(key)
      continue
    }
    const changed = change(pages, key[1] as Listing)
    if (changed === pages) continue
    doubts.touch(key)
    client.setQueryData(key, changed)
    const rows = changed.pages.reduce((sum, page) => sum + page.nodes.length, 0)
    if (rows > changed.pages.length * MOST_PAGE + OUTGROWN) {
      // So much has come in on top that the list is begun anew; it would grow for as long as the page is open.
      const first = changed.pages[0]!
      const cut = {
        ...first,
        nodes: first.nodes.slice(0, PAGE),
        pageInfo: { hasNextPage: false, endCursor: null },
      }
      client.setQueryData(key, { pages: [cut], pageParams: [null] })
      void client.invalidateQueries({ queryKey: key, exact: true })
    }
  }
}

function setFull(row: Row, forced = false): void {
  client.setQueryData<FullTask | null>(['task', row.id], (known) =>
    known && (forced || known.version < row.version) ? { ...known, ...row } : known,
  )
}

const timers = new Map<string, ReturnType<typeof setTimeout>>()

/** Ask anew for what is shown of a key, at most once a second however often it changes. */
export function refresh(...queryKey: string[]): void {
  const name = queryKey.join()
  if (timers.has(name)) return
  const ask = () => {
    timers.delete(name)
    void client.invalidateQueries({ queryKey })
  }
  timers.set(name, setTimeout(ask, REFRESH_MS))
}

let waiting: TaskEvent[] = []

/** Something happened, here or elsewhere: every list and page that shows the task follows, soon and all at once. */
export function applyEvent(event: TaskEvent): void {
  if (!waiting.length) setTimeout(applyWaiting, GATHER_MS)
  waiting.push(event)
}

/** Apply the events that have gathered. */
export function applyWaiting(): void {
  const gathered = waiting
  waiting = []
  const steps: { event: TaskEvent; told: Row | null | undefined }[] = []
  for (const event of gathered) {
    const { task } = event
    const known = latest.get(task.id)
    if (known === null || (known && known.version >= task.version)) continue
    const now = event.type === 'task.deleted' ? null : task
    keep(latest, task.id, now)
    steps.push({ event, told: told.get(task.id) })
    keep(told, task.id, now)
    if (!now) client.setQueryData(['task', task.id], null)
    else if (client.getQueryData(['task', task.id])) {
      setFull(task)
      // Payload, result and one's rights are not part of events.
      if (task.handler || event.changes.some(({ field }) => field === 'performer_id'))
        refresh('task', task.id)
    }
    if (client.getQueryData(['history', task.id])) refresh('history', task.id)
  }
  if (!steps.length) return
  meet(steps.map((step) => step.event.task))
  eachList((pages, listing) =>
    steps.reduce((list, step) => follow(list, listing, step.event, step.told), pages),
  )
}

/** A task as an answer tells it. */
export function applyRow(row: Row): void {
  if (isOld(row.id, row.version)) return
  keep(latest, row.id, row)
  show(row)
  if (client.getQueryData(['history', row.id])) refresh('history', row.id)
}

/** Show a task as it is hoped to be, or as it is after all. */
function show(row: Row, base?: Row): void {
  const before = told.has(row.id) ? told.get(row.id) : base
  eachList((pages, listing) => place(pages, listing, row, before))
  keep(told, row.id, row)
  setFull(row, true)
}

/** Take back what was hoped for: the task as the server knows it. */
function takeBack(task: Row): void {
  const newest = latest.get(task.id)
  if (newest === null) {
    // It was deleted meanwhile, and hoped for in a list.
    const gone = { type: 'task.deleted', task: { ...task, version: task.version + 1 }, changes: [] }
    const before = told.get(task.id)
    eachList((pages, listing) => follow(pages, listing, gone, before))
    keep(told, task.id, null)
  } else show(newest && newest.version > task.version ? newest : task)
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
    onMutate: ({ task, input }: Edit) => show({ ...task, ...(input as Partial<Row>) }, task),
    onSuccess: applyRow,
    onError: (error, { task }) => {
      takeBack(task)
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
  show({ ...task, status }, task)
  const failed = await many(status === 'CANCELLED' ? 'cancel' : 'retry', [task])
  if (failed) takeBack(task)
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
