//! Takes up again, after a restart, the fills that a former process left.
//!
//! Must not block the start. Invariant: a whole fill that was under way is finished or, when its repository is gone
//! or its upstream keeps failing, left to be taken up by the next pull or evicted.

use std::time::Duration;

use super::{Demand, Edge, Fills, Joined, NotGrowing, Origin};

/// Rounds over what failed, with growing pauses between them.
const ROUNDS: u32 = 8;

impl Fills {
    /// Continues `origins`, one after the other, in rounds.
    pub(crate) async fn resume(&self, mut origins: Vec<Origin>) {
        for round in 0..ROUNDS {
            let mut failed = Vec::new();
            for origin in origins {
                if self.shared.stop.is_cancelled() {
                    return;
                }
                if !self.resume_one(&origin).await {
                    failed.push(origin);
                }
            }
            if failed.is_empty() {
                return;
            }
            origins = failed;
            let pause = Duration::from_secs(2_u64 << round);
            tokio::select! {
                () = self.shared.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
        tracing::warn!(
            left = origins.len(),
            "some fills of a former run could not be finished; a pull takes them up again"
        );
    }

    async fn resume_one(&self, origin: &Origin) -> bool {
        let joined = self.join(origin, Demand::Whole, Edge::Unconfirmed);
        let Joined::Attached(attached) = joined else { return true };
        match attached.ended().await {
            Ok(()) | Err(NotGrowing::Stored | NotGrowing::NoRoom) => true,
            Err(NotGrowing::Failed(error) | NotGrowing::OfAnother(error)) => {
                tracing::info!(digest = %origin.digest, repo_key = %origin.repo.key(), %error, "cannot finish a fill of a former run yet");
                false
            }
        }
    }
}
