//! From the [`Main`] to the function that the program starts with.

use super::ir::{Flavor, Main};
use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemFn;

pub(super) fn main(main: &Main) -> TokenStream {
    let ItemFn { attrs, vis, sig, block, .. } = &main.function;
    let (name, output) = (&sig.ident, &sig.output);
    let flavor = match &main.flavor {
        Flavor::CurrentThread => quote!(CurrentThread),
        Flavor::MultiThread { worker_threads: None } => {
            quote!(MultiThread { worker_threads: ::core::option::Option::None })
        }
        Flavor::MultiThread { worker_threads: Some(number) } => {
            quote!(MultiThread { worker_threads: ::core::option::Option::Some(#number) })
        }
    };
    // The body stays a function of its own: `?` and `return` then know the type they return.
    quote! {
        #(#attrs)*
        #vis fn #name() #output {
            async fn __procession_body() #output #block

            ::procession::__private::main(::procession::__private::Flavor::#flavor, __procession_body)
        }
    }
}
