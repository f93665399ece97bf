import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Row } from '../tasks'
import { relative } from './basics'
import { Choice, PersonSelect, StatusSelect } from './fields'

afterEach(cleanup)

const task = { id: '1', status: 'FAILED', handler: 'reverse' } as Row

describe('choosing a status', () => {
  it('offers what the rules allow and nothing else', () => {
    render(<StatusSelect task={task} onChange={() => {}} aria-label="Status" />)
    const enabled = screen.getAllByRole('option').filter((one) => !(one as HTMLOptionElement).disabled)
    expect(enabled.map((one) => one.textContent)).toEqual(['To do', 'Failed'])
  })
})

describe('choosing a person', () => {
  it('tells whom, or nobody', async () => {
    const chosen = vi.fn()
    const ann = { id: '7', name: 'Ann', email: 'a@x.org', role: 'MEMBER', createdAt: '' } as const
    render(<PersonSelect people={new Map([['7', ann]])} value="7" onChange={chosen} aria-label="Performer" />)
    await userEvent.selectOptions(screen.getByLabelText('Performer'), 'Nobody')
    expect(chosen).toHaveBeenLastCalledWith(null)
    await userEvent.selectOptions(screen.getByLabelText('Performer'), 'Ann')
    expect(chosen).toHaveBeenLastCalledWith('7')
  })
})

describe('a choice by keys', () => {
  function shown(isCareful: boolean) {
    const chosen = vi.fn()
    render(
      <Choice aria-label="Role" value="a" onChange={chosen} isCareful={isCareful}>
        <option>a</option>
        <option>b</option>
        <option>c</option>
      </Choice>,
    )
    const field = screen.getByLabelText<HTMLSelectElement>('Role')
    const step = (value: string) => {
      fireEvent.keyDown(field, { key: 'ArrowDown' })
      fireEvent.change(field, { target: { value } })
    }
    return { chosen, field, step }
  }

  it('counts at Enter, and on the way to it nothing does', () => {
    const { chosen, field, step } = shown(true)
    step('b')
    step('c')
    expect(chosen).not.toHaveBeenCalled()
    expect(field.value).toBe('c')
    fireEvent.keyDown(field, { key: 'Enter' })
    expect(chosen.mock.calls).toEqual([['c']])
  })

  it('counts when one leaves, but not where a slip changes much, nor after Escape', () => {
    const plain = shown(false)
    plain.step('b')
    fireEvent.blur(plain.field)
    expect(plain.chosen.mock.calls).toEqual([['b']])
    cleanup()
    const careful = shown(true)
    careful.step('b')
    fireEvent.blur(careful.field)
    expect(careful.field.value).toBe('a')
    careful.step('c')
    fireEvent.keyDown(careful.field, { key: 'Escape' })
    fireEvent.blur(careful.field)
    expect(careful.chosen).not.toHaveBeenCalled()
  })
})

describe('a moment in words', () => {
  it('is said in the largest unit that fits', () => {
    const now = Date.parse('2026-01-02T12:00:00Z')
    expect(relative('2026-01-02T11:59:50Z', now)).toBe('now')
    expect(relative('2026-01-02T11:00:00Z', now)).toContain('1h')
    expect(relative('2026-01-03T12:00:00Z', now)).toMatch(/tomorrow|in 1d/)
  })
})
