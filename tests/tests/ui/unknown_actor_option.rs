// The options of `#[actor(..)]` are checked at the place where they stand.
use procession::prelude::*;

#[derive(Actor, Default)]
#[actor(restarts = "transient")]
struct Misspelt;

#[handlers]
impl Misspelt {}

#[derive(Actor, Default)]
#[actor(restart = "always", mailbox = 0, shutdown = "soon", init_timeout = 10)]
struct WrongValues;

#[handlers]
impl WrongValues {}

#[derive(Actor, Default)]
#[actor(mailbox = 1, mailbox = 2)]
struct Twice;

#[handlers]
impl Twice {}

fn main() {}
