// The arguments and the value of a task cross a process boundary, so they need serde's two traits.
struct Report;

#[procession::task]
fn report(of: u64) -> Report {
    assert!(of > 0);
    Report
}

fn main() {}
