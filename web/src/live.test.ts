import type { InfiniteData } from '@tanstack/react-query'
import { beforeEach, describe, expect, it } from 'vitest'
import { client, type InboxPage, inboxKey, type Notice } from './data'
import { applyNotice, applyNotices, applyRead } from './live'

function notice(id: number, readAt: string | null = null): Notice {
  return {
    id: String(id),
    kind: 'MESSAGE',
    taskId: null,
    message: `m${id}`,
    createdAt: '2026-01-01T00:00:00.000Z',
    readAt,
  }
}

function show(unread: boolean, notices: Notice[], unreadCount: number): void {
  const page = { nodes: notices, unreadCount, pageInfo: { hasNextPage: false, endCursor: null } } as InboxPage
  client.setQueryData(inboxKey(unread), { pages: [page], pageParams: [null] })
}

function shown(unread: boolean): { ids: string[]; count: number; read: string[] } {
  const { pages } = client.getQueryData<InfiniteData<InboxPage>>(inboxKey(unread))!
  const nodes = pages.flatMap((page) => page.nodes)
  return {
    ids: nodes.map((one) => one.id),
    count: pages[0]!.unreadCount,
    read: nodes.filter((one) => one.readAt).map((one) => one.id),
  }
}

describe('the inbox', () => {
  beforeEach(() => {
    client.clear()
    show(true, [notice(2), notice(1)], 2)
    show(false, [notice(2), notice(1)], 2)
  })

  it('puts what comes on top and counts it, once', () => {
    applyNotice(notice(3))
    applyNotices()
    applyNotice(notice(3))
    applyNotices()
    expect(shown(true)).toEqual({ ids: ['3', '2', '1'], count: 3, read: [] })
    expect(shown(false).count).toBe(3)
  })

  it('takes what was read out of the unread, and dims it among all', () => {
    applyRead(new Set(['2']), 'now')
    expect(shown(true)).toEqual({ ids: ['1'], count: 1, read: [] })
    expect(shown(false)).toEqual({ ids: ['2', '1'], count: 1, read: ['2'] })
    applyRead(new Set(['0']), 'now')
    expect(shown(true).count).toBe(0) // one that is not loaded counts too
  })

  it('is empty of unread ones when all are read', () => {
    applyRead('all', 'now')
    expect(shown(true)).toEqual({ ids: [], count: 0, read: [] })
    expect(shown(false).read).toEqual(['2', '1'])
  })
})
