//! Questions about the types that a user wrote, and the changes they need before they can stand elsewhere.

use crate::errors::Errors;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Expr, ExprPath, GenericArgument, Ident, Lifetime, PathArguments, PathSegment, QSelf, ReturnType, Token, Type,
    TypeImplTrait, TypePath, TypeReference,
};

/// The largest number of arguments: serde knows tuples of up to 16 values.
pub(crate) const MAX_ARGUMENTS: usize = 16;

/// The type without the parentheses and invisible groups around it.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        _ => ty,
    }
}

/// The last segment of a plain path: `Result<T, E>` of `std::result::Result<T, E>`.
pub(crate) fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match bare(ty) {
        Type::Path(TypePath { qself: None, path, .. }) => path.segments.last(),
        _ => None,
    }
}

/// The generic type arguments of a path segment.
pub(crate) fn type_arguments(segment: &PathSegment) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return Vec::new();
    };
    arguments
        .args
        .iter()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
        .collect()
}

/// The type arguments of a type whose last segment is `name`.
pub(crate) fn arguments_of<'t>(ty: &'t Type, name: &str) -> Option<Vec<&'t Type>> {
    let segment = last_segment(ty)?;
    (segment.ident == name).then(|| type_arguments(segment))
}

/// The returned type; nothing for a missing one and for `()`.
pub(crate) fn returned(output: &ReturnType) -> Option<&Type> {
    match output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(ty.as_ref()).filter(|ty| !is_unit(ty)),
    }
}

pub(crate) fn is_unit(ty: &Type) -> bool {
    matches!(bare(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// Refuses what cannot cross a process boundary by its syntax alone; `what` is "message" or "reply". The rest is found
/// by the compiler, where the type's `Payload` is asserted.
pub(crate) fn check_owned(ty: &Type, what: Crossing, errors: &mut Errors) -> bool {
    let mut visitor = OwnedCheck { what, errors, owned: true };
    visitor.visit_type(ty);
    visitor.owned
}

/// What a type that crosses a process boundary is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crossing {
    Argument,
    Reply,
}

impl Crossing {
    fn rule(self) -> &'static str {
        match self {
            Self::Argument => "a message crosses a process boundary",
            Self::Reply => "a reply crosses a process boundary",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Argument => "take",
            Self::Reply => "return",
        }
    }
}

struct OwnedCheck<'e> {
    what: Crossing,
    errors: &'e mut Errors,
    owned: bool,
}

impl OwnedCheck<'_> {
    fn refuse(&mut self, at: impl ToTokens, mend: &str) {
        self.owned = false;
        self.errors.at(at, format!("{}: {mend}", self.what.rule()));
    }
}

impl<'ast> Visit<'ast> for OwnedCheck<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let owned = owned_form(&reference.elem);
        let borrowed = token_text(reference.to_token_stream());
        self.refuse(reference, &format!("{} `{owned}` instead of `{borrowed}`", self.what.verb()));
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.refuse(lifetime, &format!("{} a type that owns its data, without `{lifetime}`", self.what.verb()));
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.refuse(ty, "name one type instead of `impl Trait`, since the other side must know it");
    }

    fn visit_type(&mut self, ty: &'ast Type) {
        match ty {
            Type::Infer(_) => self.refuse(ty, "name the type instead of `_`"),
            Type::Never(_) => self.refuse(ty, "`!` has no value to send"),
            _ => visit::visit_type(self, ty),
        }
    }

    // The length of an array is not a type.
    fn visit_expr(&mut self, _: &'ast Expr) {}
}

/// What to take instead of a reference to the type.
fn owned_form(ty: &Type) -> String {
    match bare(ty) {
        Type::Slice(slice) => format!("Vec<{}>", token_text(slice.elem.to_token_stream())),
        Type::Reference(inner) => owned_form(&inner.elem),
        Type::TraitObject(_) => "an owned type".to_owned(),
        other => match last_segment(other).map(|segment| segment.ident.to_string()).as_deref() {
            Some("str") => "String".to_owned(),
            Some("Path") => "PathBuf".to_owned(),
            Some("OsStr") => "OsString".to_owned(),
            Some("CStr") => "CString".to_owned(),
            _ => token_text(other.to_token_stream()),
        },
    }
}

/// The type with `Self` spelled out, so that it can stand outside of the impl block.
pub(crate) fn without_self(ty: &Type, actor: &Type) -> Type {
    let mut ty = ty.clone();
    SpellSelf(actor).visit_type_mut(&mut ty);
    ty
}

struct SpellSelf<'t>(&'t Type);

impl SpellSelf<'_> {
    /// `Self::LENGTH` becomes `<Actor>::LENGTH`.
    fn spell_prefix(&self, qself: &mut Option<QSelf>, path: &mut syn::Path) {
        let is_prefix = qself.is_none() && path.segments.len() > 1 && path.segments[0].ident == "Self";
        if is_prefix {
            let actor = self.0;
            let rest: Punctuated<PathSegment, Token![::]> = path.segments.iter().skip(1).cloned().collect();
            let spelled: TypePath = syn::parse_quote!(<#actor>::#rest);
            *qself = spelled.qself;
            *path = spelled.path;
        }
    }
}

impl VisitMut for SpellSelf<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if matches!(ty, Type::Path(TypePath { qself: None, path, .. }) if path.is_ident("Self")) {
            *ty = self.0.clone();
            return;
        }
        visit_mut::visit_type_mut(self, ty);
    }

    fn visit_type_path_mut(&mut self, ty: &mut TypePath) {
        self.spell_prefix(&mut ty.qself, &mut ty.path);
        visit_mut::visit_type_path_mut(self, ty);
    }

    fn visit_expr_path_mut(&mut self, path: &mut ExprPath) {
        self.spell_prefix(&mut path.qself, &mut path.path);
        visit_mut::visit_expr_path_mut(self, path);
    }
}

/// The tokens as text that does not depend on how the user laid them out.
pub(crate) fn token_text(tokens: TokenStream) -> String {
    let mut text = String::new();
    write_tokens(tokens, &mut text);
    text
}

fn write_tokens(tokens: TokenStream, text: &mut String) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                if open == "[" && text.ends_with(is_word) {
                    text.push(' ');
                }
                text.push_str(open);
                write_tokens(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => {
                text.push(punct.as_char());
                if matches!(punct.as_char(), ',' | ';') {
                    text.push(' ');
                }
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                if text.ends_with(|c| is_word(c) || c == '>') {
                    text.push(' ');
                }
                text.push_str(&token.to_string());
            }
        }
    }
}

/// The argument's name, if its pattern is one.
pub(crate) fn plain_name(pattern: &syn::Pat) -> Option<Ident> {
    match pattern {
        syn::Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => Some(name.ident.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn refusals(ty: Type) -> Vec<String> {
        let mut errors = Errors::default();
        let owned = check_owned(&ty, Crossing::Argument, &mut errors);
        assert_eq!(owned, errors.messages().is_empty());
        errors.messages()
    }

    #[test]
    fn a_borrowed_type_is_refused_with_its_owned_form() {
        let rule = "a message crosses a process boundary";
        assert_eq!(refusals(parse_quote!(&str)), [format!("{rule}: take `String` instead of `&str`")]);
        assert_eq!(
            refusals(parse_quote!(Vec<&'static str>))[0],
            format!("{rule}: take `String` instead of `&'static str`")
        );
        assert_eq!(refusals(parse_quote!(&mut [u8]))[0], format!("{rule}: take `Vec<u8>` instead of `&mut [u8]`"));
        assert_eq!(
            refusals(parse_quote!(&std::path::Path))[0],
            format!("{rule}: take `PathBuf` instead of `&std::path::Path`")
        );
        assert_eq!(refusals(parse_quote!(Row<'_>))[0], format!("{rule}: take a type that owns its data, without `'_`"));
        assert!(refusals(parse_quote!(impl Into<String>))[0].contains("name one type"));
    }

    #[test]
    fn an_owned_type_is_accepted() {
        for ty in ["i64", "Cow<'static, str>", "[u8; 4]", "Option<(String, Vec<u8>)>", "()"] {
            assert!(refusals(syn::parse_str(ty).unwrap()).is_empty(), "{ty}");
        }
    }

    #[test]
    fn self_is_spelled_out_wherever_it_stands() {
        let actor: Type = parse_quote!(Cache<T>);
        let spelled = |ty: Type| token_text(without_self(&ty, &actor).to_token_stream());
        assert_eq!(spelled(parse_quote!(Self)), "Cache<T>");
        assert_eq!(spelled(parse_quote!(Option<Address<Self>>)), "Option<Address<Cache<T>>>");
        assert_eq!(spelled(parse_quote!([u8; Self::LENGTH])), "[u8; <Cache<T>>::LENGTH]");
        assert_eq!(spelled(parse_quote!(<Self as Named>::Name)), "<Cache<T> as Named>::Name");
    }

    #[test]
    fn text_does_not_depend_on_the_layout() {
        let text = |source: &str| token_text(source.parse().unwrap());
        assert_eq!(text("HashMap < String ,Vec<u8>  >"), text("HashMap<String, Vec<u8>>"));
        assert_eq!(text("HashMap<String,Vec<u8>>"), "HashMap<String, Vec<u8>>");
    }
}
