// The frame around every page: who is signed in, where one can go, what the keys do.
import * as Toast from '@radix-ui/react-toast'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useState } from 'react'
import { ApiError, request, SIGNED_OUT } from './api'
import { explain, forget, useInbox, useMe, useMyself, usePeople } from './data'
import { SIGN_OUT } from './documents'
import { forgetTexts } from './drafts'
import { useLive } from './live'
import { preloadPages } from './pages'
import { SignIn } from './pages/sign-in'
import { toggleTheme } from './theme'
import { useNamed } from './title'
import { dismiss, toast, useToasts } from './toasts'
import { Avatar, Button, Failed, IconButton, join, Kbd, Modal } from './ui/basics'
import { Icon, type IconName } from './ui/icons'

const loadPalette = () => import('./palette')
const loadCreate = () => import('./create')
const Palette = lazy(loadPalette)
const Create = lazy(loadCreate)

interface Place {
  to: '/inbox' | '/board' | '/list' | '/jobs' | '/settings' | '/admin'
  name: string
  icon: IconName
  key: string
  onlyAdmin?: boolean
}

export const PLACES: readonly Place[] = [
  { to: '/inbox', name: 'Inbox', icon: 'inbox', key: 'i' },
  { to: '/board', name: 'Board', icon: 'board', key: 'b' },
  { to: '/list', name: 'List', icon: 'list', key: 'l' },
  { to: '/jobs', name: 'Jobs', icon: 'jobs', key: 'j' },
  { to: '/settings', name: 'Settings', icon: 'settings', key: 's' },
  { to: '/admin', name: 'Admin', icon: 'admin', key: 'a', onlyAdmin: true },
]

export function Shell() {
  const me = useMe()
  if (me.isPending) return null
  if (me.isError && me.data === undefined) return <Failed error={me.error} again={() => me.refetch()} />
  if (!me.data) return <SignIn />
  // Another person is another page: with subscriptions of their own.
  return <Frame key={me.data.id} />
}

const ARROWS = new Set(['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'])

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLInputElement
    ? target.type !== 'checkbox'
    : target instanceof HTMLElement &&
      (target.isContentEditable || ['TEXTAREA', 'SELECT'].includes(target.tagName))

function Frame() {
  const me = useMyself()
  const people = usePeople()
  const connection = useLive()
  const navigate = useNavigate()
  const inbox = useInbox(false)
  const unread = inbox.data?.pages[0]?.unreadCount ?? 0
  const [opened, setOpened] = useState<'palette' | 'create' | 'help' | null>(null)
  const path = useRouterState({ select: (state) => state.location.pathname })
  const place = PLACES.find((one) => path.startsWith(`/app${one.to}`) || path.startsWith(one.to))

  const shown = useNamed() || place?.name

  useEffect(() => {
    document.title = `${unread ? `(${unread}) ` : ''}${shown ? `${shown} · ` : ''}Tasktide`
  }, [unread, shown])

  useEffect(() => {
    // What a key opens should be there when the next one is typed.
    const timer = setTimeout(
      () => void Promise.all([loadCreate(), loadPalette(), preloadPages()]).catch(() => {}),
      500,
    )
    return () => clearTimeout(timer)
  }, [])

  useEffect(() => {
    let wasG = 0
    function press(event: KeyboardEvent): void {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        setOpened((now) => (now === 'create' ? now : now === 'palette' ? null : 'palette'))
        return
      }
      if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target) || event.defaultPrevented)
        return
      if (document.querySelector('[role="dialog"]')) return
      const isSecond = event.timeStamp - wasG < 1_500
      wasG = 0
      const there =
        isSecond && PLACES.find((one) => one.key === event.key && (!one.onlyAdmin || me.role === 'ADMIN'))
      if (there) void navigate({ to: there.to, search: {} })
      else if (event.key === 'g') wasG = event.timeStamp
      else if (event.key === 'c') setOpened('create')
      else if (event.key === '?') setOpened('help')
      else if (event.key === '/') {
        const field = document.querySelector<HTMLInputElement>('input[type="search"]')
        if (field) field.select()
        else setOpened('palette')
      } else if (ARROWS.has(event.key) && !event.shiftKey && event.target === document.body) {
        const first = document.querySelector<HTMLElement>('[data-card], [data-row]')
        if (!first) return
        first.focus()
      } else return
      event.preventDefault()
    }
    addEventListener('keydown', press)
    return () => removeEventListener('keydown', press)
  }, [navigate, me.role])

  const places = PLACES.filter((one) => !one.onlyAdmin || me.role === 'ADMIN')
  return (
    <div className="flex h-full flex-col md:flex-row">
      <a
        href="#page"
        className="absolute top-2 left-2 z-50 -translate-y-20 rounded bg-accent px-3 py-1 text-on-accent focus:translate-y-0"
      >
        Skip to the page
      </a>
      <nav
        aria-label="Pages"
        className="order-last flex shrink-0 border-t border-line bg-sunken md:order-first md:w-56 md:flex-col md:border-t-0 md:border-r"
      >
        <div className="hidden items-center gap-2 px-4 py-3 md:flex">
          <img src="/app/icon.svg" alt="" width={22} height={22} />
          <span className="grow font-semibold">Tasktide</span>
          <IconButton
            icon="search"
            label="Search and commands (Ctrl K)"
            onClick={() => setOpened('palette')}
          />
        </div>
        <div className="hidden px-3 pb-2 md:block">
          <Button className="w-full" icon="plus" onClick={() => setOpened('create')}>
            New task <Kbd>c</Kbd>
          </Button>
        </div>
        <ul className="flex w-full justify-around md:flex-col md:gap-0.5 md:px-2">
          {places.map((one) => (
            <li key={one.to}>
              <Link
                to={one.to}
                search={{}}
                className="flex flex-col items-center gap-0.5 rounded-md px-2 py-1.5 text-xs text-muted hover:bg-hover hover:text-text md:flex-row md:gap-2.5 md:text-sm"
                activeProps={{ className: 'bg-hover !text-text font-medium', 'aria-current': 'page' }}
              >
                <Icon name={one.icon} />
                <span className="md:grow">{one.name}</span>
                {one.to === '/inbox' && unread > 0 && (
                  <span
                    role="status"
                    aria-label={`${unread} unread`}
                    className="rounded-full bg-accent px-1.5 text-xs font-semibold text-on-accent max-md:absolute max-md:ml-10"
                  >
                    {unread > 99 ? '99+' : unread}
                  </span>
                )}
              </Link>
            </li>
          ))}
        </ul>
        <div className="mt-auto hidden items-center gap-2 border-t border-line px-3 py-2 md:flex">
          <Avatar person={people.get(me.id)} />
          <div className="min-w-0 grow leading-tight">
            <div className="truncate text-sm">{me.name}</div>
            <Live state={connection} />
          </div>
          <IconButton icon="sun" label="Light or dark" onClick={toggleTheme} />
          <IconButton icon="out" label="Sign out" onClick={signOut} />
        </div>
      </nav>
      <main id="page" tabIndex={-1} className="flex min-h-0 min-w-0 grow flex-col outline-none">
        {connection === 'away' && (
          <p role="status" className="bg-danger-soft px-4 py-1 text-center text-sm text-danger">
            The connection is lost. What you see may be old; trying again …
          </p>
        )}
        <Outlet />
      </main>
      <Button
        look="main"
        aria-label="New task"
        className="fixed right-4 bottom-18 !size-12 !rounded-full !px-0 shadow-lg md:!hidden"
        onClick={() => setOpened('create')}
      >
        <Icon name="plus" size={22} />
      </Button>
      <Suspense fallback={null}>
        {opened === 'palette' && (
          <Palette onClose={() => setOpened(null)} onCreate={() => setOpened('create')} />
        )}
        {opened === 'create' && <Create onClose={() => setOpened(null)} />}
      </Suspense>
      <Help open={opened === 'help'} onClose={() => setOpened(null)} />
      <Toasts />
    </div>
  )
}

export async function signOut(): Promise<void> {
  try {
    await request(SIGN_OUT)
  } catch (error) {
    // Else the cookie would live on, and whoever opens the page next would be signed in.
    if (!(error instanceof ApiError && SIGNED_OUT.has(error.code))) {
      toast(`You are still signed in: ${explain(error)}`, 'bad')
      return
    }
  }
  forgetTexts()
  forget()
}

function Live({ state }: { state: string }) {
  const colour = state === 'live' ? 'bg-ok' : state === 'away' ? 'bg-danger' : 'bg-muted'
  const words = state === 'live' ? 'Live' : state === 'away' ? 'Reconnecting …' : 'Connecting …'
  return (
    <div className="flex items-center gap-1 text-xs text-muted">
      <span className={join('size-1.5 rounded-full', colour)} />
      {words}
    </div>
  )
}

const KEYS: [string, string][] = [
  ['c', 'New task'],
  ['/', 'Search'],
  ['Ctrl K', 'Commands'],
  ['g i · g b · g l · g j', 'Inbox, board, list, jobs'],
  ['↑ ↓ ← →', 'Move between tasks'],
  ['Enter', 'Open'],
  ['x', 'Select (list, jobs)'],
  ['Shift ← →', 'Move to the next column (board)'],
  ['?', 'This'],
]

function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Modal title="Keys" open={open} onClose={onClose}>
      <dl className="grid grid-cols-[auto_1fr] items-center gap-x-4 gap-y-2">
        {KEYS.map(([key, what]) => (
          <div key={key} className="contents">
            <dt>
              <Kbd>{key}</Kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  )
}

const isInDialog = (target: EventTarget | null) =>
  target instanceof Element && target.closest('[role="dialog"]') !== null

const TONES = { good: 'border-l-ok', bad: 'border-l-danger', plain: 'border-l-accent' }

function Toasts() {
  return (
    <Toast.Provider duration={6_000} swipeDirection="right">
      {useToasts().map((word) => (
        <Toast.Root
          key={word.id}
          onOpenChange={(open) => !open && dismiss(word.id)}
          onEscapeKeyDown={(event) => isInDialog(event.target) && event.preventDefault()}
          className={join(
            'flex items-center gap-2 rounded-lg border border-l-4 border-line bg-panel p-3 shadow-lg',
            TONES[word.tone],
          )}
        >
          <Toast.Description className="min-w-0 grow text-sm break-words">{word.text}</Toast.Description>
          <Toast.Close asChild>
            <IconButton icon="close" label="Dismiss" />
          </Toast.Close>
        </Toast.Root>
      ))}
      <Toast.Viewport className="fixed right-4 bottom-20 z-50 flex w-88 max-w-[calc(100vw-2rem)] flex-col gap-2 outline-none md:bottom-4" />
    </Toast.Provider>
  )
}
