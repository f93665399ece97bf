// For admins: who is here, how the system is, and what could not be handled.
import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { request } from '../api'
import { client, explain, useMe, usePeople } from '../data'
import { DROP, LETTERS, REPLAY, SET_ROLE, STATS } from '../documents'
import type { Role, StatsQuery } from '../gql/graphql'
import { toast } from '../toasts'
import { Avatar, Button, Empty, Failed, join, PageHead, Skeletons, Time } from '../ui/basics'
import { Choice } from '../ui/fields'

const TABS = ['System', 'People', 'Dead letters'] as const

export function Admin() {
  const me = useMe().data
  const [tab, setTab] = useState<(typeof TABS)[number]>('System')
  if (me?.role !== 'ADMIN') return <Empty title="For admins">Ask one of them to make you one.</Empty>
  return (
    <>
      <PageHead title="Admin">
        <div role="tablist" aria-label="Admin pages" className="flex gap-1">
          {TABS.map((name) => (
            <button
              key={name}
              type="button"
              role="tab"
              aria-selected={tab === name}
              className={join(
                'rounded-md px-2.5 py-1 text-sm',
                tab === name ? 'bg-hover font-medium' : 'text-muted',
              )}
              onClick={() => setTab(name)}
            >
              {name}
            </button>
          ))}
        </div>
      </PageHead>
      <div tabIndex={0} className="min-h-0 grow overflow-y-auto outline-offset-[-2px]">
        <div className="mx-auto max-w-5xl p-4">
          {tab === 'System' ? <System /> : tab === 'People' ? <People /> : <Letters />}
        </div>
      </div>
    </>
  )
}

const EVERY_MS = 1_000

const took = (ms: number) => (ms < 1_000 ? `${ms.toFixed(1)} ms` : `${(ms / 1_000).toFixed(1)} s`)
const KEPT = 60

interface Sample {
  at: number
  records: Record<string, number>
  lag: Record<string, number>
  requests: number
}

function System() {
  const stats = useQuery({
    queryKey: ['stats'],
    queryFn: async () => (await request(STATS)).stats,
    refetchInterval: EVERY_MS,
    staleTime: 0,
  })
  const samples = useSamples(stats.data, stats.dataUpdatedAt)
  if (stats.isError && !stats.data) return <Failed error={stats.error} again={() => stats.refetch()} />
  if (!stats.data) return <Skeletons />
  const now = stats.data
  return (
    <div className="flex flex-col gap-4">
      <div className="grid grid-cols-2 gap-3 md:grid-cols-4">
        <Figure name="State" value={now.status === 'ok' ? 'Well' : now.status} isBad={now.status !== 'ok'} />
        <Figure name="Requests a second" value={rate(samples, (one) => one.requests).at(-1) ?? 0} />
        <Figure name="Open streams" value={now.liveConnections} />
        <Figure
          name="Jobs done"
          value={now.jobsDone}
          hint={`${took(now.averageProcessingTimeMs)} on average`}
        />
      </div>
      <h2 className="text-sm font-medium">Pipelines of this process</h2>
      <div className="grid gap-3 md:grid-cols-2">
        {now.pipelines.map((one) => {
          const rates = rate(samples, (sample) => sample.records[one.name] ?? 0)
          return (
            <section
              key={one.name}
              aria-label={one.name}
              className="rounded-xl border border-line bg-panel p-3"
            >
              <div className="flex items-baseline gap-2">
                <h3 className="font-medium">{one.name}</h3>
                {one.stalled && (
                  <span className="rounded bg-danger-soft px-1 text-xs text-danger">waits for an engine</span>
                )}
                <span className="ml-auto text-xs text-muted">
                  {Math.round(one.records).toLocaleString()} in all
                </span>
              </div>
              <div className="mt-2 grid grid-cols-2 gap-3">
                <Chart name="records/s" values={rates} />
                <Chart name="behind" values={samples.map((sample) => sample.lag[one.name] ?? 0)} />
              </div>
            </section>
          )
        })}
      </div>
      <h2 className="text-sm font-medium">Engines</h2>
      <ul className="grid gap-3 sm:grid-cols-2 md:grid-cols-3">
        {now.engines.map((engine) => (
          <li
            key={engine.name}
            className="flex items-center gap-2 rounded-xl border border-line bg-panel p-3 text-sm"
          >
            <span className={join('size-2 rounded-full', engine.status === 'ok' ? 'bg-ok' : 'bg-danger')} />
            <span className="font-medium">{engine.name}</span>
            <span className="ml-auto text-muted">{engine.error ?? `${engine.latencyMs.toFixed(1)} ms`}</span>
          </li>
        ))}
      </ul>
    </div>
  )
}

/** The last minute of samples. */
function useSamples(stats: StatsQuery['stats'] | undefined, at: number): Sample[] {
  const samples = useRef<Sample[]>([])
  const [, shown] = useState(0)
  useEffect(() => {
    if (!stats || samples.current.at(-1)?.at === at) return
    const each = <T,>(value: (one: StatsQuery['stats']['pipelines'][number]) => T) =>
      Object.fromEntries(stats.pipelines.map((one) => [one.name, value(one)]))
    const sample = {
      at,
      records: each((p) => p.records),
      lag: each((p) => p.lagRecords),
      requests: stats.requests,
    }
    samples.current = [...samples.current, sample].slice(-KEPT)
    shown(at)
  }, [stats, at])
  return samples.current
}

function rate(samples: Sample[], value: (sample: Sample) => number): number[] {
  return samples.slice(1).map((sample, index) => {
    const previous = samples[index]!
    // A server that was started anew counts from nothing.
    return Math.max(0, (value(sample) - value(previous)) / Math.max(0.001, (sample.at - previous.at) / 1000))
  })
}

function Figure({
  name,
  value,
  hint,
  isBad,
}: {
  name: string
  value: number | string
  hint?: string
  isBad?: boolean
}) {
  return (
    <div className="rounded-xl border border-line bg-panel p-3">
      <p className="text-xs text-muted">{name}</p>
      <p className={join('text-lg font-semibold tabular-nums', isBad && 'text-danger')}>
        {typeof value === 'number' ? Math.round(value).toLocaleString() : value}
      </p>
      {hint && <p className="text-xs text-muted">{hint}</p>}
    </div>
  )
}

function Chart({ name, values }: { name: string; values: number[] }): ReactNode {
  const most = Math.max(1, ...values)
  const last = Math.round(values.at(-1) ?? 0)
  const points = values.map((value, index) => `${(index / (KEPT - 1)) * 100},${29 - (value / most) * 27}`)
  return (
    <figure>
      <svg
        viewBox="0 0 100 30"
        preserveAspectRatio="none"
        role="img"
        aria-label={`${name}: ${last}`}
        className="h-10 w-full rounded bg-sunken"
      >
        <polyline
          points={points.join(' ')}
          fill="none"
          stroke="var(--accent)"
          strokeWidth="1.5"
          vectorEffect="non-scaling-stroke"
        />
      </svg>
      <figcaption className="flex justify-between text-xs text-muted">
        <span>{name}</span>
        <span className="tabular-nums">{last.toLocaleString()}</span>
      </figcaption>
    </figure>
  )
}

function People() {
  const people = usePeople()
  async function set(id: string, role: Role): Promise<void> {
    try {
      await request(SET_ROLE, { id, role })
    } catch (error) {
      toast(explain(error), 'bad')
    }
    void client.invalidateQueries({ queryKey: ['people'] })
    void client.invalidateQueries({ queryKey: ['me'] })
  }
  return (
    <ul className="rounded-xl border border-line bg-panel">
      {[...people.values()].map((person) => (
        <li
          key={person.id}
          className="flex items-center gap-3 border-b border-line px-4 py-2 last:border-b-0"
        >
          <Avatar person={person} />
          <span className="min-w-0 grow">
            <span className="block truncate">{person.name}</span>
            <span className="block truncate text-xs text-muted">{person.email}</span>
          </span>
          <Time at={person.createdAt} className="text-xs text-muted max-sm:hidden" />
          <Choice
            aria-label={`Role of ${person.name}`}
            className="field !w-28"
            value={person.role}
            isCareful
            onChange={(chosen) => void set(person.id, chosen as Role)}
          >
            <option value="MEMBER">Member</option>
            <option value="ADMIN">Admin</option>
          </Choice>
        </li>
      ))}
    </ul>
  )
}

function Letters() {
  const letters = useInfiniteQuery({
    queryKey: ['letters'],
    queryFn: async ({ pageParam }) => (await request(LETTERS, { after: pageParam })).letters,
    initialPageParam: null as string | null,
    getNextPageParam: (last) => (last.pageInfo.hasNextPage ? last.pageInfo.endCursor : undefined),
  })
  if (letters.isPending) return <Skeletons />
  if (letters.isError && !letters.data)
    return <Failed error={letters.error} again={() => letters.refetch()} />
  const found = letters.data.pages.flatMap((page) => page.nodes)

  async function settle(done: string, change: Promise<unknown>): Promise<void> {
    try {
      await change
      toast(done, 'good')
    } catch (error) {
      toast(explain(error), 'bad')
    }
    void letters.refetch()
  }

  if (!found.length) {
    return (
      <Empty title="No dead letters">
        A record that no pipeline can handle is set aside here, with the reason.
      </Empty>
    )
  }
  return (
    <ul className="flex flex-col gap-3">
      {found.map((letter) => (
        <li key={letter.id} className="rounded-xl border border-line bg-panel p-3">
          <div className="flex flex-wrap items-center gap-2">
            <span className="font-medium">{letter.pipeline}</span>
            <span className="text-xs text-muted">
              {letter.topic} · {letter.attempts} attempts · <Time at={letter.parkedAt} />
            </span>
            <span className="grow" />
            <Button
              icon="retry"
              onClick={() => void settle('It goes through again.', request(REPLAY, { id: letter.id }))}
            >
              Replay
            </Button>
            <Button
              look="danger"
              icon="trash"
              onClick={() =>
                confirm('Forget this record for good?') &&
                void settle('Dropped.', request(DROP, { id: letter.id }))
              }
            >
              Drop
            </Button>
          </div>
          <p className="mt-1 text-sm text-danger">{letter.reason}</p>
          <pre className="mt-2 max-h-40 overflow-auto rounded-md bg-sunken p-2 text-xs wrap-anywhere whitespace-pre-wrap">
            {letter.value}
          </pre>
        </li>
      ))}
      {letters.hasNextPage && <Button onClick={() => void letters.fetchNextPage()}>Show more</Button>}
    </ul>
  )
}
