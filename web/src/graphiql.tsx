// GraphiQL, with nothing loaded from elsewhere. Whoever is signed in to the pages is signed in here.
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL } from 'graphiql'
import { createClient } from 'graphql-ws'
import { createRoot } from 'react-dom/client'
import 'graphiql/style.css'

const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
const fetcher = createGraphiQLFetcher({
  url: '/graphql',
  headers: { 'x-csrf-protection': '1' },
  wsClient: createClient({ url: `${scheme}://${location.host}/graphql` }),
})

const QUERY = `# Sign in at /app first, or send an Authorization header (below, under "Headers").
{
  me { name role }
  tasks(first: 5) {
    nodes { id title status performer { name } }
  }
}
`

createRoot(document.getElementById('root')!).render(
  <GraphiQL fetcher={fetcher} defaultQuery={QUERY} defaultEditorToolsVisibility="headers" />,
)
