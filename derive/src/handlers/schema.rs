//! The protocol as one line of text: two builds with the same line understand each other.

use super::ir::{Answer, Handler, Init, Kind, Method, Protocol};
use crate::types::token_text;
use quote::ToTokens;
use syn::Type;
use syn::ext::IdentExt;

/// The init, calls and casts with their types, in the order of their numbers; a deferred answer reads as a direct one,
/// since the wire does not know the difference.
pub(super) fn of(protocol: &Protocol) -> String {
    let init = match &protocol.init {
        Init::Handler { handler, .. } => signature(handler),
        Init::Default | Init::Broken => "default()".to_owned(),
    };
    std::iter::once(init).chain(protocol.methods.iter().map(method)).collect::<Vec<_>>().join("; ")
}

fn method(method: &Method) -> String {
    let signature = signature(&method.handler);
    match &method.kind {
        Kind::Cast { .. } => format!("cast {signature}"),
        Kind::Call { answer, .. } => format!("call {signature} -> {}", reply(answer)),
    }
}

fn signature(handler: &Handler) -> String {
    let arguments: Vec<String> =
        handler.arguments().map(|argument| format!("{}: {}", argument.name.unraw(), text(&argument.ty))).collect();
    format!("{}({})", handler.name.unraw(), arguments.join(", "))
}

fn reply(answer: &Answer) -> String {
    match answer {
        Answer::Done => "()".to_owned(),
        Answer::Value(value) | Answer::Deferred(value, None) => text(value),
        Answer::Result(value, error) | Answer::Deferred(value, Some(error)) => {
            format!("Result<{}, {}>", text(value), text(error))
        }
    }
}

fn text(ty: &Type) -> String {
    token_text(ty.to_token_stream())
}
