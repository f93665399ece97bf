import { useQuery } from '@tanstack/react-query'
import { type FormEvent, type ReactNode, useState } from 'react'
import { request } from '../api'
import { client, explain, useMyself } from '../data'
import { PREFERENCES, SET_PREFERENCES, UPDATE_ME } from '../documents'
import type { NotificationKind, PreferencesQuery } from '../gql/graphql'
import { signOut } from '../shell'
import { setTheme, type Theme, theme } from '../theme'
import { toast } from '../toasts'
import { Button, Failed, join, PageHead, Skeletons } from '../ui/basics'
import { Field, Part, Problem } from './settings/parts'
import { Webhook } from './settings/webhook'

export function Settings() {
  const me = useMyself()
  return (
    <>
      <PageHead title="Settings" />
      <div className="min-h-0 grow overflow-y-auto">
        <div className="mx-auto flex max-w-2xl flex-col gap-4 p-4">
          <Part title="Profile">
            <Change
              send={(form) => request(UPDATE_ME, { name: form.name })}
              done="Your name was changed."
              button="Save name"
            >
              <Field label="Email" name="email" defaultValue={me.email} disabled />
              <Field label="Name" name="name" defaultValue={me.name} required maxLength={100} />
            </Change>
          </Part>
          <Part title="Password">
            <Change
              send={(form) => request(UPDATE_ME, { password: form.password, currentPassword: form.current })}
              done="Your password was changed; you are signed out everywhere else."
              button="Change password"
            >
              <Field
                label="Current password"
                name="current"
                type="password"
                required
                autoComplete="current-password"
              />
              <Field
                label="New password"
                name="password"
                type="password"
                required
                minLength={8}
                autoComplete="new-password"
              />
            </Change>
          </Part>
          <Part title="Notifications">
            <Matrix />
          </Part>
          <Part title="Webhook">
            <Webhook />
          </Part>
          <Part title="Theme">
            <ThemeChoice />
          </Part>
          <Part title="This browser">
            <Button icon="out" onClick={() => void signOut()}>
              Sign out
            </Button>
          </Part>
        </div>
      </div>
    </>
  )
}

function Change({
  send,
  done,
  button,
  children,
}: {
  send: (form: Record<string, string>) => Promise<unknown>
  done: string
  button: string
  children: ReactNode
}) {
  const [problem, setProblem] = useState('')
  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    const form = event.currentTarget
    try {
      await send(Object.fromEntries(new FormData(form).entries()) as Record<string, string>)
      setProblem('')
      toast(done, 'good')
      if (form.querySelector('[type="password"]')) form.reset()
      void client.invalidateQueries({ queryKey: ['me'] })
      void client.invalidateQueries({ queryKey: ['people'] })
    } catch (error) {
      setProblem(explain(error))
    }
  }
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <div className="grid gap-3 sm:grid-cols-2">{children}</div>
      {problem && <Problem text={problem} />}
      <Button type="submit" className="self-start">
        {button}
      </Button>
    </form>
  )
}

const KINDS: [NotificationKind, string][] = [
  ['ASSIGNED', 'A task becomes mine'],
  ['CREATED', 'A task I watch is created'],
  ['UPDATED', 'A task is updated'],
  ['COMPLETED', 'A task is done'],
  ['FAILED', 'A task failed'],
  ['CANCELLED', 'A task is cancelled'],
  ['DELETED', 'A task is deleted'],
  ['DUE', 'A task is due'],
  ['MESSAGE', 'Somebody writes to me'],
]

type Cell = PreferencesQuery['preferences'][number]

const CHANNELS: [Cell['channel'], string][] = [
  ['INBOX', 'Inbox'],
  ['EMAIL', 'Email'],
  ['WEBHOOK', 'Webhook'],
]

function Matrix() {
  const found = useQuery({
    queryKey: ['preferences'],
    queryFn: async () => (await request(PREFERENCES)).preferences,
  })
  if (found.isError && !found.data) return <Failed error={found.error} again={() => found.refetch()} />
  if (!found.data) return <Skeletons count={4} height={24} />
  const cells = found.data
  const of = (channel: Cell['channel'], kind: NotificationKind) =>
    cells.find((cell) => cell.channel === channel && cell.kind === kind)?.enabled ?? false

  async function set(channel: Cell['channel'], kind: NotificationKind, enabled: boolean): Promise<void> {
    const next = cells.map((cell) => {
      if (cell.kind !== kind) return cell
      if (cell.channel === channel) return { ...cell, enabled }
      // What goes out comes with the inbox, never instead of it.
      if (channel === 'INBOX' && !enabled) return { ...cell, enabled: false }
      if (cell.channel === 'INBOX' && enabled) return { ...cell, enabled: true }
      return cell
    })
    client.setQueryData(['preferences'], next)
    try {
      await request(SET_PREFERENCES, { cells: next })
    } catch (error) {
      client.setQueryData(['preferences'], cells)
      toast(explain(error), 'bad')
    }
  }

  return (
    <table className="w-full text-sm">
      <thead>
        <tr className="text-left text-xs text-muted">
          <th className="py-1 font-normal">When</th>
          {CHANNELS.map(([channel, name]) => (
            <th key={channel} className="w-20 text-center font-normal">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {KINDS.map(([kind, words]) => (
          <tr key={kind} className="border-t border-line">
            <td className="py-1.5">{words}</td>
            {CHANNELS.map(([channel, name]) => (
              <td key={channel} className="text-center">
                <input
                  type="checkbox"
                  aria-label={`${words}: ${name.toLowerCase()}`}
                  checked={of(channel, kind)}
                  onChange={(event) => void set(channel, kind, event.target.checked)}
                />
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function ThemeChoice() {
  const [chosen, setChosen] = useState<Theme>(theme())
  return (
    <div role="radiogroup" aria-label="Theme" className="flex gap-2">
      {(['system', 'light', 'dark'] as const).map((one) => (
        <Button
          key={one}
          role="radio"
          aria-checked={chosen === one}
          className={join('capitalize', chosen === one && '!border-accent !bg-accent-soft')}
          onClick={() => {
            setTheme(one)
            setChosen(one)
          }}
        >
          {one}
        </Button>
      ))}
    </div>
  )
}
