//! What was found broken, and what took longer than it should.

/// How many broken promises are told one by one.
const TOLD: usize = 20;

#[derive(Debug, Default)]
pub(crate) struct Verdict {
    broken: Vec<String>,
    late: Vec<String>,
}

impl Verdict {
    /// A promise was broken.
    pub(crate) fn broken(&mut self, what: String) {
        self.broken.push(what);
    }

    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken(what());
        }
    }

    /// Holds a figure to what is wanted of it, if it is asked to be strict, and to the widest margin otherwise.
    pub(crate) fn figure<T: PartialOrd + Copy>(
        &mut self,
        measured: T,
        wanted: T,
        widest: T,
        what: impl Fn() -> String,
    ) {
        if measured > widest {
            self.broken(what());
        } else if measured > wanted {
            self.late.push(what());
        }
    }

    /// Says it; whether all holds.
    pub(crate) fn tell(&self, strict: bool) -> bool {
        for broken in self.broken.iter().take(TOLD) {
            println!("broken: {broken}");
        }
        for late in &self.late {
            println!("more than on an idle machine: {late}");
        }
        let holds = self.broken.is_empty() && (!strict || self.late.is_empty());
        match (holds, self.broken.len()) {
            (true, _) => println!("verdict: all holds"),
            (false, 0) => println!("verdict: too slow"),
            (false, count) => println!("verdict: {count} promises are broken"),
        }
        holds
    }
}
