import { useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect } from 'react'
import { request } from '../api'
import { client, explain, type Notice, useInbox } from '../data'
import { READ, READ_ALL } from '../documents'
import type { NotificationKind } from '../gql/graphql'
import { applyRead, tellOtherWindows } from '../live'
import { toast } from '../toasts'
import { Button, Empty, Failed, IconButton, join, PageHead, Skeletons, Time } from '../ui/basics'

const KINDS: Record<NotificationKind, string> = {
  ASSIGNED: 'Assigned to you',
  CREATED: 'Created',
  UPDATED: 'Updated',
  COMPLETED: 'Done',
  FAILED: 'Failed',
  CANCELLED: 'Cancelled',
  DELETED: 'Deleted',
  DUE: 'Due',
  MESSAGE: 'Message',
}

async function settle(change: Promise<unknown>, isAll = false): Promise<void> {
  try {
    await change
    tellOtherWindows()
    // What came meanwhile may have been read with the others, or not.
    if (isAll) void client.invalidateQueries({ queryKey: ['inbox'] })
  } catch (error) {
    toast(explain(error), 'bad')
    void client.invalidateQueries({ queryKey: ['inbox'] })
  }
}

export function Inbox() {
  const isAll = useSearch({ from: '/inbox' }).all === true
  const inbox = useInbox(!isAll)
  const navigate = useNavigate()
  const notices = inbox.data?.pages.flatMap((page) => page.nodes) ?? []
  const unread = inbox.data?.pages[0]?.unreadCount ?? 0

  // All that are loaded were read one by one: there may be more behind them.
  useEffect(() => {
    if (!notices.length && inbox.hasNextPage && !inbox.isFetching) void inbox.fetchNextPage()
  }, [notices.length, inbox])

  function read(notice: Notice): void {
    if (notice.readAt != null) return
    applyRead(new Set([notice.id]), new Date().toISOString())
    void settle(request(READ, { id: notice.id }))
  }

  function readHere(notice: Notice, row: HTMLElement | null): void {
    // Its button goes, and among the unread ones its row: the keyboard goes on where the next one is.
    const next = isAll ? row : (row?.nextElementSibling ?? row?.previousElementSibling)
    const there = next?.querySelector<HTMLElement>(isAll ? 'button' : 'button:last-of-type')
    read(notice)
    const goOn = there ?? document.getElementById('page')
    goOn?.focus()
  }

  function open(notice: Notice): void {
    read(notice)
    if (notice.taskId && notice.kind !== 'DELETED')
      void navigate({ to: '/tasks/$id', params: { id: notice.taskId } })
  }

  return (
    <>
      <PageHead title="Inbox">
        <div className="flex rounded-md border border-line p-0.5">
          {['Unread', 'All'].map((name) => (
            <button
              key={name}
              type="button"
              aria-pressed={(name === 'All') === isAll}
              className={join(
                'rounded px-2.5 py-0.5 text-sm',
                (name === 'All') === isAll ? 'bg-hover font-medium' : 'text-muted',
              )}
              onClick={() => void navigate({ to: '/inbox', search: name === 'All' ? { all: true } : {} })}
            >
              {name} {name === 'Unread' && unread > 0 && unread.toLocaleString()}
            </button>
          ))}
        </div>
        <span className="grow" />
        <Button
          icon="check"
          disabled={!unread}
          onClick={() => {
            applyRead('all', new Date().toISOString())
            void settle(request(READ_ALL), true)
          }}
        >
          Mark all as read
        </Button>
      </PageHead>
      <div tabIndex={notices.length ? -1 : 0} className="min-h-0 grow overflow-y-auto">
        {inbox.isPending ? (
          <Skeletons count={8} />
        ) : inbox.isError && !inbox.data ? (
          <Failed error={inbox.error} again={() => inbox.refetch()} />
        ) : notices.length === 0 ? (
          <Empty title={isAll ? 'Nothing yet' : 'All read'}>
            You are told here when a task becomes yours, and when something happens to those you made, do or
            watch.
          </Empty>
        ) : (
          <ul>
            {notices.map((notice) => (
              <li
                key={notice.id}
                className={join(
                  'flex items-center border-b border-line hover:bg-hover',
                  notice.readAt && 'text-muted',
                )}
              >
                <button
                  type="button"
                  onClick={() => open(notice)}
                  className="flex min-w-0 grow items-center gap-3 px-4 py-2.5 text-left outline-offset-[-2px]"
                >
                  <span
                    role="img"
                    aria-label={notice.readAt ? 'Read' : 'Unread'}
                    className={join(
                      'size-2 shrink-0 rounded-full',
                      notice.readAt ? 'bg-transparent' : 'bg-accent',
                    )}
                  />
                  <span className="w-28 shrink-0 text-xs text-muted max-sm:hidden">{KINDS[notice.kind]}</span>
                  <span className={join('min-w-0 grow break-words', !notice.readAt && 'font-medium')}>
                    {notice.message}
                  </span>
                  <Time at={notice.createdAt} className="text-xs text-muted" />
                </button>
                {!notice.readAt && (
                  <IconButton
                    icon="check"
                    label="Mark as read"
                    className="mr-2"
                    onClick={(event) => readHere(notice, event.currentTarget.closest('li'))}
                  />
                )}
              </li>
            ))}
          </ul>
        )}
        {inbox.hasNextPage && (
          <div className="p-4 text-center">
            <Button disabled={inbox.isFetching} onClick={() => void inbox.fetchNextPage()}>
              Show more
            </Button>
          </div>
        )}
      </div>
    </>
  )
}
