//! What is looked up.

use crate::check::request::Family;
use crate::check::target::Name;

/// Shared by all who ask for the same at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Query {
    pub name: Name,
    pub family: Family,
}
