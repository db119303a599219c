//! The peer tarpc: remote calls, here over a Unix socket and in postcard.

use std::hint::black_box;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::server::{BaseChannel, Channel};
use tarpc::{client, context, serde_transport};
use tokio::net;
use tokio::task::JoinSet;
use tokio_serde::{Deserializer, Serializer};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::bare::Kid;
use super::bare::messages::{WARM_UP, one_thread, onto_tokio};

#[::tarpc::service]
trait Remote {
    async fn echo(message: [u8; 32]) -> [u8; 32];
}

#[derive(Clone)]
struct Server;

impl Remote for Server {
    async fn echo(self, _: context::Context, message: [u8; 32]) -> [u8; 32] {
        message
    }
}

/// What the other contestants encode with.
struct Postcard;

impl<T: Serialize> Serializer<T> for Postcard {
    type Error = Error;

    fn serialize(self: Pin<&mut Self>, value: &T) -> Result<Bytes> {
        postcard::to_allocvec(value).map(Bytes::from).map_err(Error::other)
    }
}

impl<T: DeserializeOwned> Deserializer<T> for Postcard {
    type Error = Error;

    fn deserialize(self: Pin<&mut Self>, bytes: &BytesMut) -> Result<T> {
        postcard::from_bytes(bytes).map_err(Error::other)
    }
}

fn framed(stream: UnixStream) -> Result<Framed<net::UnixStream, LengthDelimitedCodec>> {
    Ok(Framed::new(onto_tokio(stream)?, LengthDelimitedCodec::new()))
}

/// What the child does.
pub(crate) fn child(stream: UnixStream) -> Result<()> {
    one_thread()?.block_on(async {
        let transport = serde_transport::new(framed(stream)?, Postcard);
        let answers = BaseChannel::with_defaults(transport).execute(Server.serve());
        answers.for_each(|answer| async { drop(tokio::spawn(answer)) }).await;
        Ok(())
    })
}

fn client(kid: &Kid) -> Result<RemoteClient> {
    let transport = serde_transport::new(framed(kid.stream.try_clone()?)?, Postcard);
    Ok(RemoteClient::new(client::Config::default(), transport).spawn())
}

async fn echo(client: &RemoteClient) -> Result<()> {
    black_box(client.echo(context::current(), [7; 32]).await.map_err(Error::other)?);
    Ok(())
}

/// How long each of `count` children takes from its start to its first answer.
pub(crate) fn starts(count: usize) -> Result<Vec<Duration>> {
    one_thread()?.block_on(async {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            let kid = Kid::start(&["tarpc"])?;
            echo(&client(&kid)?).await?;
            times.push(began.elapsed());
        }
        Ok(times)
    })
}

pub(crate) fn round_trips(count: usize) -> Result<Vec<Duration>> {
    let kid = Kid::start(&["tarpc"])?;
    one_thread()?.block_on(async {
        let client = client(&kid)?;
        let mut times = Vec::with_capacity(count);
        for turn in 0..count + WARM_UP.min(count) {
            let began = Instant::now();
            echo(&client).await?;
            if turn >= WARM_UP.min(count) {
                times.push(began.elapsed());
            }
        }
        Ok(times)
    })
}

/// Requests answered in a second, by as many callers as are outstanding.
pub(crate) fn request_reply(count: usize, callers: usize) -> Result<f64> {
    let kid = Kid::start(&["tarpc"])?;
    one_thread()?.block_on(async {
        let client = client(&kid)?;
        echo(&client).await?;
        let each = count / callers;
        let began = Instant::now();
        let mut calling = JoinSet::new();
        for _ in 0..callers {
            let client = client.clone();
            calling.spawn(async move {
                for _ in 0..each {
                    echo(&client).await?;
                }
                Ok::<(), Error>(())
            });
        }
        while let Some(called) = calling.join_next().await {
            called.unwrap_or_else(|_| Err(ErrorKind::Other.into()))?;
        }
        Ok((each * callers) as f64 / began.elapsed().as_secs_f64())
    })
}
