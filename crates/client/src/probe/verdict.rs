//! What all checks come to, in three answers.
//!
//! Must not know how checks are made. Invariant: a reason names the check it comes from, in the words of the check.

use super::report::{Answer, Check, CheckId, Judgement, Outcome, Verdict};

/// What a pull needs.
const PULL: &[CheckId] = &[
    CheckId::Dns,
    CheckId::Tcp,
    CheckId::Tls,
    CheckId::Base,
    CheckId::Challenge,
    CheckId::ManifestHead,
    CheckId::ManifestGet,
    CheckId::ManifestAgreement,
    CheckId::ManifestDigest,
    CheckId::ManifestMissing,
    CheckId::BlobHead,
    CheckId::BlobGet,
    CheckId::RateLimit,
];
/// Of these a failure means that nothing can be cached.
const WITHOUT_WHICH_NOTHING: &[CheckId] = &[
    CheckId::Dns,
    CheckId::Tcp,
    CheckId::Tls,
    CheckId::Base,
    CheckId::Challenge,
    CheckId::ManifestGet,
    CheckId::ManifestDigest,
    CheckId::BlobGet,
];
const PARTS: &[CheckId] = &[CheckId::RangeFirst, CheckId::RangeOpen, CheckId::RangeSuffix];
const SHARED: &[CheckId] = &[
    CheckId::Redirect,
    CheckId::ContentEncoding,
    CheckId::Etag,
    CheckId::IfNoneMatch,
    CheckId::IfRange,
    CheckId::RangeUnsatisfiable,
    CheckId::CacheDigest,
    CheckId::CacheTag,
    CheckId::Vary,
    CheckId::Date,
];

/// Sums the checks up.
pub(super) fn of(checks: &[Check]) -> Verdict {
    Verdict {
        caching: judge(checks, PULL, CheckId::BlobGet, |check| WITHOUT_WHICH_NOTHING.contains(&check.id)),
        // Bytes in the wrong place are worse than none: one lie is a no. Where ranges are ignored it is a no, too.
        lazy: judge(checks, PARTS, CheckId::RangeFirst, |_| true).or_no_when_all_degraded(checks),
        cdn: judge(checks, SHARED, CheckId::CacheTag, |check| {
            matches!(check.id, CheckId::CacheTag | CheckId::Vary | CheckId::Etag | CheckId::IfNoneMatch)
        }),
    }
}

/// `needed` is the check without which the question was not looked at; `fatal` tells which failures mean no.
fn judge(checks: &[Check], ids: &[CheckId], needed: CheckId, fatal: impl Fn(&Check) -> bool) -> Judgement {
    let of_question: Vec<&Check> = checks.iter().filter(|check| ids.contains(&check.id)).collect();
    let reasons: Vec<String> = of_question
        .iter()
        .filter(|check| matches!(check.outcome, Outcome::Degraded | Outcome::Fail))
        .map(|check| format!("{}: {}", check.id.title(), check.meaning))
        .collect();
    let looked_at = checks
        .iter()
        .any(|check| check.id == needed && matches!(check.outcome, Outcome::Pass | Outcome::Degraded | Outcome::Fail));
    let failed = of_question.iter().any(|check| check.outcome == Outcome::Fail && fatal(check));
    let answer = match (failed, looked_at, reasons.is_empty()) {
        (true, _, _) => Answer::No,
        (false, false, _) => Answer::Unknown,
        (false, true, false) => Answer::Partly,
        (false, true, true) => Answer::Yes,
    };
    Judgement { answer, reasons }
}

impl Judgement {
    fn or_no_when_all_degraded(self, checks: &[Check]) -> Self {
        let useless = PARTS.iter().all(|id| {
            checks.iter().any(|check| check.id == *id && matches!(check.outcome, Outcome::Degraded | Outcome::Fail))
        });
        if useless { Self { answer: Answer::No, ..self } } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(changes: &[(CheckId, Outcome)]) -> Verdict {
        let checks: Vec<Check> = CheckId::ALL
            .iter()
            .map(|id| {
                let outcome = changes.iter().find(|(changed, _)| changed == id).map_or(Outcome::Pass, |(_, to)| *to);
                Check::new(*id, outcome, "seen", "so it is")
            })
            .collect();
        of(&checks)
    }

    fn answers(changes: &[(CheckId, Outcome)]) -> [Answer; 3] {
        let verdict = with(changes);
        [verdict.caching.answer, verdict.lazy.answer, verdict.cdn.answer]
    }

    #[test]
    fn answers_follow_from_the_checks() {
        use Answer::{No, Partly, Unknown, Yes};
        use Outcome::{Degraded, Fail, Skipped};
        assert_eq!(answers(&[]), [Yes, Yes, Yes]);
        assert_eq!(answers(&[(CheckId::Referrers, Degraded)]), [Yes, Yes, Yes]);
        assert_eq!(answers(&[(CheckId::ManifestHead, Degraded)]), [Partly, Yes, Yes]);
        assert_eq!(answers(&[(CheckId::ManifestGet, Fail)]), [No, Yes, Yes]);
        assert_eq!(answers(&[(CheckId::RangeOpen, Fail)]), [Yes, No, Yes]);
        assert_eq!(answers(&[(CheckId::RangeSuffix, Degraded)]), [Yes, Partly, Yes]);
        let ignored = PARTS.iter().map(|id| (*id, Degraded)).collect::<Vec<_>>();
        assert_eq!(answers(&ignored), [Yes, No, Yes]);
        assert_eq!(answers(&[(CheckId::CacheTag, Fail)]), [Yes, Yes, No]);
        assert_eq!(answers(&[(CheckId::CacheDigest, Degraded)]), [Yes, Yes, Partly]);
        let nothing = CheckId::ALL.iter().map(|id| (*id, Skipped)).collect::<Vec<_>>();
        assert_eq!(answers(&nothing), [Unknown, Unknown, Unknown]);
        assert_eq!(answers(&[(CheckId::Dns, Fail)])[0], No);
    }

    #[test]
    fn reasons_name_their_check() {
        let verdict = with(&[(CheckId::CacheTag, Outcome::Fail)]);
        assert_eq!(verdict.cdn.reasons, ["Cache-Control by tag: so it is"]);
        assert!(verdict.caching.reasons.is_empty());
    }
}
