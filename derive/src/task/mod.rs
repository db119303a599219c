//! `#[procession::task]`: a plain function that a pool can run in another process.

mod codegen;
mod ir;
mod parse;

use crate::errors::Errors;
use proc_macro2::TokenStream;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            errors.push(error);
            return [Some(item), errors.into_compile_errors()].into_iter().flatten().collect();
        }
    };
    let mut tokens = match parse::task(attribute, function, &mut errors) {
        Some(task) => codegen::task(&task),
        None => item,
    };
    tokens.extend(errors.into_compile_errors());
    tokens
}
