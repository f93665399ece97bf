import { afterEach, expect, it, vi } from 'vitest'
import { closeSocket, openSocket } from './api'

const REFUSAL = 4403

/** A server that hangs up before anything was said. */
class RefusingSocket extends EventTarget {
  onclose: (event: CloseEvent) => void = () => {}
  close(): void {}
  refuse(): void {
    this.onclose(new CloseEvent('close', { code: REFUSAL }))
  }
}

afterEach(() => vi.unstubAllGlobals())

// An error that nobody catches fails the run by itself.
it('closes a socket that is just being refused without an error', async () => {
  const made: RefusingSocket[] = []
  vi.stubGlobal('WebSocket', function connect() {
    const socket = new RefusingSocket()
    made.push(socket)
    return socket
  })
  let isRefused = false
  const socket = openSocket(
    () => {},
    (refused) => {
      isRefused = refused
    },
  )
  const heard = socket.iterate({ query: 'subscription { taskEvents { __typename } }' }).next()
  await vi.waitFor(() => expect(made).toHaveLength(1))
  closeSocket(socket)
  made[0]!.refuse()
  await expect(heard).resolves.toMatchObject({ done: true })
  expect(isRefused).toBe(true)
})
