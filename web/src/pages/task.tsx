// One task: edited in place, its story beside it. An edit that somebody else got ahead of asks which one is to stay.
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { type FullTask, many, usePeople, useTask } from '../data'
import { useViewers } from '../live'
import { isOpen } from '../tasks'
import { useTitle } from '../title'
import { toast } from '../toasts'
import { Avatar, Button, Empty, Failed, IconButton, Skeletons } from '../ui/basics'
import { InPlace } from '../ui/edit'
import { ConflictPanel, Unsaved } from './task/conflict'
import { TEXTS, useEdits } from './task/edits'
import { JobPart } from './task/job'
import { Properties } from './task/properties'
import { Story } from './task/story'

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
        <Unsaved id={id} />
      </Empty>
    )
  }
  return <Details key={id} task={task.data} />
}

function Details({ task }: { task: FullTask }) {
  const people = usePeople()
  const navigate = useNavigate()
  const edits = useEdits(task)
  const { conflicts, save, decide } = edits
  const isLocked = !task.canChange

  useTitle(task.title)

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
          {TEXTS.map((name) => {
            const mine = conflicts[name]
            return mine === undefined ? null : (
              <ConflictPanel
                key={name}
                name={name}
                theirs={task[name]}
                mine={mine}
                keepMine={() => void decide(name, mine, true)}
                takeTheirs={() => void decide(name, mine, false)}
              />
            )
          })}
          <InPlace
            id={task.id}
            name="title"
            label="Title"
            value={task.title}
            version={task.version}
            isLocked={isLocked}
            className="text-xl font-semibold"
            save={async (title, began) => {
              if (title) return save('title', title, began)
              toast('A task needs a title; it keeps the one it had.', 'bad')
              return { is: 'given up' }
            }}
          />
          <InPlace
            id={task.id}
            name="description"
            label="Description"
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
        <Properties task={task} edits={edits} />
      </div>
    </div>
  )
}
