//! From the [`Protocol`] to the message loop and the extension trait.

use super::ir::{Answer, Argument, Handler, Init, Kind, Method, Output, Parameter, Protocol, Tick};
use super::schema;
use crate::options::millis;
use crate::types::{is_unit, payload_assertions};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{GenericParam, Type, parse_quote};

pub(super) fn protocol(protocol: &Protocol) -> TokenStream {
    let cfgs = &protocol.cfgs;
    let parts = [
        Some(message_loop(protocol)),
        Some(extension_trait(protocol)),
        assertions(protocol),
    ];
    parts
        .into_iter()
        .flatten()
        .map(|part| quote!(#(#cfgs)* #part))
        .collect()
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
    let Locals {
        args,
        ctx,
        incoming,
        index,
        ..
    } = &locals;
    let actor = &protocol.actor;
    let (impl_generics, _, where_clause) = protocol.generics.split_for_impl();

    let init_type = init_type(&protocol.init);
    let init = init(&protocol.init, &locals);
    let methods = protocol.methods.iter().map(description);
    let arms = protocol.methods.iter().enumerate().map(|(number, method)| {
        let number = method_number(number);
        let arm = arm(method, &locals);
        quote!(#number => { #arm })
    });
    let ticks = protocol.ticks.iter().map(|tick| {
        let (name, every) = (text(&tick.handler.name), millis(tick.every));
        quote!(::procession::Tick::every_ms(#name, #every))
    });
    let tick_arms = protocol.ticks.iter().enumerate().map(|(number, tick)| {
        let arm = tick_arm(tick, &locals);
        quote!(#number => { #arm })
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
        #[allow(deprecated, unused_mut, unused_variables, clippy::let_unit_value)]
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

            async fn handle(
                &mut self,
                #ctx: &::procession::Context<Self>,
                mut #incoming: ::procession::__private::Incoming,
            ) {
                match #incoming.method() {
                    #(#arms)*
                    _ => #incoming.unknown_method(),
                }
            }

            async fn tick(
                &mut self,
                #ctx: &::procession::Context<Self>,
                #index: usize,
            ) -> ::core::result::Result<(), ::procession::Failure> {
                match #index {
                    #(#tick_arms)*
                    _ => ::core::result::Result::Ok(()),
                }
            }

            #stop
        }
    }
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

fn init(init: &Init, locals: &Locals) -> TokenStream {
    let args = &locals.args;
    match init {
        Init::Default => quote!(::core::result::Result::Ok(
            <Self as ::core::default::Default>::default()
        )),
        Init::Broken => quote!(::core::unreachable!("the init did not compile")),
        Init::Handler { handler, fallible } => {
            let names: Vec<&Ident> = handler.arguments().map(|argument| &argument.name).collect();
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
                let #pattern = #args;
                #built
            }
        }
    }
}

/// The method's entry in `METHODS`.
fn description(method: &Method) -> TokenStream {
    let name = text(&method.handler.name);
    match &method.kind {
        Kind::Cast { .. } => quote!(::procession::Method::cast(#name)),
        Kind::Call {
            timeout,
            cancel_drops,
            ..
        } => {
            let timeout = timeout.map(millis).map(|ms| quote!(.timeout_ms(#ms)));
            let cancel = cancel_drops.then(|| quote!(.cancel_drops()));
            quote!(::procession::Method::call(#name) #timeout #cancel)
        }
    }
}

/// What the message loop does with a message of the method.
fn arm(method: &Method, locals: &Locals) -> TokenStream {
    let Locals {
        incoming,
        out,
        reply,
        ..
    } = locals;
    let run = locals.run(&method.handler, true);
    let names = method.handler.arguments().map(|argument| &argument.name);
    let types = method.handler.arguments().map(|argument| &argument.ty);
    let answer = match &method.kind {
        Kind::Cast {
            output: Output::Nothing,
        } => quote!(#run; #incoming.cast_done(());),
        Kind::Cast {
            output: Output::Result,
        } => quote!(let #out = #run; #incoming.cast_done(#out);),
        Kind::Call {
            answer: Answer::Done,
            ..
        } => quote!(#run; #incoming.answer(());),
        Kind::Call {
            answer: Answer::Value(_),
            ..
        } => quote!(let #out = #run; #incoming.answer(#out);),
        Kind::Call {
            answer: Answer::Result(..),
            ..
        } => quote!(let #out = #run; #incoming.answer_result(#out);),
        Kind::Call {
            answer: Answer::Deferred(value, error),
            ..
        } => {
            let error = error_type(error.as_ref());
            quote!(let #reply = #incoming.defer::<#value, #error>(); #run;)
        }
    };
    quote! {
        let ::core::option::Option::Some((#(#names,)*)) = #incoming.arguments::<(#(#types,)*)>() else { return };
        #answer
    }
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
    let name = format_ident!("{}Api", protocol.name);
    let docs = format!(
        " The calls and casts of the actor [`{0}`], on every target of it: an address, a pool, a broadcast.",
        protocol.name
    );
    let methods = protocol
        .methods
        .iter()
        .enumerate()
        .map(|(number, method)| api_method(protocol, number, method));

    let (trait_generics, type_generics, where_clause) = protocol.generics.split_for_impl();
    let mut with_target = protocol.generics.clone();
    let target = Ident::new("__Target", Span::call_site());
    with_target.params.push(GenericParam::Type(
        parse_quote!(#target: ::procession::Target<#actor> + ?::core::marker::Sized),
    ));
    let (impl_generics, _, _) = with_target.split_for_impl();

    // A method may be more visible than a type it names, as it may in the impl block; not every program calls each.
    quote! {
        #[doc = #docs]
        #[allow(dead_code, private_bounds, private_interfaces)]
        #visibility trait #name #trait_generics: ::procession::Target<#actor> #where_clause {
            #(#methods)*
        }

        #[automatically_derived]
        impl #impl_generics #name #type_generics for #target #where_clause {}
    }
}

fn api_method(protocol: &Protocol, number: usize, method: &Method) -> TokenStream {
    let actor = &protocol.actor;
    let attributes = &method.attributes;
    let name = &method.handler.name;
    let arguments: Vec<&Argument> = method.handler.arguments().collect();
    let names: Vec<&Ident> = arguments.iter().map(|argument| &argument.name).collect();
    let types = arguments.iter().map(|argument| &argument.ty);
    let number = method_number(number);
    let (kind, start, future) = match &method.kind {
        Kind::Cast { .. } => ("cast", quote!(start_cast), quote!(Cast)),
        Kind::Call { answer, .. } => {
            let (value, error) = reply_types(answer);
            ("call", quote!(start_call), quote!(Call<#value, #error>))
        }
    };
    let docs = attributes
        .iter()
        .all(|attribute| !attribute.path().is_ident("doc"))
        .then(|| {
            let docs = format!(" The {kind} `{}` of [`{}`].", text(name), protocol.name);
            quote!(#[doc = #docs])
        });
    quote! {
        #docs
        #(#attributes)*
        fn #name(&self #(, #names: #types)*) -> <Self as ::procession::Target<#actor>>::#future {
            ::procession::Target::<#actor>::#start(
                self,
                ::procession::__private::Message::new::<#actor, _>(#number, &(#(#names,)*)),
            )
        }
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

fn assertions(protocol: &Protocol) -> Option<TokenStream> {
    let init = match &protocol.init {
        Init::Handler { handler, .. } => Some(handler),
        Init::Default | Init::Broken => None,
    };
    let handlers = init
        .into_iter()
        .chain(protocol.methods.iter().map(|method| &method.handler));
    let arguments = handlers.flat_map(|handler| handler.arguments().map(|argument| &argument.ty));
    let replies = protocol
        .methods
        .iter()
        .flat_map(|method| match &method.kind {
            Kind::Call {
                answer: Answer::Value(value),
                ..
            } => [Some(value), None],
            Kind::Call {
                answer: Answer::Result(value, error),
                ..
            } => [Some(value), Some(error)],
            Kind::Call {
                answer: Answer::Deferred(value, error),
                ..
            } => [Some(value), error.as_ref()],
            Kind::Cast { .. }
            | Kind::Call {
                answer: Answer::Done,
                ..
            } => [None, None],
        });
    let types = arguments.chain(replies.flatten()).filter(|ty| !is_unit(ty));
    payload_assertions(&protocol.generics, types)
}

fn text(name: &Ident) -> String {
    name.unraw().to_string()
}
