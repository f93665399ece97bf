// Light, dark, or as the system has it; `public/theme.js` does the same before the first paint.
export type Theme = 'light' | 'dark' | 'system'

export const theme = (): Theme => (localStorage.getItem('theme') as Theme | null) ?? 'system'

export function setTheme(chosen: Theme): void {
  if (chosen === 'system') localStorage.removeItem('theme')
  else localStorage.setItem('theme', chosen)
  const isDark =
    chosen === 'dark' || (chosen === 'system' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = isDark ? 'dark' : 'light'
}

export function toggleTheme(): void {
  setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark')
}
