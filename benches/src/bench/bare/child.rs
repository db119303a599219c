//! A child that is none of procession's: what it does is in its arguments.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use super::super::{ipc_channel, tarpc};
use super::{idle, messages, payload, pool, server};

/// Does the work; a child whose parent is gone ends by the end of its socket.
pub(crate) fn main(work: &[String]) -> ExitCode {
    match act(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("procession-bench: {work:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(work: &[String]) -> Result<()> {
    let work: Vec<&str> = work.iter().map(String::as_str).collect();
    match *work.as_slice() {
        ["echo"] => messages::echo(&mut socket()?),
        ["echo-tokio"] => messages::echo_tokio(socket()?),
        ["echo-yield"] => messages::echo_yielding(&mut socket()?),
        ["answer", each] => messages::answer(&mut socket()?, each == "each"),
        ["count"] => messages::count(&mut socket()?),
        ["square"] => pool::square(&mut socket()?),
        ["bytes"] => payload::receive_bytes(&mut socket()?),
        ["file", path] => payload::receive_file(&mut socket()?, path),
        ["idle"] => idle::block(&mut socket()?),
        ["idle-tokio"] => idle::block_tokio(socket()?),
        ["lock", times] => server::lock(&mut socket()?, number(times)?),
        ["append", items, window] => server::append(&mut socket()?, number(items)?, number(window)?),
        ["ipc-channel", server] => ipc_channel::child(server),
        ["tarpc"] => tarpc::child(socket()?),
        _ => Err(Error::new(ErrorKind::InvalidInput, "no such work")),
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| Error::new(ErrorKind::InvalidInput, format!("{text} is no number")))
}

/// The socket to the parent, which came in as standard input.
fn socket() -> Result<UnixStream> {
    Ok(std::io::stdin().as_fd().try_clone_to_owned()?.into())
}
