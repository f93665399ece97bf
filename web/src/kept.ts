// What somebody has begun to write and not sent yet. It outlives a reload of the window, and its end.

interface Storages {
  /** The window's own: what is there after a reload. */
  session: Storage
  /** What closed windows left behind, for the next one that opens. */
  left: Storage
}

/** Texts by key, of one kind. Windows that are open at the same time do not see each other's. */
export class Kept<T> {
  readonly #name: string
  readonly #storages: Storages
  readonly #texts: Map<string, T>

  constructor(name: string, storages: Storages = { session: sessionStorage, left: localStorage }) {
    this.#name = name
    this.#storages = storages
    const left = this.#read('left')
    this.#texts = new Map([...left, ...this.#read('session')])
    if (left.length) {
      this.#write('left', [])
      this.#write('session', [...this.#texts])
    }
    // A window that goes away may come back, or not: nobody says which.
    addEventListener('pagehide', () => this.#leave())
    // It has come back as it was, from the browser's memory.
    addEventListener('pageshow', (event) => event.persisted && this.#write('left', []))
  }

  get(key: string): T | undefined {
    return this.#texts.get(key)
  }

  has(key: string): boolean {
    return this.#texts.has(key)
  }

  set(key: string, text: T): void {
    this.#texts.set(key, text)
    this.#write('session', [...this.#texts])
  }

  delete(key: string): void {
    if (this.#texts.delete(key)) this.#write('session', [...this.#texts])
  }

  /** Whoever signs out leaves nothing behind. */
  clear(): void {
    this.#texts.clear()
    this.#write('session', [])
    this.#write('left', [])
  }

  #leave(): void {
    if (this.#texts.size) this.#write('left', [...new Map([...this.#read('left'), ...this.#texts])])
  }

  #read(where: keyof Storages): [string, T][] {
    try {
      return JSON.parse(this.#storages[where].getItem(this.#name) ?? '[]')
    } catch {
      return []
    }
  }

  #write(where: keyof Storages, texts: [string, T][]): void {
    try {
      if (texts.length) this.#storages[where].setItem(this.#name, JSON.stringify(texts))
      else this.#storages[where].removeItem(this.#name)
    } catch {
      // No room, or not allowed: they are kept for as long as the window is not loaded anew.
    }
  }
}
