//! The way of request records to standard output (or wherever): a bounded buffer that requests add their line to
//! without ever waiting, and a thread that writes whole batches.
//!
//! A line is made where its request ended: the record is in that core's cache, and freeing it on another thread would
//! cost more than writing it. Must not know HTTP. Invariants: a request never blocks on the log; what does not fit is
//! dropped and counted, and the count is written as soon as there is room; everything pushed before `finish` is written
//! when it returns.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::log_request::{LogFormat, RequestRecord};

/// Bytes of lines that may wait: about sixteen thousand requests.
const WAITING_BYTES: usize = 8 << 20;

/// How long the writer lets a batch gather: one wake-up and one write for all of it.
const GATHER: Duration = Duration::from_millis(2);

/// Where requests leave their record. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    shared: Option<Arc<Shared>>,
}

/// Writes what was left in the log; [`finish`](Self::finish) it before the process ends.
pub struct AccessLogWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    format: LogFormat,
    most_bytes: usize,
}

thread_local! {
    /// Where this thread makes its lines.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    dropped: u64,
    finishing: bool,
}

impl AccessLog {
    /// A log that keeps nothing.
    pub fn off() -> Self {
        Self { shared: None }
    }

    /// Starts a log that writes to `out`.
    pub fn start(out: impl Write + Send + 'static, format: LogFormat) -> io::Result<(Self, AccessLogWriter)> {
        Self::with_room(out, format, WAITING_BYTES)
    }

    fn with_room(
        out: impl Write + Send + 'static,
        format: LogFormat,
        most_bytes: usize,
    ) -> io::Result<(Self, AccessLogWriter)> {
        let shared = Arc::new(Shared { queue: Mutex::default(), ready: Condvar::new(), format, most_bytes });
        let theirs = shared.clone();
        let thread = thread::Builder::new().name("access-log".into()).spawn(move || theirs.write_all(out))?;
        Ok((Self { shared: Some(shared.clone()) }, AccessLogWriter { shared, thread: Some(thread) }))
    }

    /// Leaves a record; never waits for the writer.
    pub(crate) fn push(&self, record: &RequestRecord) {
        let Some(shared) = &self.shared else { return };
        LINE.with_borrow_mut(|line| {
            line.clear();
            // Writing to memory cannot fail; a record that could not be formatted would be a line less, no more.
            let _ = record.write(shared.format, line);
            shared.add(line);
        });
    }
}

impl AccessLogWriter {
    /// Writes everything left so far and ends the thread.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.lock().finishing = true;
        self.shared.ready.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the access log's writer had panicked; lines are missing");
        }
    }
}

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut queue = self.lock();
        if queue.lines.len() + line.len() > self.most_bytes {
            queue.dropped += 1;
            return;
        }
        let first = queue.lines.is_empty();
        queue.lines.extend_from_slice(line);
        drop(queue);
        if first {
            self.ready.notify_one();
        }
    }

    fn write_all(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let (dropped, finishing) = self.take(&mut lines);
            if dropped > 0 {
                tracing::warn!(dropped, "the access log could not keep up; lines are missing");
            }
            // There is nowhere to report that standard output is gone.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
            lines.shrink_to(1 << 20);
            if finishing {
                return;
            }
        }
    }

    /// Waits for lines, lets more gather, and takes them all.
    fn take(&self, lines: &mut Vec<u8>) -> (u64, bool) {
        let mut queue = self.lock();
        while queue.lines.is_empty() && queue.dropped == 0 && !queue.finishing {
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if !queue.finishing {
            drop(queue);
            thread::sleep(GATHER);
            queue = self.lock();
        }
        std::mem::swap(&mut queue.lines, lines);
        (std::mem::take(&mut queue.dropped), queue.finishing)
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_request::tests::record;
    use super::*;
    use std::sync::mpsc;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(sink: &Sink) -> Vec<String> {
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn everything_pushed_before_finish_is_written_in_order() {
        let sink = Sink::default();
        let (log, writer) = AccessLog::start(sink.clone(), LogFormat::Json).unwrap();
        for number in 0..1000 {
            log.push(&record(&format!("/{number}")));
        }
        writer.finish();
        let lines = lines(&sink);
        assert_eq!(lines.len(), 1000);
        for (number, line) in lines.iter().enumerate() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["path"], format!("/{number}"));
        }
    }

    /// A sink that stands still until told.
    struct Stuck(mpsc::Receiver<()>, Sink);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A closed channel means: go on.
            let _ = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_writer_costs_lines_and_memory_is_bounded_but_nobody_waits() {
        let (go, stuck) = mpsc::channel();
        let sink = Sink::default();
        let (log, writer) = AccessLog::with_room(Stuck(stuck, sink.clone()), LogFormat::Json, 4000).unwrap();
        for _ in 0..10_000 {
            log.push(&record("/x"));
        }
        assert!(log.shared.as_ref().unwrap().lock().lines.len() <= 4000);
        drop(go);
        writer.finish();
        let written = lines(&sink).len();
        assert!((5..=40).contains(&written), "{written} lines");
    }
}
