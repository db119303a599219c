//! From the attribute and the function to the [`Main`].

use super::ir::{Flavor, Main};
use crate::errors::Errors;
use crate::options::{self, Key};
use proc_macro2::TokenStream;
use syn::{Generics, ItemFn, LitInt, Signature, Token};

const PLACE: &str = "procession::main";

const KEYS: &[Key] = &[
    Key { name: "flavor", example: r#"flavor = "current_thread""# },
    Key { name: "worker_threads", example: "worker_threads = 4" },
];

/// The values of `flavor`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Threads {
    Current,
    Multi,
}

pub(super) fn main(attribute: TokenStream, mut function: ItemFn, errors: &mut Errors) -> Main {
    let flavor = flavor(attribute, errors);
    check(&mut function.sig, errors);
    Main { function, flavor }
}

fn flavor(attribute: TokenStream, errors: &mut Errors) -> Flavor {
    let mut threads = Threads::Multi;
    let mut worker_threads: Option<(syn::Ident, LitInt)> = None;
    for pair in options::of_tokens(attribute, PLACE, KEYS, errors) {
        if pair.key == "flavor" {
            let choices = [("current_thread", Threads::Current), ("multi_thread", Threads::Multi)];
            threads = errors.take(options::choice(&pair.value, &choices)).unwrap_or(threads);
        } else {
            worker_threads = errors.take(options::positive(&pair.value)).map(|number| (pair.key, number));
        }
    }
    match (threads, worker_threads) {
        (Threads::Multi, worker_threads) => {
            Flavor::MultiThread { worker_threads: worker_threads.map(|(_, number)| number) }
        }
        (Threads::Current, None) => Flavor::CurrentThread,
        (Threads::Current, Some((key, _))) => {
            errors.at(key, r#"`worker_threads` is for `flavor = "multi_thread"`: remove one of the two"#);
            Flavor::CurrentThread
        }
    }
}

/// Reports what main must not be, and takes it away, so that the rest of the program compiles.
fn check(signature: &mut Signature, errors: &mut Errors) {
    if signature.asyncness.is_none() {
        errors.at(signature.fn_token, "the body runs on a runtime: write `async fn main()`");
        signature.asyncness = Some(Token![async](signature.fn_token.span));
    }
    if !signature.inputs.is_empty() {
        errors.at(&signature.inputs, "main takes no arguments: read them from `std::env::args()`");
        signature.inputs.clear();
    }
    if !signature.generics.params.is_empty() {
        errors.at(&signature.generics, "main cannot be generic: remove the parameters");
        signature.generics = Generics::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;
    use syn::parse_quote;

    fn errors_of(attribute: TokenStream, function: ItemFn) -> Vec<String> {
        let mut errors = Errors::default();
        main(attribute, function, &mut errors);
        errors.messages()
    }

    #[test]
    fn a_wrong_main_is_reported_whole() {
        let errors = errors_of(
            quote!(flavour = "x", worker_threads = 0),
            parse_quote!(
                fn main<T>(n: T) {}
            ),
        );
        assert_eq!(
            errors,
            [
                "unknown option `flavour`: `#[procession::main(..)]` takes `flavor = \"current_thread\"`, \
                 `worker_threads = 4`",
                "expected a whole number of at least 1, such as `256`",
                "the body runs on a runtime: write `async fn main()`",
                "main takes no arguments: read them from `std::env::args()`",
                "main cannot be generic: remove the parameters",
            ]
        );
    }

    #[test]
    fn one_thread_has_no_worker_threads() {
        let attribute = quote!(worker_threads = 2, flavor = "current_thread");
        assert_eq!(
            errors_of(
                attribute,
                parse_quote!(
                    async fn main() {}
                )
            )
            .len(),
            1
        );
        let attribute = quote!(worker_threads = 2, flavor = "multi_thread");
        assert_eq!(
            errors_of(
                attribute,
                parse_quote!(
                    async fn main() {}
                )
            )
            .len(),
            0
        );
    }
}
