//! Which processors there are.

use std::{fs, io};

use crate::Limits;

/// What no child could be held to, before any is started.
///
/// # Errors
/// `InvalidInput`, as [`Limits::check`] has it.
pub fn check_limits(limits: &Limits) -> io::Result<()> {
    limits.check(|cpus| {
        // Where the system does not list them, what it makes of the numbers is seen when they are set.
        let online = fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
        let unknown = cpus.iter().find(|cpu| !lists(&online, **cpu))?;
        Some((*unknown, online.trim().to_owned()))
    })
}

/// Whether a list like `0-3,8` has this number.
fn lists(list: &str, number: usize) -> bool {
    list.trim().split(',').any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&number))
    })
}

#[cfg(test)]
mod tests {
    use super::lists;

    #[test]
    fn a_list_has_the_numbers_of_its_ranges() {
        let list = "0-3,8,10-11\n";
        let listed: Vec<usize> = (0..20).filter(|number| lists(list, *number)).collect();
        assert_eq!(listed, [0, 1, 2, 3, 8, 10, 11]);
        assert!(!lists("", 0));
    }
}
