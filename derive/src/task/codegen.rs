//! From the [`Task`] to the function and its entry in the list of tasks.

use super::ir::Task;
use crate::types;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{FnArg, Generics, ItemFn};

pub(super) fn task(task: &Task) -> TokenStream {
    let function = if task.function.sig.asyncness.is_some() {
        future_of(task)
    } else {
        as_written(&task.function)
    };
    let entry = entry(task);
    let assertions = types::payload_assertions(
        &Generics::default(),
        task.arguments.iter().chain([&task.output]),
    );
    quote! {
        #function
        #entry
        #assertions
    }
}

fn as_written(function: &ItemFn) -> TokenStream {
    quote!(#function)
}

/// The async function as a plain one that returns its future by a nameable type, by which a pool can tell it from a
/// function that returns a plain value.
fn future_of(task: &Task) -> TokenStream {
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
        ..
    } = &task.function;
    let (name, inputs, output) = (&sig.ident, &sig.inputs, &sig.output);
    let returned = &task.output;
    let types = &task.arguments;
    let names: Vec<Ident> = sig
        .inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            match input {
                FnArg::Typed(argument) => types::plain_name(&argument.pat),
                FnArg::Receiver(_) => None,
            }
            .unwrap_or_else(|| format_ident!("argument_{index}"))
        })
        .collect();
    // The body stays a function of its own: `?` and `return` then know the type they return.
    quote! {
        #(#attrs)*
        #vis fn #name(#(#names: #types),*) -> ::procession::TaskFuture<#returned> {
            async fn __procession_body(#inputs) #output #block

            ::procession::TaskFuture::new(__procession_body(#(#names),*))
        }
    }
}

fn entry(task: &Task) -> TokenStream {
    let name = &task.function.sig.ident;
    let text = name.unraw().to_string();
    let types = &task.arguments;
    let [arguments, out, failed] =
        ["arguments", "out", "failed"].map(|name| Ident::new(name, Span::mixed_site()));
    let names: Vec<Ident> = (0..types.len())
        .map(|index| format_ident!("argument_{index}", span = Span::mixed_site()))
        .collect();
    let is_failed = if task.fallible {
        quote!(::core::result::Result::is_err(&#out))
    } else {
        quote!(false)
    };
    // A closure, not a function with a name: a name could hide one of the user's.
    let run = if task.function.sig.asyncness.is_some() {
        quote! {
            ::procession::__private::TaskRun::future(#arguments, |(#(#names,)*): (#(#types,)*)| async move {
                let #out = #name(#(#names),*).await;
                let #failed = #is_failed;
                (#out, #failed)
            })
        }
    } else {
        quote! {
            ::procession::__private::TaskRun::sync(#arguments, |(#(#names,)*): (#(#types,)*)| {
                let #out = #name(#(#names),*);
                let #failed = #is_failed;
                (#out, #failed)
            })
        }
    };
    quote! {
        #[allow(deprecated, clippy::let_unit_value)]
        const _: () = {
            ::procession::__private::inventory::submit! {
                ::procession::__private::TaskEntry::new(
                    ::core::concat!(::core::module_path!(), "::", #text),
                    ::core::concat!(::core::file!(), ":", ::core::line!(), ":", ::core::column!()),
                    || ::procession::__private::type_id_of(#name),
                    |#arguments| #run,
                )
            }
        };
    }
}
