//! From the [`Protocol`] to the message loop and the extension trait.

use super::ir::{Answer, Handler, Init, Kind, Method, Output, Parameter, Protocol, Tick};
use super::schema;
use crate::options::millis;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{GenericParam, Type, parse_quote};

pub(super) fn protocol(protocol: &Protocol) -> TokenStream {
    let cfgs = &protocol.cfgs;
    let api = extension_trait(protocol);
    let message_loop = message_loop(protocol);
    let api_impl = extension_impl(protocol);
    let without_init = matches!(protocol.init, Init::Default).then(built_without_init);
    // All that must prove a type to be a `Payload` names this one function first, at the user's own span: the compiler
    // then says it once, and there, instead of once for each use in here.
    quote! {
        #(#cfgs)*
        #api

        #(#cfgs)*
        const _: () = {
            #[allow(dead_code)]
            fn __payload<T: ::procession::Payload>() {}
            #without_init
            #message_loop
            #api_impl
        };
    }
}

/// The names of the message loop; a user's argument of the same name is another one.
struct Locals {
    args: Ident,
    ctx: Ident,
    incoming: Ident,
    index: Ident,
    out: Ident,
    reason: Ident,
    reply: Ident,
}

impl Locals {
    fn new() -> Self {
        let local = |name| Ident::new(name, Span::mixed_site());
        Self {
            args: local("args"),
            ctx: local("ctx"),
            incoming: local("incoming"),
            index: local("index"),
            out: local("out"),
            reason: local("reason"),
            reply: local("reply"),
        }
    }

    /// The call of the user's method.
    fn run(&self, handler: &Handler, has_self: bool) -> TokenStream {
        let name = &handler.name;
        let receiver = has_self.then(|| quote!(self,));
        let parameters = handler.parameters.iter().map(|parameter| match parameter {
            Parameter::Context => &self.ctx,
            Parameter::Argument(argument) => &argument.name,
            Parameter::Reply => &self.reply,
            Parameter::Reason => &self.reason,
        });
        let wait = handler.is_async.then(|| quote!(.await));
        quote!(Self::#name(#receiver #(#parameters),*) #wait)
    }
}

fn message_loop(protocol: &Protocol) -> TokenStream {
    let locals = Locals::new();
    let Locals { args, ctx, incoming, index, .. } = &locals;
    let actor = &protocol.actor;
    let (impl_generics, _, where_clause) = protocol.generics.split_for_impl();

    let init_type = init_type(&protocol.init);
    let init = init(protocol, &locals);
    let methods = protocol.methods.iter().map(description);
    let handle_now = handle_now(protocol, &locals);
    let handle = handle(protocol, &locals);
    let ticks = protocol.ticks.iter().map(|tick| {
        let (name, every) = (text(&tick.handler.name), millis(tick.every));
        quote!(::procession::Tick::every_ms(#name, #every))
    });
    let tick = (!protocol.ticks.is_empty()).then(|| {
        let arms = protocol.ticks.iter().enumerate().map(|(number, tick)| {
            let arm = tick_arm(tick, &locals);
            quote!(#number => { #arm })
        });
        quote! {
            async fn tick(
                &mut self,
                #ctx: &::procession::Context<Self>,
                #index: usize,
            ) -> ::core::result::Result<(), ::procession::Failure> {
                match #index {
                    #(#arms)*
                    _ => ::core::result::Result::Ok(()),
                }
            }
        }
    });
    let schema = schema::of(protocol);
    let stop = protocol.stop.as_ref().map(|handler| {
        let reason = &locals.reason;
        let run = locals.run(handler, true);
        quote! {
            async fn stop(&mut self, #ctx: &::procession::Context<Self>, #reason: ::procession::StopReason) {
                #run;
            }
        }
    });

    quote! {
        #[automatically_derived]
        #[allow(deprecated, unused_mut, unused_variables, clippy::future_not_send, clippy::let_unit_value)]
        impl #impl_generics ::procession::Handlers for #actor #where_clause {
            type Init = #init_type;

            const METHODS: &'static [::procession::Method] = &[#(#methods),*];
            const TICKS: &'static [::procession::Tick] = &[#(#ticks),*];
            const SCHEMA: &'static str = #schema;

            async fn init(
                #args: Self::Init,
                #ctx: &::procession::Context<Self>,
            ) -> ::core::result::Result<Self, ::procession::Failure> {
                #init
            }

            #handle_now

            async fn handle(
                &mut self,
                #ctx: &::procession::Context<Self>,
                mut #incoming: ::procession::__private::Incoming,
            ) {
                #handle
            }

            #tick

            #stop
        }
    }
}

/// The message loop's function for the methods that are no `async fn`, if there are any.
fn handle_now(protocol: &Protocol, locals: &Locals) -> Option<TokenStream> {
    let Locals { ctx, incoming, .. } = locals;
    let arms = arms(protocol, locals, false, &quote!(true));
    (!arms.is_empty()).then(|| {
        quote! {
            fn handle_now(
                &mut self,
                #ctx: &::procession::Context<Self>,
                #incoming: &mut ::procession::__private::Incoming,
            ) -> bool {
                match #incoming.method() {
                    #(#arms)*
                    _ => return false,
                }
                true
            }
        }
    })
}

/// What is left for those that are.
fn handle(protocol: &Protocol, locals: &Locals) -> TokenStream {
    let incoming = &locals.incoming;
    let arms = arms(protocol, locals, true, &quote!(()));
    if arms.is_empty() {
        return quote!(#incoming.unknown_method(););
    }
    quote! {
        let #incoming = &mut #incoming;
        match #incoming.method() {
            #(#arms)*
            _ => #incoming.unknown_method(),
        }
    }
}

/// An arm for each method that is an `async fn`, or none; one that is over early returns `over`.
fn arms(protocol: &Protocol, locals: &Locals, is_async: bool, over: &TokenStream) -> Vec<TokenStream> {
    let methods = protocol.methods.iter().enumerate();
    let arms = methods.filter(|(_, method)| method.handler.is_async == is_async).map(|(number, method)| {
        let number = method_number(number);
        let arm = arm(method, locals, over);
        quote!(#number => { #arm })
    });
    arms.collect()
}

/// The argument's own type, if there is one; a tuple otherwise.
fn init_type(init: &Init) -> TokenStream {
    let Init::Handler { handler, .. } = init else {
        return quote!(());
    };
    let types: Vec<&Type> = handler.arguments().map(|argument| &argument.ty).collect();
    match types.as_slice() {
        [only] => quote!(#only),
        types => quote!((#(#types),*)),
    }
}

fn init(protocol: &Protocol, locals: &Locals) -> TokenStream {
    let args = &locals.args;
    match &protocol.init {
        Init::Default => {
            let actor = &protocol.actor;
            // At the type's name, where the compiler shows that it has no default.
            let built = quote_spanned!(actor.span()=> <#actor as __BuiltWithoutInit>::build());
            quote!(::core::result::Result::Ok(#built))
        }
        Init::Broken => quote!(::core::unreachable!("the init did not compile")),
        Init::Handler { handler, fallible } => {
            let Arguments { names, types, .. } = Arguments::of(handler);
            let pattern = match names.as_slice() {
                [only] => quote!(#only),
                names => quote!((#(#names),*)),
            };
            let run = locals.run(handler, false);
            let built = if *fallible {
                quote!(::core::result::Result::map_err(#run, ::procession::__private::into_failure))
            } else {
                quote!(::core::result::Result::Ok(#run))
            };
            quote! {
                #(let _ = __payload::<#types>;)*
                let #pattern = #args;
                #built
            }
        }
    }
}

/// `Default` by a name whose error says what an actor without an init lacks.
fn built_without_init() -> TokenStream {
    quote! {
        #[diagnostic::on_unimplemented(
            message = "`{Self}` has no `#[init]` and is not `Default`",
            label = "cannot be built",
            note = "give the actor an `#[init] fn new(..) -> Self`, or put `#[derive(Default)]` on its type"
        )]
        trait __BuiltWithoutInit: ::core::marker::Sized {
            fn build() -> Self;
        }

        impl<T: ::core::default::Default> __BuiltWithoutInit for T {
            fn build() -> Self {
                ::core::default::Default::default()
            }
        }
    }
}

/// The method's entry in `METHODS`.
fn description(method: &Method) -> TokenStream {
    let name = text(&method.handler.name);
    match &method.kind {
        Kind::Cast { .. } => quote!(::procession::Method::cast(#name)),
        Kind::Call { timeout, cancel_drops, .. } => {
            let timeout = timeout.map(millis).map(|ms| quote!(.timeout_ms(#ms)));
            let cancel = cancel_drops.then(|| quote!(.cancel_drops()));
            quote!(::procession::Method::call(#name) #timeout #cancel)
        }
    }
}

/// What the message loop does with a message of the method.
fn arm(method: &Method, locals: &Locals, over: &TokenStream) -> TokenStream {
    let Locals { incoming, out, reply, .. } = locals;
    let run = locals.run(&method.handler, true);
    let arguments = Arguments::of(&method.handler);
    let Arguments { names, types, parameters } = &arguments;
    let answer = match &method.kind {
        Kind::Cast { output: Output::Nothing } => quote!(#run; #incoming.cast_done(());),
        Kind::Cast { output: Output::Result } => quote!(let #out = #run; #incoming.cast_done(#out);),
        Kind::Call { answer: Answer::Done, .. } => quote!(#run; #incoming.answer(());),
        Kind::Call { answer: Answer::Value(value), .. } => quote! {
            fn answer<T: ::procession::Payload>(incoming: &mut ::procession::__private::Incoming, value: T) {
                incoming.answer(value);
            }
            let #out = #run;
            answer::<#value>(#incoming, #out);
        },
        Kind::Call { answer: Answer::Result(value, error), .. } => quote! {
            fn answer<T: ::procession::Payload, E: ::procession::Payload>(
                incoming: &mut ::procession::__private::Incoming,
                result: ::core::result::Result<T, E>,
            ) {
                incoming.answer_result(result);
            }
            let #out = #run;
            answer::<#value, #error>(#incoming, #out);
        },
        Kind::Call { answer: Answer::Deferred(value, error), .. } => {
            let error = error_type(error.as_ref());
            quote!(let #reply = #incoming.defer::<#value, #error>(); #run;)
        }
    };
    let assertions = assertions(method);
    quote! {
        #assertions
        fn arguments<#(#parameters: ::procession::Payload),*>(
            incoming: &mut ::procession::__private::Incoming,
        ) -> ::core::option::Option<(#(#parameters,)*)> {
            incoming.arguments()
        }
        let ::core::option::Option::Some((#(#names,)*)) = arguments::<#(#types),*>(#incoming) else { return #over };
        #answer
    }
}

/// The arguments of a handler, and a generic parameter for each.
struct Arguments<'p> {
    names: Vec<&'p Ident>,
    types: Vec<&'p Type>,
    parameters: Vec<Ident>,
}

impl<'p> Arguments<'p> {
    fn of(handler: &'p Handler) -> Self {
        let names: Vec<&Ident> = handler.arguments().map(|argument| &argument.name).collect();
        let types = handler.arguments().map(|argument| &argument.ty).collect();
        let parameters = (0..names.len()).map(|index| format_ident!("T{index}")).collect();
        Self { names, types, parameters }
    }
}

/// Names the function that only a `Payload` can be given to, once for each type that crosses with the method.
fn assertions(method: &Method) -> TokenStream {
    let arguments = method.handler.arguments().map(|argument| &argument.ty);
    let (value, error) = match &method.kind {
        Kind::Call { answer: Answer::Value(value), .. } => (Some(value), None),
        Kind::Call { answer: Answer::Result(value, error), .. } => (Some(value), Some(error)),
        Kind::Call { answer: Answer::Deferred(value, error), .. } => (Some(value), error.as_ref()),
        Kind::Cast { .. } | Kind::Call { answer: Answer::Done, .. } => (None, None),
    };
    let types = arguments.chain(value).chain(error);
    quote!(#(let _ = __payload::<#types>;)*)
}

fn tick_arm(tick: &Tick, locals: &Locals) -> TokenStream {
    let run = locals.run(&tick.handler, true);
    match tick.output {
        Output::Nothing => quote!(#run; ::core::result::Result::Ok(())),
        Output::Result => {
            quote!(::core::result::Result::map_err(#run, ::procession::__private::into_failure))
        }
    }
}

fn extension_trait(protocol: &Protocol) -> TokenStream {
    let actor = &protocol.actor;
    let visibility = &protocol.visibility;
    let name = api_name(protocol);
    let docs = format!(
        " The calls and casts of the actor [`{0}`], on every target of it: an address, a pool, a broadcast.",
        protocol.name
    );
    let methods = protocol.methods.iter().map(|method| {
        let docs = api_docs(protocol, method);
        let signature = api_signature(protocol, method);
        quote!(#docs #signature;)
    });
    let (trait_generics, _, where_clause) = protocol.generics.split_for_impl();
    // A method may be more visible than a type it names, as it may in the impl block; not every program calls each.
    quote! {
        #[doc = #docs]
        #[allow(dead_code, private_bounds, private_interfaces, clippy::too_many_arguments)]
        #visibility trait #name #trait_generics: ::procession::Target<#actor> #where_clause {
            #(#methods)*
        }
    }
}

fn extension_impl(protocol: &Protocol) -> TokenStream {
    let actor = &protocol.actor;
    let name = api_name(protocol);
    let methods = protocol.methods.iter().enumerate().map(|(number, method)| {
        let signature = api_signature(protocol, method);
        let body = api_body(protocol, number, method);
        quote!(#signature { #body })
    });
    let (_, type_generics, where_clause) = protocol.generics.split_for_impl();
    let mut generics = protocol.generics.clone();
    generics
        .params
        .push(GenericParam::Type(parse_quote!(__Target: ::procession::Target<#actor> + ?::core::marker::Sized)));
    let (impl_generics, _, _) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        #[allow(private_interfaces)]
        impl #impl_generics #name #type_generics for __Target #where_clause {
            #(#methods)*
        }
    }
}

fn api_name(protocol: &Protocol) -> Ident {
    format_ident!("{}Api", protocol.name)
}

/// The docs of the user's method, or a line of our own; and what else it carries on.
fn api_docs(protocol: &Protocol, method: &Method) -> TokenStream {
    let attributes = &method.attributes;
    let docs = attributes.iter().all(|attribute| !attribute.path().is_ident("doc")).then(|| {
        let kind = match method.kind {
            Kind::Cast { .. } => "cast",
            Kind::Call { .. } => "call",
        };
        let docs = format!(" The {kind} `{}` of [`{}`].", text(&method.handler.name), protocol.name);
        quote!(#[doc = #docs])
    });
    quote!(#docs #(#attributes)*)
}

fn api_signature(protocol: &Protocol, method: &Method) -> TokenStream {
    let actor = &protocol.actor;
    let name = &method.handler.name;
    let Arguments { names, types, .. } = Arguments::of(&method.handler);
    let future = match &method.kind {
        Kind::Cast { .. } => quote!(<Self as ::procession::Target<#actor>>::Cast),
        Kind::Call { answer, .. } => {
            let (value, error) = reply_types(answer);
            // At the user's type, where the compiler shows that the whole is not well-formed.
            quote_spanned!(value.span()=> <Self as ::procession::Target<#actor>>::Call<#value, #error>)
        }
    };
    quote!(fn #name(&self #(, #names: #types)*) -> #future)
}

fn api_body(protocol: &Protocol, number: usize, method: &Method) -> TokenStream {
    let actor = &protocol.actor;
    let Arguments { names, types, parameters } = Arguments::of(&method.handler);
    let number = method_number(number);
    let start = match &method.kind {
        Kind::Cast { .. } => quote!(start_cast),
        Kind::Call { answer, .. } => {
            let (value, error) = reply_types(answer);
            quote!(start_call::<#value, #error>)
        }
    };
    let assertions = assertions(method);
    quote! {
        #assertions
        fn __message<A: ::procession::Handlers #(, #parameters: ::procession::Payload)*>(
            arguments: &(#(#parameters,)*),
        ) -> ::procession::__private::Message {
            ::procession::__private::Message::new::<A, _>(#number, arguments, |__large| {
                let _ = &__large;
                let (#(#names,)*) = arguments;
                #(__large.look(#names);)*
            })
        }
        ::procession::Target::<#actor>::#start(self, __message::<#actor #(, #types)*>(&(#(#names,)*)))
    }
}

/// The value and the error that a call's future ends in.
fn reply_types(answer: &Answer) -> (TokenStream, TokenStream) {
    match answer {
        Answer::Done => (quote!(()), error_type(None)),
        Answer::Value(value) => (quote!(#value), error_type(None)),
        Answer::Result(value, error) => (quote!(#value), error_type(Some(error))),
        Answer::Deferred(value, error) => (quote!(#value), error_type(error.as_ref())),
    }
}

fn error_type(error: Option<&Type>) -> TokenStream {
    error.map_or_else(|| quote!(::procession::NoError), |error| quote!(#error))
}

/// An unsuffixed literal, so that core alone decides how wide a method's number is.
fn method_number(number: usize) -> proc_macro2::Literal {
    proc_macro2::Literal::usize_unsuffixed(number)
}

fn text(name: &Ident) -> String {
    name.unraw().to_string()
}
