//! Enumerations of words: one list of derives, and one case for options, text, JSON and schema.

/// Makes an enumeration of words, in snake case; as `#[apply(word!)]`.
macro_rules! word {
    (@ $case:literal $(#[$attribute:meta])* $vis:vis enum $name:ident { $($variants:tt)* }) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
            schemars::JsonSchema, strum::EnumString, strum::IntoStaticStr, strum::VariantArray,
        )]
        #[serde(rename_all = $case)]
        #[strum(serialize_all = $case)]
        $(#[$attribute])*
        $vis enum $name { $($variants)* }

        impl $name {
            /// All of them, in order.
            $vis const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

            /// The word in options, text and JSON.
            $vis fn name(self) -> &'static str {
                self.into()
            }
        }
    };
    ($($item:tt)*) => { $crate::word::word! { @ "snake_case" $($item)* } };
}
pub(crate) use word;

/// The same in kebab case.
macro_rules! kebab_word {
    ($($item:tt)*) => { $crate::word::word! { @ "kebab-case" $($item)* } };
}
pub(crate) use kebab_word;

/// The same in upper case.
macro_rules! upper_word {
    ($($item:tt)*) => { $crate::word::word! { @ "UPPERCASE" $($item)* } };
}
pub(crate) use upper_word;

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::str::FromStr;

    use serde::{Serialize, de::DeserializeOwned};

    use crate::model::{
        AckForm, BlindCause, BlindHooks, CauseKind, Class, IrqName, IrqVerb, MappedHow, Outcome,
        ReleasedSource, Rule, Stage, ZapEnd,
    };
    use crate::vmm::{calls, downtime};

    fn agree<W>(all: &[W])
    where
        W: Copy + Debug + PartialEq + Into<&'static str> + FromStr + Serialize + DeserializeOwned,
    {
        for word in all {
            let name: &str = (*word).into();
            assert_eq!(serde_json::to_value(word).unwrap(), name);
            assert_eq!(serde_json::from_value::<W>(name.into()).unwrap(), *word);
            assert_eq!(name.parse().ok(), Some(*word));
        }
    }

    #[test]
    fn a_word_is_the_same_in_text_and_json() {
        agree(AckForm::ALL);
        agree(BlindCause::ALL);
        agree(BlindHooks::ALL);
        agree(CauseKind::ALL);
        agree(Class::ALL);
        agree(IrqName::ALL);
        agree(IrqVerb::ALL);
        agree(MappedHow::ALL);
        agree(Outcome::ALL);
        agree(ReleasedSource::ALL);
        agree(Rule::ALL);
        agree(Stage::ALL);
        agree(ZapEnd::ALL);
        agree(calls::Kind::ALL);
        agree(downtime::End::ALL);
    }
}
