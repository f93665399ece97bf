// Everything the pages ask for. The types beside it are made from the schema (`npm run codegen`).
import { graphql } from './gql'

export const ROW = graphql(`
  fragment Row on Task {
    id title description status priority labels creatorId performerId observerIds dueAt handler runAt error
    attempts maxAttempts version createdAt updatedAt startedAt finishedAt
  }
`)

export const ME = graphql(`query Me { me { id name email role createdAt } }`)

export const SIGN_IN = graphql(`
  mutation SignIn($email: String!, $password: String!) {
    signIn(email: $email, password: $password, cookie: true) { user { id } }
  }
`)

export const REGISTER = graphql(`
  mutation Register($email: String!, $name: String!, $password: String!) {
    register(email: $email, name: $name, password: $password) { id }
    signIn(email: $email, password: $password, cookie: true) { user { id } }
  }
`)

export const SIGN_OUT = graphql(`mutation SignOut { signOut }`)

export const USERS = graphql(`
  query Users($after: String) {
    users(first: 200, after: $after) { nodes { id name email role createdAt } pageInfo { hasNextPage endCursor } }
  }
`)

export const TASKS = graphql(`
  query Tasks($filter: TaskFilterInput, $sort: TaskSort!, $descending: Boolean!, $first: Int!, $after: String) {
    tasks(filter: $filter, sort: $sort, descending: $descending, first: $first, after: $after) {
      nodes { ...Row } pageInfo { hasNextPage endCursor } totalCount
    }
  }
`)

export const TASK = graphql(`
  query OneTask($id: ID!) { task(id: $id) { ...Row payload result canChange canDelete } }
`)

export const HISTORY = graphql(`
  query History($id: ID!, $after: String) {
    task(id: $id) {
      id
      history(first: 100, after: $after) {
        nodes { id type time version actor changes { field before after } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`)

export const CREATE = graphql(`
  mutation Create($input: NewTaskInput!, $key: String!) { createTask(input: $input, idempotencyKey: $key) { ...Row } }
`)

export const UPDATE = graphql(`
  mutation Update($id: ID!, $input: TaskInput!, $ifVersion: Int) {
    updateTask(id: $id, input: $input, ifVersion: $ifVersion) { ...Row }
  }
`)

export const UPDATE_MANY = graphql(`
  mutation UpdateMany($ids: [ID!]!, $input: TaskInput!) {
    updateTasks(ids: $ids, input: $input) { id detail task { ...Row } }
  }
`)

export const DELETE_MANY = graphql(`
  mutation DeleteMany($ids: [ID!]!) { deleteTasks(ids: $ids) { id detail } }
`)

export const RETRY_MANY = graphql(`
  mutation RetryMany($ids: [ID!]!) { retryTasks(ids: $ids) { id detail task { ...Row } } }
`)

export const CANCEL_MANY = graphql(`
  mutation CancelMany($ids: [ID!]!) { cancelTasks(ids: $ids) { id detail task { ...Row } } }
`)

export const INBOX = graphql(`
  query Inbox($unread: Boolean!, $after: String) {
    notifications(unread: $unread, first: 50, after: $after) {
      nodes { id kind taskId message createdAt readAt } pageInfo { hasNextPage endCursor } unreadCount
    }
  }
`)

export const READ = graphql(`mutation Read($id: ID!) { readNotification(id: $id) { id readAt } }`)

export const READ_ALL = graphql(`mutation ReadAll { readAllNotifications }`)

export const UPDATE_ME = graphql(`
  mutation UpdateMe($name: String, $password: String, $currentPassword: String) {
    updateMe(name: $name, password: $password, currentPassword: $currentPassword) { id name }
  }
`)

export const PREFERENCES = graphql(`query Preferences { preferences { channel kind enabled } }`)

export const SET_PREFERENCES = graphql(`
  mutation SetPreferences($cells: [PreferenceInput!]!) { setPreferences(cells: $cells) { channel kind enabled } }
`)

export const WEBHOOK = graphql(`query MyWebhook { webhook { url } }`)

export const SET_WEBHOOK = graphql(`
  mutation SetWebhook($url: String!) { setWebhook(url: $url) { url secret } }
`)

export const REMOVE_WEBHOOK = graphql(`mutation RemoveWebhook { removeWebhook }`)

export const TEST_WEBHOOK = graphql(`mutation TestWebhook { testWebhook { delivered detail } }`)

export const STATS = graphql(`
  query Stats {
    stats {
      status jobsDone averageProcessingTimeMs liveConnections requests
      engines { name status latencyMs error }
      pipelines { name records lagRecords lagSeconds stalled }
    }
  }
`)

export const SET_ROLE = graphql(`
  mutation SetRole($id: ID!, $role: Role!) { setRole(userId: $id, role: $role) { id role } }
`)

export const LETTERS = graphql(`
  query Letters($after: String) {
    letters(first: 50, after: $after) {
      nodes { id topic pipeline key reason attempts parkedAt value } pageInfo { hasNextPage endCursor }
    }
  }
`)

export const REPLAY = graphql(`mutation Replay($id: ID!) { replayLetter(id: $id) }`)

export const DROP = graphql(`mutation Drop($id: ID!) { dropLetter(id: $id) }`)

export const TASK_EVENTS = graphql(`
  subscription TaskEvents {
    taskEvents {
      __typename
      ... on TaskEvent { id type time actor task { ...Row } changes { field before after } }
      ... on Gap { reason }
    }
  }
`)

export const NOTIFICATIONS = graphql(`
  subscription Notifications($after: ID) {
    notificationReceived(after: $after) { id kind taskId message createdAt readAt }
  }
`)

export const VIEWERS = graphql(`subscription Viewers($id: ID!) { taskViewers(id: $id) { id } }`)
