// Follows the server while somebody is signed in: what happens to tasks, and what comes into the inbox.
import type { InfiniteData } from '@tanstack/react-query'
import type { Client } from 'graphql-ws'
import { useEffect, useState } from 'react'
import { failure, openSocket } from './api'
import { applyEvent, client, type InboxPage, type Notice } from './data'
import { NOTIFICATIONS, TASK_EVENTS, VIEWERS } from './documents'
import type { NotificationsSubscription, TaskEventsSubscription, ViewersSubscription } from './gql/graphql'
import { toast } from './toasts'

export type Connection = 'connecting' | 'live' | 'away'

const SLOWEST_MS = 10_000
const AGAIN_MS = 2_000

// The one socket of whoever is signed in.
let current: Client | null = null

/** Keep two subscriptions open; how the connection is. */
export function useLive(isSignedIn: boolean): Connection {
  const [state, setState] = useState<Connection>('connecting')
  useEffect(() => {
    if (!isSignedIn) return
    let isOver = false
    let wasAway = false
    const socket = openSocket(
      () => {
        setState('live')
        // What happened to tasks meanwhile was not heard: look again at what is shown.
        if (wasAway) {
          void client.invalidateQueries({ queryKey: ['tasks'] })
          void client.invalidateQueries({ queryKey: ['task'] })
          void client.invalidateQueries({ queryKey: ['history'] })
          void client.invalidateQueries({ queryKey: ['inbox'] })
          toast('Connected again, and up to date.', 'good')
        }
        wasAway = false
      },
      () => {
        if (isOver) return
        wasAway = true
        setState('away')
      },
    )

    current = socket

    async function keep(listen: () => Promise<void>): Promise<void> {
      let pause = 250
      while (!isOver) {
        const began = Date.now()
        await listen().catch(() => {})
        pause = Date.now() - began > SLOWEST_MS ? 250 : Math.min(pause * 2, SLOWEST_MS)
        await new Promise((resume) => setTimeout(resume, pause * (0.75 + Math.random() / 2)))
      }
    }

    async function tasks(): Promise<void> {
      for await (const result of socket.iterate<TaskEventsSubscription>({ query: TASK_EVENTS.toString() })) {
        if (result.errors) throw failure(result.errors)
        const event = result.data!.taskEvents
        if (event.__typename === 'Gap') void client.invalidateQueries({ queryKey: ['tasks'] })
        else applyEvent(event)
      }
    }

    let cursor: string | null = null
    async function notices(): Promise<void> {
      const variables = { after: cursor }
      for await (const result of socket.iterate<NotificationsSubscription>({
        query: NOTIFICATIONS.toString(),
        variables,
      })) {
        if (result.errors) throw failure(result.errors)
        const notice = result.data!.notificationReceived
        cursor = notice.id
        applyNotice(notice)
      }
    }

    void keep(tasks)
    void keep(notices)
    return () => {
      isOver = true
      current = null
      void socket.dispose()
    }
  }, [isSignedIn])
  return state
}

/** Who else looks at a task; while this is called, the others see us. */
export function useViewers(id: string): readonly string[] {
  const [viewers, setViewers] = useState<readonly string[]>([])
  useEffect(() => {
    let isOver = false
    let end = () => {}
    async function look(): Promise<void> {
      while (!isOver) {
        try {
          const events = current?.iterate<ViewersSubscription>({
            query: VIEWERS.toString(),
            variables: { id },
          })
          end = () => void events?.return?.()
          for await (const result of events ?? [])
            setViewers(result.data?.taskViewers.map((one) => one.id) ?? [])
        } catch {
          // The socket is away; the others are heard again when it is back.
        }
        if (!isOver) {
          setViewers([])
          await new Promise((resume) => setTimeout(resume, AGAIN_MS))
        }
      }
    }
    void look()
    return () => {
      isOver = true
      end()
    }
  }, [id])
  return viewers
}

/** A notification that came: on top of the inbox, once. */
export function applyNotice(notice: Notice): void {
  for (const unread of [false, true]) {
    client.setQueryData<InfiniteData<InboxPage>>(['inbox', unread], (inbox) => {
      const first = inbox?.pages[0]
      if (!inbox || !first || inbox.pages.some((page) => page.nodes.some((one) => one.id === notice.id)))
        return inbox
      const unreadCount = first.unreadCount + Number(notice.readAt == null)
      const pages = inbox.pages.map((page, index) => ({
        ...page,
        unreadCount,
        nodes: index ? page.nodes : [notice, ...page.nodes],
      }))
      return { ...inbox, pages }
    })
  }
}

/** Notifications that were read: gone from the unread ones, dimmed among all. */
export function applyRead(ids: ReadonlySet<string> | 'all', readAt: string): void {
  const isRead = (one: Notice) => ids === 'all' || ids.has(one.id)
  for (const unread of [false, true]) {
    client.setQueryData<InfiniteData<InboxPage>>(['inbox', unread], (inbox) => {
      if (!inbox) return inbox
      const newly = inbox.pages.flatMap((page) =>
        page.nodes.filter((one) => isRead(one) && one.readAt == null),
      ).length
      const pages = inbox.pages.map((page) => ({
        ...page,
        unreadCount: ids === 'all' ? 0 : Math.max(0, page.unreadCount - newly),
        nodes: unread
          ? page.nodes.filter((one) => !isRead(one))
          : page.nodes.map((one) => (isRead(one) && one.readAt == null ? { ...one, readAt } : one)),
      }))
      return { ...inbox, pages }
    })
  }
}
