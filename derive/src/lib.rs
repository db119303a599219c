//! The macros of procession. Use them through the `procession` crate, which re-exports them: the code they write names
//! only `::procession`, `::core` and `::std`.
//!
//! Each macro is read in three steps, one file each: `parse` checks what the user wrote and collects every error with
//! its mend, `ir` is what was understood, `codegen` writes it down. Whatever is wrong, the user's own item is emitted
//! next to the errors, so that one mistake is not followed by a page of "not found".

mod actor;
mod entry;
mod errors;
mod handlers;
mod options;
mod task;
mod types;

use proc_macro::TokenStream;

/// Makes a type an actor: its name, the place it is registered under, and the defaults of its child spec.
///
/// ```text
/// #[derive(Actor)]
/// #[actor(restart = "transient", mailbox = 256, shutdown = "5s", init_timeout = "10s")]
/// struct Counter { n: i64 }
/// ```
///
/// Every option may be left out.
///
/// | option | value |
/// |---|---|
/// | `restart` | `"permanent"`, `"transient"` or `"temporary"` |
/// | `mailbox` | how many messages may wait, at least 1 |
/// | `shutdown` | how long a stop may take, such as `"5s"`, before the process is killed; `"kill"` kills at once |
/// | `init_timeout` | how long the start may take |
///
/// A type without generic parameters is registered, so that a process of its own can be started for it. A generic one
/// is registered by its user, once per instance: `procession::register!(Cache<u64>);`.
#[proc_macro_derive(Actor, attributes(actor))]
pub fn derive_actor(input: TokenStream) -> TokenStream {
    actor::expand(input.into()).into()
}

/// Makes the methods of an inherent impl block the protocol of an actor.
///
/// The block stays as it is. Next to it appear the actor's message loop and a trait, `CounterApi` for a `Counter`, with
/// one method for each call and cast; it is there for every address, pool or other target of the actor.
///
/// | role | what the method is | returns |
/// |---|---|---|
/// | `#[init]` | builds the actor; at most one, without it the actor must be `Default` | `Self` or `Result<Self, E>` |
/// | `#[call]` | is answered; options `timeout = "10m"`, `cancel = "drop"` | the reply, or `Result<reply, error>` |
/// | `#[cast]` | is not answered | nothing, or `Result<(), E>` |
/// | `#[tick(every = "1s")]` | runs again and again | nothing, or `Result<(), E>` |
/// | `#[stop]` | runs before an orderly end; at most one | nothing |
///
/// Each may be `async` or not, and may take `ctx: &Context<Self>`. A call may take a `Reply<T>` or `Reply<T, E>` instead
/// of returning a value: it is answered when the `Reply` is, also after the method has returned. A `#[stop]` may take
/// the `StopReason`.
///
/// Arguments and replies are owned serde values, since they cross a process boundary; at most 16 arguments.
#[proc_macro_attribute]
pub fn handlers(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handlers::expand(attribute.into(), item.into()).into()
}

/// Registers a function as a task, so that a pool can run it in another process.
///
/// The function stays a function. An `async fn f(..) -> R` becomes `fn f(..) -> TaskFuture<R>`, which is a future of `R`
/// just as before.
///
/// `#[task(idempotent)]` says that the function may be begun again where its worker has died and nobody knows what it has
/// done: its pool then does so once, or as often as it is told.
#[proc_macro_attribute]
pub fn task(attribute: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(attribute.into(), item.into()).into()
}

/// Gives `async fn main` its runtime, and makes "am I a worker?" the first thing that the program asks.
///
/// A worker process never runs the body. Options: `flavor = "current_thread"`, or `flavor = "multi_thread"` (the
/// default) with `worker_threads = 4`.
#[proc_macro_attribute]
pub fn main(attribute: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(attribute.into(), item.into()).into()
}
