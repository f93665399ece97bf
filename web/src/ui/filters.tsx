// The bar above lists: what is looked for stands in the address.
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { type ReactNode, useCallback, useEffect, useRef, useState } from 'react'
import { useMe, usePeople } from '../data'
import type { TaskFilterInput, TaskStatus } from '../gql/graphql'
import type { Search } from '../router'
import { STATUS_NAMES, STATUSES } from '../tasks'
import { Button, join, StatusIcon, useSettled } from './basics'
import { PersonSelect } from './fields'

export type ListedPath = '/board' | '/list' | '/jobs'

export function useSearchOf(path: ListedPath): [Search, (change: Partial<Search>) => void] {
  const search = getRouteApi(path).useSearch() as Search
  const navigate = useNavigate()
  const set = useCallback(
    (change: Partial<Search>) =>
      void navigate({ to: path, search: (now: Search) => ({ ...now, ...change }), replace: true }),
    [navigate, path],
  )
  return [search, set]
}

export function filterOf(
  search: Search,
  statuses: TaskStatus[] | undefined = search.status,
): TaskFilterInput {
  return {
    ...(search.q && { q: search.q }),
    ...(search.performer && { performerId: search.performer }),
    ...(search.creator && { creatorId: search.creator }),
    ...(search.label && { label: search.label }),
    ...(statuses?.length && { statuses }),
  }
}

/** Whether anything but the order was chosen. */
export const isFiltered = (search: Search) =>
  Boolean(search.q || search.performer || search.label || search.status || search.creator)

export function Filters({
  path,
  withStatus,
  children,
}: {
  path: ListedPath
  withStatus?: boolean
  children?: ReactNode
}) {
  const [search, set] = useSearchOf(path)
  const people = usePeople()
  const me = useMe().data
  const [text, setText] = useState(search.q ?? '')
  const [label, setLabel] = useState(search.label ?? '')
  const settledText = useSettled(text)
  const settledLabel = useSettled(label)
  // What was typed goes into the address; what comes into the address from elsewhere goes into the fields.
  const sent = useRef({ q: search.q, label: search.label })
  useEffect(() => {
    const next = { q: settledText.trim() || undefined, label: settledLabel.trim() || undefined }
    if (next.q === sent.current.q && next.label === sent.current.label) return
    sent.current = next
    set(next)
  }, [settledText, settledLabel, set])
  useEffect(() => {
    const { q, label: wanted } = search
    if (q === sent.current.q && wanted === sent.current.label) return
    sent.current = { q, label: wanted }
    setText(q ?? '')
    setLabel(wanted ?? '')
  }, [search])

  return (
    <div className="flex grow flex-wrap items-center gap-2">
      <input
        type="search"
        maxLength={500}
        aria-label="Search text"
        placeholder="Search  /"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => event.key === 'Escape' && event.currentTarget.blur()}
        className="field !w-44"
      />
      <div className="w-36">
        <PersonSelect
          aria-label="Performer"
          people={people}
          none="Any performer"
          value={search.performer}
          onChange={(id) => set({ performer: id ?? undefined })}
        />
      </div>
      <input
        aria-label="Label"
        placeholder="Label"
        value={label}
        onChange={(event) => setLabel(event.target.value)}
        className="field !w-28"
      />
      {me && (
        <Button
          aria-pressed={search.performer === me.id}
          className={join(search.performer === me.id && '!border-accent !bg-accent-soft')}
          onClick={() => set({ performer: search.performer === me.id ? undefined : me.id })}
        >
          Mine
        </Button>
      )}
      {withStatus && (
        <fieldset className="flex gap-0.5 rounded-md border border-line p-0.5">
          <legend className="sr-only">Status</legend>
          {STATUSES.map((status) => {
            const isOn = search.status?.includes(status) ?? false
            return (
              <button
                key={status}
                type="button"
                aria-pressed={isOn}
                title={STATUS_NAMES[status]}
                className={join('rounded p-1.5', isOn ? 'bg-accent-soft' : 'hover:bg-hover')}
                onClick={() => {
                  const others = (search.status ?? []).filter((one) => one !== status)
                  const now = isOn ? others : [...others, status]
                  set({ status: now.length ? now : undefined })
                }}
              >
                <StatusIcon status={status} size={14} />
              </button>
            )
          })}
        </fieldset>
      )}
      {isFiltered(search) && (
        <Button
          look="quiet"
          onClick={() => {
            setText('')
            setLabel('')
            set({
              q: undefined,
              label: undefined,
              performer: undefined,
              creator: undefined,
              status: undefined,
            })
          }}
        >
          Clear
        </Button>
      )}
      {children}
    </div>
  )
}
