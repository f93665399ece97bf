"""What is counted of a pipeline that several lanes of a process share."""

from tasktide.adapters.prometheus.metrics import PrometheusMetrics


def test_a_pipeline_is_as_far_behind_as_its_lanes_together() -> None:
    metrics = PrometheusMetrics()
    metrics.lag("inbox", 300, 4.0, 0)
    metrics.lag("inbox", 200, 1.5, 1)
    [flow] = metrics.flows()
    assert (flow.lag_records, flow.lag_s) == (500, 4.0)
    metrics.lag("inbox", 0, 0.0, 0)
    [flow] = metrics.flows()
    assert (flow.lag_records, flow.lag_s) == (200, 1.5)


def test_a_pipeline_is_stalled_until_its_last_lane_goes_on() -> None:
    metrics = PrometheusMetrics()
    for lane, is_stalled, shown in [(0, True, True), (1, True, True), (0, False, True), (1, False, False)]:
        metrics.stalled("inbox", is_stalled=is_stalled, lane=lane)
        [flow] = metrics.flows()
        assert flow.is_stalled is shown
