// Before the first paint, so that nobody is dazzled. A file, because inline scripts are not allowed here.
{
  const chosen = localStorage.getItem('theme')
  const dark = matchMedia('(prefers-color-scheme: dark)').matches
  document.documentElement.dataset.theme =
    chosen === 'dark' || (chosen !== 'light' && dark) ? 'dark' : 'light'
}
