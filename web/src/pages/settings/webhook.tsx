// Where my notifications go as HTTP requests.
import { useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { request } from '../../api'
import { client, explain } from '../../data'
import { REMOVE_WEBHOOK, SET_WEBHOOK, TEST_WEBHOOK, WEBHOOK } from '../../documents'
import { toast } from '../../toasts'
import { Button, Failed, Skeletons } from '../../ui/basics'
import { Field, Problem } from './parts'

const KEY = ['webhook']

export function Webhook() {
  const found = useQuery({ queryKey: KEY, queryFn: async () => (await request(WEBHOOK)).webhook })
  const [secret, setSecret] = useState('')
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  if (found.isError && found.data === undefined)
    return <Failed error={found.error} again={() => found.refetch()} />
  if (found.data === undefined) return <Skeletons count={1} height={32} />
  const kept = found.data

  async function run(work: () => Promise<void>): Promise<void> {
    setBusy(true)
    setProblem('')
    try {
      await work()
    } catch (error) {
      setProblem(explain(error))
    } finally {
      setBusy(false)
    }
  }

  function save(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault()
    const url = String(new FormData(event.currentTarget).get('url') ?? '').trim()
    void run(async () => {
      const made = (await request(SET_WEBHOOK, { url })).setWebhook
      client.setQueryData(KEY, { url: made.url })
      if (made.secret) setSecret(made.secret)
      toast('The address was saved.', 'good')
    })
  }

  const test = () =>
    run(async () => {
      const { delivered, detail } = (await request(TEST_WEBHOOK)).testWebhook
      if (delivered) toast(detail, 'good')
      else setProblem(detail)
    })

  const remove = () =>
    run(async () => {
      await request(REMOVE_WEBHOOK)
      client.setQueryData(KEY, null)
      setSecret('')
      toast('The webhook was removed.', 'good')
    })

  return (
    <form onSubmit={save} className="flex flex-col gap-3">
      <Field
        key={kept?.url}
        label="Address that gets a signed request for each notification"
        name="url"
        type="url"
        required
        maxLength={2000}
        placeholder="https://example.org/tasktide"
        defaultValue={kept?.url}
      />
      {secret && (
        <Field
          label="Secret that signs the requests; copy it now, it is shown once"
          readOnly
          value={secret}
          onFocus={(event) => event.target.select()}
        />
      )}
      {problem && <Problem text={problem} />}
      <div className="flex flex-wrap gap-2">
        <Button type="submit" disabled={busy}>
          Save address
        </Button>
        {kept && (
          <>
            <Button disabled={busy} onClick={() => void test()}>
              Send a test
            </Button>
            <Button disabled={busy} onClick={() => void remove()}>
              Remove
            </Button>
          </>
        )}
      </div>
    </form>
  )
}
