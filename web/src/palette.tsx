// Everything by typing (Ctrl K): places, commands, and tasks by their words.
import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Command } from 'cmdk'
import { useEffect, useRef, useState } from 'react'
import { request } from './api'
import { explain, useMe } from './data'
import { TASKS } from './documents'
import { PLACES, signOut } from './shell'
import { toggleTheme } from './theme'
import { closeByEscape, StatusIcon, useFocusBack, useSettled } from './ui/basics'
import { Icon } from './ui/icons'

const ITEM =
  'flex h-9 cursor-pointer items-center gap-2.5 rounded-md px-2 text-sm data-[selected=true]:bg-hover [&>svg]:text-muted'

export default function Palette({ onClose, onCreate }: { onClose: () => void; onCreate: () => void }) {
  const focusBack = useRef(useFocusBack()).current
  const [text, setText] = useState('')
  const wanted = useSettled(text.trim(), 150)
  const navigate = useNavigate()
  const isAdmin = useMe().data?.role === 'ADMIN'
  const found = useQuery({
    queryKey: ['search', wanted],
    queryFn: async () =>
      (await request(TASKS, { filter: { q: wanted }, sort: 'UPDATED_AT', descending: true, first: 8 })).tasks
        .nodes,
    enabled: wanted.length > 1,
    staleTime: 0,
    placeholderData: (previous) => previous,
  })

  useEffect(
    () => () => {
      // The dialog lets go of the focus a moment after it is gone; what was chosen in it may have taken it.
      setTimeout(() => document.activeElement === document.body && focusBack())
    },
    [focusBack],
  )

  function run(action: () => void): void {
    onClose()
    action()
  }

  return (
    <Command.Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      onKeyDown={closeByEscape(onClose)}
      label="Search and commands"
      overlayClassName="fixed inset-0 z-40 bg-black/40"
      contentClassName="fixed top-[12vh] left-1/2 z-50 w-[calc(100vw-1.5rem)] max-w-xl -translate-x-1/2 overflow-hidden rounded-xl border border-line bg-panel shadow-2xl"
    >
      <Command.Input
        value={text}
        onValueChange={setText}
        placeholder="Find a task, go somewhere, do something …"
        className="h-12 w-full border-b border-line bg-transparent px-4 outline-none"
      />
      <Command.List className="max-h-[50vh] overflow-auto p-2">
        <Command.Empty className="p-6 text-center text-sm text-muted">
          {found.isError ? explain(found.error) : 'Nothing of this name.'}
        </Command.Empty>
        {wanted.length > 1 && !!found.data?.length && (
          <Command.Group heading="Tasks" className="text-xs text-muted">
            {found.data.map((task) => (
              <Command.Item
                key={task.id}
                value={`${task.title} ${task.description} #${task.id}`}
                keywords={[text]}
                className={`${ITEM} text-text`}
                onSelect={() => run(() => navigate({ to: '/tasks/$id', params: { id: task.id } }))}
              >
                <StatusIcon status={task.status} />
                <span className="truncate">{task.title}</span>
                <span className="ml-auto text-xs text-muted">#{task.id}</span>
              </Command.Item>
            ))}
          </Command.Group>
        )}
        <Command.Group heading="Commands" className="text-xs text-muted">
          <Command.Item className={`${ITEM} text-text`} onSelect={() => run(onCreate)}>
            <Icon name="plus" /> New task
          </Command.Item>
          {PLACES.filter((one) => !one.onlyAdmin || isAdmin).map((one) => (
            <Command.Item
              key={one.to}
              className={`${ITEM} text-text`}
              onSelect={() => run(() => navigate({ to: one.to, search: {} }))}
            >
              <Icon name={one.icon} /> Go to {one.name}
            </Command.Item>
          ))}
          <Command.Item className={`${ITEM} text-text`} onSelect={() => run(toggleTheme)}>
            <Icon name="sun" /> Light or dark
          </Command.Item>
          <Command.Item className={`${ITEM} text-text`} onSelect={() => run(() => void signOut())}>
            <Icon name="out" /> Sign out
          </Command.Item>
        </Command.Group>
      </Command.List>
    </Command.Dialog>
  )
}
