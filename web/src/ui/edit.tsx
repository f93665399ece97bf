// Fields of a task that are edited where they stand.
import { type InputHTMLAttributes, useEffect, useId, useRef, useState } from 'react'
import { isHere, useMyself } from '../data'
import { type Began, type Draft, draftKey, drafts } from '../drafts'
import { toast } from '../toasts'
import { join } from './basics'

/** How saving went: `refused` may be tried again, of a `conflict` somebody must decide which text stays. */
export type Saved = { is: 'saved'; version: number } | { is: 'refused' | 'conflict' | 'given up' }

/** Text that is edited on top of the task as it was when the editing began; kept until it is saved, wherever one goes. */
export function InPlace({
  id,
  name,
  label,
  value,
  version,
  isLocked,
  multiline,
  placeholder,
  className,
  save,
}: {
  id: string
  name: string
  label: string
  value: string
  version: number
  isLocked: boolean
  multiline?: boolean
  placeholder?: string
  className?: string
  save: (text: string, began: Began) => Promise<Saved>
}) {
  const me = useMyself()
  const key = draftKey(me.id, id, name)
  const [draft, setDraft] = useState<Draft | null>(() => drafts.get(key) ?? null)
  // What answers and goodbyes see, which come long after the render that asked for them.
  const latest = useRef(draft)
  const saving = useRef(save)
  saving.current = save
  const field = useRef<HTMLTextAreaElement>(null)
  // As tall as what is in it.
  useEffect(() => {
    if (!field.current) return
    field.current.style.height = '0'
    field.current.style.height = `${field.current.scrollHeight + 2}px`
  }, [draft, value])

  function put(next: Draft | null): void {
    latest.current = next
    if (next) drafts.set(key, next)
    else drafts.take(key)
    setDraft(next)
  }

  async function settle(): Promise<void> {
    const now = latest.current
    // It would be saved in the name of whoever has signed in since.
    if (!now || !isHere(me.id)) return
    const text = now.text.trim()
    if (text === now.value.trim()) return put(null)
    const saved = await saving.current(text, now)
    const typedSince = latest.current === now ? null : latest.current
    if (saved.is === 'saved') put(typedSince && { ...typedSince, version: saved.version, value: text })
    else if (saved.is === 'given up') put(null)
    else if (saved.is === 'conflict') {
      // It is shown where one decides, and kept until then; the field shows what the task is now.
      latest.current = null
      setDraft(null)
    }
  }

  // One after the other: the second is on top of the first.
  const settling = useRef(Promise.resolve())
  const done = useRef(() => {
    settling.current = settling.current.then(settle)
  })
  // Whoever goes away in the middle of typing means to keep what is typed, and so does whoever comes back to it.
  useEffect(() => {
    const finish = done.current
    finish()
    return finish
  }, [])

  return (
    <textarea
      ref={field}
      aria-label={label}
      dir="auto"
      rows={1}
      readOnly={isLocked}
      value={draft?.text ?? value}
      placeholder={placeholder}
      className={join(
        'w-full resize-none overflow-hidden rounded-md border border-transparent bg-transparent px-2 py-1 hover:border-line focus:border-line focus:bg-panel',
        className,
      )}
      onChange={(event) => {
        const text = multiline ? event.target.value : event.target.value.replaceAll('\n', ' ')
        put({ ...(latest.current ?? { version, value }), text })
      }}
      onBlur={done.current}
      onKeyDown={(event) => {
        if (event.nativeEvent.isComposing) return
        if (event.key === 'Escape') {
          put(null)
          event.currentTarget.blur()
        } else if (event.key === 'Enter' && (!multiline || event.ctrlKey || event.metaKey)) {
          event.preventDefault()
          event.currentTarget.blur()
        }
      }}
    />
  )
}

/**
 * A field that is saved when one leaves it, Escape gives up; what others change meanwhile does not disturb it. What is
 * refused stays there to be mended, and says that it is not saved.
 */
export function Property({
  value,
  save,
  ...rest
}: { value: string; save: (text: string, began: string) => Promise<boolean> } & Omit<
  InputHTMLAttributes<HTMLInputElement>,
  'value'
>) {
  const [draft, setDraft] = useState<string | null>(null)
  const [isRefused, setIsRefused] = useState(false)
  const note = useId()
  const began = useRef(value)
  const turn = useRef(0)

  async function done(field: HTMLInputElement): Promise<void> {
    if (draft === null) return
    const mine = ++turn.current
    setDraft(null)
    setIsRefused(false)
    if (!field.validity.valid) toast(field.validationMessage, 'bad')
    else if (draft !== value && !(await save(draft, began.current)) && mine === turn.current) {
      setDraft((now) => now ?? draft)
      setIsRefused(true)
    }
  }

  const isUnsaved = isRefused && draft !== null && draft !== value
  return (
    <div className="min-w-0 grow">
      <input
        {...rest}
        className="field w-full"
        aria-invalid={isUnsaved || undefined}
        aria-describedby={isUnsaved ? note : undefined}
        value={draft ?? value}
        onChange={(event) => {
          if (draft === null) began.current = value
          setDraft(event.target.value)
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter') event.currentTarget.blur()
          if (event.key === 'Escape' && draft !== null) {
            event.stopPropagation()
            setDraft(null)
          }
        }}
        onBlur={(event) => void done(event.target)}
      />
      {isUnsaved && (
        <p id={note} className="mt-1 text-xs text-danger">
          Not saved. Enter tries again, Escape gives up.
        </p>
      )}
    </div>
  )
}
