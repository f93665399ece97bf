// How a task is changed from its page, whatever others do to it meanwhile.
import { useEffect, useRef, useState } from 'react'
import { ApiError } from '../../api'
import { client, type FullTask, taskQuery, useEdit, useMyself } from '../../data'
import { type Began, draftKey, drafts } from '../../drafts'
import type { TaskInput } from '../../gql/graphql'
import { toast } from '../../toasts'
import type { Saved } from '../../ui/edit'

export const TEXTS = ['title', 'description'] as const
export type TextField = (typeof TEXTS)[number]

const isStale = (error: unknown) => error instanceof ApiError && error.code === 'stale_version'
// How often a list is changed anew on top of what others made of it.
const MOST_TRIES = 5

export type Edits = ReturnType<typeof useEdits>

export function useEdits(task: FullTask) {
  const edit = useEdit()
  const me = useMyself()
  /** What somebody wrote, by the text that others have changed meanwhile. */
  const [conflicts, setConflicts] = useState<Partial<Record<TextField, string>>>({})
  const isThere = useRef(true)
  useEffect(() => {
    isThere.current = true
    return () => {
      isThere.current = false
    }
  }, [])

  /** Whether it was taken; why not is said. */
  const change = (input: TaskInput) =>
    edit.mutateAsync({ task, input }).then(
      () => true,
      () => false,
    )

  const asked = () => client.fetchQuery({ ...taskQuery(task.id), staleTime: 0 }).catch(() => null)

  /** Change a list as it was meant, on top of what others make of it meanwhile; whether it was taken. */
  async function changeList(
    name: 'labels' | 'observerIds',
    change: (now: readonly string[]) => string[],
  ): Promise<boolean> {
    let now: FullTask | null = task
    for (let tries = 0; now && tries < MOST_TRIES; tries++) {
      try {
        await edit.mutateAsync({ task: now, input: { [name]: change(now[name]) }, ifVersion: now.version })
        return true
      } catch (error) {
        if (!isStale(error)) return false
        now = await asked()
      }
    }
    toast('The task keeps changing; try again.', 'bad')
    return false
  }

  /** Save a text as it was edited on top of a version. */
  async function save(name: TextField, mine: string, began: Began): Promise<Saved> {
    for (let version = began.version; ; ) {
      try {
        const saved = await edit.mutateAsync({ task, input: { [name]: mine }, ifVersion: version })
        return { is: 'saved', version: saved.version }
      } catch (error) {
        const now = isStale(error) ? await asked() : null
        // It was saved after all: only the answer was lost.
        if (now && now[name] === mine) return { is: 'saved', version: now.version }
        if (!isThere.current) {
          toast(`The ${name} of “${task.title}” is not saved. What you wrote is kept on its page.`, 'bad')
          return { is: 'refused' }
        }
        if (!now) return { is: 'refused' }
        if (now[name] !== began.value) {
          setConflicts((others) => ({ ...others, [name]: mine }))
          return { is: 'conflict' }
        }
        // Something else of the task was changed: nobody was ahead of this edit.
        version = now.version
      }
    }
  }

  async function decide(name: TextField, mine: string, isMine: boolean): Promise<void> {
    setConflicts(({ [name]: _, ...others }) => others)
    if (isMine) {
      const { is } = await save(name, mine, { version: task.version, value: task[name] })
      if (is === 'refused') setConflicts((others) => ({ ...others, [name]: mine }))
      if (is !== 'saved') return
    }
    drafts.take(draftKey(me.id, task.id, name))
  }

  return { conflicts, change, changeList, save, decide }
}
