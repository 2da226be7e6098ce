//! From the table of duties to an enumeration and its rows.

/// Makes the enumeration `Duty`, and its rows, from the table.
macro_rules! duties {
    ($(
        $(#[$doc:meta])*
        $party:ident $subject:ident $level:ident $duty:ident {
            source: $source:ident $place:literal $sentence:literal,
            broken_by: [$($rule:ident),*],
            exercised_by: $exercised_by:literal,
        }
    )*) => {
        /// What a driver or a user has to do.
        #[apply(kebab_word!)]
        pub enum Duty {
            $($(#[$doc])* $duty,)*
        }

        impl Duty {
            /// Its row of the table.
            pub fn row(self) -> &'static Row {
                match self {
                    $(Self::$duty => &Row {
                        party: Party::$party,
                        subject: Subject::$subject,
                        level: Level::$level,
                        source: Source::$source,
                        place: $place,
                        sentence: $sentence,
                        broken_by: &[$(Rule::$rule),*],
                        exercised_by: $exercised_by,
                    },)*
                }
            }
        }
    };
}
pub(super) use duties;
