//! The limits of a consumer as those who operate the gateway ask for them: how much is left, and a new start.
//!
//! Owns that both kinds of stores are asked alike. A gateway knows the buckets that began through it.

use std::sync::Arc;

use super::limits::Bucket;
use super::limits::quotas::{Quotas, Reservation};
use super::redis::Unavailable;
use super::redis::limits::SharedLimits;

/// The limits of one plugin.
#[derive(Debug)]
pub(crate) struct ConsumerLimits {
    pub(super) quotas: Quotas,
    pub(super) shared: Option<Arc<SharedLimits>>,
}

impl ConsumerLimits {
    /// Whether the buckets are in a store that several gateways share.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The buckets of a consumer, and how each is.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn look(
        &self,
        consumer: &str,
    ) -> Result<Vec<(Bucket, Reservation)>, Unavailable> {
        let buckets = self.quotas.buckets.of_consumer(consumer);
        let reservations = match &self.shared {
            Some(shared) => shared.look(&buckets).await?,
            None => buckets.iter().map(|bucket| self.quotas.look(bucket)).collect(),
        };
        Ok(buckets.into_iter().zip(reservations).collect())
    }

    /// Makes the buckets and windows whole that are the consumer's own. Returns how many were not.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn reset(&self, consumer: &str) -> Result<usize, Unavailable> {
        let mut buckets = self.quotas.buckets.of_consumer(consumer);
        buckets.retain(|bucket| bucket.is_own(consumer));
        if let Some(shared) = &self.shared {
            return shared.reset(&buckets).await;
        }
        Ok(buckets.iter().filter(|bucket| self.quotas.reset(bucket)).count())
    }
}
