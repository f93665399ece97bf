import { afterEach, expect, it, vi } from 'vitest'
import { ApiError, closeSocket, openSocket } from './api'

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

it.each([
  ['currentPassword', 'is wrong', 'Current password is wrong.'],
  ['performer_id', 'must be an id', 'Performer id must be an id.'],
  ['handler', 'there is none called “x”', 'Handler: there is none called “x”.'],
])('says in a sentence what is wrong with %s', (field, message, said) => {
  expect(new ApiError('Invalid.', 'invalid', [{ field, message }]).detail).toBe(said)
})
