import { many, useMe, usePeople } from '../data'
import type { TaskInput, TaskStatus } from '../gql/graphql'
import { STATUS_NAMES, STATUSES } from '../tasks'
import { Button, Empty, PageHead } from '../ui/basics'
import { Choice, PersonSelect } from '../ui/fields'
import { Filters, filterOf, isFiltered, useSearchOf } from '../ui/filters'
import { TaskTable } from '../ui/table'

export function List() {
  const [search] = useSearchOf('/list')
  const people = usePeople()
  const me = useMe().data
  return (
    <>
      <PageHead title="List">
        <Filters path="/list" withStatus />
      </PageHead>
      <TaskTable
        path="/list"
        filter={filterOf(search)}
        sort="CREATED_AT"
        bulk={(selected, done) => {
          const change = (input: TaskInput) => void many(input, selected).then(done)
          return (
            <>
              <Choice
                aria-label="Set status"
                className="field !w-32"
                value=""
                isCareful
                onChange={(chosen) => change({ status: chosen as TaskStatus })}
              >
                <option value="">Status …</option>
                {STATUSES.map((status) => (
                  <option key={status} value={status}>
                    {STATUS_NAMES[status]}
                  </option>
                ))}
              </Choice>
              <div className="w-36">
                <PersonSelect
                  aria-label="Set performer"
                  people={people}
                  value={null}
                  none="Performer …"
                  isCareful
                  onChange={(performerId) => change({ performerId })}
                />
              </div>
              <Choice
                aria-label="Set priority"
                className="field !w-28"
                value=""
                isCareful
                onChange={(chosen) => change({ priority: Number(chosen) })}
              >
                <option value="">Priority …</option>
                {[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((value) => (
                  <option key={value}>{value}</option>
                ))}
              </Choice>
              <Button
                look="danger"
                icon="trash"
                onClick={() =>
                  confirm(`Delete ${selected.length} tasks for good?`) &&
                  void many('delete', selected).then(done)
                }
              >
                Delete
              </Button>
            </>
          )
        }}
        empty={
          <Empty title="No tasks match">
            {isFiltered(search)
              ? 'Clear the filters above, or look for something else.'
              : `Press c to write the first task down${me ? `, ${me.name.split(' ')[0]}` : ''}.`}
          </Empty>
        }
      />
    </>
  )
}
