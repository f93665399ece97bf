// Columns by status. Cards are dragged, or moved with Shift and the arrows; columns load more as they are scrolled.
import {
  DndContext,
  type DragEndEvent,
  DragOverlay,
  type DragStartEvent,
  MouseSensor,
  TouchSensor,
  useDraggable,
  useDroppable,
  useSensor,
  useSensors,
} from '@dnd-kit/core'
import { useNavigate } from '@tanstack/react-router'
import { type KeyboardEvent, useMemo, useState } from 'react'
import { move, useEdit, usePeople } from '../data'
import type { TaskSort, TaskStatus } from '../gql/graphql'
import type { Search } from '../router'
import { isOpen, type Listing, mayMove, type Row, STATUS_NAMES, STATUSES } from '../tasks'
import { toast } from '../toasts'
import {
  Avatar,
  Button,
  Due,
  Empty,
  Failed,
  join,
  Label,
  PageHead,
  Priority,
  Skeletons,
  StatusIcon,
} from '../ui/basics'
import { Filters, filterOf, isFiltered, useSearchOf } from '../ui/filters'
import { Icon } from '../ui/icons'
import { useRows } from '../ui/rows'

export function Board() {
  const [search, setSearch] = useSearchOf('/board')
  const [dragged, setDragged] = useState<Row | null>(null)
  const edit = useEdit().mutate
  const sensors = useSensors(
    useSensor(MouseSensor, { activationConstraint: { distance: 6 } }),
    useSensor(TouchSensor, { activationConstraint: { delay: 200, tolerance: 8 } }),
  )

  function put(task: Row, status: TaskStatus): void {
    if (task.status === status) return
    if (mayMove(task, status)) void move(task, status, edit)
    else
      toast(
        `A ${STATUS_NAMES[task.status].toLowerCase()} ${task.handler ? 'job' : 'task'} cannot be moved there.`,
        'bad',
      )
  }

  function dropped({ over }: DragEndEvent): void {
    setDragged(null)
    // Not what is under the pointer: the card may have been deleted, or scrolled away, meanwhile.
    if (over && dragged) put(dragged, over.id as TaskStatus)
  }

  return (
    <>
      <PageHead title="Board">
        <Filters path="/board">
          <select
            aria-label="Order"
            className="field !w-32"
            value={search.sort ?? 'CREATED_AT'}
            onChange={(event) => {
              const sort = event.target.value as TaskSort
              // What is due soonest comes first, and so do the newest, the latest changed and the most urgent.
              setSearch({
                sort: sort === 'CREATED_AT' ? undefined : sort,
                up: sort === 'DUE_AT' || undefined,
              })
            }}
          >
            <option value="CREATED_AT">Newest</option>
            <option value="UPDATED_AT">Last changed</option>
            <option value="PRIORITY">Priority</option>
            <option value="DUE_AT">Due</option>
          </select>
        </Filters>
      </PageHead>
      <DndContext
        sensors={sensors}
        onDragStart={({ active }: DragStartEvent) => setDragged(active.data.current as Row)}
        onDragEnd={dropped}
        onDragCancel={() => setDragged(null)}
      >
        <div className="flex min-h-0 grow snap-x snap-mandatory gap-3 overflow-x-auto p-3 md:snap-none">
          {STATUSES.map((status) => (
            <Column key={status} status={status} search={search} dragged={dragged} put={put} />
          ))}
        </div>
        <DragOverlay>{dragged && <Card task={dragged} isLifted />}</DragOverlay>
      </DndContext>
    </>
  )
}

const COLUMN = { page: 50, ahead: 15, height: 84, gap: 8, overscan: 6 }

function Column({
  status,
  search,
  dragged,
  put,
}: {
  status: TaskStatus
  search: Search
  dragged: Row | null
  put: (task: Row, status: TaskStatus) => void
}) {
  const listing = useMemo<Listing>(
    () => ({ filter: filterOf(search, [status]), sort: search.sort ?? 'CREATED_AT', descending: !search.up }),
    [search, status],
  )
  const { list, rows, frame, virtual, items } = useRows(listing, COLUMN)
  const { setNodeRef, isOver } = useDroppable({ id: status })
  const isOpenTo = dragged != null && mayMove(dragged, status)

  return (
    <section
      ref={setNodeRef}
      aria-label={STATUS_NAMES[status]}
      className={join(
        'flex w-[86vw] shrink-0 snap-center flex-col rounded-xl bg-sunken md:w-auto md:min-w-46 md:grow md:basis-0',
        isOver && isOpenTo && 'ring-2 ring-accent',
        dragged && !isOpenTo && dragged.status !== status && 'opacity-45',
      )}
    >
      <h2 className="flex items-center gap-2 px-3 py-2.5 text-sm font-medium">
        <StatusIcon status={status} />
        {STATUS_NAMES[status]}
        <span className="text-muted">{list.data?.pages[0]?.totalCount.toLocaleString() ?? ''}</span>
      </h2>
      <div ref={frame} tabIndex={rows.length ? -1 : 0} className="min-h-24 grow overflow-y-auto px-2 pb-2">
        {list.isPending ? (
          <Skeletons count={4} height={72} />
        ) : list.isError && !list.data ? (
          <Failed error={list.error} again={() => list.refetch()} />
        ) : rows.length === 0 ? (
          <Empty
            title={isFiltered(search) ? 'No match' : status === 'PENDING' ? 'Nothing to do' : 'Nothing here'}
          >
            {isFiltered(search)
              ? 'No task in this column passes the filter above.'
              : status === 'PENDING'
                ? 'Press c to write the first task down.'
                : 'Drag a card here when it gets this far.'}
          </Empty>
        ) : (
          <ul style={{ height: virtual.getTotalSize() }} className="relative">
            {items.map((item) => (
              <li
                key={item.key}
                ref={virtual.measureElement}
                data-index={item.index}
                style={{ transform: `translateY(${item.start}px)` }}
                className="absolute top-0 left-0 w-full"
              >
                <Card task={rows[item.index]!} index={item.index} put={put} />
              </li>
            ))}
          </ul>
        )}
        {list.isFetchNextPageError && (
          <Button className="mt-2 w-full" onClick={() => void list.fetchNextPage()}>
            The rest could not be loaded: try again
          </Button>
        )}
      </div>
    </section>
  )
}

function Card({
  task,
  index = 0,
  put,
  isLifted,
}: {
  task: Row
  index?: number
  put?: (task: Row, status: TaskStatus) => void
  isLifted?: boolean
}) {
  const people = usePeople()
  const navigate = useNavigate()
  const { setNodeRef, listeners, isDragging } = useDraggable({ id: task.id, data: task, disabled: isLifted })
  const open = () => void navigate({ to: '/tasks/$id', params: { id: task.id } })

  function press(event: KeyboardEvent): void {
    const column = STATUSES.indexOf(task.status)
    const sideways = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (event.key === 'Enter') open()
    else if (event.shiftKey && sideways) {
      for (let at = column + sideways; STATUSES[at]; at += sideways) {
        if (mayMove(task, STATUSES[at]!)) {
          put?.(task, STATUSES[at]!)
          // The card is another one in its new column; the focus goes along with it.
          setTimeout(() => document.querySelector<HTMLElement>(`[data-id="${task.id}"]`)?.focus(), 50)
          break
        }
      }
    } else if (sideways) {
      for (let at = column + sideways; STATUSES[at]; at += sideways)
        if (focusCard(STATUSES[at]!, index)) break
    } else if (event.key === 'ArrowDown') focusCard(task.status, index + 1)
    else if (event.key === 'ArrowUp') focusCard(task.status, index - 1)
    else return
    event.preventDefault()
  }

  return (
    <article
      ref={setNodeRef}
      {...listeners}
      role="button"
      tabIndex={0}
      data-id={isLifted ? undefined : task.id}
      data-card={isLifted ? undefined : `${task.status}-${index}`}
      onClick={open}
      onKeyDown={press}
      className={join(
        'flex touch-manipulation flex-col gap-1.5 rounded-lg border border-line bg-panel p-2.5 text-left shadow-xs hover:border-muted',
        isDragging && !isLifted && 'opacity-30',
        isLifted && 'rotate-1 shadow-xl',
      )}
    >
      <p className="line-clamp-2 text-sm leading-snug break-words" dir="auto">
        {task.title}
      </p>
      {task.labels.length > 0 && (
        <div className="flex gap-1 overflow-hidden">
          {task.labels.slice(0, 3).map((label) => (
            <Label key={label} name={label} />
          ))}
        </div>
      )}
      <div className="flex min-h-5.5 items-center gap-1.5 text-xs text-muted">
        <span>#{task.id}</span>
        <Priority value={task.priority} />
        {task.handler && (
          <span title={`Job: ${task.handler}`} className="inline-flex items-center gap-0.5">
            <Icon name="jobs" size={13} /> {task.handler}
          </span>
        )}
        <span className="grow" />
        {task.dueAt && <Due at={task.dueAt} isOpen={isOpen(task)} />}
        {task.performerId && <Avatar person={people.get(task.performerId)} size={20} />}
      </div>
    </article>
  )
}

/** Focus the card at a place in a column, or the last before it; whether there is one. */
function focusCard(status: TaskStatus, index: number): boolean {
  for (let at = index; at >= 0; at--) {
    const card = document.querySelector<HTMLElement>(`[data-card="${status}-${at}"]`)
    if (card) {
      card.focus()
      card.scrollIntoView({ block: 'nearest', inline: 'nearest' })
      return true
    }
  }
  return false
}
