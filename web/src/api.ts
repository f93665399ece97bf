// How the pages speak with the server: requests over HTTP, subscriptions over one socket.
import { type Client, createClient } from 'graphql-ws'
import type { TypedDocumentString } from './gql/graphql'

/** What the server refused, with the stable code that programs go by. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly fields: { field: string; message: string }[] = [],
  ) {
    super(message)
  }

  /** The error in one line, the wrong fields named. */
  get detail(): string {
    return this.fields.length ? this.fields.map(sentence).join(' ') : this.message
  }
}

/** What is wrong with a field, as people say it: most messages go on from the field's name. */
function sentence({ field, message }: { field: string; message: string }): string {
  const name = field.replace(/[A-Z_]/g, (found) => ` ${found.replace('_', '').toLowerCase()}`)
  const goesOn = /^(must|is|are|was|were|can|cannot|may|has|have|needs|does|should)\b/.test(message)
  const words = `${name}${goesOn ? '' : ':'} ${message}`
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`
}

/** The codes that say that nobody is signed in. */
export const SIGNED_OUT = new Set([
  'token_missing',
  'session_ended',
  'token_expired',
  'invalid_token',
  'unauthenticated',
])
let onSignedOut = () => {}

/** Call back when the session turns out to be over. */
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback
}

interface GraphQLFailure {
  message: string
  extensions?: { code?: string; errors?: { field: string; message: string }[] }
}

export function failure(errors: readonly GraphQLFailure[]): ApiError {
  const first = errors[0]!
  const code = first.extensions?.code ?? 'internal'
  if (SIGNED_OUT.has(code)) onSignedOut()
  return new ApiError(first.message, code, first.extensions?.errors)
}

/** Run one operation; ApiError when the server refuses it or cannot be reached. */
export async function request<Result, Variables>(
  document: TypedDocumentString<Result, Variables>,
  ...[variables]: Variables extends Record<string, never> ? [] : [Variables]
): Promise<Result> {
  let answer: Response
  try {
    answer = await fetch('/graphql', {
      method: 'POST',
      // The cookie alone proves nothing: other sites' pages cannot send this header.
      headers: { 'content-type': 'application/json', 'x-csrf-protection': '1' },
      body: JSON.stringify({ query: document.toString(), variables }),
    })
  } catch {
    throw new ApiError('The server cannot be reached.', 'unreachable')
  }
  const body = await answer.json().catch(() => null)
  if (body?.errors?.length) throw failure(body.errors)
  if (!answer.ok || body?.data == null) {
    throw new ApiError(
      body?.detail ?? `The server answered with ${answer.status}.`,
      body?.code ?? 'unreachable',
    )
  }
  return body.data as Result
}

const PONG_MS = 5_000
// How the server closes a socket whose token does not hold.
const REFUSED = new Set([4401, 4403])

/** A socket that is opened with the first subscription. Whoever subscribes comes back by itself. */
export function openSocket(opened: () => void, closed: (isRefused: boolean) => void): Client {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  let silent: ReturnType<typeof setTimeout> | undefined
  const client = createClient({
    url: `${scheme}://${location.host}/graphql`,
    retryAttempts: 0,
    keepAlive: 10_000,
    on: {
      connected: opened,
      closed: (event) => {
        clearTimeout(silent)
        closed(event instanceof CloseEvent && REFUSED.has(event.code))
      },
      // A line that swallows everything (a sleep, another network) is not closed by anybody.
      ping: (isReceived) => {
        if (!isReceived) silent = setTimeout(() => client.terminate(), PONG_MS)
      },
      pong: (isReceived) => {
        if (isReceived) clearTimeout(silent)
      },
    },
  })
  return client
}

/** Close a socket for good. One that is just being refused has ended already, and says so to nobody here. */
export function closeSocket(socket: Client): void {
  Promise.resolve(socket.dispose()).catch(() => {})
}
