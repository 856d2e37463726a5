//! Writes log lines from a thread of their own, many in one system call.
//!
//! Must not know what a line says. Invariants: who logs never waits; the queue is bounded; lines lost because their
//! reader is too slow are counted, and the count is written as soon as there is room; dropping the guard writes what
//! is queued, but waits a bounded time only (a stuck pipe must not keep the process from ending).

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::escape::push_line;

/// Lines that may wait. At a usual 500 bytes a line: 4 MiB.
const QUEUE_LINES: usize = 8_192;
/// Bytes gathered before they are written.
const BATCH_BYTES: usize = 64 * 1024;
/// How long the end of the process waits for the log's reader.
const LAST_WAIT: Duration = Duration::from_secs(2);

enum Message {
    Line(Vec<u8>),
    End,
}

/// Where the formatter writes. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogWriter {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// Ends the thread when dropped.
pub(super) struct WriterGuard {
    queue: SyncSender<Message>,
    ended: Receiver<()>,
}

impl LogWriter {
    /// Starts the thread that writes to `sink`.
    pub(super) fn start(sink: impl Write + Send + 'static) -> (Self, WriterGuard) {
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let (end, ended) = channel();
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Self { queue: queue.clone(), lost: lost.clone() };
        let spawned = thread::Builder::new().name("log".into()).spawn(move || {
            write_lines(sink, &lines, &lost);
            drop(end);
        });
        if let Err(error) = spawned {
            // Nothing can be logged without the thread; the receiver is gone, so lines are counted as lost.
            let _ = writeln!(io::stderr(), "cannot start the log thread: {error}");
        }
        (writer, WriterGuard { queue, ended })
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        let mut message = Message::End;
        // The queue may be full of lines that nobody reads: try for a while, never block.
        for _ in 0..20 {
            match self.queue.try_send(message) {
                Ok(()) => break,
                Err(error) => {
                    message = match error {
                        std::sync::mpsc::TrySendError::Full(message) => message,
                        std::sync::mpsc::TrySendError::Disconnected(_) => return,
                    };
                    thread::sleep(LAST_WAIT / 20);
                }
            }
        }
        match self.ended.recv_timeout(LAST_WAIT) {
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
    }
}

fn write_lines(mut sink: impl Write, lines: &Receiver<Message>, lost: &AtomicU64) {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    while let Ok(Message::Line(first)) = lines.recv() {
        push_line(&mut batch, &first);
        let ended = gather(&mut batch, lines);
        note_lost(&mut batch, lost.swap(0, Ordering::Relaxed));
        if sink.write_all(&batch).and_then(|()| sink.flush()).is_err() {
            // The log's reader has gone; there is no other place to say so. Lines go on being taken off the queue.
            lost.fetch_add(1, Ordering::Relaxed);
        }
        batch.clear();
        if ended {
            return;
        }
    }
}

/// Adds waiting lines to the batch; true when the end was among them.
fn gather(batch: &mut Vec<u8>, lines: &Receiver<Message>) -> bool {
    while batch.len() < BATCH_BYTES {
        match lines.try_recv() {
            Ok(Message::Line(line)) => push_line(batch, &line),
            Ok(Message::End) | Err(TryRecvError::Disconnected) => return true,
            Err(TryRecvError::Empty) => return false,
        }
    }
    false
}

fn note_lost(batch: &mut Vec<u8>, lost: u64) {
    if lost > 0 {
        // Both forms of log are lines; this one is readable in either.
        let note = serde_json::json!({ "level": "WARN", "target": "transship::log", "message": "log lines were lost: the log's reader is too slow", "lost": lost });
        batch.extend_from_slice(format!("{note}\n").as_bytes());
    }
}

/// One event's line.
pub(super) struct Line<'a> {
    writer: &'a LogWriter,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.writer.queue.try_send(Message::Line(std::mem::take(&mut self.bytes))).is_err() {
            self.writer.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { writer: self, bytes: Vec::with_capacity(512) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc;

    /// A sink that blocks until told, and keeps what it was given.
    struct Gated {
        gate: mpsc::Receiver<()>,
        kept: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Closed for good once the test has dropped its side.
            let _ = self.gate.recv();
            self.kept.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(writer: &LogWriter, line: &str) {
        writer.make_writer().write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn every_line_is_written_in_order_before_the_guard_is_gone() {
        let (open, gate) = mpsc::channel();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (writer, guard) = LogWriter::start(Gated { gate, kept: kept.clone() });
        drop(open);
        let expected: Vec<String> = (0..2_000).map(|i| format!("line {i}\n")).collect();
        for line in &expected {
            log(&writer, line);
        }
        drop(guard);
        assert_eq!(String::from_utf8(kept.lock().unwrap().clone()).unwrap(), expected.concat());
    }

    #[test]
    fn a_reader_that_stands_still_stops_no_one_and_the_loss_is_counted() {
        let (open, gate) = mpsc::channel();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (writer, guard) = LogWriter::start(Gated { gate, kept: kept.clone() });
        // Long enough that what the writer takes off the queue for its one batch cannot be all of it.
        let line = format!("{}\n", "x".repeat(BATCH_BYTES / 64));
        let sent = QUEUE_LINES * 2;
        (0..sent).for_each(|_| log(&writer, &line));
        drop(open);
        drop(guard);
        let text = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        let written = text.lines().filter(|line| line.starts_with('x')).count();
        let lost: u64 = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .map(|note| note["lost"].as_u64().unwrap())
            .sum();
        assert!(lost > 0);
        assert_eq!(written as u64 + lost, sent as u64);
    }
}
