//! The prefix of all names. A library such as `task-queue`, which others could use, emits names without one.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

const PREFIX: &str = "voltgate_";

/// Every Prometheus client names the numbers of its process alike.
const OF_THE_PROCESS: &str = "process_";

/// Adds the prefix to names that lack it.
pub(super) struct Prefixed<R>(pub(super) R);

impl<R: Recorder> Recorder for Prefixed<R> {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_counter(name, unit, description);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_gauge(name, unit, description);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_histogram(name, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        with_prefix(key, |key| self.0.register_counter(key, metadata))
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        with_prefix(key, |key| self.0.register_gauge(key, metadata))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        with_prefix(key, |key| self.0.register_histogram(key, metadata))
    }
}

fn with_prefix<T>(key: &Key, register: impl FnOnce(&Key) -> T) -> T {
    if [PREFIX, OF_THE_PROCESS].iter().any(|prefix| key.name().starts_with(prefix)) {
        return register(key);
    }
    let labels: Vec<_> = key.labels().cloned().collect();
    register(&Key::from_parts(format!("{PREFIX}{}", key.name()), labels))
}

#[cfg(test)]
mod tests {
    use metrics::{counter, with_local_recorder};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_name_without_the_prefix_gets_it_once() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        with_local_recorder(&Prefixed(recorder), || {
            counter!("dead_letters_total", "reason" => "poison").increment(1);
            counter!("voltgate_dead_letters_total", "reason" => "poison").increment(1);
        });
        let text = handle.render();
        assert!(text.contains("voltgate_dead_letters_total{reason=\"poison\"} 2"), "{text}");
    }
}
