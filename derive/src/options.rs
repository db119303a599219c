//! The options of an attribute: `key = value` pairs, each key at most once.

use crate::errors::Errors;
use proc_macro2::TokenStream;
use quote::quote;
use std::time::Duration;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitInt, LitStr, Meta, Token};

/// A key that an attribute knows, with an example for whoever gets it wrong.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) example: &'static str,
}

/// One `key = value` pair whose key the attribute knows.
pub(crate) struct Pair {
    pub(crate) key: Ident,
    pub(crate) value: Expr,
}

/// Reads the options of an attribute such as `#[call(timeout = "10m")]`; `place` is the attribute as users write it,
/// `call` or `procession::main`.
pub(crate) fn of_attribute(attribute: &Attribute, place: &str, keys: &[Key], errors: &mut Errors) -> Vec<Pair> {
    match &attribute.meta {
        Meta::Path(_) => Vec::new(),
        Meta::List(list) => of_tokens(list.tokens.clone(), place, keys, errors),
        Meta::NameValue(_) => {
            errors.at(&attribute.meta, format!("expected `#[{place}]`; {}", allowed(place, keys)));
            Vec::new()
        }
    }
}

/// As [`of_attribute`], for what stands between the parentheses.
pub(crate) fn of_tokens(tokens: TokenStream, place: &str, keys: &[Key], errors: &mut Errors) -> Vec<Pair> {
    let Some(metas) = errors.take(Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens)) else {
        return Vec::new();
    };
    let mut pairs: Vec<Pair> = Vec::new();
    for meta in metas {
        let key = meta.path().get_ident().cloned();
        let known = key.as_ref().and_then(|key| keys.iter().find(|known| key == known.name));
        let (Some(key), Some(known)) = (key, known) else {
            let path = meta.path();
            let name = quote!(#path).to_string();
            errors.at(path, format!("unknown option `{name}`: {}", allowed(place, keys)));
            continue;
        };
        let Meta::NameValue(pair) = meta else {
            errors.at(&meta, format!("`{key}` needs a value, such as `{}`", known.example));
            continue;
        };
        if pairs.iter().any(|earlier| earlier.key == key) {
            errors.at(&key, format!("`{key}` is set twice: keep one"));
            continue;
        }
        pairs.push(Pair { key, value: pair.value });
    }
    pairs
}

fn allowed(place: &str, keys: &[Key]) -> String {
    if keys.is_empty() {
        return format!("`#[{place}]` takes no options");
    }
    let examples: Vec<String> = keys.iter().map(|key| format!("`{}`", key.example)).collect();
    format!("`#[{place}(..)]` takes {}", examples.join(", "))
}

/// A length of time longer than zero, such as `"250ms"`, `"5s"`, `"10m"` or `"1h"`.
pub(crate) fn duration(value: &Expr) -> syn::Result<Duration> {
    const EXPECTED: &str = r#"expected a duration longer than zero, such as "250ms", "5s", "10m" or "1h""#;
    text(value).and_then(|text| parse_duration(&text.value())).ok_or_else(|| syn::Error::new_spanned(value, EXPECTED))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let ms = number.checked_mul(unit_ms)?;
    (ms > 0).then(|| Duration::from_millis(ms))
}

/// The duration as a constant expression.
pub(crate) fn duration_tokens(duration: Duration) -> TokenStream {
    let ms = millis(duration);
    quote!(::core::time::Duration::from_millis(#ms))
}

/// The duration in whole milliseconds; what [`duration`] read always is.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A whole number, at least 1.
pub(crate) fn positive(value: &Expr) -> syn::Result<LitInt> {
    if let Some(Lit::Int(number)) = literal(value)
        && number.suffix().is_empty()
        && number.base10_parse::<u32>().is_ok_and(|number| number > 0)
    {
        return Ok(number.clone());
    }
    Err(syn::Error::new_spanned(value, "expected a whole number of at least 1, such as `256`"))
}

/// The choice whose name the value spells; an error lists them all.
pub(crate) fn choice<T: Clone>(value: &Expr, choices: &[(&str, T)]) -> syn::Result<T> {
    let chosen = text(value)
        .and_then(|text| choices.iter().find(|(name, _)| text.value() == *name))
        .map(|(_, choice)| choice.clone());
    chosen.ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        syn::Error::new_spanned(value, format!("expected {}", either(&names)))
    })
}

fn either(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

/// The text, if the value is a string literal.
pub(crate) fn text(value: &Expr) -> Option<&LitStr> {
    match literal(value)? {
        Lit::Str(text) => Some(text),
        _ => None,
    }
}

fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        // What a macro_rules variable stands for comes wrapped.
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let ms = |text| parse_duration(text).map(millis);
        assert_eq!(ms("250ms"), Some(250));
        assert_eq!(ms("5s"), Some(5_000));
        assert_eq!(ms("10m"), Some(600_000));
        assert_eq!(ms("1h"), Some(3_600_000));
        for bad in ["", "5", "s", "0s", "-1s", "1.5s", "5 s", "5us", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(ms(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_error_names_what_is_allowed() {
        let keys = [
            Key { name: "restart", example: r#"restart = "transient""# },
            Key { name: "mailbox", example: "mailbox = 256" },
        ];
        let mut errors = Errors::default();
        let pairs = of_tokens(quote!(mailbox = 1, mailbox = 2, restart, size = 3), "actor", &keys, &mut errors);
        assert_eq!(pairs.len(), 1);
        assert_eq!(
            errors.messages(),
            [
                "`mailbox` is set twice: keep one",
                r#"`restart` needs a value, such as `restart = "transient"`"#,
                r#"unknown option `size`: `#[actor(..)]` takes `restart = "transient"`, `mailbox = 256`"#,
            ]
        );
    }

    #[test]
    fn a_choice_lists_its_names() {
        let error = choice(&syn::parse_quote!("sometimes"), &[("always", 1), ("often", 2), ("never", 3)]).unwrap_err();
        assert_eq!(error.to_string(), r#"expected "always", "often" or "never""#);
    }
}
