// The bar above lists: what is looked for stands in the address.
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { type ReactNode, useEffect, useState } from 'react'
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
  return [search, (change) => void navigate({ to: path, search: { ...search, ...change }, replace: true })]
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
  // Only what was typed is to change the address.
  useEffect(() => {
    const [q, wanted] = [settledText.trim() || undefined, settledLabel.trim() || undefined]
    if (q !== search.q || wanted !== search.label) set({ q, label: wanted })
  }, [settledText, settledLabel])
  const isFiltered = search.q || search.performer || search.label || search.status || search.creator

  return (
    <div className="flex grow flex-wrap items-center gap-2">
      <input
        type="search"
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
      {isFiltered && (
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
