// What somebody has begun to write and not sent yet. It outlives the page that it was typed on, and a reload of the window.

/** Texts by key, of one kind, of this window. */
export class Kept<T> {
  readonly #name: string
  readonly #storage: () => Storage
  readonly #texts: Map<string, T>

  /** `storage` may throw, where nothing may be stored: then they are kept for as long as the window is not loaded anew. */
  constructor(name: string, storage: () => Storage = () => sessionStorage) {
    this.#name = name
    this.#storage = storage
    this.#texts = new Map(this.#stored())
  }

  get(key: string): T | undefined {
    return this.#texts.get(key)
  }

  has(key: string): boolean {
    return this.#texts.has(key)
  }

  keys(): string[] {
    return [...this.#texts.keys()]
  }

  set(key: string, text: T): void {
    this.#texts.set(key, text)
    this.#store()
  }

  /** What was there, which is there no more. */
  take(key: string): T | undefined {
    const text = this.#texts.get(key)
    if (this.#texts.delete(key)) this.#store()
    return text
  }

  /** Whoever signs out leaves nothing behind. */
  clear(): void {
    this.#texts.clear()
    this.#store()
  }

  #stored(): [string, T][] {
    try {
      const stored: unknown = JSON.parse(this.#storage().getItem(this.#name) ?? '[]')
      return Array.isArray(stored) ? stored.filter((one) => Array.isArray(one) && one.length === 2) : []
    } catch {
      return []
    }
  }

  #store(): void {
    try {
      this.#storage().setItem(this.#name, JSON.stringify([...this.#texts]))
    } catch {
      // No room, or not allowed.
    }
  }
}
