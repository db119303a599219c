// The options of main are those of a runtime.
#[procession::main(flavor = "fast", threads = 4)]
async fn main() {}
