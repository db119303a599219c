//! `#[handlers]`: the methods of an impl block as the protocol of an actor.

mod codegen;
mod ir;
mod parse;
mod schema;

use crate::errors::Errors;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ItemImpl;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    if !attribute.is_empty() {
        errors.at(&attribute, "`#[handlers]` takes no options: they belong to `#[call(..)]` and `#[tick(..)]`");
    }
    let mut block: ItemImpl = match syn::parse2(item.clone()) {
        Ok(block) => block,
        Err(error) => {
            errors.push(syn::Error::new(
                error.span(),
                format!("{error}; `#[handlers]` belongs on an impl block, such as `impl Counter {{ .. }}`"),
            ));
            return [Some(item), errors.into_compile_errors()].into_iter().flatten().collect();
        }
    };
    // What was understood is written down also next to an error: a missing impl would be reported at every use.
    let protocol = parse::protocol(&mut block, &mut errors);
    let mut tokens = block.into_token_stream();
    tokens.extend(protocol.as_ref().map(codegen::protocol));
    tokens.extend(errors.into_compile_errors());
    tokens
}
