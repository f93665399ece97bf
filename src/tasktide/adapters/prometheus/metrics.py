"""Metrics for Prometheus. Every name is declared here and nowhere else."""

from collections import defaultdict
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.openmetrics import exposition as openmetrics

from tasktide.ports.metrics import Flow, Traffic

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class PrometheusMetrics:
    """`ports.metrics.Metrics`."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        by_pipeline = ["pipeline"]
        self._records = Counter("tasktide_pipeline_records", "Records handled.", by_pipeline, registry=registry)
        self._batches = Histogram(
            "tasktide_pipeline_batch_seconds",
            "Seconds per batch.",
            by_pipeline,
            registry=registry,
            buckets=_SECONDS,
        )
        self._parked = Counter(
            "tasktide_pipeline_parked", "Records set aside as dead letters.", by_pipeline, registry=registry
        )
        self._stalled = Gauge(
            "tasktide_pipeline_stalled",
            "1 while the pipeline waits for an engine.",
            by_pipeline,
            registry=registry,
        )
        self._degraded = Gauge(
            "tasktide_degraded", "1 while something works by a stand-in.", ["what"], registry=registry
        )
        self._lag = Gauge("tasktide_pipeline_lag_records", "Records not yet committed.", by_pipeline, registry=registry)
        self._lag_age = Gauge(
            "tasktide_pipeline_lag_seconds", "Age of the oldest of them.", by_pipeline, registry=registry
        )
        self._progress = Gauge(
            "tasktide_pipeline_progress_timestamp_seconds", "When a batch last went through.", by_pipeline,
            registry=registry,
        )  # fmt: skip
        self._requests = Histogram(
            "tasktide_request_seconds",
            "Seconds per request.",
            ["protocol", "method", "status"],
            registry=registry,
            buckets=_SECONDS,
        )
        # What the lanes of each pipeline said last.
        self._waiting: defaultdict[str, dict[int, bool]] = defaultdict(dict)
        self._behind: defaultdict[str, dict[int, tuple[int, float]]] = defaultdict(dict)
        self._seen: dict[tuple[str, str, int], Histogram] = {}
        self._listeners = Gauge("tasktide_live_connections", "Open streams.", ["protocol"], registry=registry)

    def handled(self, pipeline: str, records: int, seconds: float) -> None:
        """See the port."""
        self._records.labels(pipeline).inc(records)
        self._batches.labels(pipeline).observe(seconds)
        self._progress.labels(pipeline).set_to_current_time()

    def parked(self, pipeline: str, records: int) -> None:
        """See the port."""
        self._parked.labels(pipeline).inc(records)

    def stalled(self, pipeline: str, *, is_stalled: bool, lane: int = 0) -> None:
        """See the port."""
        lanes = self._waiting[pipeline]
        lanes[lane] = is_stalled
        self._stalled.labels(pipeline).set(any(lanes.values()))

    def degraded(self, what: str, *, is_degraded: bool) -> None:
        """See the port."""
        self._degraded.labels(what).set(is_degraded)

    def lag(self, pipeline: str, records: int, age_s: float, lane: int = 0) -> None:
        """See the port."""
        lanes = self._behind[pipeline]
        lanes[lane] = records, age_s
        self._lag.labels(pipeline).set(sum(records for records, _ in lanes.values()))
        self._lag_age.labels(pipeline).set(max(age_s for _, age_s in lanes.values()))

    def request(self, protocol: str, method: str, status: int, seconds: float) -> None:
        """See the port."""
        # Looking a child up by its labels costs more than counting: those seen before are at hand.
        known = self._seen.get((protocol, method, status))
        if known is None:
            known = self._seen[protocol, method, status] = self._requests.labels(protocol, method, str(status))
        known.observe(seconds)

    def listeners(self, protocol: str, change: int) -> None:
        """See the port."""
        self._listeners.labels(protocol).inc(change)

    def flows(self) -> Sequence[Flow]:
        """See the port."""
        records = _by_label(self._records, "pipeline", "_total")
        lags, ages = _by_label(self._lag, "pipeline"), _by_label(self._lag_age, "pipeline")
        stalled = _by_label(self._stalled, "pipeline")
        return [
            Flow(name, records.get(name, 0.0), lags.get(name, 0.0), ages.get(name, 0.0), bool(stalled.get(name)))
            for name in sorted(records.keys() | lags.keys() | stalled.keys())
        ]

    def traffic(self) -> Traffic:
        """See the port."""
        return Traffic(
            sum(_by_label(self._requests, "method", "_count").values()),
            sum(_by_label(self._listeners, "protocol").values()),
        )

    def render(self, media_type: str) -> tuple[bytes, str]:
        """See the port."""
        if "openmetrics" in media_type:
            body: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return body, openmetrics.CONTENT_TYPE_LATEST
        return exposition.generate_latest(self._registry), exposition.CONTENT_TYPE_LATEST


def _by_label(metric: MetricWrapperBase, label: str, suffix: str = "") -> dict[str, float]:
    """The sums of a metric's samples of one suffix, by one label."""
    found: dict[str, float] = {}
    for family in metric.collect():
        for sample in family.samples:
            if sample.name == family.name + suffix:
                found[sample.labels[label]] = found.get(sample.labels[label], 0.0) + sample.value
    return found
