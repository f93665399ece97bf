// What happened to a task, and who did it.
import { useInfiniteQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { request } from '../../api'
import { explain, usePeople } from '../../data'
import { HISTORY } from '../../documents'
import type { HistoryQuery, TaskStatus } from '../../gql/graphql'
import { STATUS_NAMES } from '../../tasks'
import { Button, exact, Skeletons, Time } from '../../ui/basics'

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

export function Story({ id }: { id: string }) {
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
