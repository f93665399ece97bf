// Every page but the frame is loaded when it is first wanted, or when there is time.
export const loaders = {
  board: () => import('./board'),
  list: () => import('./list'),
  jobs: () => import('./jobs'),
  task: () => import('./task'),
  inbox: () => import('./inbox'),
  settings: () => import('./settings'),
  admin: () => import('./admin'),
}

/** Load them all: a page that is opened while the server is away must be here already. */
export const preloadPages = () => Promise.all(Object.values(loaders).map((load) => load()))
