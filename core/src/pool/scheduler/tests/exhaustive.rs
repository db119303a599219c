//! Small pools in every order that is possible.
