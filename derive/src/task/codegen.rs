//! From the [`Task`] to the function and its entry in the list of tasks.

use super::ir::Task;
use crate::types;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{FnArg, ItemFn};

pub(super) fn task(task: &Task) -> TokenStream {
    let function = if task.function.sig.asyncness.is_some() { future_of(task) } else { as_written(&task.function) };
    let entry = entry(task);
    quote! {
        #function
        #entry
    }
}

fn as_written(function: &ItemFn) -> TokenStream {
    quote!(#function)
}

/// The async function as a plain one that returns its future by a nameable type, by which a pool can tell it from a
/// function that returns a plain value.
fn future_of(task: &Task) -> TokenStream {
    let ItemFn { attrs, vis, sig, block, .. } = &task.function;
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
    let (types, output) = (&task.arguments, &task.output);
    let parameters: Vec<Ident> = (0..types.len()).map(|index| format_ident!("T{index}")).collect();
    let values: Vec<Ident> = (0..types.len()).map(|index| format_ident!("value_{index}")).collect();
    let failed = if task.fallible { quote!(|out| ::core::result::Result::is_err(out)) } else { quote!(|_| false) };
    let (returned, run) = if task.function.sig.asyncness.is_some() {
        let run = quote! {
            ::procession::__private::TaskRun::future(arguments, move |(#(#values,)*): (#(#parameters,)*)| {
                let future = task(#(#values),*);
                async move {
                    let out = future.await;
                    let failed = failed(&out);
                    (out, failed)
                }
            })
        };
        (quote!(::procession::TaskFuture<R>), run)
    } else {
        let run = quote! {
            ::procession::__private::TaskRun::sync(arguments, move |(#(#values,)*): (#(#parameters,)*)| {
                let out = task(#(#values),*);
                let failed = failed(&out);
                (out, failed)
            })
        };
        (quote!(R), run)
    };
    let idempotent = task.idempotent.then(|| quote!(.idempotent()));
    // The types are parameters of a function so that one which is no `Payload` is reported once, where the user names
    // it. No other name in here could hide one of the user's.
    quote! {
        #[allow(deprecated)]
        const _: () = {
            fn __procession_run<#(#parameters: ::procession::Payload,)* R: ::procession::Payload>(
                arguments: &::procession::__private::TaskArguments<'_>,
                task: fn(#(#parameters),*) -> #returned,
                failed: fn(&R) -> bool,
            ) -> ::procession::__private::TaskRun {
                #run
            }

            ::procession::__private::inventory::submit! {
                ::procession::__private::TaskEntry::new(
                    ::core::concat!(::core::module_path!(), "::", #text),
                    ::core::concat!(::core::file!(), ":", ::core::line!(), ":", ::core::column!()),
                    || ::procession::__private::type_id_of(#name),
                    |arguments: &::procession::__private::TaskArguments<'_>| __procession_run::<#(#types,)* #output>(arguments, #name, #failed),
                )#idempotent
            }
        };
    }
}
