// A list of tasks as rows: sorted by its heads, selected by boxes, as long as it likes.
import { useNavigate } from '@tanstack/react-router'
import { type KeyboardEvent, type ReactNode, useMemo, useState } from 'react'
import { usePeople } from '../data'
import type { TaskFilterInput, TaskSort } from '../gql/graphql'
import { isOpen, type Listing, type Row } from '../tasks'
import { Avatar, Button, Due, Failed, join, Label, Priority, Skeletons, StatusIcon, Time } from './basics'
import { type ListedPath, useSearchOf } from './filters'
import { useRows } from './rows'

const ROW_PX = 40
const TABLE = { page: 100, ahead: 30, height: ROW_PX, overscan: 12 }

export function TaskTable({
  path,
  filter,
  sort: byDefault,
  middle,
  bulk,
  empty,
}: {
  path: ListedPath
  filter: TaskFilterInput
  sort: TaskSort
  middle?: (task: Row) => ReactNode
  /** What can be done with those selected; `done` hears how many of them were refused. */
  bulk: (selected: readonly Row[], done: (refused: number) => void) => ReactNode
  empty: ReactNode
}) {
  const [search, set] = useSearchOf(path)
  const sort = search.sort ?? byDefault
  const key = JSON.stringify([filter, sort, search.up])
  // The key says all of it.
  const listing = useMemo<Listing>(() => ({ filter, sort, descending: !search.up }), [key])
  const { list, rows, frame, virtual, items } = useRows(listing, TABLE)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const selected = rows.filter((row) => chosen.has(row.id))

  const toggle = (id: string) =>
    setChosen((now) => {
      const next = new Set(now)
      if (!next.delete(id)) next.add(id)
      return next
    })

  function head(name: string, column: TaskSort, className?: string): ReactNode {
    const isOn = sort === column
    return (
      <button
        type="button"
        className={join('whitespace-nowrap hover:text-text', isOn && 'text-text', className)}
        aria-label={`Sort by ${name.toLowerCase()}`}
        aria-pressed={isOn}
        onClick={() => set(isOn ? { up: search.up ? undefined : true } : { sort: column, up: undefined })}
      >
        {name} {isOn && (search.up ? '↑' : '↓')}
      </button>
    )
  }

  const isAll = rows.length > 0 && rows.every((row) => chosen.has(row.id))
  return (
    <>
      <div className="flex min-h-9 shrink-0 items-center gap-3 border-b border-line px-4 py-0.5 text-xs text-muted">
        <input
          type="checkbox"
          aria-label="Select all that are loaded"
          checked={isAll}
          onChange={() => setChosen(new Set(isAll ? [] : rows.map((row) => row.id)))}
        />
        {selected.length ? (
          <div className="flex min-w-0 grow flex-wrap items-center gap-2 text-text">
            <span>{selected.length} selected</span>
            {bulk(selected, (refused) => refused < selected.length && setChosen(new Set()))}
            <Button look="quiet" onClick={() => setChosen(new Set())}>
              Clear selection
            </Button>
          </div>
        ) : (
          <>
            <span className="grow">
              {list.data
                ? `${list.data.pages[0]!.totalCount.toLocaleString()} tasks`
                : list.isError
                  ? ''
                  : 'Loading …'}
            </span>
            {head('Priority', 'PRIORITY', 'w-16 text-center max-sm:hidden')}
            <span className="w-5 max-sm:hidden" />
            {head('Due', 'DUE_AT', 'w-16 text-right max-sm:hidden')}
            {head('Created', 'CREATED_AT', 'w-18 text-right max-md:hidden')}
            {head('Updated', 'UPDATED_AT', 'w-18 text-right')}
          </>
        )}
      </div>
      <div ref={frame} tabIndex={rows.length ? -1 : 0} className="min-h-0 grow overflow-y-auto">
        {list.isPending ? (
          <Skeletons count={12} height={28} />
        ) : list.isError && !list.data ? (
          <Failed error={list.error} again={() => list.refetch()} />
        ) : rows.length === 0 ? (
          empty
        ) : (
          <ul style={{ height: virtual.getTotalSize() }} className="relative">
            {items.map((item) => (
              <li
                key={item.key}
                style={{ transform: `translateY(${item.start}px)`, height: ROW_PX }}
                className="absolute top-0 left-0 w-full"
              >
                <TaskRow
                  task={rows[item.index]!}
                  index={item.index}
                  isChosen={chosen.has(rows[item.index]!.id)}
                  toggle={toggle}
                  middle={middle}
                  scrollTo={(index) => virtual.scrollToIndex(index)}
                />
              </li>
            ))}
          </ul>
        )}
        {list.isFetchNextPageError && (
          <Button className="m-3" onClick={() => void list.fetchNextPage()}>
            The rest could not be loaded: try again
          </Button>
        )}
      </div>
    </>
  )
}

function TaskRow({
  task,
  index,
  isChosen,
  toggle,
  middle,
  scrollTo,
}: {
  task: Row
  index: number
  isChosen: boolean
  toggle: (id: string) => void
  middle?: (task: Row) => ReactNode
  scrollTo: (index: number) => void
}) {
  const people = usePeople()
  const navigate = useNavigate()
  const open = () => void navigate({ to: '/tasks/$id', params: { id: task.id } })

  function press(event: KeyboardEvent): void {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (event.target !== event.currentTarget) return
    if (event.key === 'Enter') open()
    else if (event.key === 'x' || event.key === ' ') toggle(task.id)
    else if (step) {
      scrollTo(Math.max(0, index + step))
      requestAnimationFrame(() =>
        document.querySelector<HTMLElement>(`[data-row="${index + step}"]`)?.focus(),
      )
    } else return
    event.preventDefault()
  }

  return (
    <div
      role="link"
      tabIndex={0}
      data-row={index}
      onClick={open}
      onKeyDown={press}
      className={join(
        'flex h-full cursor-pointer items-center gap-3 border-b border-line px-4 text-sm outline-offset-[-2px] hover:bg-hover',
        isChosen && 'bg-accent-soft',
      )}
    >
      <input
        type="checkbox"
        tabIndex={-1}
        aria-label={`Select ${task.title}`}
        checked={isChosen}
        onClick={(event) => event.stopPropagation()}
        onChange={() => toggle(task.id)}
      />
      <StatusIcon status={task.status} />
      <span className="w-12 shrink-0 text-xs text-muted max-sm:hidden">#{task.id}</span>
      <span className="min-w-0 truncate" dir="auto">
        {task.title}
      </span>
      <span className="hidden min-w-0 shrink gap-1 overflow-hidden md:flex">
        {task.labels.slice(0, 3).map((label) => (
          <Label key={label} name={label} />
        ))}
      </span>
      <span className="ml-auto flex shrink-0 items-center gap-3">
        {middle?.(task)}
        <span className="flex w-16 justify-center max-sm:hidden">
          <Priority value={task.priority} />
        </span>
        <span className="flex w-5">
          {task.performerId && <Avatar person={people.get(task.performerId)} size={20} />}
        </span>
        <span className="w-16 text-right max-sm:hidden">
          {task.dueAt && <Due at={task.dueAt} isOpen={isOpen(task)} />}
        </span>
        <Time at={task.createdAt} className="w-18 text-right text-xs text-muted max-md:hidden" />
        <Time at={task.updatedAt} className="w-18 text-right text-xs text-muted" />
      </span>
    </div>
  )
}
