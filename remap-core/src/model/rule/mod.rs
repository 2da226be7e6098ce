//! The table of rules: what can be found, what to do about it, and its evidence.
//!
//! A row gives a rule's meaning, its advice, the hooks that it depends on, and its evidence: the
//! fields of the JSON line, and the sentence for people. `sink/sentence` evaluates the sentence, with
//! the functions that it has for parts of one. `correlate/rules` judges; its files have the names of
//! those in this folder.

pub(crate) mod cycle;
pub(crate) mod description;
pub(crate) mod device_state;
pub(crate) mod state_change;
pub(crate) mod usage;

use macro_rules_attribute::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{DmaLoss, FailedChange, NoWay, Outside, Refused};
use super::{InFlightCall, IrqName};
use crate::event::{DeviceState, Errno};
use crate::parse::irq::Encoding;
use crate::word::kebab_word;

/// Passes all rows to the macro `$then`: each part of the table adds its rows and calls the next.
macro_rules! every_rule {
    ($then:path) => {
        $crate::model::rule::cycle::cycle_rules! {
            $crate::model::rule::state_change::state_change_rules,
            $crate::model::rule::description::description_rules,
            $crate::model::rule::device_state::device_state_rules,
            $crate::model::rule::usage::usage_rules,
            $then,
        }
    };
}
pub(crate) use every_rule;

macro_rules! define {
    ($(
        $(#[$doc:meta])*
        rule $rule:ident {
            advice: $advice:literal,
            $(needs: [$($needed:ident),*],)?
            $(unreliable_without: [$($wanted:ident),*],)?
            $(
                $(case: $case:literal,)?
                evidence: $evidence:ident $({
                    $($(#[$about:meta])* $field:ident: $type:ty,)*
                })?,
                sentence: $sentence:expr,
            )+
        }
    )*) => {
        /// What can be found.
        #[apply(kebab_word!)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// One sentence: what to do.
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$rule => $advice,)*
                }
            }

            /// The hooks without which it is not found, at least in a part of the cases. Those that
            /// no trace can do without are not among them.
            pub fn needs(self) -> &'static [&'static str] {
                match self {
                    $(Self::$rule => &[$($(stringify!($needed)),*)?],)*
                }
            }

            /// The hooks without which it may be reported wrongly or late.
            pub fn unreliable_without(self) -> &'static [&'static str] {
                match self {
                    $(Self::$rule => &[$($(stringify!($wanted)),*)?],)*
                }
            }
        }

        /// What was seen, for each rule.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Evidence {
            $($(
                #[doc = concat!("[`Rule::", stringify!($rule), "`]" $(, " ", $case)?, ".")]
                $evidence $({ $($(#[$about])* $field: $type,)* })?,
            )+)*
        }

        impl Evidence {
            /// The rule that it breaks.
            pub fn rule(&self) -> Rule {
                match self {
                    $($(Self::$evidence { .. } => Rule::$rule,)+)*
                }
            }
        }
    };
}
every_rule!(define);
