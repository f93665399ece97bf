// One task: edited in place, its story beside it. An edit that somebody else got ahead of asks which one is to stay.
import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { ApiError, request } from '../api'
import {
  client,
  explain,
  type FullTask,
  many,
  move,
  taskQuery,
  useEdit,
  useMyself,
  usePeople,
  useTask,
} from '../data'
import { HISTORY } from '../documents'
import { type Began, draftKey, drafts } from '../drafts'
import type { HistoryQuery, TaskInput, TaskStatus } from '../gql/graphql'
import { useViewers } from '../live'
import { isOpen, listed, merged, STATUS_NAMES } from '../tasks'
import { useTitle } from '../title'
import { toast } from '../toasts'
import {
  Avatar,
  Button,
  Due,
  Empty,
  exact,
  Failed,
  IconButton,
  Label,
  Skeletons,
  StatusIcon,
  Time,
} from '../ui/basics'
import { InPlace, Property, type Saved } from '../ui/edit'
import { PersonSelect, StatusSelect } from '../ui/fields'

export function TaskPage() {
  const { id } = useParams({ from: '/tasks/$id' })
  const task = useTask(id)
  if (task.isPending) return <Skeletons count={5} />
  if (task.isError && task.data === undefined)
    return <Failed error={task.error} again={() => task.refetch()} />
  if (!task.data) {
    return (
      <Empty title="There is no such task">
        It may have been deleted.{' '}
        <Link to="/board" search={{}} className="text-accent underline">
          Back to the board
        </Link>
        <Unsaved id={id} />
      </Empty>
    )
  }
  return <Details key={id} task={task.data} />
}

const TEXTS = ['title', 'description'] as const
type TextField = (typeof TEXTS)[number]

const isStale = (error: unknown) => error instanceof ApiError && error.code === 'stale_version'
// How often a list is changed anew on top of what others made of it.
const MOST_TRIES = 5

/** What was written for a task that is gone: it is nowhere else. */
function Unsaved({ id }: { id: string }) {
  const me = useMyself()
  const texts = TEXTS.map((name) => drafts.get(draftKey(me.id, id, name))?.text).filter(Boolean)
  if (!texts.length) return null
  return (
    <div className="mt-4 text-left">
      <p>You had written, and it could not be saved:</p>
      {texts.map((text) => (
        <p key={text} className="mt-1 rounded-md bg-sunken p-2 break-words whitespace-pre-wrap text-text">
          {text}
        </p>
      ))}
    </div>
  )
}

function Details({ task }: { task: FullTask }) {
  const people = usePeople()
  const navigate = useNavigate()
  const edit = useEdit()
  const me = useMyself()
  /** What somebody wrote, by the text that others have changed meanwhile. */
  const [conflicts, setConflicts] = useState<Partial<Record<TextField, string>>>({})
  const isLocked = !task.canChange

  useTitle(task.title)
  const isThere = useRef(true)
  useEffect(() => {
    isThere.current = true
    return () => {
      isThere.current = false
    }
  }, [])

  /** Whether it was taken; why not is said. */
  const change = (input: TaskInput) =>
    edit.mutateAsync({ task, input }).then(
      () => true,
      () => false,
    )

  const asked = () => client.fetchQuery({ ...taskQuery(task.id), staleTime: 0 }).catch(() => null)

  /** Change a list as it was meant, on top of what others make of it meanwhile; whether it was taken. */
  async function changeList(
    name: 'labels' | 'observerIds',
    change: (now: readonly string[]) => string[],
  ): Promise<boolean> {
    let now: FullTask | null = task
    for (let tries = 0; now && tries < MOST_TRIES; tries++) {
      try {
        await edit.mutateAsync({ task: now, input: { [name]: change(now[name]) }, ifVersion: now.version })
        return true
      } catch (error) {
        if (!isStale(error)) return false
        now = await asked()
      }
    }
    toast('The task keeps changing; try again.', 'bad')
    return false
  }

  /** Save a text as it was edited on top of a version. */
  async function save(name: TextField, mine: string, began: Began): Promise<Saved> {
    for (let version = began.version; ; ) {
      try {
        const saved = await edit.mutateAsync({ task, input: { [name]: mine }, ifVersion: version })
        return { is: 'saved', version: saved.version }
      } catch (error) {
        const now = isStale(error) ? await asked() : null
        // It was saved after all: only the answer was lost.
        if (now && now[name] === mine) return { is: 'saved', version: now.version }
        if (!isThere.current) {
          toast(`The ${name} of “${task.title}” is not saved. What you wrote is kept on its page.`, 'bad')
          return { is: 'refused' }
        }
        if (!now) return { is: 'refused' }
        if (now[name] !== began.value) {
          setConflicts((others) => ({ ...others, [name]: mine }))
          return { is: 'conflict' }
        }
        // Something else of the task was changed: nobody was ahead of this edit.
        version = now.version
      }
    }
  }

  async function decide(name: TextField, mine: string, isMine: boolean): Promise<void> {
    setConflicts(({ [name]: _, ...others }) => others)
    if (isMine) {
      const { is } = await save(name, mine, { version: task.version, value: task[name] })
      if (is === 'refused') setConflicts((others) => ({ ...others, [name]: mine }))
      if (is !== 'saved') return
    }
    drafts.take(draftKey(me.id, task.id, name))
  }

  async function remove(): Promise<void> {
    if (!confirm('Delete this task for good?')) return
    if (!(await many('delete', [task]))) {
      toast('The task was deleted.', 'good')
      void navigate({ to: '/board', search: {} })
    }
  }

  const viewers = useViewers(task.id)
  return (
    <div className="min-h-0 grow overflow-y-auto">
      <div className="mx-auto flex max-w-6xl flex-col gap-6 p-4 md:p-6 lg:flex-row">
        <div className="min-w-0 grow">
          <div className="mb-2 flex items-center gap-1 text-sm text-muted">
            <IconButton
              icon="back"
              label="Back"
              onClick={() =>
                history.length > 1 ? history.back() : void navigate({ to: '/board', search: {} })
              }
            />
            <span>#{task.id}</span>
            <span className="grow" />
            {viewers.length > 0 && (
              <span role="status" className="mr-1 flex items-center gap-1 text-xs">
                Also here:
                {viewers.map((one) => (
                  <Avatar key={one} person={people.get(one)} />
                ))}
              </span>
            )}
            {task.handler && !isOpen(task) && task.status !== 'DONE' && (
              <Button icon="retry" disabled={isLocked} onClick={() => void many('retry', [task])}>
                Retry
              </Button>
            )}
            {isOpen(task) && (
              <Button icon="close" disabled={isLocked} onClick={() => void many('cancel', [task])}>
                Cancel it
              </Button>
            )}
            {task.canDelete && <IconButton icon="trash" label="Delete" onClick={() => void remove()} />}
          </div>
          {TEXTS.map((name) => {
            const mine = conflicts[name]
            return mine === undefined ? null : (
              <ConflictPanel
                key={name}
                name={name}
                theirs={task[name]}
                mine={mine}
                keepMine={() => void decide(name, mine, true)}
                takeTheirs={() => void decide(name, mine, false)}
              />
            )
          })}
          <InPlace
            id={task.id}
            name="title"
            label="Title"
            value={task.title}
            version={task.version}
            isLocked={isLocked}
            className="text-xl font-semibold"
            save={async (title, began) => {
              if (title) return save('title', title, began)
              toast('A task needs a title; it keeps the one it had.', 'bad')
              return { is: 'given up' }
            }}
          />
          <InPlace
            id={task.id}
            name="description"
            label="Description"
            value={task.description}
            version={task.version}
            isLocked={isLocked}
            multiline
            placeholder={isLocked ? 'No description' : 'Add a description …'}
            className="mt-2 leading-relaxed"
            save={(description, began) => save('description', description, began)}
          />
          {task.handler && <JobPart task={task} />}
          <Story id={task.id} />
        </div>
        <aside className="flex w-full shrink-0 flex-col gap-3 rounded-xl border border-line bg-panel p-4 lg:w-72 lg:self-start">
          <Labelled name="Status" id="task-status">
            <StatusSelect
              id="task-status"
              task={task}
              disabled={isLocked}
              onChange={(status: TaskStatus) => void move(task, status, edit.mutate)}
            />
          </Labelled>
          <Labelled name="Performer" id="task-performer">
            <PersonSelect
              id="task-performer"
              people={people}
              value={task.performerId}
              disabled={isLocked}
              onChange={(performerId) => void change({ performerId })}
            />
          </Labelled>
          <Labelled name="Priority" id="task-priority">
            <Property
              id="task-priority"
              type="number"
              min={0}
              max={9}
              required
              value={String(task.priority)}
              disabled={isLocked}
              save={(text) => change({ priority: Number(text) })}
            />
          </Labelled>
          <Labelled name="Due" id="task-due">
            <div className="flex gap-1">
              <Property
                id="task-due"
                type="datetime-local"
                max="9999-12-31T23:59"
                value={task.dueAt ? local(task.dueAt) : ''}
                disabled={isLocked}
                save={(text) => change({ dueAt: text ? new Date(text).toISOString() : null })}
              />
              {task.dueAt && !isLocked && (
                <IconButton icon="close" label="No due date" onClick={() => void change({ dueAt: null })} />
              )}
            </div>
          </Labelled>
          <Labelled name="Labels, comma separated" id="task-labels">
            <Property
              id="task-labels"
              value={task.labels.join(', ')}
              disabled={isLocked}
              save={(text, began) => changeList('labels', (now) => merged(now, listed(began), listed(text)))}
            />
            {task.labels.length > 0 && (
              <div className="flex flex-wrap gap-1 pt-1">
                {task.labels.map((label) => (
                  <Label key={label} name={label} />
                ))}
              </div>
            )}
          </Labelled>
          <Labelled name="Observers" id="task-observers">
            <div className="flex flex-wrap items-center gap-1">
              {task.observerIds.map((one) => (
                <button
                  key={one}
                  type="button"
                  disabled={isLocked}
                  title={`Remove ${people.get(one)?.name ?? one}`}
                  aria-label={`Remove ${people.get(one)?.name ?? one}`}
                  onClick={() =>
                    void changeList('observerIds', (now) => now.filter((known) => known !== one))
                  }
                >
                  <Avatar person={people.get(one)} />
                </button>
              ))}
              <PersonSelect
                id="task-observers"
                people={people}
                value={null}
                none="Add …"
                disabled={isLocked}
                onChange={(one) =>
                  one && void changeList('observerIds', (now) => [...new Set([...now, one])])
                }
              />
            </div>
          </Labelled>
          <p className="flex items-center gap-2 border-t border-line pt-3 text-xs text-muted">
            <Avatar person={people.get(task.creatorId)} size={18} />
            {people.get(task.creatorId)?.name ?? 'Somebody'} created it <Time at={task.createdAt} />
          </p>
          {isLocked && (
            <p className="text-xs text-muted">Its creator, its performer and admins may change it.</p>
          )}
        </aside>
      </div>
    </div>
  )
}

/** A time as `datetime-local` wants it, in the reader's zone. */
function local(at: string): string {
  const date = new Date(at)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

function Labelled({ name, id, children }: { name: string; id: string; children: ReactNode }) {
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="text-xs text-muted">
        {name}
      </label>
      {children}
    </div>
  )
}

function ConflictPanel({
  name,
  theirs,
  mine,
  keepMine,
  takeTheirs,
}: {
  name: TextField
  theirs: string
  mine: string
  keepMine: () => void
  takeTheirs: () => void
}) {
  return (
    <div role="alert" className="mb-3 rounded-lg border border-warn bg-panel p-3">
      <p className="mb-2 text-sm font-medium">
        Somebody changed this task while you were editing its {name}.
      </p>
      <div className="grid gap-2 text-sm sm:grid-cols-2">
        <div className="rounded-md bg-sunken p-2">
          <p className="text-xs text-muted">It is now</p>
          <p className="break-words whitespace-pre-wrap">{theirs}</p>
        </div>
        <div className="rounded-md bg-accent-soft p-2">
          <p className="text-xs text-muted">You wrote</p>
          <p className="break-words whitespace-pre-wrap">{mine}</p>
        </div>
      </div>
      <div className="mt-3 flex gap-2">
        <Button look="main" onClick={keepMine}>
          Keep mine
        </Button>
        <Button onClick={takeTheirs}>Keep what it is now</Button>
      </div>
    </div>
  )
}

function JobPart({ task }: { task: FullTask }) {
  return (
    <section aria-label="Job" className="mt-4 rounded-xl border border-line bg-panel p-4">
      <h2 className="mb-2 flex items-center gap-2 text-sm font-medium">
        <StatusIcon status={task.status} /> Job: {task.handler}
        <span className="font-normal text-muted">
          attempt {task.attempts} of {task.maxAttempts}
        </span>
        {task.status === 'PENDING' && task.runAt && <Due at={task.runAt} isOpen={false} />}
      </h2>
      <div className="grid gap-3 md:grid-cols-2">
        <Json name="Payload" value={task.payload} />
        {task.error ? (
          <div>
            <p className="text-xs text-muted">Error</p>
            <pre className="mt-1 max-h-64 overflow-auto rounded-md bg-danger-soft p-2 text-xs whitespace-pre-wrap text-danger">
              {task.error}
            </pre>
          </div>
        ) : (
          <Json
            name="Result"
            value={task.status === 'DONE' ? task.result : undefined}
            none={isOpen(task) ? 'not yet' : 'none'}
          />
        )}
      </div>
    </section>
  )
}

function Json({ name, value, none }: { name: string; value: unknown; none?: string }) {
  return (
    <div>
      <p className="text-xs text-muted">{name}</p>
      <pre
        tabIndex={0}
        className="mt-1 max-h-64 overflow-auto rounded-md bg-sunken p-2 text-xs whitespace-pre-wrap"
      >
        {value === undefined ? none : JSON.stringify(value, null, 2)}
      </pre>
    </div>
  )
}

type HistoryEvent = NonNullable<HistoryQuery['task']>['history']['nodes'][number]

const ACTORS: Record<string, string> = { user: 'Somebody', worker: 'A worker' }
const WORDS: Record<string, string> = {
  'task.created': 'created it',
  'task.started': 'started it',
  'task.completed': 'finished it',
  'task.failed': 'marked it as failed',
  'task.cancelled': 'cancelled it',
}
// What changes with every step, or is shown elsewhere.
const QUIET = new Set(['updated_at', 'started_at', 'finished_at', 'result', 'attempts', 'error', 'run_at'])

function Story({ id }: { id: string }) {
  const people = usePeople()
  const story = useInfiniteQuery({
    queryKey: ['history', id],
    queryFn: async ({ pageParam }) =>
      (await request(HISTORY, { id, after: pageParam })).task?.history ?? null,
    initialPageParam: null as string | null,
    getNextPageParam: (last) => (last?.pageInfo.hasNextPage ? last.pageInfo.endCursor : undefined),
  })

  function tell(event: HistoryEvent): ReactNode {
    const shown = event.changes.filter(({ field }) => !QUIET.has(field))
    const word = WORDS[event.type]
    if (word && !shown.some(({ field }) => field !== 'status')) return word
    return (
      <>
        {word ?? 'changed'}{' '}
        {shown.map(({ field, before, after }, index) => (
          <span key={field}>
            {index > 0 && ', '}
            {field.replaceAll('_', ' ')}{' '}
            {field === 'description' ? (
              ''
            ) : (
              <Values field={field} before={before} after={after} people={people} />
            )}
          </span>
        ))}
      </>
    )
  }

  return (
    <section aria-label="Activity" className="mt-6">
      <h2 className="mb-2 px-2 text-sm font-medium">Activity</h2>
      {story.isPending ? (
        <Skeletons count={3} height={20} />
      ) : story.isError ? (
        <p className="px-2 text-sm text-danger">{explain(story.error)}</p>
      ) : (
        <ol className="flex flex-col gap-2 px-2 text-sm">
          {story.data.pages
            .flatMap((page) => page?.nodes ?? [])
            .map((event) => {
              const [kind, who] = event.actor.split(':')
              const person = kind === 'user' ? people.get(who ?? '') : undefined
              return (
                <li key={event.id} className="flex items-baseline gap-2 text-muted">
                  <span className="size-1.5 shrink-0 translate-y-[-2px] rounded-full bg-line" />
                  <span className="min-w-0 break-words">
                    <span className="font-medium text-text">
                      {person?.name ?? ACTORS[kind ?? ''] ?? 'Tasktide'}
                    </span>{' '}
                    {tell(event)}
                  </span>
                  <Time at={event.time} className="ml-auto text-xs" />
                </li>
              )
            })}
          {story.hasNextPage && (
            <Button className="self-start" onClick={() => void story.fetchNextPage()}>
              Show more
            </Button>
          )}
        </ol>
      )}
    </section>
  )
}

function Values({
  field,
  before,
  after,
  people,
}: {
  field: string
  before: unknown
  after: unknown
  people: ReadonlyMap<string, { name: string }>
}) {
  const word = (value: unknown): string => {
    if (value == null || value === '' || (Array.isArray(value) && !value.length)) return 'nothing'
    if (field.endsWith('_ids'))
      return (value as unknown[]).map((one) => people.get(String(one))?.name ?? one).join(', ')
    if (field.endsWith('_id')) return people.get(String(value))?.name ?? String(value)
    if (field.endsWith('_at')) return exact(String(value))
    if (field === 'status') return STATUS_NAMES[String(value).toUpperCase() as TaskStatus]
    if (typeof value === 'object') return Array.isArray(value) ? value.join(', ') : JSON.stringify(value)
    return String(value)
  }
  return (
    <>
      from <span className="text-text">{word(before).slice(0, 200)}</span> to{' '}
      <span className="text-text">{word(after).slice(0, 200)}</span>
    </>
  )
}
