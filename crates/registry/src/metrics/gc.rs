//! What garbage collection counts.
//!
//! Must not know how it works. Invariant: a dry run counts nothing.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::hosted::{GcEnd, GcReport};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    end: &'static str,
}

/// The counters.
#[derive(Clone, Debug)]
pub(crate) struct GcMetrics {
    runs: Family<RunLabels, Counter>,
    condemned: Counter,
    collected: Counter,
    freed_bytes: Counter,
    seconds: Histogram,
}

impl Default for GcMetrics {
    fn default() -> Self {
        let (runs, seconds) = (Family::default(), super::seconds());
        Self {
            runs,
            condemned: Counter::default(),
            collected: Counter::default(),
            freed_bytes: Counter::default(),
            seconds,
        }
    }
}

impl GcMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "transship_gc_runs",
            "Garbage collections by how they ended (completed, interrupted, failed)",
            self.runs.clone(),
        );
        registry.register(
            "transship_gc_condemned",
            "Blobs and manifests, by name, that garbage collection found unneeded",
            self.condemned.clone(),
        );
        registry.register(
            "transship_gc_collected",
            "Blobs and manifests, by name, that garbage collection took away",
            self.collected.clone(),
        );
        registry.register_with_unit(
            "transship_gc_freed",
            "Bytes on disk that garbage collection freed",
            Unit::Bytes,
            self.freed_bytes.clone(),
        );
        registry.register_with_unit(
            "transship_gc_run",
            "Time that a garbage collection took",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }

    pub(super) fn show_every_family(&self) {
        drop(self.runs.get_or_create(&RunLabels { end: GcEnd::Completed.as_str() }));
    }

    /// Counts a run.
    pub(crate) fn ran(&self, report: &GcReport) {
        let total = report.total();
        self.runs.get_or_create(&RunLabels { end: report.end.as_str() }).inc();
        self.condemned.inc_by(total.condemned);
        self.collected.inc_by(total.collected);
        self.freed_bytes.inc_by(report.freed_bytes);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a run are few")]
        self.seconds.observe(report.duration_ms as f64 / 1000.0);
    }
}
