import { describe, expect, it } from 'vitest'
import { Kept } from './kept'

function storage(): Storage {
  const items = new Map<string, string>()
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
    clear: () => items.clear(),
    key: () => null,
    get length() {
      return items.size
    },
  }
}

const leave = () => dispatchEvent(new Event('pagehide'))

describe('what was begun', () => {
  it('is there after a reload, and once', () => {
    const session = storage()
    const left = storage()
    new Kept('texts', { session, left }).set('a', 'half an idea')
    leave()
    const again = new Kept<string>('texts', { session, left })
    expect(again.get('a')).toBe('half an idea')
    expect(left.length).toBe(0)
    again.delete('a')
    expect(new Kept('texts', { session, left }).has('a')).toBe(false)
  })

  it('is found by the next window when its own was closed, beside what another one left', () => {
    const left = storage()
    const first = new Kept<string>('texts', { session: storage(), left })
    const second = new Kept<string>('texts', { session: storage(), left })
    first.set('a', 'one')
    second.set('b', 'two')
    expect(new Kept('texts', { session: storage(), left }).has('a')).toBe(false)
    leave()
    const session = storage()
    const next = new Kept<string>('texts', { session, left })
    expect([next.get('a'), next.get('b')]).toEqual(['one', 'two'])
    expect(left.length).toBe(0)
    expect(new Kept<string>('texts', { session, left }).get('b')).toBe('two')
  })

  it('stays with the window that comes back as it was', () => {
    const left = storage()
    new Kept('texts', { session: storage(), left }).set('a', 'one')
    leave()
    expect(left.length).toBe(1)
    dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
    expect(left.length).toBe(0)
  })

  it('is gone when somebody signs out', () => {
    const session = storage()
    const left = storage()
    const kept = new Kept<string>('texts', { session, left })
    kept.set('a', 'one')
    leave()
    kept.clear()
    leave()
    expect([session.length, left.length, kept.has('a')]).toEqual([0, 0, false])
  })

  it('is kept in memory where nothing may be stored', () => {
    const refusing = {
      ...storage(),
      setItem: () => {
        throw new Error('full')
      },
      removeItem: () => {
        throw new Error('no')
      },
    }
    const kept = new Kept<string>('texts', { session: refusing, left: refusing })
    kept.set('a', 'one')
    leave()
    expect(kept.get('a')).toBe('one')
  })
})
