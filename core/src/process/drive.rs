//! Feeds the router from a connection, and the connection from the router.

use std::pin::Pin;

use tokio::time::Sleep;

use crate::actor::node::Node;
use crate::connection::driver::{Connection, ReadEnd, Reader};
use crate::router::LinkKey;
use crate::wire::frame::FrameError;

/// Why a connection is driven no further.
#[derive(Debug)]
pub(crate) enum DriveEnd {
    /// The peer is gone.
    Closed,
    /// It sent what is no frame.
    Bad(FrameError),
}

/// Drives a connection until it ends.
///
/// # Cancellation
/// Safe at any await: what was read is in the router, what is to be written is in the connection.
pub(crate) async fn drive(node: &Node, link: LinkKey, connection: &Connection, reader: &mut Reader) -> DriveEnd {
    let mut frames = Vec::new();
    let mut sleep: Option<Pin<Box<Sleep>>> = None;
    loop {
        let blocked = connection.write(&mut |data, control| {
            node.with(|router| router.take_output(link, data, control));
        });
        let read = reader.read(connection, &mut frames);
        let busy = !frames.is_empty();
        let deadline = node.with(|router| {
            for frame in frames.drain(..) {
                router.handle_frame(link, frame);
            }
            router.handle_timeout(link);
            router.poll_timeout(link)
        });
        match read {
            Ok(ReadEnd::Closed) => return DriveEnd::Closed,
            Err(error) => return DriveEnd::Bad(error),
            // What the frames brought about is written at once; others have a turn first.
            Ok(ReadEnd::Turn) => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(ReadEnd::Drained) if busy => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(ReadEnd::Drained) => {}
        }
        match deadline {
            None => connection.ready(blocked).await,
            Some(at) => {
                let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
                if sleep.deadline().into_std() != at {
                    sleep.as_mut().reset(at.into());
                }
                tokio::select! {
                    () = connection.ready(blocked) => {}
                    () = sleep => {}
                }
            }
        }
    }
}
