//! Handles that are none: of another kind, of another run, or no handles at all.

use procession::prelude::*;
use procession::sync::{Barrier, Fence, LockError, Mutex, RwLock, Semaphore};
use serde::{Deserialize, Serialize};

use super::processes::{end, start, within};

/// Gives back what it is given, as something else.
#[derive(Actor)]
struct Mirror;

#[handlers]
impl Mirror {
    #[init]
    fn new() -> Self {
        Self
    }

    #[call]
    async fn lock(&self, mutex: Mutex<u64>) -> Result<u64, LockError> {
        Ok(mutex.lock().await?.token().number())
    }

    #[call]
    async fn as_mutex(&self, handle: Stand) -> Result<(), String> {
        match handle {
            Stand::Mutex(mutex) => mutex.lock().await.map(drop).map_err(|error| error.to_string()),
            Stand::Text(_) => Err("a text".to_owned()),
        }
    }
}

/// A message that has a mutex in it, or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stand {
    Mutex(Mutex<u64>),
    Text(String),
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_travels_in_messages_and_nowhere_else() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("m", 5_u64)).await.unwrap();
    let mirror = within(sup.spawn::<Mirror>("mirror", ())).await.unwrap();
    assert!(within(mirror.lock(mutex.clone())).await.unwrap() > 0);
    within(mirror.as_mutex(Stand::Mutex(mutex.clone()))).await.unwrap();
    let _ = within(mirror.as_mutex(Stand::Text("x".to_owned()))).await.unwrap_err();
    assert!(postcard::to_allocvec(&mutex).is_err(), "outside a message nobody could count it");
    end(sup).await;
}

#[test]
fn garbage_is_no_handle() {
    let mut dice = 1_u64;
    for length in 0..2000_usize {
        let mut bytes = Vec::new();
        for _ in 0..length % 90 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.push((dice >> 33) as u8);
        }
        assert!(decode::<Mutex<u64>>(&bytes).is_err());
        assert!(decode::<RwLock>(&bytes).is_err());
        assert!(decode::<Semaphore>(&bytes).is_err());
        assert!(decode::<Barrier>(&bytes).is_err());
        assert!(decode::<Fence>(&bytes).is_err());
    }
}

/// A handle as it is written in a message: its role, what it refers to, its number and its name.
fn forged(role: &str, kind: u8, node: u64, number: u64) -> Vec<u8> {
    let to = (1_u64, node, 77_u64, 5_u64);
    postcard::to_allocvec(&(role, (kind, to), number, "forged")).unwrap()
}

const LOCK: u8 = 4;
const QUEUE: u8 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_of_another_kind_or_run_is_refused_in_words() {
    let sup = start().await;
    let semaphore = forged("Semaphore", LOCK, 3, 0);
    assert!(decode::<Semaphore>(&semaphore).is_ok());
    assert!(decode::<Mutex<u64>>(&semaphore).is_err(), "of another kind");
    assert!(decode::<Mutex<String>>(&forged("Mutex<u64>", LOCK, 3, 0)).is_err(), "of other data");
    assert!(decode::<Mutex<u64>>(&forged("Mutex<u64>", QUEUE, 3, 0)).is_err(), "a queue");
    let other_run: Mutex<u64> = decode(&forged("Mutex<u64>", LOCK, 3, 0)).unwrap();
    let error = within(other_run.lock()).await.unwrap_err();
    assert!(error.to_string().contains("another run of the program"), "{error}");
    let error = within(other_run.try_lock()).await.unwrap_err();
    assert!(matches!(error, LockError::Failed(_)), "{error}");
    end(sup).await;
}
