import { describe, expect, it } from 'vitest'
import { Kept } from './kept'

function storage(begun: Record<string, string> = {}): Storage {
  const items = new Map(Object.entries(begun))
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
  } as Storage
}

describe('what was begun', () => {
  it('is there after a reload, until it is taken', () => {
    const window = storage()
    const kept = () => new Kept<string>('texts', () => window)
    kept().set('a', 'half an idea')
    expect(kept().get('a')).toBe('half an idea')
    expect(kept().take('a')).toBe('half an idea')
    expect(kept().has('a')).toBe(false)
    expect(kept().take('a')).toBeUndefined()
  })

  it('is gone when somebody signs out', () => {
    const window = storage()
    const kept = new Kept<string>('texts', () => window)
    kept.set('a', 'one')
    kept.clear()
    expect(kept.has('a')).toBe(false)
    expect(new Kept('texts', () => window).has('a')).toBe(false)
  })

  it('is kept in memory where nothing may be stored', () => {
    const kept = new Kept<string>('texts', () => {
      throw new DOMException('denied', 'SecurityError')
    })
    kept.set('a', 'one')
    expect(kept.get('a')).toBe('one')
  })

  it.each(['null', '{}', '[1, null]', 'no JSON'])('begins anew where %s is stored', (text) => {
    const window = storage({ texts: text })
    const kept = new Kept<string>('texts', () => window)
    kept.set('a', 'one')
    expect(new Kept<string>('texts', () => window).get('a')).toBe('one')
  })
})
