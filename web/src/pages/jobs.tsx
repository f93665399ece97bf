// What programs do: by state, with attempts and errors; retried and cancelled one by one or many at once.
import { many } from '../data'
import { isOpen } from '../tasks'
import { Button, Empty, PageHead } from '../ui/basics'
import { Filters, filterOf, useSearchOf } from '../ui/filters'
import { TaskTable } from '../ui/table'

export function Jobs() {
  const [search] = useSearchOf('/jobs')
  return (
    <>
      <PageHead title="Jobs">
        <Filters path="/jobs" withStatus />
      </PageHead>
      <TaskTable
        path="/jobs"
        filter={{ ...filterOf(search), job: true }}
        sort="UPDATED_AT"
        middle={(job) => (
          <span className="flex items-center gap-3 text-xs text-muted">
            {job.error && (
              <span className="max-w-64 truncate text-danger max-lg:hidden" title={job.error}>
                {job.error}
              </span>
            )}
            <span className="max-md:hidden">{job.handler}</span>
            <span title="Attempts">
              {job.attempts}/{job.maxAttempts}
            </span>
          </span>
        )}
        bulk={(selected, done) => {
          const failed = selected.filter((job) => job.status === 'FAILED' || job.status === 'CANCELLED')
          const open = selected.filter(isOpen)
          return (
            <>
              <Button
                icon="retry"
                disabled={!failed.length}
                onClick={() => void many('retry', failed).then(done)}
              >
                Retry {failed.length || ''}
              </Button>
              <Button
                icon="close"
                disabled={!open.length}
                onClick={() => void many('cancel', open).then(done)}
              >
                Cancel {open.length || ''}
              </Button>
            </>
          )
        }}
        empty={
          <Empty title="No jobs match">
            A job is a task with a handler: a function in Python that workers run. Press c, tick “A job”, and
            try
            <code> reverse</code>, <code>sleep</code> or <code>fail</code>.
          </Empty>
        }
      />
    </>
  )
}
