//! Memory that is written once, by one or in parts by many, and then read by many.

use std::io;

use tokio::runtime::{Builder, Runtime};

use super::harness::{Role, Test, code, ended, start_raw, tests};
use super::leaf::{CLAIM, Child, Endpoint, Memory, SealedMemory, SharedMemory, Stream, enter_worker};
use super::system;

pub(super) const TESTS: &[Test] = tests![
    memory_is_zero_at_first_and_stays_as_it_was_written,
    memory_keeps_what_it_has_when_it_is_resized,
    memory_arrives_byte_for_byte,
    nobody_writes_sealed_memory,
    memory_outlives_the_handle_of_its_maker,
    many_memories_arrive_in_order,
    memory_is_handed_on_to_a_child_of_the_child,
    memory_comes_from_a_child_and_outlives_it,
    memory_of_a_child_that_has_ended_comes_whole_or_not_at_all,
    parts_are_written_by_whoever_has_claimed_them_until_it_is_sealed,
    no_bytes_and_more_than_there_are_cannot_be_had,
    what_is_not_memory_is_refused,
    memory_for_the_dead_is_a_broken_pipe,
    nothing_is_left_of_memory_that_both_have_dropped,
];

pub(super) const ROLES: &[Role] =
    &[("memory", memory), ("memory-on", hand_on), ("memory-back", give_back), ("memory-part", write_part)];

/// A stream over which memory goes: what tells of it is the number of its bytes, what the system says of it, and whether it is
/// in parts.
struct Way {
    runtime: Runtime,
    stream: Stream,
    child: Option<Child>,
}

impl Way {
    fn new(endpoint: Endpoint, child: Option<Child>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let stream = runtime.block_on(async { endpoint.into_stream().unwrap() });
        Self { runtime, stream, child }
    }

    /// Starts this program in a role that takes what is given to it.
    fn to(role: &str, args: &[&str]) -> (Self, std::sync::mpsc::Receiver<super::harness::Seen>) {
        let (child, stream, seen) = start_raw(role, args);
        (Self::new(stream, Some(child)), seen)
    }

    /// Worker: its first act.
    fn up(args: &[String]) -> Self {
        Self::new(enter_worker(args[0].parse().unwrap()).unwrap(), None)
    }

    fn give(&self, memory: &SharedMemory) -> io::Result<()> {
        let told = self.stream.offer_memory(self.child.as_ref(), memory)?;
        let parted = u64::from(matches!(memory, SharedMemory::Parted(_)));
        let about: Vec<u8> = [memory.len() as u64, told, parted].into_iter().flat_map(u64::to_le_bytes).collect();
        self.write(&about, Some(memory))
    }

    fn give_sealed(&self, memory: &SealedMemory) -> io::Result<()> {
        self.give(&SharedMemory::Sealed(memory.clone()))
    }

    fn take(&self) -> io::Result<SharedMemory> {
        let mut about = [0; 24];
        self.read(&mut about)?;
        let [len, told, parted] = [0, 8, 16].map(|at| u64::from_le_bytes(about[at..at + 8].try_into().unwrap()));
        let memory = self.stream.take_memory(self.child.as_ref(), told, len, parted != 0)?;
        Ok(memory.expect("there is room"))
    }

    fn take_sealed(&self) -> io::Result<SealedMemory> {
        match self.take()? {
            SharedMemory::Sealed(memory) => Ok(memory),
            SharedMemory::Parted(memory) => panic!("{memory:?} is not sealed"),
        }
    }

    fn say(&self, what: impl std::fmt::Display) {
        self.write(format!("{what}\n").as_bytes(), None).unwrap();
    }

    fn line(&self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.read(&mut byte).map(|()| byte[0] != b'\n').expect("the other side lives") {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// Worker: waits until its parent hangs up or dies.
    fn linger(&self) {
        let _ = self.read(&mut [0]);
    }

    fn write(&self, bytes: &[u8], memory: Option<&SharedMemory>) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            self.runtime.block_on(self.stream.ready(true))?;
            let wrote = match memory.filter(|_| written == 0) {
                Some(memory) => self.stream.try_write_with(bytes, memory),
                None => self.stream.try_write(&bytes[written..]),
            };
            match wrote {
                Ok(wrote) => written += wrote,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&self, bytes: &mut [u8]) -> io::Result<()> {
        let mut read = 0;
        while read < bytes.len() {
            self.runtime.block_on(self.stream.ready(false))?;
            match self.stream.try_read(&mut bytes[read..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Takes as many memories as it is told to expect and drops them; tells of each its bytes and whether it can be written, and then
/// how many handles and mappings there are more than after the first.
fn memory(args: &[String]) {
    let way = Way::up(args);
    let mut lines = Vec::new();
    let mut take = || {
        let memory = way.take_sealed().unwrap();
        lines.push(fingerprint(&memory));
        lines.push(system::can_be_written(&memory).to_string());
    };
    take();
    let more = args[1].parse::<usize>().unwrap() - 1;
    if more > 0 {
        let before = system::open_handles() as isize;
        (0..more).for_each(|_| take());
        lines.push((system::open_handles() as isize - before).to_string());
    }
    lines.iter().for_each(|line| way.say(line));
    way.linger();
}

/// Hands on what it gets, and what its own child says of it.
fn hand_on(args: &[String]) {
    let way = Way::up(args);
    let memory = way.take_sealed().unwrap();
    let (below, _seen) = Way::to("memory", &["1"]);
    below.give_sealed(&memory).unwrap();
    way.say(below.line());
    way.say(below.line());
    way.linger();
}

/// Gives memory of its own, and ends at once or when it is told.
fn give_back(args: &[String]) {
    let way = Way::up(args);
    let memory = written(args[1].parse().unwrap());
    way.give_sealed(&memory).unwrap();
    if args[2] == "stay" {
        way.linger();
    }
}

/// Writes its part of what it gets, twice as it is told; says what became of that.
fn write_part(args: &[String]) {
    let way = Way::up(args);
    let SharedMemory::Parted(memory) = way.take().unwrap() else { panic!("it is sealed") };
    let number: usize = args[1].parse().unwrap();
    let mut part = memory.open(number * 1000..(number + 1) * 1000, PARTS * 1000 + number * CLAIM, 0).unwrap();
    part.fill(number as u8 + 1);
    way.say("open");
    way.line();
    drop(part);
    way.say("closed");
    way.linger();
}

const PARTS: usize = 3;

/// The number of the bytes, and a number that another order or another byte would change.
fn fingerprint(bytes: &[u8]) -> String {
    let mixed = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |mixed, byte| (mixed ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    format!("{} {mixed:x}", bytes.len())
}

fn written(len: usize) -> SealedMemory {
    let mut memory = Memory::create(len).unwrap();
    for (at, byte) in memory.as_mut_slice().iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
    memory.seal().unwrap()
}

fn memory_is_zero_at_first_and_stays_as_it_was_written() {
    let mut memory = Memory::create(10_000).unwrap();
    assert_eq!(memory.as_mut_slice(), [0; 10_000]);
    memory.as_mut_slice()[9_999] = 7;
    let sealed = memory.seal().unwrap();
    let clone = sealed.clone();
    drop(sealed);
    assert_eq!((clone.len(), clone[0], clone[9_999]), (10_000, 0, 7));
}

fn memory_keeps_what_it_has_when_it_is_resized() {
    let mut memory = Memory::create(10).unwrap();
    memory.as_mut_slice().fill(1);
    memory.resize(100_000).unwrap();
    memory.write_at(50_000, &[2; 20_000]).unwrap();
    assert!(memory.resize(0).is_err() && memory.resize(1 << 60).is_err());
    memory.resize(60_000).unwrap();
    assert_eq!(memory.len(), 60_000);
    let sealed = memory.seal().unwrap();
    let expected = [vec![1; 10], vec![0; 49_990], vec![2; 10_000]].concat();
    assert!(sealed[..] == expected);
}

const SIZES: [usize; 6] = [1, 4095, 4096, 4097, 70_000, 3_000_001];

fn memory_arrives_byte_for_byte() {
    for len in SIZES {
        let (way, seen) = Way::to("memory", &["1"]);
        let memory = written(len);
        way.give_sealed(&memory).unwrap();
        assert_eq!(way.line(), fingerprint(&memory));
        assert_eq!(way.line(), "false");
        drop(way);
        assert_eq!(ended(&seen).2, code(0));
    }
}

fn nobody_writes_sealed_memory() {
    let (way, _seen) = Way::to("memory", &["1"]);
    let memory = written(5000);
    assert!(!system::can_be_written(&memory));
    way.give_sealed(&memory).unwrap();
    way.line();
    assert_eq!(way.line(), "false");
}

fn memory_outlives_the_handle_of_its_maker() {
    let (way, _seen) = Way::to("memory", &["2"]);
    let first = written(20_000);
    let expected = fingerprint(&first);
    way.give_sealed(&first).unwrap();
    drop(first);
    way.give_sealed(&written(1)).unwrap();
    assert_eq!(way.line(), expected);
}

fn many_memories_arrive_in_order() {
    let (way, seen) = Way::to("memory", &["20"]);
    let memories: Vec<_> = (0..20).map(|turn| written(1000 + turn)).collect();
    for memory in &memories {
        way.give_sealed(memory).unwrap();
    }
    for memory in &memories {
        assert_eq!((way.line(), way.line()), (fingerprint(memory), "false".to_owned()));
    }
    // It says how many handles it has before it is left.
    way.line();
    drop(way);
    assert_eq!(ended(&seen).2, code(0));
}

fn memory_is_handed_on_to_a_child_of_the_child() {
    let (way, _seen) = Way::to("memory-on", &[]);
    let memory = written(12_345);
    way.give_sealed(&memory).unwrap();
    assert_eq!((way.line(), way.line()), (fingerprint(&memory), "false".to_owned()));
}

fn memory_comes_from_a_child_and_outlives_it() {
    for len in SIZES {
        let (way, seen) = Way::to("memory-back", &[&len.to_string(), "stay"]);
        let memory = way.take_sealed().unwrap();
        assert!(!system::can_be_written(&memory));
        drop(way);
        assert_eq!(ended(&seen).2, code(0));
        assert_eq!(fingerprint(&memory), fingerprint(&written(len)));
    }
}

fn memory_of_a_child_that_has_ended_comes_whole_or_not_at_all() {
    let (way, seen) = Way::to("memory-back", &["5000", "go"]);
    ended(&seen);
    match way.take_sealed() {
        Ok(memory) => assert_eq!(fingerprint(&memory), fingerprint(&written(5000))),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
    }
}

fn parts_are_written_by_whoever_has_claimed_them_until_it_is_sealed() {
    let claims = PARTS * 1000..PARTS * 1000 + PARTS * CLAIM;
    let memory = Memory::create(claims.end).unwrap().part().unwrap();
    let writers: Vec<_> = (0..PARTS).map(|number| Way::to("memory-part", &[&number.to_string()])).collect();
    for (way, _) in &writers {
        way.give(&SharedMemory::Parted(memory.clone())).unwrap();
        assert_eq!(way.line(), "open");
    }
    let claim = |number: usize| claims.start + number * CLAIM;
    for number in 0..PARTS {
        let taken = memory.open(0..1, claim(number), 0).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::ResourceBusy, "{taken}");
        assert_eq!(memory.renew(claim(number)).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    }
    // One is done, one is killed, one goes on.
    let (way, _) = &writers[0];
    way.say("close");
    assert_eq!(way.line(), "closed");
    let (way, seen) = &writers[1];
    way.child.as_ref().unwrap().kill();
    ended(seen);
    assert_eq!(memory.renew(claim(1)).unwrap(), 1);
    let mut part = memory.open(1500..2000, claim(1), 1).unwrap();
    part.fill(9);
    drop(part);
    assert_eq!(memory.seal(claims.clone()).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    let (way, _) = &writers[2];
    way.say("close");
    assert_eq!(way.line(), "closed");
    let sealed = memory.seal(claims).unwrap();
    let expected = [vec![1; 1000], vec![2; 500], vec![9; 500], vec![3; 1000]].concat();
    assert!(sealed[..PARTS * 1000] == expected && !system::can_be_written(&sealed));
}

fn no_bytes_and_more_than_there_are_cannot_be_had() {
    let refused = Memory::create(0).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    for len in [1 << 60, isize::MAX as usize, usize::MAX] {
        let refused = Memory::create(len).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory, "{refused}");
        assert!(refused.to_string().contains(&len.to_string()), "{refused}");
    }
}

fn what_is_not_memory_is_refused() {
    for told in [0, 1, 5, u64::MAX, u64::MAX - 1] {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let (ours, theirs) = (Way::new(ours, None), Way::new(theirs, None));
        let about: Vec<u8> = [100, told, 0].into_iter().flat_map(u64::to_le_bytes).collect();
        ours.write(&about, None).unwrap();
        let refused = theirs.take().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
    }
}

fn memory_for_the_dead_is_a_broken_pipe() {
    let (way, seen) = Way::to("hello", &[]);
    ended(&seen);
    let broken = way.give_sealed(&written(1)).unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
}

const FEW: usize = 3;

fn nothing_is_left_of_memory_that_both_have_dropped() {
    let (way, _seen) = Way::to("memory", &["50"]);
    // The first brings what this process keeps.
    way.give_sealed(&written(1)).unwrap();
    let before = system::open_handles();
    for turn in 1..50 {
        way.give_sealed(&written(4000 + turn)).unwrap();
    }
    // A system may keep one or the other for itself, but not one for each.
    assert!(system::open_handles() <= before + FEW);
    for _ in 0..50 {
        way.line();
        assert_eq!(way.line(), "false");
    }
    let left: isize = way.line().parse().unwrap();
    assert!(left <= FEW as isize, "{left} handles and mappings are left in the child");
}
