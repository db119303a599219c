//! Tries of a read, a change by any code, and a write, against others who do the same.

use std::time::Duration;

use super::error::SharedError;
use crate::actor::node::random;

/// How often a change is tried before its caller is told that it does not come through.
const ATTEMPTS: u32 = 200;
/// Tries without a wait before them.
const EAGER: u32 = 3;
/// The longest wait before a try.
const LONGEST: Duration = Duration::from_millis(32);

/// The tries of one change.
///
/// A try fails only because another one has come through, so that the object as a whole makes progress with each round; that
/// any one of its users does is a matter of chance, which the growing, random waits make good.
#[derive(Debug, Default)]
pub(super) struct Contention {
    attempts: u32,
}

impl Contention {
    /// Another one was faster: waits a little, or gives up.
    pub(super) async fn lost(&mut self) -> Result<(), SharedError> {
        self.attempts += 1;
        if self.attempts >= ATTEMPTS {
            return Err(SharedError::Contended { attempts: self.attempts });
        }
        if self.attempts > EAGER {
            let longest = Duration::from_millis(1 << (self.attempts - EAGER).min(5)).min(LONGEST);
            tokio::time::sleep(longest.mul_f64(random() as f64 / u64::MAX as f64)).await;
        }
        Ok(())
    }
}
