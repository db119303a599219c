//! From the [`Actor`] to its impl and its registration.

use super::ir::{Actor, Options, Restart, Shutdown};
use crate::options::duration_tokens;
use proc_macro2::TokenStream;
use quote::quote;

pub(super) fn actor(actor: &Actor) -> TokenStream {
    let name = &actor.name;
    let text = syn::ext::IdentExt::unraw(name).to_string();
    let options = options(&actor.options);

    let mut generics = actor.generics.clone();
    let parameters: Vec<_> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    if !parameters.is_empty() {
        // An actor outlives every borrow, so its parameters must; said here, users need not repeat it.
        generics.make_where_clause().predicates.extend::<Vec<syn::WherePredicate>>(
            parameters.iter().map(|parameter| syn::parse_quote!(#parameter: 'static)).collect(),
        );
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let registration = actor.generics.params.is_empty().then(|| quote!(::procession::register!(#name);));

    quote! {
        #[automatically_derived]
        impl #impl_generics ::procession::Actor for #name #type_generics #where_clause {
            const LOCATION: &'static str =
                ::core::concat!(::core::file!(), ":", ::core::line!(), ":", ::core::column!());
            const NAME: &'static str = #text;

            fn options() -> ::procession::ActorOptions {
                #options
            }
        }

        #registration
    }
}

fn options(options: &Options) -> TokenStream {
    let restart = options.restart.map(|restart| {
        let variant = match restart {
            Restart::Permanent => quote!(Permanent),
            Restart::Transient => quote!(Transient),
            Restart::Temporary => quote!(Temporary),
        };
        quote!(.restart(::procession::Restart::#variant))
    });
    let mailbox = options.mailbox.as_ref().map(|mailbox| quote!(.mailbox(#mailbox)));
    let shutdown = options.shutdown.map(|shutdown| {
        let grace = match shutdown {
            Shutdown::Kill => quote!(::core::time::Duration::ZERO),
            Shutdown::Within(grace) => duration_tokens(grace),
        };
        quote!(.shutdown(#grace))
    });
    let init_timeout = options.init_timeout.map(|timeout| {
        let timeout = duration_tokens(timeout);
        quote!(.init_timeout(#timeout))
    });
    quote!(<::procession::ActorOptions as ::core::default::Default>::default() #restart #mailbox #shutdown #init_timeout)
}
