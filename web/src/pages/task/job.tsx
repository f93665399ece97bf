// What a job was given, and what came of it.
import type { FullTask } from '../../data'
import { isOpen } from '../../tasks'
import { Due, StatusIcon } from '../../ui/basics'

export function JobPart({ task }: { task: FullTask }) {
  return (
    <section aria-label="Job" className="mt-4 rounded-xl border border-line bg-panel p-4">
      <h2 className="mb-2 flex items-center gap-2 text-sm font-medium">
        <StatusIcon status={task.status} /> Job: {task.handler}
        <span className="font-normal text-muted">
          attempt {task.attempts} of {task.maxAttempts}
        </span>
        {task.status === 'PENDING' && task.runAt && <Due at={task.runAt} isOpen={false} />}
      </h2>
      <div className="grid gap-3 md:grid-cols-2">
        <Json name="Payload" value={task.payload} />
        {task.error ? (
          <div>
            <p className="text-xs text-muted">Error</p>
            <pre className="mt-1 max-h-64 overflow-auto rounded-md bg-danger-soft p-2 text-xs wrap-anywhere whitespace-pre-wrap text-danger">
              {task.error}
            </pre>
          </div>
        ) : (
          <Json
            name="Result"
            value={task.status === 'DONE' ? task.result : undefined}
            none={isOpen(task) ? 'not yet' : 'none'}
          />
        )}
      </div>
    </section>
  )
}

function Json({ name, value, none }: { name: string; value: unknown; none?: string }) {
  return (
    <div>
      <p className="text-xs text-muted">{name}</p>
      <pre
        tabIndex={0}
        className="mt-1 max-h-64 overflow-auto rounded-md bg-sunken p-2 text-xs wrap-anywhere whitespace-pre-wrap"
      >
        {value === undefined ? none : JSON.stringify(value, null, 2)}
      </pre>
    </div>
  )
}
