// One task: edited in place, its story beside it. An edit that somebody else got ahead of asks which one is to stay.
import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { ApiError, request } from '../api'
import {
  client,
  type Edit,
  explain,
  type FullTask,
  many,
  move,
  taskQuery,
  useEdit,
  usePeople,
  useTask,
} from '../data'
import { HISTORY } from '../documents'
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
  join,
  Label,
  Skeletons,
  StatusIcon,
  Time,
} from '../ui/basics'
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
      </Empty>
    )
  }
  return <Details key={id} task={task.data} />
}

type TextField = 'title' | 'description'

/** The task when an edit of a text began. */
interface Began {
  version: number
  value: string
}

interface Conflict {
  name: TextField
  mine: string
}

function Details({ task }: { task: FullTask }) {
  const people = usePeople()
  const navigate = useNavigate()
  const edit = useEdit()
  const [conflict, setConflict] = useState<Conflict | null>(null)
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

  /** Save a text as it was edited on top of a version; whether it is settled, so that the draft may go. */
  async function save(name: TextField, mine: string, began: Began): Promise<boolean> {
    const input: TaskInput = { [name]: mine }
    for (let version = began.version; ; ) {
      try {
        await edit.mutateAsync({ task, input, ifVersion: version } satisfies Edit)
        return true
      } catch (error) {
        const isStale = error instanceof ApiError && error.code === 'stale_version'
        if (!isThere.current) {
          toast(`The ${name} of “${task.title}” was not saved. You wrote: ${mine.slice(0, 300)}`, 'bad')
          return true
        }
        if (!isStale) return false
        const now = await client.fetchQuery({ ...taskQuery(task.id), staleTime: 0 }).catch(() => null)
        if (!now) return false
        if (now[name] !== began.value) {
          setConflict({ name, mine })
          return true
        }
        // Something else of the task was changed: nobody was ahead of this edit.
        version = now.version
      }
    }
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
          {conflict && (
            <ConflictPanel
              task={task}
              conflict={conflict}
              keepMine={() => {
                setConflict(null)
                void save(conflict.name, conflict.mine, { version: task.version, value: task[conflict.name] })
              }}
              takeTheirs={() => setConflict(null)}
            />
          )}
          <InPlace
            name="Title"
            value={task.title}
            version={task.version}
            isLocked={isLocked}
            className="text-xl font-semibold"
            save={async (title, began) => {
              if (title) return save('title', title, began)
              toast('A task needs a title; it keeps the one it had.', 'bad')
              return true
            }}
          />
          <InPlace
            name="Description"
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
          <Property name="Status" id="task-status">
            <StatusSelect
              id="task-status"
              task={task}
              disabled={isLocked}
              onChange={(status: TaskStatus) => void move(task, status, edit.mutate)}
            />
          </Property>
          <Property name="Performer" id="task-performer">
            <PersonSelect
              id="task-performer"
              people={people}
              value={task.performerId}
              disabled={isLocked}
              onChange={(performerId) => void change({ performerId })}
            />
          </Property>
          <Property name="Priority" id="task-priority">
            <Draft
              id="task-priority"
              type="number"
              min={0}
              max={9}
              value={String(task.priority)}
              disabled={isLocked}
              save={async (text) => !text || change({ priority: Number(text) })}
            />
          </Property>
          <Property name="Due" id="task-due">
            <div className="flex gap-1">
              <Draft
                id="task-due"
                type="datetime-local"
                max="9999-12-31T23:59"
                value={task.dueAt ? local(task.dueAt) : ''}
                disabled={isLocked}
                save={async (text) => !text || change({ dueAt: new Date(text).toISOString() })}
              />
              {task.dueAt && !isLocked && (
                <IconButton icon="close" label="No due date" onClick={() => void change({ dueAt: null })} />
              )}
            </div>
          </Property>
          <Property name="Labels, comma separated" id="task-labels">
            <Draft
              id="task-labels"
              value={task.labels.join(', ')}
              disabled={isLocked}
              save={(text, began) => change({ labels: merged(task.labels, listed(began), listed(text)) })}
            />
            {task.labels.length > 0 && (
              <div className="flex flex-wrap gap-1 pt-1">
                {task.labels.map((label) => (
                  <Label key={label} name={label} />
                ))}
              </div>
            )}
          </Property>
          <Property name="Observers" id="task-observers">
            <div className="flex flex-wrap items-center gap-1">
              {task.observerIds.map((one) => (
                <button
                  key={one}
                  type="button"
                  disabled={isLocked}
                  title={`Remove ${people.get(one)?.name ?? one}`}
                  aria-label={`Remove ${people.get(one)?.name ?? one}`}
                  onClick={() =>
                    void change({ observerIds: task.observerIds.filter((known) => known !== one) })
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
                  one && void change({ observerIds: [...new Set([...task.observerIds, one])] })
                }
              />
            </div>
          </Property>
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

function Property({ name, id, children }: { name: string; id: string; children: ReactNode }) {
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="text-xs text-muted">
        {name}
      </label>
      {children}
    </div>
  )
}

/**
 * A field that is saved when one leaves it, Escape gives up; what others change meanwhile does not disturb it. What is
 * refused stays there to be mended.
 */
function Draft({
  value,
  save,
  ...rest
}: { value: string; save: (text: string, began: string) => Promise<boolean> } & Omit<
  React.InputHTMLAttributes<HTMLInputElement>,
  'value'
>) {
  const [draft, setDraft] = useState<string | null>(null)
  const began = useRef(value)

  async function done(field: HTMLInputElement): Promise<void> {
    if (draft === null || draft === value) return setDraft(null)
    if (!field.validity.valid) {
      toast(field.validationMessage, 'bad')
      return setDraft(null)
    }
    setDraft(null)
    if (!(await save(draft, began.current))) setDraft((now) => now ?? draft)
  }

  return (
    <input
      {...rest}
      className="field"
      value={draft ?? value}
      onChange={(event) => {
        if (draft === null) began.current = value
        setDraft(event.target.value)
      }}
      onKeyDown={(event) => {
        if (event.key === 'Enter') event.currentTarget.blur()
        if (event.key === 'Escape' && draft !== null) {
          event.stopPropagation()
          setDraft(null)
        }
      }}
      onBlur={(event) => void done(event.target)}
    />
  )
}

/** Text that is edited where it stands, on top of the task as it was when the editing began. */
function InPlace({
  name,
  value,
  version,
  isLocked,
  multiline,
  placeholder,
  className,
  save,
}: {
  name: string
  value: string
  version: number
  isLocked: boolean
  multiline?: boolean
  placeholder?: string
  className?: string
  save: (text: string, began: Began) => Promise<boolean>
}) {
  const [draft, setDraft] = useState<string | null>(null)
  const began = useRef<Began>({ version, value })
  const field = useRef<HTMLTextAreaElement>(null)
  // As tall as what is in it.
  useEffect(() => {
    if (!field.current) return
    field.current.style.height = '0'
    field.current.style.height = `${field.current.scrollHeight + 2}px`
  }, [draft, value])

  async function done(): Promise<void> {
    const text = draft?.trim()
    setDraft(null)
    if (text === undefined || text === began.current.value.trim()) return
    // What could not be saved is still there to be saved again.
    if (!(await save(text, began.current))) setDraft((now) => now ?? draft)
  }

  // Whoever goes away in the middle of typing means to keep what is typed.
  const leave = useRef(done)
  leave.current = done
  useEffect(() => () => void leave.current(), [])

  return (
    <textarea
      ref={field}
      aria-label={name}
      rows={1}
      readOnly={isLocked}
      value={draft ?? value}
      placeholder={placeholder}
      className={join(
        'w-full resize-none overflow-hidden rounded-md border border-transparent bg-transparent px-2 py-1 hover:border-line focus:border-line focus:bg-panel',
        className,
      )}
      onChange={(event) => {
        if (draft === null) began.current = { version, value }
        setDraft(multiline ? event.target.value : event.target.value.replaceAll('\n', ' '))
      }}
      onBlur={() => void done()}
      onKeyDown={(event) => {
        if (event.nativeEvent.isComposing) return
        if (event.key === 'Escape') {
          setDraft(null)
          requestAnimationFrame(() => field.current?.blur())
        } else if (event.key === 'Enter' && (!multiline || event.ctrlKey || event.metaKey)) {
          event.preventDefault()
          event.currentTarget.blur()
        }
      }}
    />
  )
}

function ConflictPanel({
  task,
  conflict,
  keepMine,
  takeTheirs,
}: {
  task: FullTask
  conflict: Conflict
  keepMine: () => void
  takeTheirs: () => void
}) {
  const theirs = task[conflict.name]
  return (
    <div role="alert" className="mb-3 rounded-lg border border-warn bg-panel p-3">
      <p className="mb-2 text-sm font-medium">
        Somebody changed this task while you were editing its {conflict.name}.
      </p>
      <div className="grid gap-2 text-sm sm:grid-cols-2">
        <div className="rounded-md bg-sunken p-2">
          <p className="text-xs text-muted">It is now</p>
          <p className="break-words whitespace-pre-wrap">{theirs}</p>
        </div>
        <div className="rounded-md bg-accent-soft p-2">
          <p className="text-xs text-muted">You wrote</p>
          <p className="break-words whitespace-pre-wrap">{conflict.mine}</p>
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
                      {person?.name ?? (kind === 'worker' ? 'A worker' : 'Tasktide')}
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
