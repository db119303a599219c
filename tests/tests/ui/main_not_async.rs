// The body of main runs on a runtime.
#[procession::main]
fn main() {}
