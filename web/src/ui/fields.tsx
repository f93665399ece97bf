// What people choose from.
import { type SelectHTMLAttributes, useRef, useState } from 'react'
import type { Person } from '../data'
import type { TaskStatus } from '../gql/graphql'
import { mayMove, type Row, STATUS_NAMES, STATUSES } from '../tasks'

/**
 * One of some. What is chosen by pointer counts at once. Keys go through the options one by one, so with them it counts
 * at Enter, or when one leaves the field; where a slip changes much (`isCareful`), leaving it gives up.
 */
export function Choice({
  value,
  onChange,
  isCareful,
  ...rest
}: {
  value: string
  onChange: (value: string) => void
  isCareful?: boolean
} & Omit<SelectHTMLAttributes<HTMLSelectElement>, 'value' | 'onChange'>) {
  const [draft, setDraft] = useState<string | null>(null)
  const isByKey = useRef(false)

  function settle(isMeant: boolean): void {
    setDraft(null)
    if (draft !== null && draft !== value && isMeant) onChange(draft)
  }

  return (
    <select
      className="field"
      value={draft ?? value}
      onPointerDown={() => {
        isByKey.current = false
      }}
      onKeyDown={(event) => {
        if (draft !== null && event.key === 'Enter') {
          event.preventDefault()
          settle(true)
        } else if (draft !== null && event.key === 'Escape') {
          event.stopPropagation()
          settle(false)
        } else isByKey.current = !event.altKey && event.key !== ' ' && event.key !== 'Enter'
      }}
      onChange={(event) => (isByKey.current ? setDraft : onChange)(event.target.value)}
      onBlur={() => settle(!isCareful)}
      {...rest}
    />
  )
}

export function PersonSelect({
  people,
  value,
  onChange,
  none = 'Nobody',
  ...rest
}: {
  people: ReadonlyMap<string, Person>
  value: string | null | undefined
  onChange: (id: string | null) => void
  none?: string
  isCareful?: boolean
  id?: string
  disabled?: boolean
  'aria-label'?: string
}) {
  return (
    <Choice
      className="field text-text"
      value={value ?? ''}
      onChange={(chosen) => onChange(chosen || null)}
      {...rest}
    >
      <option value="">{none}</option>
      {[...people.values()].map((person) => (
        <option key={person.id} value={person.id}>
          {person.name}
        </option>
      ))}
    </Choice>
  )
}

export function StatusSelect({
  task,
  onChange,
  ...rest
}: {
  task: Row
  onChange: (status: TaskStatus) => void
  id?: string
  disabled?: boolean
  'aria-label'?: string
}) {
  return (
    <Choice value={task.status} onChange={(chosen) => onChange(chosen as TaskStatus)} {...rest}>
      {STATUSES.map((status) => (
        <option key={status} value={status} disabled={status !== task.status && !mayMove(task, status)}>
          {STATUS_NAMES[status]}
        </option>
      ))}
    </Choice>
  )
}
