import { QueryClient } from '@tanstack/react-query'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Doubts } from './doubt'

const KEY = ['list']

describe('a list that events come to', () => {
  let client: QueryClient
  let doubts: Doubts
  let asked: number

  beforeEach(() => {
    vi.useFakeTimers()
    client = new QueryClient()
    doubts = new Doubts(client)
    asked = 0
    vi.spyOn(client, 'invalidateQueries').mockImplementation(async () => {
      asked += 1
      doubts.answered(KEY, performance.now())
    })
    client.setQueryData(KEY, [])
  })
  afterEach(() => vi.useRealTimers())

  function after(ms: number): number {
    vi.advanceTimersByTime(ms)
    return asked
  }

  it('is left alone when they come long after the answer', () => {
    doubts.answered(KEY, performance.now())
    after(5_000)
    doubts.touch(KEY)
    expect(after(60_000)).toBe(0)
  })

  it('is asked for once more when one came between the question and the answer', () => {
    const began = performance.now()
    after(100)
    doubts.touch(KEY)
    after(100)
    doubts.answered(KEY, began)
    expect(after(999)).toBe(0)
    expect(after(60_000)).toBe(1)
  })

  it('is asked for once more when one came just before the question, or just after the answer', () => {
    doubts.touch(KEY)
    after(500)
    doubts.answered(KEY, performance.now())
    expect(after(60_000)).toBe(1)
    doubts.answered(KEY, performance.now())
    after(500)
    doubts.touch(KEY)
    expect(after(60_000)).toBe(2)
  })

  it('waits until they have come to rest, but not for ever', () => {
    doubts.answered(KEY, performance.now())
    for (let n = 0; n < 250; n++) {
      doubts.touch(KEY)
      after(100)
    }
    expect(asked).toBe(2)
    expect(after(60_000)).toBe(3)
  })

  it.each([500, 1_200, 1_900])('is asked for every ten seconds at most when one comes each %d ms', (each) => {
    doubts.answered(KEY, performance.now())
    for (let ms = 0; ms < 60_000; ms += each) {
      doubts.touch(KEY)
      after(each)
    }
    expect(asked).toBeGreaterThanOrEqual(1)
    expect(asked).toBeLessThanOrEqual(7)
  })

  it('does not give up an answer that is on its way', () => {
    doubts.answered(KEY, performance.now())
    doubts.touch(KEY)
    after(60_000)
    expect(client.invalidateQueries).toHaveBeenCalledWith(
      { queryKey: KEY, exact: true },
      { cancelRefetch: false },
    )
  })

  it('stays to be asked for when it was, and what an event puts in says that it is valid', () => {
    client.getQueryCache().find({ queryKey: KEY })!.invalidate()
    doubts.touch(KEY)
    client.setQueryData(KEY, [1])
    expect(client.getQueryState(KEY)!.isInvalidated).toBe(false)
    expect(after(1_000)).toBe(1)
  })

  it('is forgotten with whoever signs out', () => {
    doubts.answered(KEY, performance.now())
    doubts.touch(KEY)
    doubts.clear()
    expect(after(60_000)).toBe(0)
  })
})
