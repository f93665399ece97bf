import { type FormEvent, useState } from 'react'
import { request } from '../api'
import { client, explain } from '../data'
import { REGISTER, SIGN_IN } from '../documents'
import { Button } from '../ui/basics'

export function SignIn() {
  const [isNew, setIsNew] = useState(false)
  const [problem, setProblem] = useState('')
  const [isBusy, setIsBusy] = useState(false)

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const value = (name: string) => String(form.get(name) ?? '')
    setIsBusy(true)
    setProblem('')
    try {
      const [email, password] = [value('email'), value('password')]
      if (isNew) await request(REGISTER, { email, name: value('name'), password })
      else await request(SIGN_IN, { email, password })
      await client.refetchQueries({ queryKey: ['me'] })
    } catch (error) {
      setProblem(explain(error))
      setIsBusy(false)
    }
  }

  return (
    <main className="flex min-h-full items-center justify-center p-4">
      <div className="w-full max-w-sm">
        <div className="mb-6 flex items-center justify-center gap-3">
          <img src="/app/icon.svg" alt="" width={36} height={36} />
          <h1 className="text-xl font-semibold">Tasktide</h1>
        </div>
        <form
          onSubmit={submit}
          className="flex flex-col gap-3 rounded-xl border border-line bg-panel p-5 shadow-sm"
        >
          <h2 className="font-semibold">{isNew ? 'Make an account' : 'Sign in'}</h2>
          {isNew && (
            <label className="flex flex-col gap-1 text-sm">
              Name
              <input name="name" required maxLength={100} autoComplete="name" className="field" />
            </label>
          )}
          <label className="flex flex-col gap-1 text-sm">
            Email
            <input name="email" type="email" required autoComplete="username" className="field" />
          </label>
          <label className="flex flex-col gap-1 text-sm">
            Password
            <input
              name="password"
              type="password"
              required
              minLength={isNew ? 8 : undefined}
              autoComplete={isNew ? 'new-password' : 'current-password'}
              className="field"
            />
          </label>
          {problem && (
            <p role="alert" className="rounded-md bg-danger-soft px-2 py-1.5 text-sm text-danger">
              {problem}
            </p>
          )}
          <Button type="submit" look="main" disabled={isBusy}>
            {isNew ? 'Make an account' : 'Sign in'}
          </Button>
        </form>
        <p className="mt-4 text-center text-sm text-muted">
          {isNew ? 'You have an account?' : 'New here?'}{' '}
          <button type="button" className="text-accent underline" onClick={() => setIsNew(!isNew)}>
            {isNew ? 'Sign in' : 'Make an account'}
          </button>
        </p>
      </div>
    </main>
  )
}
