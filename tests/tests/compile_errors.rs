//! What the compiler says about a wrong program, word for word: error messages are part of the API.
//!
//! The texts are those of the toolchain that `rust-version` names. After a change, write them anew with
//! `TRYBUILD=overwrite cargo test -p procession-tests --test compile_errors` and read each one as a new user would.

#[test]
fn a_wrong_program_is_told_what_to_mend() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
