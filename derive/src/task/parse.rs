//! From the function to the [`Task`].

use super::ir::Task;
use crate::errors::Errors;
use crate::types::{self, Crossing, MAX_ARGUMENTS};
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{FnArg, ItemFn, Meta, Safety, Token, Type};

/// The task, unless something about the function is wrong.
pub(super) fn task(attribute: TokenStream, function: ItemFn, errors: &mut Errors) -> Option<Task> {
    let idempotent = errors.take(is_idempotent(attribute));
    let mut sound = idempotent.is_some();
    let mut refuse = |error: syn::Error| {
        errors.push(error);
        sound = false;
    };
    let signature = &function.sig;
    if let Safety::Unsafe(token) = &signature.safety {
        refuse(syn::Error::new_spanned(
            token,
            "a pool cannot keep the promises of an `unsafe fn`: make a safe function the task",
        ));
    }
    if let Some(abi) = &signature.abi {
        refuse(syn::Error::new_spanned(
            abi,
            "a task is a Rust function: remove the ABI, or call the foreign function from a task",
        ));
    }
    if !signature.generics.params.is_empty() {
        refuse(syn::Error::new_spanned(
            &signature.generics,
            "a task cannot be generic, since the worker must know its types: write one task for each type",
        ));
    }
    if signature.inputs.len() > MAX_ARGUMENTS {
        refuse(syn::Error::new_spanned(
            &signature.inputs,
            format!("a task has at most {MAX_ARGUMENTS} arguments: put some of them into a struct"),
        ));
    }
    let mut arguments = Vec::new();
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(receiver) => refuse(syn::Error::new_spanned(
                receiver,
                "a task is a free function, without `self`: take the value as an argument",
            )),
            FnArg::Typed(argument) => arguments.push((*argument.ty).clone()),
        }
    }
    for argument in &arguments {
        sound &= types::check_owned(argument, Crossing::Argument, errors);
    }
    let output = match types::returned(&signature.output) {
        Some(output) => output.clone(),
        None => syn::parse_quote!(()),
    };
    sound &= types::check_owned(&output, Crossing::Reply, errors);
    let fallible = is_result(&output);
    let idempotent = idempotent.unwrap_or_default();
    sound.then_some(Task { function, arguments, output, fallible, idempotent })
}

/// Whether the attribute says so; it says nothing else.
fn is_idempotent(attribute: TokenStream) -> syn::Result<bool> {
    let options = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(attribute)?;
    for option in &options {
        if !matches!(option, Meta::Path(path) if path.is_ident("idempotent")) {
            let path = option.path();
            let name = quote!(#path);
            return Err(syn::Error::new_spanned(
                option,
                format!("unknown option `{name}`: `#[procession::task(..)]` takes `idempotent`, without a value"),
            ));
        }
    }
    Ok(!options.is_empty())
}

/// By its name alone, so an alias such as `io::Result<T>` counts too.
fn is_result(ty: &Type) -> bool {
    types::arguments_of(ty, "Result").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn errors_of(function: ItemFn) -> Vec<String> {
        let mut errors = Errors::default();
        let task = task(quote!(), function, &mut errors);
        assert_eq!(task.is_none(), !errors.messages().is_empty());
        errors.messages()
    }

    #[test]
    fn sync_and_async_functions_with_owned_arguments_are_tasks() {
        assert!(
            errors_of(parse_quote!(
                fn f() {}
            ))
            .is_empty()
        );
        assert!(
            errors_of(parse_quote!(
                fn f((a, b): (u8, u8), c: Vec<String>) -> Result<u8, String> {
                    Ok(a + b)
                }
            ))
            .is_empty()
        );
        assert!(
            errors_of(parse_quote!(
                async fn f(n: u64) -> bool {
                    n > 1
                }
            ))
            .is_empty()
        );
    }

    #[test]
    fn what_a_worker_cannot_be_told_is_refused() {
        assert!(
            errors_of(parse_quote!(
                fn f(&self) {}
            ))[0]
                .contains("free function")
        );
        assert!(
            errors_of(parse_quote!(
                fn f<T>(t: Vec<T>) {}
            ))[0]
                .contains("cannot be generic")
        );
        assert!(
            errors_of(parse_quote!(
                fn f(s: &str) {}
            ))[0]
                .contains("`String` instead of `&str`")
        );
        assert!(
            errors_of(parse_quote!(
                fn f() -> &'static str {
                    ""
                }
            ))[0]
                .contains("return `String`")
        );
        assert!(
            errors_of(parse_quote!(
                fn f(i: impl Iterator) {}
            ))[0]
                .contains("name one type")
        );
        assert!(
            errors_of(parse_quote!(
                unsafe fn f() {}
            ))[0]
                .contains("safe function")
        );
    }

    #[test]
    fn only_idempotent_is_an_option() {
        assert!(is_idempotent(quote!(idempotent)).unwrap());
        assert!(!is_idempotent(quote!()).unwrap());
        for wrong in [quote!(retries = 3), quote!(idempotent = true), quote!(idempotent(2)), quote!(pure, idempotent)] {
            assert!(is_idempotent(wrong).unwrap_err().to_string().contains("takes `idempotent`, without a value"));
        }
    }

    #[test]
    fn a_result_is_known_by_its_name() {
        assert!(is_result(&parse_quote!(Result<u8, String>)));
        assert!(is_result(&parse_quote!(std::io::Result<u8>)));
        assert!(!is_result(&parse_quote!(Option<Result<u8, String>>)));
    }
}
