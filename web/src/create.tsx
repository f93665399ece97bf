// A new task or a new job, from anywhere (`c`).
import { useNavigate } from '@tanstack/react-router'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { request } from './api'
import { applyEvent, explain, useMyself, usePeople } from './data'
import { CREATE } from './documents'
import { sending, unsent } from './drafts'
import type { NewTaskInput } from './gql/graphql'
import { toast } from './toasts'
import { Button, Modal } from './ui/basics'
import { PersonSelect } from './ui/fields'

const BLANK: Record<string, string> = { priority: '0', handler: 'reverse', payload: '"Hello world!"' }

export default function Create({ onClose }: { onClose: () => void }) {
  const people = usePeople()
  const me = useMyself()
  const navigate = useNavigate()
  const begun = unsent.get(me.id)
  const texts = begun?.texts ?? {}
  const [isJob, setIsJob] = useState(begun?.isJob ?? location.pathname.startsWith('/app/jobs'))
  const [performer, setPerformer] = useState<string | null>(begun?.performer ?? null)
  const form = useRef<HTMLFormElement>(null)
  const [problem, setProblem] = useState('')
  const [isBusy, setIsBusy] = useState(false)

  // However the dialog goes away, what was typed is there when it comes back.
  const state = useRef({ isJob, performer })
  state.current = { isJob, performer }
  function keep(): void {
    if (!form.current) return
    const texts = Object.fromEntries(
      [...new FormData(form.current)].map(([name, value]) => [name, String(value)]),
    )
    const { performer } = state.current
    const isBegun = performer || Object.entries(texts).some(([name, text]) => text !== (BLANK[name] ?? ''))
    // What is not shown at present, a job's payload, is not forgotten either.
    if (isBegun) unsent.set(me.id, { texts: { ...unsent.get(me.id)?.texts, ...texts }, ...state.current })
    else unsent.take(me.id)
  }
  useEffect(keep, [isJob, performer])
  const isThere = useRef(true)
  useEffect(() => {
    isThere.current = true
    return () => {
      isThere.current = false
    }
  }, [])

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    const given = new FormData(event.currentTarget)
    const text = (name: string) => String(given.get(name) ?? '').trim()
    const input: NewTaskInput = { description: text('description'), priority: Number(text('priority') || 0) }
    if (text('title')) input.title = text('title')
    if (performer) input.performerId = performer
    if (text('labels'))
      input.labels = text('labels')
        .split(',')
        .map((one) => one.trim())
        .filter(Boolean)
    if (text('due')) {
      const due = new Date(text('due'))
      if (Number.isNaN(due.getTime()) || due.getFullYear() > 9999) {
        setProblem('That is no time to be due.')
        return
      }
      input.dueAt = due.toISOString()
    }
    if (isJob) {
      input.handler = text('handler')
      try {
        input.payload = text('payload') ? JSON.parse(text('payload'), exact) : null
      } catch (error) {
        const isOurs = error instanceof RangeError
        setProblem(isOurs ? error.message : 'The payload is not JSON: text needs "quotation marks".')
        return
      }
    }
    setIsBusy(true)
    const { key, worked, failed } = sending(me.id, JSON.stringify(input))
    try {
      const { createTask: task } = await request(CREATE, { input, key })
      worked()
      applyEvent({ type: 'task.created', task, changes: [] })
      toast(`“${task.title}” was created.`, 'good')
      if (!isThere.current) return
      onClose()
      if (isJob) void navigate({ to: '/tasks/$id', params: { id: task.id } })
    } catch (error) {
      failed()
      if (!isThere.current)
        toast(`“${input.title ?? input.handler}” was not created: ${explain(error)}`, 'bad')
      setProblem(explain(error))
      setIsBusy(false)
    }
  }

  return (
    <Modal title={isJob ? 'New job' : 'New task'} open onClose={onClose} wide keepsText>
      <form ref={form} onInput={keep} onSubmit={submit} className="flex flex-col gap-3">
        <input
          name="title"
          aria-label="Title"
          placeholder={isJob ? 'Title (else the handler’s name)' : 'What is to be done?'}
          defaultValue={texts.title}
          required={!isJob}
          maxLength={500}
          autoFocus
          className="field text-base font-medium"
        />
        <textarea
          name="description"
          aria-label="Description"
          placeholder="Description"
          defaultValue={texts.description}
          rows={4}
          className="field"
        />
        <div className="grid gap-3 sm:grid-cols-2">
          <div className="flex flex-col gap-1 text-sm">
            <span className="flex justify-between text-muted">
              <label htmlFor="create-performer">Performer</label>
              {performer !== me.id && (
                <button type="button" className="text-xs text-accent" onClick={() => setPerformer(me.id)}>
                  Me
                </button>
              )}
            </span>
            <PersonSelect id="create-performer" people={people} value={performer} onChange={setPerformer} />
          </div>
          <label className="flex flex-col gap-1 text-sm text-muted">
            Priority (0 to 9)
            <input
              name="priority"
              type="number"
              min={0}
              max={9}
              defaultValue={texts.priority ?? BLANK.priority}
              className="field text-text"
            />
          </label>
          <label className="flex flex-col gap-1 text-sm text-muted">
            Labels, comma separated
            <input name="labels" defaultValue={texts.labels} className="field text-text" />
          </label>
          <label className="flex flex-col gap-1 text-sm text-muted">
            Due
            <input name="due" type="datetime-local" defaultValue={texts.due} className="field text-text" />
          </label>
        </div>
        <label className="flex items-center gap-2 text-sm">
          <input type="checkbox" checked={isJob} onChange={(event) => setIsJob(event.target.checked)} />A job:
          a program does it
        </label>
        {isJob && (
          <div className="grid gap-3 sm:grid-cols-[10rem_1fr]">
            <label className="flex flex-col gap-1 text-sm text-muted">
              Handler
              <input
                name="handler"
                defaultValue={texts.handler ?? BLANK.handler}
                required
                className="field text-text"
              />
            </label>
            <label className="flex flex-col gap-1 text-sm text-muted">
              Payload (JSON)
              <textarea
                name="payload"
                rows={2}
                defaultValue={texts.payload ?? BLANK.payload}
                className="field font-mono text-text"
              />
            </label>
          </div>
        )}
        {problem && (
          <p role="alert" className="rounded-md bg-danger-soft px-2 py-1.5 text-sm text-danger">
            {problem}
          </p>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="main" disabled={isBusy}>
            {isJob ? 'Create job' : 'Create task'}
          </Button>
        </div>
      </form>
    </Modal>
  )
}

/** Refuses whole numbers that a browser would change silently. */
function exact(_name: string, value: unknown): unknown {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new RangeError(
      'A number in the payload is too large for a browser: send it as text, or over the API.',
    )
  }
  return value
}
