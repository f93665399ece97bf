// The small parts that every page is made of.
import * as Dialog from '@radix-ui/react-dialog'
import {
  type ButtonHTMLAttributes,
  type KeyboardEventHandler,
  type ReactNode,
  useEffect,
  useState,
  useSyncExternalStore,
} from 'react'
import { ApiError } from '../api'
import type { Person } from '../data'
import type { TaskStatus } from '../gql/graphql'
import { STATUS_NAMES } from '../tasks'
import { Icon, type IconName } from './icons'

export const join = (...parts: (string | false | null | undefined)[]) => parts.filter(Boolean).join(' ')

const LOOKS = {
  plain: 'border border-line bg-panel hover:bg-hover',
  main: 'bg-accent text-on-accent hover:opacity-90 font-medium',
  quiet: 'hover:bg-hover text-muted hover:text-text',
  danger: 'border border-line text-danger hover:bg-danger-soft',
}

export function Button({
  look = 'plain',
  icon,
  children,
  className,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { look?: keyof typeof LOOKS; icon?: IconName }) {
  return (
    <button
      type="button"
      className={join(
        'inline-flex h-8 items-center justify-center gap-1.5 rounded-md px-2.5 text-sm whitespace-nowrap transition-colors disabled:opacity-50',
        LOOKS[look],
        className,
      )}
      {...rest}
    >
      {icon && <Icon name={icon} size={16} />}
      {children}
    </button>
  )
}

export function IconButton({
  icon,
  label,
  className,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { icon: IconName; label: string }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={join(
        'inline-flex size-8 items-center justify-center rounded-md text-muted hover:bg-hover hover:text-text disabled:opacity-50',
        className,
      )}
      {...rest}
    >
      <Icon name={icon} />
    </button>
  )
}

const HUES = [212, 262, 330, 20, 45, 95, 160, 190]

export function Avatar({ person, size = 22 }: { person: Person | undefined; size?: number }) {
  const name = person?.name ?? 'Unknown'
  const initials = name
    .split(/\s+/)
    .slice(0, 2)
    .map((word) => [...word][0]?.toUpperCase() ?? '')
    .join('')
  const hue = HUES[Number(person?.id ?? 0) % HUES.length]
  return (
    <span
      role="img"
      aria-label={name}
      title={name}
      style={{
        width: size,
        height: size,
        fontSize: size * 0.42,
        background: `hsl(${hue} 45% 33%)`,
      }}
      className="inline-flex shrink-0 select-none items-center justify-center rounded-full font-semibold text-white"
    >
      {initials}
    </span>
  )
}

const STATUS_COLOURS: Record<TaskStatus, string> = {
  PENDING: 'text-muted',
  IN_PROGRESS: 'text-warn',
  DONE: 'text-ok',
  FAILED: 'text-danger',
  CANCELLED: 'text-muted',
}

export function StatusIcon({ status, size = 16 }: { status: TaskStatus; size?: number }) {
  return (
    <svg
      role="img"
      aria-label={STATUS_NAMES[status]}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      className={join('shrink-0', STATUS_COLOURS[status])}
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
    >
      <title>{STATUS_NAMES[status]}</title>
      {status === 'DONE' || status === 'FAILED' ? (
        <circle cx="8" cy="8" r="6.5" fill="currentColor" stroke="none" />
      ) : (
        <circle cx="8" cy="8" r="5.7" strokeDasharray={status === 'PENDING' ? '2.4 2.076' : undefined} />
      )}
      {status === 'IN_PROGRESS' && <path d="M8 4.6a3.4 3.4 0 0 1 0 6.8z" fill="currentColor" stroke="none" />}
      {status === 'DONE' && <path d="m5.3 8.2 1.9 1.9 3.6-4" stroke="var(--panel)" strokeWidth="1.7" />}
      {status === 'FAILED' && (
        <path d="M5.9 5.9l4.2 4.2M10.1 5.9 5.9 10.1" stroke="var(--panel)" strokeWidth="1.7" />
      )}
      {status === 'CANCELLED' && <path d="M5 8h6" />}
    </svg>
  )
}

/** Three bars: how urgent, of nine. */
export function Priority({ value }: { value: number }) {
  if (!value) return null
  const bars = value >= 7 ? 3 : value >= 4 ? 2 : 1
  return (
    <span
      role="img"
      aria-label={`Priority ${value}`}
      title={`Priority ${value}`}
      className={join('inline-flex items-end gap-px', value >= 7 ? 'text-danger' : 'text-muted')}
    >
      {[1, 2, 3].map((bar) => (
        <span
          key={bar}
          style={{ height: 3 + bar * 3 }}
          className={join('w-[3px] rounded-sm', bar <= bars ? 'bg-current' : 'bg-line')}
        />
      ))}
    </span>
  )
}

export function Label({ name }: { name: string }) {
  let hash = 0
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)!) % 360
  return (
    <span className="inline-flex max-w-40 min-w-0 items-center gap-1 rounded-full border border-line px-1.5 text-xs text-muted">
      <span className="size-1.5 shrink-0 rounded-full" style={{ background: `hsl(${hash} 60% 50%)` }} />
      <span className="truncate">{name}</span>
    </span>
  )
}

const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'narrow' })
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]

export function relative(at: string, now = Date.now()): string {
  const seconds = (new Date(at).getTime() - now) / 1000
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return RELATIVE.format(Math.round(seconds / size), unit)
  }
  return 'now'
}

export const exact = (at: string) =>
  new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })

const EVERY_MS = 30_000
let now = Date.now()
const clocks = new Set<() => void>()
setInterval(() => {
  now = Date.now()
  for (const tick of clocks) tick()
}, EVERY_MS)

function useNow(): number {
  return useSyncExternalStore(
    (tick) => {
      clocks.add(tick)
      return () => clocks.delete(tick)
    },
    () => now,
  )
}

/** A moment as people say it, exact on hover, in the reader's zone. */
export function Time({ at, className }: { at: string; className?: string }) {
  const now = useNow()
  return (
    <time dateTime={at} title={exact(at)} className={join('whitespace-nowrap', className)}>
      {relative(at, Math.max(now, new Date(at).getTime()))}
    </time>
  )
}

export function Due({ at, isOpen }: { at: string; isOpen: boolean }) {
  const date = new Date(at)
  const isLate = isOpen && date.getTime() < Date.now()
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : 'numeric'
  const day = date.toLocaleDateString(undefined, { month: 'short', day: 'numeric', year })
  return (
    <time
      dateTime={at}
      title={`Due ${exact(at)}`}
      className={join(
        'rounded px-1 text-xs whitespace-nowrap',
        isLate ? 'bg-danger-soft text-danger' : 'text-muted',
      )}
    >
      {day}
    </time>
  )
}

export function Kbd({ children }: { children: ReactNode }) {
  return (
    <kbd className="rounded border border-line bg-sunken px-1.5 py-0.5 font-sans text-xs text-muted">
      {children}
    </kbd>
  )
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-1.5 px-6 py-14 text-center">
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-sm text-sm text-muted">{children}</div>}
    </div>
  )
}

export function Skeletons({ count = 6, height = 40 }: { count?: number; height?: number }) {
  return (
    <div role="status" aria-label="Loading" className="flex flex-col gap-2 p-3">
      {Array.from({ length: count }, (_, index) => index).map((index) => (
        <div key={index} className="skeleton" style={{ height, animationDelay: `${index * 80}ms` }} />
      ))}
    </div>
  )
}

export function Failed({ error, again }: { error: Error; again: () => void }) {
  return (
    <Empty title="This could not be loaded">
      <p>{error instanceof ApiError ? error.detail : error.message}</p>
      <Button className="mt-3" onClick={again}>
        Try again
      </Button>
    </Empty>
  )
}

interface Modal {
  title: string
  onClose: () => void
  children: ReactNode
  wide?: boolean
  /** What was typed must not be lost by a click beside it. */
  keepsText?: boolean
}

export function Modal({ open, ...rest }: Modal & { open: boolean }) {
  return open ? <Opened {...rest} /> : null
}

/** Gives the focus back to what had it before a dialog: asked for before anything in that can take it. */
export function useFocusBack(): () => void {
  const [before] = useState(() => document.activeElement)
  return () => {
    if (before instanceof HTMLElement && before.isConnected) before.focus()
  }
}

/**
 * Escape closes the dialog that it is pressed in. Radix alone gives the key to whatever appeared last, and that may be a
 * toast.
 */
export function closeByEscape(onClose: () => void): KeyboardEventHandler<HTMLElement> {
  return (event) => {
    const isInside = event.target instanceof Node && event.currentTarget.contains(event.target)
    if (event.key === 'Escape' && isInside) onClose()
  }
}

function Opened({ title, onClose, children, wide, keepsText }: Modal) {
  const focusBack = useFocusBack()
  return (
    <Dialog.Root open onOpenChange={(now) => !now && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 bg-black/40" />
        <Dialog.Content
          aria-describedby={undefined}
          onKeyDown={closeByEscape(onClose)}
          onCloseAutoFocus={(event) => {
            event.preventDefault()
            focusBack()
          }}
          onInteractOutside={(event) => keepsText && event.preventDefault()}
          className={join(
            'fixed top-[8vh] left-1/2 z-50 flex max-h-[84vh] w-[calc(100vw-1.5rem)] -translate-x-1/2 flex-col overflow-auto rounded-xl border border-line bg-panel shadow-2xl',
            wide ? 'max-w-2xl' : 'max-w-md',
          )}
        >
          <div className="flex items-center justify-between px-4 pt-3">
            <Dialog.Title className="font-semibold">{title}</Dialog.Title>
            <Dialog.Close asChild>
              <IconButton icon="close" label="Close" />
            </Dialog.Close>
          </div>
          <div className="p-4 pt-2">{children}</div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

/** A value that follows another one after a pause. */
export function useSettled<T>(value: T, ms = 250): T {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms)
    return () => clearTimeout(timer)
  }, [value, ms])
  return settled
}

export function PageHead({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <header className="flex min-h-12 shrink-0 flex-wrap items-center gap-2 border-b border-line px-4 py-2">
      <h1 className="mr-2 text-base font-semibold">{title}</h1>
      {children}
    </header>
  )
}
