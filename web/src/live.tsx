// Follows the server while somebody is signed in: what happens to tasks, and what comes into the inbox.
import type { InfiniteData } from '@tanstack/react-query'
import type { Client } from 'graphql-ws'
import { useEffect, useState } from 'react'
import { closeSocket, failure, openSocket, request } from './api'
import { applyEvent, client, doubts, forget, type InboxPage, inboxKey, type Notice, refresh } from './data'
import { ME, NOTIFICATIONS, TASK_EVENTS, VIEWERS } from './documents'
import type { NotificationsSubscription, TaskEventsSubscription, ViewersSubscription } from './gql/graphql'
import { toast } from './toasts'

export type Connection = 'connecting' | 'live' | 'away'

const SLOWEST_MS = 10_000
const FIRST_MS = 250
const AGAIN_MS = 2_000
const GATHER_MS = 100
// The time within which a subscription has begun.
const SUBSCRIBED_MS = 500
const CATCH_UP = 20
const MOST_NOTICES = 300

// What was read in one window of a browser is read in all of them.
const windows = new BroadcastChannel('tasktide-inbox')
windows.onmessage = () => refresh('inbox')

// The one socket of whoever is signed in.
let current: Client | null = null

/** Keep two subscriptions open; how the connection is. */
export function useLive(): Connection {
  const [state, setState] = useState<Connection>('connecting')
  useEffect(() => {
    let isOver = false
    let wasAway = false
    let wake = () => {}
    let woken = new Promise<void>((resume) => {
      wake = resume
    })
    const socket = openSocket(
      () => {
        setState('live')
        if (wasAway) {
          void recheckMe()
          void client.refetchQueries({ predicate: ({ state }) => state.status === 'error' })
          toast('Connected again, and up to date.', 'good')
        }
        wasAway = false
        // The one that has opened the socket is not to be alone on it for long.
        wake()
        woken = new Promise((resume) => {
          wake = resume
        })
      },
      (isRefused) => {
        if (isOver) return
        wasAway = true
        setState('away')
        if (isRefused) void recheckMe()
      },
    )
    current = socket

    async function keep(listen: () => Promise<void>): Promise<void> {
      let pause = FIRST_MS
      while (!isOver) {
        const began = Date.now()
        await listen().catch(() => {})
        pause = Date.now() - began > SLOWEST_MS ? FIRST_MS : Math.min(pause * 2, SLOWEST_MS)
        const slept = new Promise((resume) => setTimeout(resume, pause * (0.75 + Math.random() / 2)))
        await Promise.race([slept, woken])
      }
    }

    async function tasks(): Promise<void> {
      const events = socket.iterate<TaskEventsSubscription>({ query: TASK_EVENTS.toString() })
      // What happened before the server began to listen for us was not heard: look again once it surely does.
      setTimeout(refreshAll, SUBSCRIBED_MS)
      for await (const result of events) {
        if (result.errors) throw failure(result.errors)
        const event = result.data!.taskEvents
        if (event.__typename === 'Gap') refreshAll()
        else applyEvent(event)
      }
    }

    let cursor: string | null = null
    async function notices(): Promise<void> {
      const events = socket.iterate<NotificationsSubscription>({
        query: NOTIFICATIONS.toString(),
        variables: { after: cursor },
      })
      for await (const result of events) {
        if (result.errors) throw failure(result.errors)
        const notice = result.data!.notificationReceived
        cursor = notice.id
        applyNotice(notice)
      }
    }

    void keep(tasks)
    void keep(notices)
    // Somebody may have made them an admin, or not one any more.
    const back = () => void recheckMe()
    addEventListener('focus', back)
    return () => {
      isOver = true
      removeEventListener('focus', back)
      current = null
      closeSocket(socket)
    }
  }, [])
  return state
}

function refreshAll(): void {
  for (const name of ['tasks', 'task', 'history', 'inbox']) refresh(name)
}

/** Is it still the same person, and signed in? Another window may have changed that. */
async function recheckMe(): Promise<void> {
  const known = client.getQueryData<{ id: string } | null>(['me'])
  const answer = await request(ME).catch(() => null)
  // Somebody may have signed out, or in, while it was asked.
  if (!answer || client.getQueryData(['me']) !== known) return
  if (answer.me?.id !== known?.id) forget()
  client.setQueryData(['me'], answer.me ?? null)
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

let waiting: Notice[] = []

/** A notification that came: on top of the inbox, once, together with those that come at the same moment. */
export function applyNotice(notice: Notice): void {
  if (!waiting.length) setTimeout(applyNotices, GATHER_MS)
  waiting.push(notice)
}

/** Put the notifications that have gathered into the inbox. */
export function applyNotices(): void {
  const gathered = waiting
  waiting = []
  for (const unread of [false, true]) {
    doubts.touch(inboxKey(unread))
    client.setQueryData<InfiniteData<InboxPage>>(inboxKey(unread), (inbox) => {
      const first = inbox?.pages[0]
      if (!inbox || !first) return inbox
      const known = new Set(inbox.pages.flatMap((page) => page.nodes.map((one) => one.id)))
      const newer = gathered.filter((one) => !known.has(one.id) && !(unread && one.readAt))
      if (!newer.length) return inbox
      const unreadCount = first.unreadCount + newer.filter((one) => !one.readAt).length
      const pages = inbox.pages.map((page) => ({ ...page, unreadCount }))
      pages[0] = { ...pages[0]!, nodes: [...newer.toReversed(), ...first.nodes] }
      return { ...inbox, pages }
    })
  }
  // Catching up after being away: some of them may have been counted already, and the list may be long by now.
  const length = client
    .getQueryData<InfiniteData<InboxPage>>(inboxKey(true))
    ?.pages.reduce((sum, page) => sum + page.nodes.length, 0)
  if (gathered.length > CATCH_UP || (length ?? 0) > MOST_NOTICES) {
    for (const unread of [false, true]) {
      client.setQueryData<InfiniteData<InboxPage>>(inboxKey(unread), (inbox) =>
        inbox && inbox.pages.length > 0 ? { pages: inbox.pages.slice(0, 1), pageParams: [null] } : inbox,
      )
    }
    refresh('inbox')
  }
}

/** The server knows what was read here: the other windows ask it. */
export function tellOtherWindows(): void {
  windows.postMessage(null)
}

/** Notifications that were unread and have been read: gone from the unread ones, dimmed among all. */
export function applyRead(ids: ReadonlySet<string> | 'all', readAt: string): void {
  const isRead = (one: Notice) => ids === 'all' || ids.has(one.id)
  for (const unread of [false, true]) {
    client.setQueryData<InfiniteData<InboxPage>>(inboxKey(unread), (inbox) => {
      if (!inbox) return inbox
      const pages = inbox.pages.map((page) => ({
        ...page,
        unreadCount: ids === 'all' ? 0 : Math.max(0, page.unreadCount - ids.size),
        nodes: unread
          ? page.nodes.filter((one) => !isRead(one))
          : page.nodes.map((one) => (isRead(one) && one.readAt == null ? { ...one, readAt } : one)),
      }))
      return { ...inbox, pages }
    })
  }
}
