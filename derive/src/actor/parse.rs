//! From the derive's input to the [`Actor`].

use super::ir::{Actor, Options, Restart, Shutdown};
use crate::errors::Errors;
use crate::options::{self, Key};
use syn::{DeriveInput, Expr, GenericParam};

const KEYS: &[Key] = &[
    Key { name: "restart", example: r#"restart = "transient""# },
    Key { name: "mailbox", example: "mailbox = 256" },
    Key { name: "shutdown", example: r#"shutdown = "5s""# },
    Key { name: "init_timeout", example: r#"init_timeout = "10s""# },
];

const RESTARTS: &[(&str, Restart)] =
    &[("permanent", Restart::Permanent), ("transient", Restart::Transient), ("temporary", Restart::Temporary)];

pub(super) fn actor(input: DeriveInput, errors: &mut Errors) -> Actor {
    for parameter in &input.generics.params {
        if let GenericParam::Lifetime(lifetime) = parameter {
            errors.at(lifetime, "an actor lives in a process of its own and cannot borrow: own the data instead");
        }
    }
    let mut options = Options::default();
    let mut seen = Vec::new();
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("actor")) {
        for pair in options::of_attribute(attribute, "actor", KEYS, errors) {
            if seen.contains(&pair.key) {
                errors.at(&pair.key, format!("`{}` is set twice: keep one", pair.key));
            } else if let Err(error) = options.set(&pair.key.to_string(), &pair.value) {
                errors.push(error);
            }
            seen.push(pair.key);
        }
    }
    Actor { name: input.ident, generics: input.generics, options }
}

impl Options {
    fn set(&mut self, key: &str, value: &Expr) -> syn::Result<()> {
        match key {
            "restart" => self.restart = Some(options::choice(value, RESTARTS)?),
            "mailbox" => self.mailbox = Some(options::positive(value)?),
            "shutdown" => self.shutdown = Some(shutdown(value)?),
            "init_timeout" => self.init_timeout = Some(options::duration(value)?),
            _ => unreachable!("KEYS names no other key"),
        }
        Ok(())
    }
}

fn shutdown(value: &Expr) -> syn::Result<Shutdown> {
    if options::text(value).is_some_and(|text| text.value() == "kill") {
        return Ok(Shutdown::Kill);
    }
    options::duration(value)
        .map(Shutdown::Within)
        .map_err(|error| syn::Error::new_spanned(value, format!(r#"{error}, or "kill" for no time at all"#)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use syn::parse_quote;

    fn parsed(input: DeriveInput) -> (Options, Vec<String>) {
        let mut errors = Errors::default();
        let actor = actor(input, &mut errors);
        (actor.options, errors.messages())
    }

    #[test]
    fn every_option_is_read() {
        let (options, errors) = parsed(parse_quote! {
            #[actor(restart = "transient", mailbox = 256)]
            #[actor(shutdown = "kill", init_timeout = "10s")]
            struct Counter;
        });
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(options.restart, Some(Restart::Transient));
        assert_eq!(options.mailbox.unwrap().base10_digits(), "256");
        assert_eq!(options.shutdown, Some(Shutdown::Kill));
        assert_eq!(options.init_timeout, Some(Duration::from_secs(10)));
    }

    #[test]
    fn every_wrong_option_is_reported_with_what_is_allowed() {
        let (_, errors) = parsed(parse_quote! {
            #[actor(restart = "always", mailbox = 0, shutdown = "soon")]
            #[actor(init_timeout = 10, restart = "permanent")]
            struct Counter<'a>(&'a str);
        });
        assert_eq!(
            errors,
            [
                "an actor lives in a process of its own and cannot borrow: own the data instead",
                r#"expected "permanent", "transient" or "temporary""#,
                "expected a whole number of at least 1, such as `256`",
                r#"expected a duration longer than zero, such as "250ms", "5s", "10m" or "1h", or "kill" for no time at all"#,
                r#"expected a duration longer than zero, such as "250ms", "5s", "10m" or "1h""#,
                "`restart` is set twice: keep one",
            ]
        );
    }
}
