// Texts that could not be saved as they were meant.
import { useMyself } from '../../data'
import { draftKey, drafts } from '../../drafts'
import { Button } from '../../ui/basics'
import { TEXTS, type TextField } from './edits'

/** What was written for a task that is gone: it is nowhere else. */
export function Unsaved({ id }: { id: string }) {
  const me = useMyself()
  const texts = TEXTS.map((name) => drafts.get(draftKey(me.id, id, name))?.text).filter(Boolean)
  if (!texts.length) return null
  return (
    <div className="mt-4 text-left">
      <p>You had written, and it could not be saved:</p>
      {texts.map((text) => (
        <p key={text} className="mt-1 rounded-md bg-sunken p-2 break-words whitespace-pre-wrap text-text">
          {text}
        </p>
      ))}
    </div>
  )
}

export function ConflictPanel({
  name,
  theirs,
  mine,
  keepMine,
  takeTheirs,
}: {
  name: TextField
  theirs: string
  mine: string
  keepMine: () => void
  takeTheirs: () => void
}) {
  return (
    <div role="alert" className="mb-3 rounded-lg border border-warn bg-panel p-3">
      <p className="mb-2 text-sm font-medium">
        Somebody changed this task while you were editing its {name}.
      </p>
      <div className="grid gap-2 text-sm sm:grid-cols-2">
        <div className="rounded-md bg-sunken p-2">
          <p className="text-xs text-muted">It is now</p>
          <p className="break-words whitespace-pre-wrap">{theirs}</p>
        </div>
        <div className="rounded-md bg-accent-soft p-2">
          <p className="text-xs text-muted">You wrote</p>
          <p className="break-words whitespace-pre-wrap">{mine}</p>
        </div>
      </div>
      <div className="mt-3 flex gap-2">
        <Button look="main" onClick={keepMine}>
          Keep mine
        </Button>
        <Button onClick={takeTheirs}>Keep what it is now</Button>
      </div>
    </div>
  )
}
