//! A report as a table for people.
//!
//! Must not know how anything was found out. Invariants: no colour unless the look says so; no line is wider than the
//! look, except where one word is.

use std::io::IsTerminal as _;

use client::probe::{Answer, Check, Judgement, Outcome, Report};

/// Width where there is no terminal.
const PLAIN_WIDTH: usize = 120;
/// Narrower than this, nothing can be laid out.
const NARROWEST: usize = 60;
/// The column of outcomes.
const OUTCOME_WIDTH: usize = 10;
/// The column of names.
const TITLE_WIDTH: usize = 25;

/// How the table looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) colour: Colour,
    pub(super) width: usize,
}

/// Whether outcomes are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    On,
    Off,
}

impl Look {
    /// As standard output is: colour and width of a terminal (unless `NO_COLOR` is set), plain otherwise.
    pub(super) fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = if terminal && !unwanted { Colour::On } else { Colour::Off };
        let columns = rustix::termios::tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col));
        let width = columns.filter(|columns| terminal && *columns > 0).unwrap_or(PLAIN_WIDTH);
        Self { colour, width: width.max(NARROWEST) }
    }

    fn paint(self, outcome: Outcome, text: &str) -> String {
        let code = match outcome {
            Outcome::Pass => "32",
            Outcome::Skipped => "2",
            Outcome::Degraded => "33",
            Outcome::Fail => "1;31",
        };
        match self.colour {
            Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_owned(),
        }
    }
}

/// The whole table.
pub(super) fn of(report: &Report, look: Look) -> String {
    let mut lines = vec![head(report)];
    let mut group = None;
    for check in &report.checks {
        if group != Some(check.id.group()) {
            group = Some(check.id.group());
            lines.push(String::new());
            lines.push(check.id.group().as_str().to_uppercase());
        }
        row(check, look, &mut lines);
    }
    lines.push(String::new());
    for (question, judgement) in [
        ("usable for caching", &report.verdict.caching),
        ("parts of blobs (lazy pulling)", &report.verdict.lazy),
        ("CDN-friendly", &report.verdict.cdn),
    ] {
        answer(question, judgement, look, &mut lines);
    }
    lines.push(String::new());
    lines.push(sum(report, look));
    lines.join("\n") + "\n"
}

fn head(report: &Report) -> String {
    let image = report.image.as_ref().map_or(String::new(), |image| format!("  {image}"));
    format!("{}{image}  {}", report.target, report.at)
}

fn row(check: &Check, look: Look, lines: &mut Vec<String>) {
    let indent = OUTCOME_WIDTH + TITLE_WIDTH;
    let room = look.width.saturating_sub(indent);
    let outcome = look.paint(check.outcome, &format!("{:<OUTCOME_WIDTH$}", check.outcome.as_str()));
    let seen = wrapped(&check.seen, room);
    let meaning = wrapped(&check.meaning, room.saturating_sub(2));
    let mut first = true;
    for line in seen {
        if first {
            lines.push(format!("{outcome}{:<TITLE_WIDTH$}{line}", check.id.title()).trim_end().to_owned());
            first = false;
        } else {
            lines.push(format!("{:indent$}{line}", ""));
        }
    }
    // What is fine needs no words under it, unless somebody asks for JSON.
    if matches!(check.outcome, Outcome::Degraded | Outcome::Fail) {
        for (at, line) in meaning.iter().enumerate() {
            let mark = if at == 0 { "> " } else { "  " };
            lines.push(format!("{:indent$}{mark}{line}", ""));
        }
    }
}

fn answer(question: &str, judgement: &Judgement, look: Look, lines: &mut Vec<String>) {
    let outcome = match judgement.answer {
        Answer::Yes => Outcome::Pass,
        Answer::Partly => Outcome::Degraded,
        Answer::No => Outcome::Fail,
        Answer::Unknown => Outcome::Skipped,
    };
    let indent = OUTCOME_WIDTH + TITLE_WIDTH;
    lines.push(format!("{question:<indent$}{}", look.paint(outcome, judgement.answer.as_str())));
    for reason in &judgement.reasons {
        for (at, line) in wrapped(reason, look.width.saturating_sub(indent + 2)).iter().enumerate() {
            let mark = if at == 0 { "- " } else { "  " };
            lines.push(format!("{:indent$}{mark}{line}", ""));
        }
    }
}

fn sum(report: &Report, look: Look) -> String {
    let part = |outcome: Outcome| {
        let count = report.count(outcome);
        let text = format!("{count} {}", outcome.as_str());
        if count == 0 { text } else { look.paint(outcome, &text) }
    };
    [Outcome::Pass, Outcome::Degraded, Outcome::Fail, Outcome::Skipped].map(part).join(", ")
}

/// Breaks at spaces; at least one line.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use client::probe::{CheckId, Verdict};

    use super::*;

    fn report() -> Report {
        let check = |id, outcome, seen: &str, meaning: &str| Check {
            id,
            outcome,
            seen: seen.to_owned(),
            meaning: meaning.to_owned(),
        };
        let yes = Judgement { answer: Answer::Yes, reasons: Vec::new() };
        let partly = Judgement { answer: Answer::Partly, reasons: vec!["ETag: ".to_owned() + &"word ".repeat(40)] };
        Report {
            target: "https://r.example/".to_owned(),
            image: Some("a/b:1".to_owned()),
            at: "2026-01-01T00:00:00Z".to_owned(),
            checks: vec![
                check(CheckId::Dns, Outcome::Pass, "1.1.1.1 (public)", "unsaid"),
                check(CheckId::Http2, Outcome::Skipped, "plain", ""),
                check(CheckId::Etag, Outcome::Degraded, &"seen ".repeat(60), &"meant ".repeat(60)),
                check(CheckId::CacheTag, Outcome::Fail, "max-age=9", "old images"),
            ],
            verdict: Verdict { caching: yes.clone(), lazy: yes, cdn: partly },
            exchanges: Vec::new(),
        }
    }

    #[test]
    fn the_table_is_plain_within_its_width_and_says_what_matters() {
        let text = of(&report(), Look { colour: Colour::Off, width: 80 });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(!text.contains('\x1b'));
        assert!(text.contains("\nNETWORK\npass      addresses                1.1.1.1 (public)\n"), "{text}");
        assert!(text.contains("\nfail      Cache-Control by tag     max-age=9\n"), "{text}");
        assert!(text.contains("> old images") && !text.contains("unsaid"), "{text}");
        assert!(text.contains("CDN-friendly                       partly\n"), "{text}");
        assert!(text.ends_with("1 pass, 1 degraded, 1 fail, 1 skipped\n"), "{text}");
    }

    #[test]
    fn colour_is_only_there_when_it_is_wanted() {
        let text = of(&report(), Look { colour: Colour::On, width: 80 });
        assert!(text.contains("\x1b[1;31mfail      \x1b[0m") && text.contains("\x1b[32myes\x1b[0m"), "{text:?}");
    }
}
