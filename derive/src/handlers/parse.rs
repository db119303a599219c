//! From the impl block to the [`Protocol`].

use super::ir::{Answer, Argument, Handler, Init, Kind, Method, Output, Parameter, Protocol, Tick};
use crate::errors::Errors;
use crate::options::{self, Key, Pair};
use crate::types::{self, Crossing, MAX_ARGUMENTS};
use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{
    Attribute, FnArg, GenericParam, Ident, ImplItem, ImplItemFn, ItemImpl, Pat, PatType, ReceiverKind, Safety,
    Signature, Token, Type, Visibility,
};

/// Names that a method of an address, or of the value itself, already has: the extension trait would be ambiguous with
/// them at every use.
const RESERVED: &[&str] = &[
    "as_ref",
    "borrow",
    "borrow_mut",
    "clone",
    "clone_from",
    "cmp",
    "ctl",
    "deserialize",
    "drop",
    "eq",
    "fmt",
    "from",
    "hash",
    "into",
    "ne",
    "partial_cmp",
    "serialize",
    "start_call",
    "start_cast",
    "to_owned",
    "try_from",
    "try_into",
    "type_id",
];

const CALL_KEYS: &[Key] =
    &[Key { name: "timeout", example: r#"timeout = "10m""# }, Key { name: "cancel", example: r#"cancel = "drop""# }];

const TICK_KEYS: &[Key] = &[Key { name: "every", example: r#"every = "1s""# }];

/// What a method is to the message loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Init,
    Call,
    Cast,
    Tick,
    Stop,
}

impl Role {
    const ALL: [Self; 5] = [Self::Init, Self::Call, Self::Cast, Self::Tick, Self::Stop];

    fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Call => "call",
            Self::Cast => "cast",
            Self::Tick => "tick",
            Self::Stop => "stop",
        }
    }

    fn of(attribute: &Attribute) -> Option<Self> {
        Self::ALL.into_iter().find(|role| attribute.path().is_ident(role.name()))
    }

    fn keys(self) -> &'static [Key] {
        match self {
            Self::Call => CALL_KEYS,
            Self::Tick => TICK_KEYS,
            Self::Init | Self::Cast | Self::Stop => &[],
        }
    }
}

/// Reads the protocol out of the block and takes the role attributes out of it. A method that is in error is left out;
/// nothing at all is returned when the block is of no actor.
pub(super) fn protocol(block: &mut ItemImpl, errors: &mut Errors) -> Option<Protocol> {
    let actor = actor(block, errors);
    let mut handlers: Vec<(Role, Attribute, ImplItemFn)> = Vec::new();
    for item in &mut block.items {
        match item {
            ImplItem::Fn(method) => {
                let role = take_role(method, errors);
                handlers.extend(role.map(|(role, attribute)| (role, attribute, method.clone())));
            }
            ImplItem::Const(item) => refuse_roles(&mut item.attrs, errors),
            ImplItem::Type(item) => refuse_roles(&mut item.attrs, errors),
            ImplItem::Macro(item) => refuse_roles(&mut item.attrs, errors),
            _ => {}
        }
    }
    let name = actor?;
    let mut reader = Reader {
        protocol: Protocol {
            actor: (*block.self_ty).clone(),
            name,
            generics: block.generics.clone(),
            cfgs: block.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect(),
            init: Init::Default,
            methods: Vec::new(),
            ticks: Vec::new(),
            stop: None,
            visibility: Visibility::Inherited,
        },
        has_stop: false,
        errors,
    };
    for (role, attribute, method) in &handlers {
        reader.read(*role, attribute, method);
    }
    Some(reader.protocol)
}

/// The name of the actor whose impl block it is.
fn actor(block: &ItemImpl, errors: &mut Errors) -> Option<Ident> {
    let mut sound = true;
    if let Some((path, _)) = &block.trait_ {
        let ty = types::token_text(block.self_ty.to_token_stream());
        errors.at(path, format!("`#[handlers]` belongs on the actor's own impl block: write `impl {ty} {{ .. }}`"));
        sound = false;
    }
    for parameter in &block.generics.params {
        if let GenericParam::Lifetime(lifetime) = parameter {
            errors.at(lifetime, "an actor lives in a process of its own and cannot borrow: own the data instead");
            sound = false;
        }
    }
    let segment = types::last_segment(&block.self_ty);
    if segment.is_none() {
        errors.at(&block.self_ty, "an actor is a type of its own: write `impl Counter { .. }` for a struct or an enum");
    }
    segment.filter(|_| sound).map(|segment| segment.ident.clone())
}

/// Takes the role attributes off the method; it keeps the first.
fn take_role(method: &mut ImplItemFn, errors: &mut Errors) -> Option<(Role, Attribute)> {
    let mut first: Option<(Role, Attribute)> = None;
    method.attrs.retain(|attribute| {
        let Some(role) = Role::of(attribute) else { return true };
        match &first {
            None => first = Some((role, attribute.clone())),
            Some((earlier, _)) if *earlier == role => {
                errors.at(attribute, format!("`#[{0}]` stands here twice: keep one, with all its options", role.name()))
            }
            Some((earlier, _)) => errors.at(
                attribute,
                format!(
                    "a method has one role, this one is `#[{}]` already: write a second method for `#[{}]`",
                    earlier.name(),
                    role.name()
                ),
            ),
        }
        false
    });
    first
}

fn refuse_roles(attributes: &mut Vec<Attribute>, errors: &mut Errors) {
    attributes.retain(|attribute| match Role::of(attribute) {
        Some(role) => {
            errors.at(attribute, format!("`#[{}]` belongs on a method", role.name()));
            false
        }
        None => true,
    });
}

/// The protocol as far as it has been read.
struct Reader<'e> {
    protocol: Protocol,
    has_stop: bool,
    errors: &'e mut Errors,
}

/// A handler's parameters, and the types of its `Reply` if it has one.
struct Read {
    handler: Handler,
    reply: Option<(Type, Option<Type>)>,
}

impl Reader<'_> {
    fn read(&mut self, role: Role, attribute: &Attribute, method: &ImplItemFn) {
        let pairs = options::of_attribute(attribute, role.name(), role.keys(), self.errors);
        let sound = self.check(role, method);
        match role {
            Role::Init => self.init(attribute, &method.sig, sound),
            Role::Stop => self.stop(attribute, &method.sig, sound),
            Role::Tick => self.tick(attribute, &pairs, &method.sig, sound),
            Role::Call | Role::Cast => self.method(role, &pairs, method, sound),
        }
    }

    /// Whether the method can be a handler at all.
    fn check(&mut self, role: Role, method: &ImplItemFn) -> bool {
        let signature = &method.sig;
        let role = role.name();
        let mut wrong: Vec<syn::Error> = Vec::new();
        let mut refuse = |at: &dyn ToTokens, message: String| wrong.push(syn::Error::new_spanned(at, message));
        for attribute in &method.attrs {
            if attribute.path().is_ident("cfg") {
                refuse(
                    attribute,
                    format!(
                        "a `#[{role}]` cannot be under `#[cfg]`, since both sides number the same methods: put the \
                         condition inside the body, or on a second impl of a whole actor"
                    ),
                );
            }
        }
        if let Some(token) = &signature.constness {
            refuse(token, format!("a `#[{role}]` cannot be a `const fn`: remove `const`"));
        }
        if let Safety::Unsafe(token) = &signature.safety {
            refuse(
                token,
                format!(
                    "a `#[{role}]` cannot be an `unsafe fn`, since no caller in another process can keep its promises: remove `unsafe`"
                ),
            );
        }
        if let Some(abi) = &signature.abi {
            refuse(abi, format!("a `#[{role}]` cannot be an `extern fn`: remove the ABI"));
        }
        if !signature.generics.params.is_empty() {
            refuse(
                &signature.generics,
                format!(
                    "a `#[{role}]` cannot be generic, since both sides must know its types: name one type, or make \
                     the actor generic"
                ),
            );
        }
        if let Some(clause) = &signature.generics.where_clause {
            refuse(clause, format!("a `#[{role}]` has no conditions of its own: move them to the impl block"));
        }
        let sound = wrong.is_empty();
        wrong.into_iter().for_each(|error| self.errors.push(error));
        sound
    }

    fn init(&mut self, attribute: &Attribute, signature: &Signature, mut sound: bool) {
        if !matches!(self.protocol.init, Init::Default) {
            self.errors.at(attribute, "an actor has one `#[init]`, and there is one above: remove one of the two");
            return;
        }
        self.protocol.init = Init::Broken;
        if let Some(receiver) = signature.receiver() {
            self.errors.at(
                receiver,
                "an `#[init]` builds the actor, so there is no `self` yet: take the values it needs as arguments",
            );
            sound = false;
        }
        let fallible = self.init_output(signature);
        let read = self.parameters(Role::Init, signature);
        if let (true, Some(fallible), Some(read)) = (sound, fallible, read) {
            self.protocol.init = Init::Handler { handler: read.handler, fallible };
        }
    }

    /// Whether the init returns a `Result<Self, _>` rather than `Self`.
    fn init_output(&mut self, signature: &Signature) -> Option<bool> {
        let is_actor = |ty: &Type| {
            types::last_segment(ty)
                .is_some_and(|segment| segment.ident == "Self" || segment.ident == self.protocol.name)
        };
        let returned = types::returned(&signature.output);
        match returned {
            Some(ty) if is_actor(ty) => Some(false),
            Some(ty)
                if types::arguments_of(ty, "Result")
                    .is_some_and(|arguments| arguments.first().is_some_and(|value| is_actor(value))) =>
            {
                Some(true)
            }
            _ => {
                let message = "an `#[init]` builds the actor: return `Self` or `Result<Self, E>`";
                match returned {
                    Some(ty) => self.errors.at(ty, message),
                    None => self.errors.at(&signature.ident, message),
                }
                None
            }
        }
    }

    fn stop(&mut self, attribute: &Attribute, signature: &Signature, mut sound: bool) {
        if self.has_stop {
            self.errors.at(attribute, "an actor has one `#[stop]`, and there is one above: remove one of the two");
            return;
        }
        self.has_stop = true;
        sound &= self.receiver(Role::Stop, signature);
        if let Some(ty) = types::returned(&signature.output) {
            self.errors.at(ty, "a `#[stop]` returns nothing: nobody is left to read it");
            sound = false;
        }
        let read = self.parameters(Role::Stop, signature);
        self.protocol.stop = read.filter(|_| sound).map(|read| read.handler);
    }

    fn tick(&mut self, attribute: &Attribute, pairs: &[Pair], signature: &Signature, mut sound: bool) {
        sound &= self.receiver(Role::Tick, signature);
        let every = match pairs.iter().find(|pair| pair.key == "every") {
            Some(pair) => self.errors.take(options::duration(&pair.value)),
            None => {
                self.errors.at(attribute, r#"a `#[tick]` needs its period: write `#[tick(every = "1s")]`"#);
                None
            }
        };
        let output = self.output(Role::Tick, signature);
        let read = self.parameters(Role::Tick, signature);
        if let (true, Some(every), Some(output), Some(read)) = (sound, every, output, read) {
            self.protocol.ticks.push(Tick { handler: read.handler, every, output });
        }
    }

    fn method(&mut self, role: Role, pairs: &[Pair], method: &ImplItemFn, mut sound: bool) {
        let signature = &method.sig;
        widen(&mut self.protocol.visibility, &method.vis);
        let name = signature.ident.unraw().to_string();
        if RESERVED.contains(&name.as_str()) {
            self.errors.at(
                &signature.ident,
                format!(
                    "`{name}` is reserved, since it would be ambiguous with the method that every address has: rename \
                     the handler"
                ),
            );
            sound = false;
        }
        sound &= self.receiver(role, signature);
        let read = self.parameters(role, signature);
        let kind = match role {
            Role::Cast => self.output(role, signature).map(|output| Kind::Cast { output }),
            _ => self.call(pairs, signature, read.as_ref().and_then(|read| read.reply.clone())),
        };
        if let (true, Some(read), Some(kind)) = (sound, read, kind) {
            let carried =
                |attribute: &&Attribute| attribute.path().is_ident("doc") || attribute.path().is_ident("deprecated");
            let attributes = method.attrs.iter().filter(carried).cloned().collect();
            self.protocol.methods.push(Method { handler: read.handler, attributes, kind });
        }
    }

    fn call(&mut self, pairs: &[Pair], signature: &Signature, reply: Option<(Type, Option<Type>)>) -> Option<Kind> {
        let mut timeout = None;
        let mut cancel_drops = false;
        for pair in pairs {
            if pair.key == "timeout" {
                timeout = self.errors.take(options::duration(&pair.value));
            } else {
                cancel_drops = self.errors.take(options::choice(&pair.value, &[("drop", true)])).unwrap_or(false);
            }
        }
        let answer = match (reply, types::returned(&signature.output)) {
            (Some((value, error)), None) => Answer::Deferred(value, error),
            (Some(_), Some(ty)) => {
                self.errors.at(ty, "a call that takes a `Reply` answers through it: remove the returned type");
                return None;
            }
            (None, None) => Answer::Done,
            (None, Some(ty)) => {
                if !types::check_owned(ty, Crossing::Reply, self.errors) {
                    return None;
                }
                match types::arguments_of(ty, "Result").as_deref() {
                    Some([value, error]) => Answer::Result(self.spelled(value), self.spelled(error)),
                    _ => Answer::Value(self.spelled(ty)),
                }
            }
        };
        Some(Kind::Call { answer, timeout, cancel_drops })
    }

    /// What a handler that answers nobody returns.
    fn output(&mut self, role: Role, signature: &Signature) -> Option<Output> {
        let Some(ty) = types::returned(&signature.output) else {
            return Some(Output::Nothing);
        };
        if let Some(arguments) = types::arguments_of(ty, "Result")
            && arguments.first().is_none_or(|value| types::is_unit(value))
        {
            return Some(Output::Result);
        }
        let message = match role {
            Role::Cast => {
                "nobody waits for what a `#[cast]` returns: make it a `#[call]`, or return nothing or `Result<(), E>`"
            }
            _ => "nobody waits for what a `#[tick]` returns: return nothing or `Result<(), E>`",
        };
        self.errors.at(ty, message);
        None
    }

    /// Whether the method borrows the actor.
    fn receiver(&mut self, role: Role, signature: &Signature) -> bool {
        let role = role.name();
        let Some(receiver) = signature.receiver() else {
            self.errors.at(
                &signature.ident,
                format!("a `#[{role}]` is run by a living actor: take `&self` or `&mut self` first"),
            );
            return false;
        };
        let borrows = match &receiver.kind {
            ReceiverKind::Reference(..) => true,
            ReceiverKind::Typed(_, ty) => matches!(types::bare(ty), Type::Reference(_)),
            _ => false,
        };
        if !borrows {
            self.errors.at(
                receiver,
                format!(
                    "the actor lives on after a `#[{role}]`: take `&self` or `&mut self` instead of `self` by value"
                ),
            );
        }
        borrows
    }

    fn parameters(&mut self, role: Role, signature: &Signature) -> Option<Read> {
        let mut parameters = Vec::new();
        let mut reply = None;
        let mut sound = true;
        let typed = signature.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        });
        for typed in typed {
            let Some(parameter) = self.parameter(role, typed, &mut reply) else {
                sound = false;
                continue;
            };
            let twice = match parameter {
                Parameter::Argument(_) => false,
                _ => parameters
                    .iter()
                    .any(|earlier| std::mem::discriminant(earlier) == std::mem::discriminant(&parameter)),
            };
            if twice {
                self.errors.at(&typed.ty, "this stands here twice: remove one of the two");
                sound = false;
            }
            parameters.push(parameter);
        }
        let handler = Handler { name: signature.ident.clone(), is_async: signature.asyncness.is_some(), parameters };
        if handler.arguments().count() > MAX_ARGUMENTS {
            self.errors.at(
                &signature.inputs,
                format!("a message has at most {MAX_ARGUMENTS} arguments: put some of them into a struct"),
            );
            sound = false;
        }
        sound.then_some(Read { handler, reply })
    }

    fn parameter(
        &mut self,
        role: Role,
        typed: &PatType,
        reply: &mut Option<(Type, Option<Type>)>,
    ) -> Option<Parameter> {
        let ty = types::bare(&typed.ty);
        match context(ty) {
            Some(true) => return Some(Parameter::Context),
            Some(false) => {
                self.errors.at(ty, "the context is the run loop's own: take `&Context<Self>`");
                return None;
            }
            None => {}
        }
        if let Some(types @ ([_] | [_, _])) = types::arguments_of(ty, "Reply").as_deref() {
            if role != Role::Call {
                self.errors
                    .at(ty, format!("nobody waits for the reply of a `#[{}]`: make it a `#[call]`", role.name()));
                return None;
            }
            let mut sound = true;
            for ty in types {
                sound &= types::check_owned(ty, Crossing::Reply, self.errors);
            }
            *reply = Some((self.spelled(types[0]), types.get(1).map(|error| self.spelled(error))));
            return sound.then_some(Parameter::Reply);
        }
        match role {
            Role::Tick => {
                self.errors.at(typed, "a `#[tick]` comes from the clock: it takes nothing but `ctx: &Context<Self>`");
                return None;
            }
            Role::Stop if types::last_segment(ty).is_some_and(|segment| segment.ident == "StopReason") => {
                return Some(Parameter::Reason);
            }
            Role::Stop => {
                self.errors.at(typed, "a `#[stop]` takes nothing but `ctx: &Context<Self>` and `reason: StopReason`");
                return None;
            }
            Role::Init | Role::Call | Role::Cast => {}
        }
        let owned = types::check_owned(ty, Crossing::Argument, self.errors);
        let name = self.argument_name(&typed.pat);
        let ty = self.spelled(ty);
        name.filter(|_| owned).map(|name| Parameter::Argument(Argument { name, ty }))
    }

    fn argument_name(&mut self, pattern: &Pat) -> Option<Ident> {
        let name = types::plain_name(pattern);
        if name.is_none() {
            let mend = match pattern {
                Pat::Wild(_) => "give it a name, `_unused` for example",
                _ => "give it a name, and take it apart in the body",
            };
            self.errors.at(pattern, format!("an argument is named after its parameter: {mend}"));
        }
        name
    }

    fn spelled(&self, ty: &Type) -> Type {
        types::without_self(ty, &self.protocol.actor)
    }
}

/// Whether the type is a `&Context<_>`; false for a context that is taken otherwise.
fn context(ty: &Type) -> Option<bool> {
    let is_context = |ty: &Type| types::arguments_of(ty, "Context").is_some();
    match ty {
        Type::Reference(reference) if is_context(&reference.elem) => Some(reference.mutability.is_none()),
        ty if is_context(ty) => Some(false),
        _ => None,
    }
}

/// Makes `widest` at least as visible as `other`. Restricted ones are compared by their form: `crate`, then `super`,
/// then other paths.
fn widen(widest: &mut Visibility, other: &Visibility) {
    let rank = |visibility: &Visibility| match visibility {
        Visibility::Inherited => 0,
        Visibility::Restricted(restricted) if restricted.path.is_ident("self") => 0,
        Visibility::Restricted(restricted) if restricted.path.is_ident("super") => 2,
        Visibility::Restricted(restricted) if restricted.path.is_ident("crate") => 3,
        Visibility::Restricted(_) => 1,
        Visibility::Public(_) => 4,
    };
    if rank(other) > rank(widest) {
        // At the macro's place instead of the method's: what holds for the method, lints say there.
        *widest = match other {
            Visibility::Public(_) => Visibility::Public(Token![pub](Span::call_site())),
            other => other.clone(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;
    use syn::parse_quote;

    /// The block as it is emitted, what was understood, and the errors.
    fn parsed(mut block: ItemImpl) -> (ItemImpl, Protocol, Vec<String>) {
        let mut errors = Errors::default();
        let protocol = protocol(&mut block, &mut errors).expect("the block is an actor's");
        (block, protocol, errors.messages())
    }

    fn errors_of(block: ItemImpl) -> Vec<String> {
        parsed(block).2
    }

    fn visibility_of(block: ItemImpl) -> String {
        parsed(block).1.visibility.to_token_stream().to_string()
    }

    #[test]
    fn the_block_loses_its_roles_and_nothing_else() {
        let (block, _, errors) = parsed(parse_quote! {
            impl Counter {
                const STEP: i64 = 1;
                #[init]
                fn new(n: i64) -> Self { Self { n } }
                /// Adds.
                #[cast]
                #[inline]
                pub fn add(&mut self, by: i64) { self.n += by }
                fn helper(&self) {}
            }
        });
        let expected: ItemImpl = parse_quote! {
            impl Counter {
                const STEP: i64 = 1;
                fn new(n: i64) -> Self { Self { n } }
                /// Adds.
                #[inline]
                pub fn add(&mut self, by: i64) { self.n += by }
                fn helper(&self) {}
            }
        };
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(block.to_token_stream().to_string(), expected.to_token_stream().to_string());
    }

    #[test]
    fn methods_are_numbered_in_source_order_and_described_by_the_schema() {
        let (_, protocol, errors) = parsed(parse_quote! {
            impl Cache<T> {
                #[call]
                fn get(&self, key: &'static str) -> Option<T> { None }
                #[call]
                fn find(&self, ctx: &Context<Self>, key: String) -> std::result::Result< Option<T>,NotFound > { Ok(None) }
                #[tick(every = "1s")]
                fn beat(&mut self) {}
                #[cast]
                async fn join(&mut self, mut other: Vec<Address<Self>>, r#type: u8) -> Result<(), Failure> { Ok(()) }
                #[call]
                fn later(&mut self, reply: Reply<u64, NotFound>) {}
                #[call]
                fn flush(&mut self) {}
                #[init]
                fn new(size: usize, ctx: &Context<Self>) -> Result<Self> { Ok(Self::default()) }
            }
        });
        assert_eq!(errors, ["a message crosses a process boundary: take `String` instead of `&'static str`"]);
        assert_eq!(
            schema::of(&protocol),
            "new(size: usize); call find(key: String) -> Result<Option<T>, NotFound>; \
             cast join(other: Vec<Address<Cache<T>>>, type: u8); call later() -> Result<u64, NotFound>; call flush() -> ()"
        );
        assert_eq!(protocol.ticks.len(), 1);
    }

    #[test]
    fn a_deferred_answer_is_the_same_protocol_as_a_direct_one() {
        let direct = parsed(parse_quote!(impl A { #[call] fn get(&self) -> u64 { 1 } })).1;
        let deferred = parsed(parse_quote!(impl A { #[call] fn get(&self, reply: Reply<u64>) {} })).1;
        assert_eq!(schema::of(&direct), schema::of(&deferred));
    }

    #[test]
    fn an_alias_of_result_with_one_argument_is_a_plain_value() {
        let (_, protocol, _) = parsed(parse_quote!(impl A { #[call] fn get(&self) -> io::Result<u64> { Ok(1) } }));
        assert!(matches!(protocol.methods[0].kind, Kind::Call { answer: Answer::Value(_), .. }));
    }

    #[test]
    fn every_error_of_a_block_is_reported_at_once() {
        let errors = errors_of(parse_quote! {
            impl Counter {
                #[init]
                fn new(self) -> u8 { 0 }
                #[init]
                fn other() -> Self { Self }
                #[call]
                fn hash(&self) -> u64 { 1 }
                #[call]
                fn gone(self: Box<Self>) {}
                #[call(timeout = "1d")]
                fn slow<T>(&self, value: T) {}
                #[stop]
                fn bye(&self, n: u8) {}
                #[tick(every = "1s")]
                fn beat(&self, n: u8) {}
                #[cast]
                fn twice(&self, one: &Context<Self>, two: &Context<Self>) {}
                #[cast]
                fn own(&self, ctx: Context<Self>) {}
            }
        });
        let starts = [
            "an `#[init]` builds the actor, so there is no `self` yet",
            "an `#[init]` builds the actor: return `Self`",
            "an actor has one `#[init]`",
            "`hash` is reserved",
            "the actor lives on after a `#[call]`",
            "a `#[call]` cannot be generic",
            "expected a duration",
            "a `#[stop]` takes nothing but",
            "a `#[tick]` comes from the clock",
            "this stands here twice",
            "the context is the run loop's own",
        ];
        assert_eq!(errors.len(), starts.len(), "{errors:#?}");
        for (error, start) in errors.iter().zip(starts) {
            assert!(error.starts_with(start), "{error}");
        }
    }

    #[test]
    fn a_message_has_at_most_sixteen_arguments() {
        let with = |count: usize| -> ItemImpl {
            let names = (0..count).map(|index| quote::format_ident!("a{index}"));
            parse_quote!(impl A { #[cast] fn f(&self, ctx: &Context<Self> #(, #names: u8)*) {} })
        };
        assert!(errors_of(with(16)).is_empty());
        assert_eq!(errors_of(with(17)), ["a message has at most 16 arguments: put some of them into a struct"]);
    }

    #[test]
    fn the_trait_is_as_visible_as_the_most_visible_call_or_cast() {
        assert_eq!(
            visibility_of(parse_quote!(impl A { #[call] fn a(&self) {} #[init] pub fn new() -> Self { A } })),
            ""
        );
        assert_eq!(
            visibility_of(parse_quote!(impl A { #[call] pub(super) fn a(&self) {} #[cast] pub(crate) fn b(&self) {} })),
            "pub (crate)"
        );
        assert_eq!(visibility_of(parse_quote!(impl A { #[call] pub fn a(&self) {} #[cast] fn b(&self) {} })), "pub");
    }
}
