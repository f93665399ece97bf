// What people choose from.
import type { Person } from '../data'
import type { TaskStatus } from '../gql/graphql'
import { mayMove, type Row, STATUS_NAMES, STATUSES } from '../tasks'

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
  id?: string
  disabled?: boolean
  'aria-label'?: string
}) {
  return (
    <select
      className="field text-text"
      value={value ?? ''}
      onChange={(event) => onChange(event.target.value || null)}
      {...rest}
    >
      <option value="">{none}</option>
      {[...people.values()].map((person) => (
        <option key={person.id} value={person.id}>
          {person.name}
        </option>
      ))}
    </select>
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
    <select
      className="field"
      value={task.status}
      onChange={(event) => onChange(event.target.value as TaskStatus)}
      {...rest}
    >
      {STATUSES.map((status) => (
        <option key={status} value={status} disabled={status !== task.status && !mayMove(task, status)}>
          {STATUS_NAMES[status]}
        </option>
      ))}
    </select>
  )
}
