//! `#[procession::main]`: the entry of the program and of every worker of it.

mod codegen;
mod ir;
mod parse;

use crate::errors::Errors;
use proc_macro2::TokenStream;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut tokens = match syn::parse2(item.clone()) {
        Ok(function) => codegen::main(&parse::main(attribute, function, &mut errors)),
        Err(error) => {
            errors.push(error);
            item
        }
    };
    tokens.extend(errors.into_compile_errors());
    tokens
}
