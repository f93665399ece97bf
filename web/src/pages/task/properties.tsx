// What a task is beside its words: who does it, until when, how urgent it is.
import type { ReactNode } from 'react'
import { type FullTask, move, useEdit, usePeople } from '../../data'
import type { TaskStatus } from '../../gql/graphql'
import { listed, merged } from '../../tasks'
import { Avatar, IconButton, Label, Time } from '../../ui/basics'
import { Property } from '../../ui/edit'
import { PersonSelect, StatusSelect } from '../../ui/fields'
import type { Edits } from './edits'

export function Properties({ task, edits: { change, changeList } }: { task: FullTask; edits: Edits }) {
  const people = usePeople()
  const edit = useEdit()
  const isLocked = !task.canChange
  return (
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
              onClick={() => void changeList('observerIds', (now) => now.filter((known) => known !== one))}
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
            onChange={(one) => one && void changeList('observerIds', (now) => [...new Set([...now, one])])}
          />
        </div>
      </Labelled>
      <p className="flex items-center gap-2 border-t border-line pt-3 text-xs text-muted">
        <Avatar person={people.get(task.creatorId)} size={18} />
        {people.get(task.creatorId)?.name ?? 'Somebody'} created it <Time at={task.createdAt} />
      </p>
      {isLocked && <p className="text-xs text-muted">Its creator, its performer and admins may change it.</p>}
    </aside>
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
