// Which page is where. All but the frame is loaded when it is first wanted.
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router'
import type { TaskSort, TaskStatus } from './gql/graphql'
import { loaders } from './pages'
import { Shell } from './shell'
import { STATUSES } from './tasks'
import { Empty, Failed } from './ui/basics'

/** What a list shows, as its address says it; so a filter can be kept as a bookmark. */
export interface Search {
  q?: string
  performer?: string
  creator?: string
  label?: string
  status?: TaskStatus[]
  sort?: TaskSort
  up?: boolean
}

const SORTS: TaskSort[] = ['CREATED_AT', 'UPDATED_AT', 'PRIORITY', 'DUE_AT']

function search(given: Record<string, unknown>): Search {
  const text = (value: unknown) =>
    typeof value === 'string' || typeof value === 'number' ? String(value) : undefined
  const id = (value: unknown) => (/^\d{1,15}$/.test(text(value) ?? '') ? text(value) : undefined)
  const status = Array.isArray(given.status)
    ? STATUSES.filter((one) => (given.status as unknown[]).includes(one))
    : undefined
  return {
    q: text(given.q)?.slice(0, 500) || undefined,
    performer: id(given.performer),
    creator: id(given.creator),
    label: text(given.label) || undefined,
    status: status?.length ? status : undefined,
    sort: SORTS.find((one) => one === given.sort),
    up: given.up === true || undefined,
  }
}

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => <Empty title="There is no such page">Press g then b for the board.</Empty>,
})

const page = <Path extends string>(path: Path, load: () => Promise<Record<string, unknown>>, name: string) =>
  createRoute({
    getParentRoute: () => root,
    path,
    component: lazyRouteComponent(load as () => Promise<Record<string, () => React.ReactNode>>, name),
  })

const listed = <Path extends string>(
  path: Path,
  load: () => Promise<Record<string, unknown>>,
  name: string,
) =>
  createRoute({
    getParentRoute: () => root,
    path,
    validateSearch: search,
    component: lazyRouteComponent(load as () => Promise<Record<string, () => React.ReactNode>>, name),
  })

const tree = root.addChildren([
  createRoute({
    getParentRoute: () => root,
    path: '/',
    beforeLoad: () => {
      throw redirect({ to: '/board', search: {} })
    },
  }),
  listed('/board', loaders.board, 'Board'),
  listed('/list', loaders.list, 'List'),
  listed('/jobs', loaders.jobs, 'Jobs'),
  page('/tasks/$id', loaders.task, 'TaskPage'),
  createRoute({
    getParentRoute: () => root,
    path: '/inbox',
    validateSearch: (given: Record<string, unknown>): { all?: true } =>
      given.all === true ? { all: true } : {},
    component: lazyRouteComponent(loaders.inbox, 'Inbox'),
  }),
  page('/settings', loaders.settings, 'Settings'),
  page('/admin', loaders.admin, 'Admin'),
])

export const router = createRouter({
  routeTree: tree,
  basepath: '/app',
  defaultPreload: 'intent',
  // A part of the page that cannot be loaded: the server is away, or was replaced by a newer one.
  defaultErrorComponent: ({ error }) => <Failed error={error as Error} again={() => location.reload()} />,
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
