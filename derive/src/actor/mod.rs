//! `#[derive(Actor)]`: what a type must say about itself to be started as an actor.

mod codegen;
mod ir;
mod parse;

use crate::errors::Errors;
use proc_macro2::TokenStream;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let actor = match syn::parse2(input) {
        Ok(input) => parse::actor(input, &mut errors),
        Err(error) => return error.into_compile_error(),
    };
    // Also next to an error in the options: a missing impl would be reported at every use of the actor. An impl for a
    // borrowing type would be an error of its own.
    let mut tokens =
        if actor.generics.lifetimes().next().is_none() { codegen::actor(&actor) } else { TokenStream::new() };
    tokens.extend(errors.into_compile_errors());
    tokens
}
